//! What an operator does where a node's data is refused: keep it, put a new disk in its place, and
//! restart every node. As `docs/operating.md` says, "A disk is lost".

use std::fs;
use std::process::Command;

use crate::Outcome;
use crate::configuration::Role;
use crate::shell;
use crate::world::World;

/// Replaces a node's disk; it does not run. Nothing else is broken meanwhile.
pub(crate) fn replace(node: usize, world: &mut World) -> Outcome<()> {
    let place = world.cluster.nodes[node].place.clone();
    if let Some(data) = place.data.as_ref().filter(|data| data.exists()) {
        world.cluster.keep(node, "refused")?;
        fs::remove_dir_all(data)?;
    }
    // Who only learns has no votes to lose, and starts with an empty directory.
    if place.role != Role::Acceptor {
        return world.start(node);
    }
    let mut command = Command::new(&world.cluster.synod);
    command.args(["init", "replacement", "--node", &place.id.to_string()]);
    command.args(world.cluster.nodes.iter().map(|node| &node.place.file));
    shell::finish(&mut command)?;
    // One right after the other: how long it takes is how long nothing is chosen.
    for other in 0..world.cluster.nodes.len() {
        world.cluster.stop(other)?;
        world.start(other)?;
    }
    Ok(())
}
