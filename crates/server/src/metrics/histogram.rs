//! Durations, counted in buckets. Observing one is a short search and two additions, so it may be
//! done for each request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The buckets' upper bounds in microseconds: from a fast disk's sync to a lost patience.
pub const BOUNDS_US: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];

/// How long something took, each time. Shared by threads.
#[derive(Debug, Default)]
pub struct Histogram {
    /// Those up to each bound and above the one before; the last one holds the rest.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

/// A histogram as it was at one moment, about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// How many took up to each bound, and how many there are.
    pub up_to: [u64; BOUNDS_US.len() + 1],
    /// All durations together, in microseconds.
    pub sum_us: u64,
}

impl Histogram {
    /// It took so long, once more.
    pub fn observe(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let place = BOUNDS_US.partition_point(|bound| *bound < us);
        self.buckets[place].fetch_add(1, Ordering::Relaxed);
        // Wraps after half a million years of waiting.
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// What was observed until now. The count is that of the buckets, whatever is being added.
    pub fn read(&self) -> Reading {
        let mut total = 0;
        let up_to = std::array::from_fn(|place| {
            total += self.buckets[place].load(Ordering::Relaxed);
            total
        });
        Reading { up_to, sum_us: self.sum_us.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let histogram = Histogram::default();
        for us in [0, 50, 51, 10_000_000, 10_000_001] {
            histogram.observe(Duration::from_micros(us));
        }
        let Reading { up_to, sum_us } = histogram.read();
        assert_eq!(up_to[..2], [2, 3]);
        assert_eq!(up_to[14..], [3, 4, 5]);
        assert_eq!(sum_us, 20_000_102);
    }

    #[test]
    fn bounds_grow() {
        assert!(BOUNDS_US.is_sorted_by(|a, b| a < b));
    }
}
