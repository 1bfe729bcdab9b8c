//! What a leader takes the log's time to be.
//!
//! The log's time is the highest stamp of the requests applied so far, in microseconds: it is the
//! same on every node at the same slot, and it starts at zero. A node that leads stamps what it
//! proposes with its estimate: the log's time when its leadership was applied, and the time of its
//! own clock since then. Clocks are never compared, and a clock that is wrong changes only when a
//! session expires, never what is agreed.
//!
//! ```text
//!   log's time   --- L1 leads ---|  nobody leads: not counted  |--- L2 leads ---->
//! ```

use paxos::Instant;

/// Runs while this node leads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LogClock {
    /// A reading of the log's time, and of this node's clock at the same moment.
    anchor: Option<(u64, Instant)>,
}

impl LogClock {
    /// A leader's own start was applied: from here on time is counted.
    pub(crate) fn start(&mut self, log_time_us: u64, now: Instant) {
        self.anchor = Some((log_time_us, now));
    }

    /// This node does not lead: what passes until it does is nobody's time.
    pub(crate) fn stop(&mut self) {
        self.anchor = None;
    }

    /// The estimate, never below what is applied.
    pub(crate) fn stamp(&self, log_time_us: u64, now: Instant) -> u64 {
        let estimate = self
            .anchor
            .map_or(0, |(then_us, then)| then_us.saturating_add(now.0.saturating_sub(then.0)));
        estimate.max(log_time_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaders_time_passes_however_late_its_requests_are_applied() {
        let mut clock = LogClock::default();
        clock.start(500, Instant(1_000));
        for (now, applied) in [(1_000, 500), (1_010, 500), (1_020, 505), (9_000, 520)] {
            assert_eq!(clock.stamp(applied, Instant(now)), 500 + now - 1_000);
        }
    }

    #[test]
    fn time_without_a_leader_is_not_counted() {
        let mut clock = LogClock::default();
        assert_eq!(clock.stamp(70, Instant(1 << 40)), 70, "a node that never led");
        clock.start(70, Instant(100));
        clock.stop();
        assert_eq!(clock.stamp(80, Instant(1 << 40)), 80);
        clock.start(80, Instant(1 << 40));
        assert_eq!(clock.stamp(80, Instant((1 << 40) + 3)), 83);
    }

    #[test]
    fn an_estimate_is_never_below_what_is_applied_and_has_an_end() {
        let mut clock = LogClock::default();
        clock.start(5, Instant(100));
        assert_eq!(clock.stamp(90, Instant(101)), 90, "another's stamp was higher");
        clock.start(u64::MAX - 1, Instant(0));
        assert_eq!(clock.stamp(0, Instant(u64::MAX)), u64::MAX);
    }
}
