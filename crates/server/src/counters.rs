//! What this process has counted since it started. Every message kind, event and refusal has a
//! name; the names are what `synod cluster status` and the metrics show.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use paxos::Kind;

use crate::metrics::Figures;

/// Shared by the threads of one node.
#[derive(Debug, Default)]
pub struct Counters {
    sent: [AtomicU64; Kind::ALL.len()],
    received: [AtomicU64; Kind::ALL.len()],
    /// Times that the journal was synced.
    pub syncs: AtomicU64,
    /// Time spent in those syncs, in microseconds.
    pub sync_us: AtomicU64,
    /// Frames appended to the journal.
    pub frames: AtomicU64,
    /// The named rest: events, refusals, drops. Touched a few times a second, not for each message.
    named: Mutex<BTreeMap<&'static str, u64>>,
    /// What only the metrics show.
    pub figures: Figures,
}

impl Counters {
    /// A message left for a peer.
    pub fn sent(&self, kind: Kind) {
        self.sent[place(kind)].fetch_add(1, Ordering::Relaxed);
    }

    /// A message of a peer was understood.
    pub fn received(&self, kind: Kind) {
        self.received[place(kind)].fetch_add(1, Ordering::Relaxed);
    }

    /// The journal was synced.
    pub fn synced(&self, took: Duration, frames: u64) {
        self.figures.sync.observe(took);
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_us.fetch_add(took, Ordering::Relaxed);
        self.frames.fetch_add(frames, Ordering::Relaxed);
    }

    /// Something that has a name happened.
    pub fn count(&self, name: &'static str) {
        // A count is right or it is not made: nothing is left half done by a panic in between.
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        *named.entry(name).or_default() += 1;
    }

    /// Messages of a kind: sent, received.
    pub fn messages(&self, kind: Kind) -> (u64, u64) {
        let load = |counts: &[AtomicU64]| counts[place(kind)].load(Ordering::Relaxed);
        (load(&self.sent), load(&self.received))
    }

    /// The named rest.
    pub fn named(&self) -> BTreeMap<&'static str, u64> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything counted, by name.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let mut all = BTreeMap::new();
        for kind in Kind::ALL {
            let (sent, received) = self.messages(kind);
            all.insert(format!("sent_{}", kind.name()), sent);
            all.insert(format!("received_{}", kind.name()), received);
        }
        all.insert("journal_syncs".into(), self.syncs.load(Ordering::Relaxed));
        all.insert("journal_sync_us".into(), self.sync_us.load(Ordering::Relaxed));
        all.insert("journal_frames".into(), self.frames.load(Ordering::Relaxed));
        all.extend(self.named().into_iter().map(|(name, count)| (name.to_owned(), count)));
        all
    }
}

fn place(kind: Kind) -> usize {
    usize::from(kind as u8) - 1
}
