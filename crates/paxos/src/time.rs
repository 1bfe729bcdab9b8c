//! Time as an argument.
//!
//! Pure crates own no clock: whoever drives a replica says what time it is. Only differences
//! matter, so the origin is the driver's choice (a process start, a simulation's first tick).

use core::time::Duration;

/// Microseconds since an origin that the driver chose. Never runs backwards within one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// This much later; saturates at the end of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Instant {
        Instant(self.0.saturating_add(micros(span)))
    }

    /// How long ago `earlier` was; zero if it lies ahead (a clock may be read out of order).
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A span in whole microseconds, at most `u64::MAX`.
pub(crate) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
