//! Disks that stall: every write and sync of a node waits, for seconds once, or again and again for
//! some milliseconds.

use std::time::Instant;

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::world::World;

/// An acceptor's or a learner's disk stands still.
pub(super) fn stalled(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(node) = world.acceptor(rng) else { return Ok(None) };
    let Some(disk) = &mut world.cluster.nodes[node].disk else { return Ok(None) };
    disk.freeze()?;
    world.hold(node);
    Ok(Some(Begun::new(world.name(node), move |world| thaw(node, world))))
}

/// Half of the time it stands still.
pub(super) fn slow(rng: &mut Rng, world: &mut World) -> Option<Begun> {
    let node = world.acceptor(rng)?;
    world.cluster.nodes[node].disk.as_ref()?;
    world.hold(node);
    let began = Instant::now();
    let goes_on = move |world: &mut World| {
        let Some(disk) = &mut world.cluster.nodes[node].disk else { return Ok(()) };
        // As long as the director takes to come back, a few times ten milliseconds.
        if (began.elapsed().as_millis() / 50).is_multiple_of(2) {
            disk.freeze()
        } else {
            disk.thaw()
        }
    };
    let says = format!("{}: stalls half of the time", world.name(node));
    let mut begun = Begun::new(says, move |world| thaw(node, world));
    begun.goes_on = Some(Box::new(goes_on));
    Some(begun)
}

fn thaw(node: usize, world: &mut World) -> Outcome<()> {
    world.release(node);
    world.cluster.nodes[node].disk.as_mut().map_or(Ok(()), crate::disks::Disk::thaw)
}
