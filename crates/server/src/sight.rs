//! What the protocol thread shows of itself. Who watches the node looks at the last picture and
//! asks nobody, so watching works while the inbox is full, and while the thread stands still.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::inbox::Status;

/// Between two pictures. The thread sleeps for less.
pub const SHOW_EVERY: Duration = Duration::from_millis(100);

/// A picture.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When it was made.
    pub at: Instant,
    /// What there was to see.
    pub status: Status,
}

/// The thread's end.
#[derive(Debug)]
pub struct Window {
    last: Option<Instant>,
    sights: watch::Sender<Option<Sight>>,
}

impl Window {
    /// Both ends. There is nothing to see before the thread's first turn.
    pub fn new() -> (Window, watch::Receiver<Option<Sight>>) {
        let (sights, seen) = watch::channel(None);
        (Window { last: None, sights }, seen)
    }

    /// Whether it is time for another picture.
    pub fn is_due(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.duration_since(last) >= SHOW_EVERY)
    }

    /// Shows it.
    pub fn show(&mut self, now: Instant, status: Status) {
        self.last = Some(now);
        self.sights.send_replace(Some(Sight { at: now, status }));
    }
}
