//! An acceptor's disk is lost for good: what comes back is empty. It must not vote, and refuse to
//! start (exit code 7), until it is replaced as an operator does.

use std::fs;

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let others = world.cluster.nodes.iter().any(|node| node.is_damaged);
    let Some(node) = world.acceptor(rng).filter(|_| !others) else { return Ok(None) };
    let Some(data) = world.cluster.nodes[node].place.data.clone() else { return Ok(None) };
    world.cluster.kill(node)?;
    world.hold(node);
    world.cluster.nodes[node].is_damaged = true;
    fs::remove_dir_all(&data)?;
    Ok(Some(Begun::new(world.name(node), move |world| {
        world.release(node);
        // It refuses; the director does the rest.
        world.start(node)
    })))
}
