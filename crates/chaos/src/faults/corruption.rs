//! Bytes flipped in a stopped node's files, anywhere. It must mend itself, refuse to start (exit
//! code 7) or be whole. One acceptor at a time: what flips can take away are votes, and only while
//! the others remember.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use paxos::Rng;

use super::Begun;
use crate::Outcome;
use crate::configuration::Role;
use crate::world::World;

pub(super) fn begin(rng: &mut Rng, world: &mut World) -> Outcome<Option<Begun>> {
    let others = world.cluster.nodes.iter().any(|node| node.is_damaged);
    let learners: Vec<usize> = world.free(Role::Learner).collect();
    let node = if learners.len() > 1 && rng.below(5) == 0 {
        Some(learners[rng.index(learners.len())])
    } else {
        world.acceptor(rng)
    };
    let Some(node) = node.filter(|_| !others) else { return Ok(None) };
    let Some(data) = world.cluster.nodes[node].place.data.clone() else { return Ok(None) };
    world.cluster.kill(node)?;
    world.hold(node);
    world.cluster.nodes[node].is_damaged = true;
    let says = format!("{}: {}", world.name(node), flip(&data, rng)?);
    // As it was found on the disk, for whoever has to explain what came of it.
    let kept = world.cluster.keep(node, "flipped")?;
    let says = format!("{says}; a copy is in {kept}");
    Ok(Some(Begun::new(says, move |world| {
        world.release(node);
        // The director looks after it: damaged until it is seen to be whole.
        world.start(node)
    })))
}

/// What a file begins with: rarely hit by chance, and worth more than other bytes.
const HEAD_BYTES: u64 = 64;

/// Flips one to eight bytes of one file, and says which. Long files are likelier; one flip in three
/// hits a file's head.
fn flip(data: &Path, rng: &mut Rng) -> Outcome<String> {
    let mut files = Vec::new();
    find(data, &mut files)?;
    files.sort();
    let total: u64 = files.iter().map(|(_, length)| length).sum();
    let mut at = rng.below(total);
    let mut chosen = None;
    for (path, length) in files {
        if at < length {
            chosen = Some((path, length));
            break;
        }
        at -= length;
    }
    let (path, length) = chosen.ok_or("nothing to flip")?;
    let within = if rng.below(3) == 0 { length.min(HEAD_BYTES) } else { length };
    at %= within;
    let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
    // Prewritten zeros are no loss: look a few times for something that was written.
    for _ in 0..20 {
        file.seek(SeekFrom::Start(at))?;
        let mut byte = [0];
        if file.read(&mut byte)? == 1 && byte != [0] {
            break;
        }
        at = rng.below(within);
    }
    let count = 1 + rng.below(8).min(length - at - 1);
    let mut bytes = vec![0; usize::try_from(count)?];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes)?;
    for byte in &mut bytes {
        *byte ^= 1 << rng.below(8);
    }
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    let name = path.strip_prefix(data).unwrap_or(&path).display();
    Ok(format!("{count} bytes of {name} at {at}"))
}

fn find(directory: &Path, found: &mut Vec<(PathBuf, u64)>) -> Outcome<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            find(&entry.path(), found)?;
        } else if metadata.len() > 0 {
            found.push((entry.path(), metadata.len()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_changes_one_file_and_not_its_length() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        for seed in 0..50 {
            fs::write(&one, [7; 1000]).unwrap();
            fs::write(&other, [7; 10]).unwrap();
            flip(directory.path(), &mut Rng::new(seed)).unwrap();
            let (now, then) = (fs::read(&one).unwrap(), fs::read(&other).unwrap());
            assert_eq!((now.len(), then.len()), (1000, 10));
            let changed = |bytes: &[u8]| bytes.iter().filter(|byte| **byte != 7).count();
            assert!((1..=8).contains(&(changed(&now) + changed(&then))));
            assert!(changed(&now) == 0 || changed(&then) == 0);
        }
    }
}
