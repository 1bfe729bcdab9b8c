//! Three of five acceptors pause: nothing can be chosen, and clients must be told the truth.

use paxos::Rng;
use rustix::process::Signal;

use super::Begun;
use crate::Outcome;
use crate::configuration::{ACCEPTORS, Role};
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let mut free: Vec<usize> = world.free(Role::Acceptor).collect();
    // Only a whole cluster: memories must not be few as well.
    if free.len() < ACCEPTORS {
        return Ok(None);
    }
    while free.len() > ACCEPTORS / 2 + 1 {
        free.swap_remove(rng.index(free.len()));
    }
    for node in &free {
        world.hold(*node);
        world.cluster.signal(*node, Signal::STOP)?;
    }
    Ok(Some(Begun::new(world.names(&free), move |world| {
        free.iter().try_for_each(|node| {
            world.release(*node);
            world.cluster.signal(*node, Signal::CONT)
        })
    })))
}
