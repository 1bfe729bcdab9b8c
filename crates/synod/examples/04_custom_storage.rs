//! A disk of one's own: here one that counts its syncs, on top of the directory that there is.
//!
//! ```text
//! cargo run -p synod --example 04_custom_storage
//! ```

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod::journal::{Disk, DiskError, FileEntry, SegmentNumber};
use synod::storage::{AnyDisk, Directory, Part, Storage};
use synod::transport::Network;
use synod::{Node, Slot, StateMachine};

struct Counting {
    below: Directory,
    syncs: Arc<AtomicU64>,
}

struct CountingDisk {
    below: AnyDisk,
    syncs: Arc<AtomicU64>,
}

impl Storage for Counting {
    fn disk(&mut self, part: Part) -> Result<AnyDisk, DiskError> {
        let (below, syncs) = (self.below.disk(part)?, self.syncs.clone());
        Ok(Box::new(CountingDisk { below, syncs }))
    }

    fn name(&self) -> PathBuf {
        self.below.name()
    }
}

impl Disk for CountingDisk {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        self.below.list()
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        self.below.create(number, bytes)
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        self.below.read_at(number, offset, into)
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        self.below.write_at(number, offset, bytes)
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.below.sync(number)
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        self.below.rename(from, to)
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.below.remove(number)
    }
}

/// How many commands there were.
#[derive(Default)]
struct Count(u64);

impl StateMachine for Count {
    type Command = ();
    type Output = u64;
    type Snapshot = u64;

    fn apply(&mut self, _slot: Slot, (): ()) -> u64 {
        self.0 += 1;
        self.0
    }

    fn snapshot(&self) -> u64 {
        self.0
    }

    fn restore(snapshot: u64) -> Self {
        Count(snapshot)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let syncs = Arc::new(AtomicU64::new(0));
    let node = Node::builder(Count::default())
        .id(1)
        .peers([(1, "alone")])
        .transport(Network::new()) // Nothing to send, and nobody to send it to.
        .storage(Counting { below: Directory::new(directory.path()), syncs: syncs.clone() })
        .start()
        .await?;
    let before = syncs.load(Ordering::Relaxed);
    let all: Vec<_> = (0..1000).map(|_| node.propose(())).collect();
    for one in all {
        one.await?;
    }
    let syncs = syncs.load(Ordering::Relaxed) - before;
    println!("1000 commands, fewer syncs: {}", syncs < 1000);
    node.shutdown().await?;
    Ok(())
}
