//! Where a node keeps what it must not forget.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use journal::{Disk, DiskError, FaultyDisk, FileEntry, SegmentNumber};
use server::file_disk::FileDisk;

/// Whatever disk it is.
pub type AnyDisk = Box<dyn Disk + Send>;

/// The disks of one node. Each is numbered files with an honest `sync`: see [`Disk`].
///
/// A disk that comes back empty is noticed, and its node does not vote. One that comes back *older*
/// than it was, as from a backup, cannot be told from one that never went further: that must not
/// happen.
pub trait Storage: Send + 'static {
    /// The disk that holds this part. Asked once a part, in the life of a node.
    fn disk(&mut self, part: Part) -> Result<AnyDisk, DiskError>;

    /// What errors call it.
    fn name(&self) -> PathBuf;
}

/// What a disk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Who the node is: a few bytes, written three times in its life.
    Identity,
    /// What it has promised and accepted. Its sync is what a proposal waits for.
    Journal,
    /// Snapshots of the state: large, and nobody waits for them.
    Snapshots,
}

/// A directory on a file system: the default, as `data_dir`.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
}

/// Disks in memory, for tests. Clones are the same disks, so that a node can be started again from
/// what an earlier one has left.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    disks: Arc<Mutex<BTreeMap<Part, FaultyDisk>>>,
}

/// One disk in memory.
struct MemoryDisk {
    part: Part,
    disks: Arc<Mutex<BTreeMap<Part, FaultyDisk>>>,
}

impl Directory {
    /// This directory; it is made if it is missing.
    pub fn new(path: impl AsRef<Path>) -> Directory {
        Directory { path: path.as_ref().to_owned() }
    }
}

impl Storage for Directory {
    fn disk(&mut self, part: Part) -> Result<AnyDisk, DiskError> {
        Ok(match part {
            Part::Identity => Box::new(FileDisk::open(self.path.join("identity"))?),
            Part::Journal => Box::new(FileDisk::open(self.path.join("journal"))?),
            // A sync waits for all that the device was given before it.
            Part::Snapshots => Box::new(FileDisk::open(self.path.join("snapshots"))?.giving_way()),
        })
    }

    fn name(&self) -> PathBuf {
        self.path.clone()
    }
}

impl Memory {
    /// Empty disks.
    pub fn new() -> Memory {
        Memory::default()
    }
}

#[cfg(test)]
impl Memory {
    /// The disks of a node whose identity lies on this one.
    pub(crate) fn with_identity(&self, disk: FaultyDisk) -> AnyDisk {
        lock(&self.disks).insert(Part::Identity, disk);
        self.clone().disk(Part::Identity).expect("memory has no faults of its own")
    }

    /// The identity disk after the power went and came back.
    pub(crate) fn crashed(&self) -> AnyDisk {
        lock(&self.disks).get_mut(&Part::Identity).expect("it was put there").crash();
        self.clone().disk(Part::Identity).expect("memory has no faults of its own")
    }
}

impl Storage for Memory {
    fn disk(&mut self, part: Part) -> Result<AnyDisk, DiskError> {
        let disks = self.disks.clone();
        lock(&disks).entry(part).or_insert_with(|| FaultyDisk::new(0));
        Ok(Box::new(MemoryDisk { part, disks }))
    }

    fn name(&self) -> PathBuf {
        PathBuf::from("(memory)")
    }
}

impl MemoryDisk {
    fn with<T>(&self, act: impl FnOnce(&mut FaultyDisk) -> T) -> T {
        let mut disks = lock(&self.disks);
        act(disks.get_mut(&self.part).expect("it was made with its handle"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        self.with(Disk::list)
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        self.with(|disk| disk.create(number, bytes))
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        self.with(|disk| disk.read_at(number, offset, into))
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        self.with(|disk| disk.write_at(number, offset, bytes))
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.with(|disk| disk.sync(number))
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        self.with(|disk| disk.rename(from, to))
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.with(|disk| disk.remove(number))
    }
}
