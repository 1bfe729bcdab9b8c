//! SIGSTOP and SIGCONT: a node that notices nothing, and goes on as if no time had passed.

use rustix::process::Signal;

use super::Begun;
use crate::Outcome;
use crate::world::World;

pub(super) fn begin(node: Option<usize>, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(node) = node else { return Ok(None) };
    world.hold(node);
    world.cluster.signal(node, Signal::STOP)?;
    Ok(Some(Begun::new(world.name(node), move |world| {
        world.release(node);
        world.cluster.signal(node, Signal::CONT)
    })))
}
