//! The fault that no protocol survives, to see that the judge finds it: the disks of a quorum said
//! that they had synced, and after a power failure they hold what they held some time before.
//!
//! Everybody loses power, for learners would otherwise remember.

use std::fs;

use crate::Outcome;
use crate::configuration::Role;
use crate::shell::run;
use crate::world::World;

/// What the disks really hold from now on, whatever they say.
pub(crate) fn lie(world: &mut World) -> Outcome<()> {
    for node in liars(world) {
        // Stopped for the moment of the copy, so that it is a state that the disk was in.
        world.cluster.stop(node)?;
        copy(node, world, "data", "truth")?;
        world.start(node)?;
    }
    Ok(())
}

/// All power fails, and comes back.
pub(crate) fn be_found_out(world: &mut World) -> Outcome<()> {
    for node in 0..world.cluster.nodes.len() {
        world.cluster.kill(node)?;
    }
    for node in liars(world) {
        copy(node, world, "truth", "data")?;
    }
    (0..world.cluster.nodes.len()).try_for_each(|node| world.start(node))
}

/// Every acceptor and learner: then no memory is left of what was acknowledged since.
fn liars(world: &World) -> Vec<usize> {
    world.cluster.of(Role::Acceptor).chain(world.cluster.of(Role::Learner)).collect()
}

fn copy(node: usize, world: &World, from: &str, to: &str) -> Outcome<()> {
    let Some(data) = &world.cluster.nodes[node].place.data else { return Ok(()) };
    let (from, to) = (data.with_file_name(from), data.with_file_name(to));
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    if from.exists() {
        run("cp", &["-r".as_ref(), from.as_os_str(), to.as_os_str()])?;
    }
    Ok(())
}
