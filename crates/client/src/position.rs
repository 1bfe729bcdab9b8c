//! What a client has seen: its own values in the history, and what it has read of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One past the highest slot that the client knows of. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position(Arc<AtomicU64>);

impl Position {
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Every slot below is known of.
    pub(crate) fn saw_below(&self, end: u64) {
        self.0.fetch_max(end, Ordering::SeqCst);
    }
}
