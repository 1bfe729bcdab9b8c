//! SIGKILL, and a start after a while.

use super::Begun;
use crate::Outcome;
use crate::world::World;

pub(super) fn begin(node: Option<usize>, world: &mut World) -> Outcome<Option<Begun>> {
    let Some(node) = node else { return Ok(None) };
    world.hold(node);
    world.cluster.kill(node)?;
    Ok(Some(Begun::new(world.name(node), move |world| {
        world.release(node);
        world.start(node)
    })))
}
