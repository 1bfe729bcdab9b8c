//! Something else takes all the room on an acceptor's disk, and gives it back.

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(node) = world.acceptor(rng) else { return Ok(None) };
    let state = &mut world.cluster.nodes[node];
    let Some(disk) = &state.disk else { return Ok(None) };
    let filled = disk.fill()?;
    (state.is_held, state.is_disk_bad) = (true, true);
    let says = format!("{}: {filled} bytes", world.name(node));
    Ok(Some(Begun::new(says, move |world| {
        let state = &mut world.cluster.nodes[node];
        (state.is_held, state.is_disk_bad) = (false, false);
        if let Some(disk) = &state.disk {
            disk.free()?;
        }
        // It may have stopped for want of room where it could not do without.
        if world.cluster.runs(node) { Ok(()) } else { world.start(node) }
    })))
}
