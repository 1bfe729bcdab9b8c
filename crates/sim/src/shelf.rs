//! One machine's snapshots: on its disk if it has one, else in memory for as long as it lives.
//!
//! Knows no time: the world says when a snapshot is written. The newest two are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use paxos::{PartWanted, SnapshotId};

/// A snapshot and its name.
type Generation = (SnapshotId, Arc<[u8]>);

const GENERATIONS: usize = 2;

/// One machine's snapshots, across all its lives.
#[derive(Debug)]
pub struct Shelf {
    pub is_durable: bool,
    /// Oldest first.
    generations: VecDeque<Generation>,
}

impl Shelf {
    pub fn new(is_durable: bool) -> Shelf {
        Shelf { is_durable, generations: VecDeque::new() }
    }

    /// A snapshot is written, whole.
    pub fn put(&mut self, snapshot: SnapshotId, bytes: Arc<[u8]>) {
        if self.generations.len() == GENERATIONS {
            self.generations.pop_front();
        }
        self.generations.push_back((snapshot, bytes));
    }

    /// A life has ended.
    pub fn end(&mut self) {
        if !self.is_durable {
            self.generations.clear();
        }
    }

    /// The newest is damaged: whoever reads it sees that, and takes the one before.
    pub fn damage_newest(&mut self) {
        self.generations.pop_back();
    }

    /// Everything is lost.
    pub fn lose(&mut self) {
        self.generations.clear();
    }

    /// What a new life goes on from.
    pub fn newest(&self) -> Option<Generation> {
        self.generations.back().cloned()
    }

    /// Reads a part; none if the snapshot was replaced meanwhile.
    pub fn read(&self, wanted: &PartWanted) -> Option<Arc<[u8]>> {
        let (_, bytes) = self.generations.iter().find(|(id, _)| *id == wanted.snapshot)?;
        let from = usize::try_from(wanted.offset).ok()?;
        bytes.get(from..)?.get(..wanted.bytes).map(Into::into)
    }
}
