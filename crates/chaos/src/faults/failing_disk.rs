//! A disk fails under a running acceptor: writes and syncs end with an error. It must stop before
//! it says anything that is not on the disk, and must not try again; then it loses what was not
//! synced, and starts on what is left.

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(node) = world.acceptor(rng) else { return Ok(None) };
    let state = &mut world.cluster.nodes[node];
    let Some(disk) = &state.disk else { return Ok(None) };
    disk.lose_power()?;
    (state.is_held, state.is_disk_bad) = (true, true);
    Ok(Some(Begun::new(world.name(node), move |world| {
        // It may have had nothing to write.
        world.cluster.kill(node)?;
        let state = &mut world.cluster.nodes[node];
        (state.is_held, state.is_disk_bad) = (false, false);
        if let Some(disk) = &state.disk {
            disk.regain_power()?;
        }
        world.start(node)
    })))
}
