//! What the disk itself takes: without it no latency of a durable system says anything.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// What is appended each time: a sector.
const BYTES: usize = 512;

/// Syncs that are measured, unless time runs out before.
const SYNCS_MAX: usize = 1000;

/// No longer than this, however slow the disk is.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Latencies of a disk's sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sync {
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

/// Appends to a file of its own in `directory` and syncs it (fdatasync), again and again. One
/// writer, and no more: measured before the load, it is what one sync takes on an idle disk.
pub fn sync(directory: &Path) -> io::Result<Sync> {
    // Without a name: nothing stays behind, whatever ends this process.
    let mut file: File = tempfile::tempfile_in(directory)?;
    let begun = Instant::now();
    let mut samples = Vec::with_capacity(SYNCS_MAX);
    while samples.len() < SYNCS_MAX && (samples.is_empty() || begun.elapsed() < TIME_MAX) {
        let before = Instant::now();
        file.write_all(&[0x5a; BYTES])?;
        file.sync_data()?;
        samples.push(before.elapsed());
    }
    Ok(of(samples))
}

/// There must be a sample.
fn of(mut samples: Vec<Duration>) -> Sync {
    samples.sort_unstable();
    let at = |percent: usize| samples[(samples.len() * percent / 100).min(samples.len() - 1)];
    Sync { p50: at(50), p99: at(99), max: at(100) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_measured_and_left_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let measured = sync(directory.path()).unwrap();
        assert!(measured.p50 > Duration::ZERO);
        assert!(measured.p50 <= measured.p99 && measured.p99 <= measured.max);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        assert!(sync(&directory.path().join("none")).is_err());
    }

    #[test]
    fn percentiles_are_of_the_sorted_samples() {
        let samples = (1..=100).rev().map(Duration::from_micros).collect();
        let us = Duration::from_micros;
        assert_eq!(of(samples), Sync { p50: us(51), p99: us(100), max: us(100) });
        assert_eq!(of(vec![us(7)]), Sync { p50: us(7), p99: us(7), max: us(7) });
    }
}
