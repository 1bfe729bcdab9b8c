//! Power failure of one node: what was not synced is gone, and nothing else.

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::configuration::Role;
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let learners: Vec<usize> = world.free(Role::Learner).collect();
    // Now and then a learner's, as long as another remains.
    let node = if learners.len() > 1 && rng.below(4) == 0 {
        Some(learners[rng.index(learners.len())])
    } else {
        world.acceptor(rng)
    };
    let Some(node) = node else { return Ok(None) };
    let Some(disk) = &world.cluster.nodes[node].disk else { return Ok(None) };
    // First the disk, so that the process cannot write anything more.
    disk.lose_power()?;
    world.cluster.kill(node)?;
    world.hold(node);
    Ok(Some(Begun::new(world.name(node), move |world| {
        world.release(node);
        if let Some(disk) = &world.cluster.nodes[node].disk {
            disk.regain_power()?;
        }
        world.start(node)
    })))
}
