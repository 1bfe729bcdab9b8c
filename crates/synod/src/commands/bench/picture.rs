//! Latencies as a histogram: named buckets for programs, bars for people.

use super::tally::Latency;
use crate::output::grouped;

/// Where buckets end, exclusive, and what they are called.
const BUCKETS: [(u64, &str); 39] = [
    (10, "10us"),
    (15, "15us"),
    (20, "20us"),
    (30, "30us"),
    (50, "50us"),
    (70, "70us"),
    (100, "100us"),
    (150, "150us"),
    (200, "200us"),
    (300, "300us"),
    (500, "500us"),
    (700, "700us"),
    (1_000, "1ms"),
    (1_500, "1.5ms"),
    (2_000, "2ms"),
    (3_000, "3ms"),
    (5_000, "5ms"),
    (7_000, "7ms"),
    (10_000, "10ms"),
    (15_000, "15ms"),
    (20_000, "20ms"),
    (30_000, "30ms"),
    (50_000, "50ms"),
    (70_000, "70ms"),
    (100_000, "100ms"),
    (150_000, "150ms"),
    (200_000, "200ms"),
    (300_000, "300ms"),
    (500_000, "500ms"),
    (700_000, "700ms"),
    (1_000_000, "1s"),
    (1_500_000, "1.5s"),
    (2_000_000, "2s"),
    (3_000_000, "3s"),
    (5_000_000, "5s"),
    (7_000_000, "7s"),
    (10_000_000, "10s"),
    (60_000_000, "1min"),
    (u64::MAX, "longer"),
];

/// The widest bar, in characters.
const BAR: u64 = 40;

/// How many took less than each bound, and not less than the one before. Empty buckets are left
/// out.
pub(super) fn counts(latency: &Latency) -> Vec<(&'static str, u64)> {
    let mut from = 0;
    let mut counts = Vec::new();
    for (below, name) in BUCKETS {
        let count = latency.count_between(from, below);
        if count > 0 {
            counts.push((name, count));
        }
        from = below;
    }
    counts
}

/// A line a bucket, from the first that is not empty to the last.
pub(super) fn bars(latency: &Latency, has_unicode: bool) -> String {
    let counts = counts(latency);
    let (Some((first, _)), Some((last, _))) = (counts.first(), counts.last()) else {
        return String::new();
    };
    let most = counts.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let place = |name| BUCKETS.iter().position(|(_, it)| *it == name).expect("it is one of them");
    let mut text = String::new();
    for (_, name) in &BUCKETS[place(*first)..=place(*last)] {
        let count = counts.iter().find(|(it, _)| it == name).map_or(0, |(_, count)| *count);
        let width = usize::try_from((count * BAR).div_ceil(most)).unwrap_or_default();
        let bar = if has_unicode { "█" } else { "#" }.repeat(width);
        let bound = if *name == "longer" { (*name).to_owned() } else { format!("<{name}") };
        let line = format!("  {bound:>7} {bar:40} {:>11}", grouped(count));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::commands::bench::load::{Ended, Kind};
    use crate::commands::bench::tally::Tally;

    fn latency(us: &[u64]) -> Latency {
        let mut tally = Tally::default();
        for us in us {
            let latency = Duration::from_micros(*us);
            tally.ended(Kind::Append, Ended::Done, latency, latency);
        }
        tally.latency(Kind::Append).clone()
    }

    #[test]
    fn every_latency_is_in_one_bucket() {
        let counts = counts(&latency(&[1, 9, 10, 999, 1_000, 59_000_000, 3_600_000_000]));
        let names: Vec<_> = counts.iter().map(|(name, count)| (*name, *count)).collect();
        let seen = [("10us", 2), ("15us", 1), ("1ms", 1), ("1.5ms", 1), ("1min", 1), ("longer", 1)];
        assert_eq!(names, seen);
        assert!(BUCKETS.is_sorted_by_key(|(below, _)| below));
    }

    #[test]
    fn bars_are_as_long_as_their_share_and_gaps_are_shown() {
        let text = bars(&latency(&[60, 60, 60, 60, 120]), false);
        let full = "#".repeat(40);
        let quarter = format!("{:40}", "#".repeat(10));
        let none = " ".repeat(40);
        assert_eq!(
            text,
            format!(
                "    <70us {full}           4\n   <100us {none}           0\n   \
                     <150us {quarter}           1\n"
            )
        );
        assert_eq!(bars(&Latency::default(), true), "");
    }
}
