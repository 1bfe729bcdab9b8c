//! The node's own switch: it neither hears nor speaks to its peers, and keeps its memory.

use super::Begun;
use crate::world::World;

pub(super) fn begin(node: Option<usize>, world: &mut World) -> Option<Begun> {
    let node = node?;
    let endpoint = world.cluster.endpoint(node);
    if world.runtime.block_on(world.client.fail(&endpoint)).is_err() {
        return None;
    }
    world.hold(node);
    Some(Begun::new(world.name(node), move |world| {
        world.release(node);
        let recovered = world.wait(crate::director::PATIENCE, |world| {
            let recover = world.client.recover(&endpoint);
            world.runtime.block_on(recover).is_ok() || !world.cluster.runs(node)
        });
        if recovered { Ok(()) } else { Err(format!("{endpoint} does not recover").into()) }
    }))
}
