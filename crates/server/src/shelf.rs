//! Where a node's snapshots lie: on its disk, or in memory where it has none. The newest two.
//!
//! It knows a snapshot by its name and gives back its bytes, whole or in part. What the bytes mean
//! is the node's business, what makes them durable the snapshots' of the journal crate.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use journal::{Generation, Identity, OpenError, SnapshotError, Snapshots};
use paxos::{PartWanted, SnapshotId};

use crate::data_dir::AnyDisk;

/// Snapshots that are kept in memory. Somebody may be in the middle of fetching the older one.
const GENERATIONS: usize = 2;

/// The newest snapshots, and one that is being written.
pub struct Shelf {
    place: Place,
    /// The sizes of all files together.
    used: Arc<AtomicU64>,
}

enum Place {
    Disk {
        files: Box<Snapshots<AnyDisk>>,
        /// What the generations are called. Those of an earlier life have no name yet.
        names: VecDeque<(SnapshotId, Generation)>,
    },
    Memory(VecDeque<(SnapshotId, Arc<[u8]>)>),
}

impl Shelf {
    /// For a node without a disk: what is kept is gone with the process.
    pub fn in_memory() -> Shelf {
        Shelf { place: Place::Memory(VecDeque::new()), used: Arc::default() }
    }

    /// The snapshots of a disk, which keeps count of its size in `used`.
    pub fn on_disk(
        disk: AnyDisk,
        used: Arc<AtomicU64>,
        identity: Identity,
    ) -> Result<Shelf, OpenError> {
        let (files, bad) = Snapshots::open(disk, identity)?;
        for file in bad {
            tracing::warn!(?file, "a file that should be a snapshot is none");
        }
        Ok(Shelf { place: Place::Disk { files: Box::new(files), names: VecDeque::new() }, used })
    }

    /// Whether what is kept here outlives the process.
    pub fn is_durable(&self) -> bool {
        matches!(self.place, Place::Disk { .. })
    }

    /// The sizes of all files together, in bytes, as they are from now on.
    pub fn used(&self) -> Arc<AtomicU64> {
        self.used.clone()
    }

    /// Hands the snapshots of an earlier life to `take`, the newest first, until it says what one
    /// is called. Gives back that name.
    pub fn recover(
        &mut self,
        mut take: impl FnMut(Vec<u8>) -> Result<SnapshotId, String>,
    ) -> Option<SnapshotId> {
        let Place::Disk { files, names } = &mut self.place else {
            return None;
        };
        for generation in files.generations().to_vec() {
            let loaded = files.load(&generation).map_err(|why| why.to_string());
            match loaded.and_then(&mut take) {
                Ok(name) => {
                    names.push_back((name, generation));
                    return Some(name);
                }
                Err(why) => tracing::warn!(?generation, why, "a snapshot is not used"),
            }
        }
        if !files.generations().is_empty() {
            tracing::warn!("no snapshot is good: what they covered is fetched from others");
        }
        None
    }

    /// Starts to keep a snapshot. Its bytes follow, in order.
    pub fn begin(&mut self, snapshot: SnapshotId) -> Result<(), SnapshotError> {
        match &mut self.place {
            Place::Disk { files, .. } => {
                // A later one must be called higher, even if the newest is damaged and was passed
                // over for an older one.
                let above = files.generations().first().map_or(0, |newest| newest.label + 1);
                files.begin(above.max(snapshot.below.0), snapshot.bytes)
            }
            Place::Memory(_) => Ok(()),
        }
    }

    /// The next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        match &mut self.place {
            Place::Disk { files, .. } => files.write(bytes),
            Place::Memory(_) => Ok(()),
        }
    }

    /// Everything was written: `bytes`, which bear this name.
    pub fn finish(&mut self, snapshot: SnapshotId, bytes: Vec<u8>) -> Result<(), SnapshotError> {
        match &mut self.place {
            Place::Disk { files, names } => {
                names.push_back((snapshot, files.finish()?));
                names.retain(|(_, generation)| files.generations().contains(generation));
            }
            Place::Memory(kept) => {
                kept.push_back((snapshot, bytes.into()));
                if kept.len() > GENERATIONS {
                    kept.pop_front();
                }
            }
        }
        Ok(())
    }

    /// A part of a snapshot, as it was kept; none if it is gone or damaged.
    pub fn part(&mut self, part: &PartWanted) -> Option<Arc<[u8]>> {
        match &mut self.place {
            Place::Disk { files, names } => {
                let (_, generation) = names.iter().find(|(name, _)| *name == part.snapshot)?;
                let mut bytes = vec![0; part.bytes];
                let read = files.read(generation, part.offset, &mut bytes);
                read.inspect_err(|why| tracing::warn!(?why, "a snapshot cannot be read")).ok()?;
                Some(bytes.into())
            }
            Place::Memory(kept) => {
                let (_, bytes) = kept.iter().find(|(name, _)| *name == part.snapshot)?;
                let from = usize::try_from(part.offset).ok()?;
                Some(bytes.get(from..from.checked_add(part.bytes)?)?.into())
            }
        }
    }
}
