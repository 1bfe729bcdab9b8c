//! One machine's snapshots: on its disk if it has one, else in memory for as long as it lives.
//!
//! Knows no time: the world says when a snapshot is written. The newest two are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use node::{Effects, History};
use paxos::{Envelope, Message, PartWanted, SnapshotId};

/// A snapshot and its name.
pub type Generation = (SnapshotId, Arc<[u8]>);

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
        // One may be written before another that was begun earlier.
        let place = self.generations.partition_point(|(own, _)| own.below < snapshot.below);
        self.generations.insert(place, (snapshot, bytes));
        if self.generations.len() > GENERATIONS {
            self.generations.pop_front();
        }
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

    /// Everything that is kept.
    pub fn newest_first(&self) -> impl Iterator<Item = Generation> {
        self.generations.iter().rev().cloned()
    }

    /// What a new life goes on from.
    pub fn newest(&self) -> Option<Generation> {
        self.generations.back().cloned()
    }

    /// The answers to all that asked for parts. None for a snapshot that was replaced meanwhile.
    pub fn parts(&self, effects: &mut Effects<History>) -> Vec<Envelope> {
        let wanted = effects.replica.parts.drain(..);
        let part = |wanted: PartWanted| {
            let (snapshot, offset) = (wanted.snapshot, wanted.offset);
            let message = Message::Part { snapshot, offset, bytes: self.read(&wanted)? };
            Some(Envelope { to: wanted.to, message })
        };
        wanted.filter_map(part).collect()
    }

    fn read(&self, wanted: &PartWanted) -> Option<Arc<[u8]>> {
        let (_, bytes) = self.generations.iter().find(|(id, _)| *id == wanted.snapshot)?;
        let from = usize::try_from(wanted.offset).ok()?;
        bytes.get(from..)?.get(..wanted.bytes).map(Into::into)
    }
}

/// What a step wants kept.
pub fn to_keep(effects: &mut Effects<History>) -> Vec<Generation> {
    let captured = effects.capture.take().map(|frozen| {
        let (snapshot, bytes) = frozen.encode();
        (snapshot, bytes.into())
    });
    let installed = effects.installed.take().map(|it| (it.snapshot, it.bytes.into()));
    captured.into_iter().chain(installed).collect()
}
