//! What was measured: latencies by kind, and how the others ended. Bounded, however long a run is.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::load::{Ended, Kind};

/// A latency beyond this counts as this. A client gives up long before.
const US_MAX: u64 = 3_600_000_000;

/// Three digits: an error of a thousandth at most.
const DIGITS: u8 = 3;

/// A start is late from here on. An idle thread wakes within less.
const LATE: Duration = Duration::from_millis(1);

/// Latencies of one kind of operation.
#[derive(Clone, Debug)]
pub struct Latency {
    us: Histogram<u64>,
}

impl Default for Latency {
    fn default() -> Latency {
        let us = Histogram::new_with_bounds(1, US_MAX, DIGITS).expect("bounds that are in order");
        Latency { us }
    }
}

impl Latency {
    fn note(&mut self, latency: Duration) {
        // Rounded up: nothing takes no time.
        let us = u64::try_from(latency.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        self.us.saturating_record(us.clamp(1, US_MAX));
    }

    /// How many were done.
    pub fn count(&self) -> u64 {
        self.us.len()
    }

    /// So many percent were not slower, in microseconds; 100 is the slowest. Zero if there are
    /// none.
    pub fn us_at(&self, percent: f64) -> u64 {
        if percent >= 100.0 { self.us.max() } else { self.us.value_at_percentile(percent) }
    }

    /// How many took from `from` to below `below`, in microseconds.
    pub fn count_between(&self, from: u64, below: u64) -> u64 {
        let all = self.us.iter_recorded();
        let within = all.filter(|it| (from..below).contains(&it.value_iterated_to()));
        within.map(|it| it.count_since_last_iteration()).sum()
    }
}

/// All that is measured of a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    appends: Latency,
    reads: Latency,
    begun: u64,
    not_applied: u64,
    unknown: u64,
    late_starts: u64,
    latest_start: Duration,
    crowded: u64,
    last_answer: Duration,
}

impl Tally {
    /// An operation of the measured time has begun, so much later than intended.
    pub(super) fn begun(&mut self, late: Duration) {
        self.begun += 1;
        self.late_starts += u64::from(late >= LATE);
        self.latest_start = self.latest_start.max(late);
    }

    /// A start of the measured time finds no room: as many are under way as may be.
    pub(super) fn crowded(&mut self) {
        self.crowded += 1;
    }

    /// It has ended: after so long, and when, counted from the start of the measured time.
    pub(super) fn ended(&mut self, kind: Kind, ended: Ended, latency: Duration, at: Duration) {
        self.last_answer = self.last_answer.max(at);
        match (ended, kind) {
            (Ended::Done, Kind::Append) => self.appends.note(latency),
            (Ended::Done, Kind::Read) => self.reads.note(latency),
            (Ended::NotApplied, _) => self.not_applied += 1,
            (Ended::Unknown, _) => self.unknown += 1,
        }
    }

    /// How long the operations that are done took.
    pub fn latency(&self, kind: Kind) -> &Latency {
        match kind {
            Kind::Append => &self.appends,
            Kind::Read => &self.reads,
        }
    }

    /// Operations that are done.
    pub fn done(&self) -> u64 {
        self.appends.count() + self.reads.count()
    }

    /// Operations that failed without effect.
    pub fn not_applied(&self) -> u64 {
        self.not_applied
    }

    /// Operations of which nobody knows whether they were done.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }

    /// Operations that have begun and not ended.
    pub fn unanswered(&self) -> u64 {
        self.begun - self.done() - self.not_applied - self.unknown
    }

    /// Starts a millisecond or more after they were due.
    pub fn late_starts(&self) -> u64 {
        self.late_starts
    }

    /// How much later than due the latest start was.
    pub fn latest_start(&self) -> Duration {
        self.latest_start
    }

    /// Whether the load was more than was answered: a hundredth of the starts found no room.
    pub fn is_overloaded(&self) -> bool {
        self.crowded * 100 > self.begun
    }

    /// Whether the starts were late for whatever reason: a hundredth of them was. Where it is not
    /// overloaded, whoever makes the load had no time.
    pub fn is_late(&self) -> bool {
        self.late_starts * 100 > self.begun
    }

    /// From the start of the measured time to its end or to the last answer, whichever is later: a
    /// rate over less would leave out what a last stall cost.
    pub fn took(&self, duration: Duration) -> Duration {
        duration.max(self.last_answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_right_to_a_thousandth() {
        let mut latency = Latency::default();
        for ms in 1..=1000 {
            latency.note(Duration::from_millis(ms));
        }
        for (percent, us) in [(50.0, 500_000), (99.0, 990_000), (99.9, 999_000), (100.0, 1_000_000)]
        {
            let seen = latency.us_at(percent);
            // One sample more where the percentage falls between two.
            assert!(seen.abs_diff(us) * 1000 <= us + 1_000_000, "{percent}: {seen}");
        }
        assert_eq!(latency.count_between(0, u64::MAX), 1000);
        assert_eq!(latency.count_between(100_000, 200_000), 100);
    }

    #[test]
    fn nothing_is_too_long_or_too_short_to_be_counted() {
        let mut latency = Latency::default();
        latency.note(Duration::ZERO);
        latency.note(Duration::from_nanos(1500));
        latency.note(Duration::MAX);
        assert_eq!(latency.count(), 3);
        assert_eq!((latency.us_at(1.0), latency.us_at(50.0)), (1, 2));
        assert!(latency.us_at(100.0) >= US_MAX);
    }

    #[test]
    fn a_last_stall_counts_in_the_time_taken() {
        let mut tally = Tally::default();
        let second = Duration::from_secs(1);
        tally.ended(Kind::Append, Ended::Done, second, second * 3);
        assert_eq!(tally.took(second * 2), second * 3);
        assert_eq!(tally.took(second * 10), second * 10);
    }
}
