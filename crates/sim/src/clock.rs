//! A node's own clock: it runs too fast or too slow, and sometimes jumps ahead.
//!
//! It never goes back: the real driver reads a monotonic clock. It jumps, because a machine that
//! was suspended finds that one later. Only spans mean anything to a node, so clocks need not
//! agree.

use paxos::Instant;

/// One node's clock.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The world's time and this clock's, when its pace was last set.
    world: Instant,
    local: Instant,
    /// Its microseconds in a thousand of the world's; never zero.
    pace: u64,
}

/// The pace of a clock that is right.
pub const TRUE_PACE: u64 = 1000;

impl Clock {
    pub fn new() -> Clock {
        Clock { world: Instant(0), local: Instant(0), pace: TRUE_PACE }
    }

    /// What the clock shows at a time of the world's.
    pub fn shows(&self, now: Instant) -> Instant {
        let passed = now.0.saturating_sub(self.world.0);
        Instant(self.local.0 + passed * self.pace / TRUE_PACE)
    }

    /// The first moment of the world at which the clock shows this, or more.
    pub fn when(&self, local: Instant) -> Instant {
        let left = local.0.saturating_sub(self.local.0);
        Instant(self.world.0 + (left * TRUE_PACE).div_ceil(self.pace))
    }

    /// From now on the clock runs at another pace.
    pub fn set_pace(&mut self, now: Instant, pace: u64) {
        *self = Clock { world: now, local: self.shows(now), pace: pace.max(1) };
    }

    /// The clock jumps ahead.
    pub fn jump(&mut self, now: Instant, ahead_us: u64) {
        let local = Instant(self.shows(now).0 + ahead_us);
        *self = Clock { world: now, local, pace: self.pace };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_a_time_from_the_moment_that_it_names() {
        for pace in [1, 700, 999, 1000, 1001, 1300] {
            let mut clock = Clock::new();
            clock.set_pace(Instant(17), pace);
            clock.jump(Instant(40), 5);
            for local in 30..2_000 {
                let when = clock.when(Instant(local));
                assert!(clock.shows(when) >= Instant(local), "pace {pace}, {local}");
                let before = Instant(when.0 - 1);
                assert!(when.0 <= 40 || clock.shows(before) < Instant(local), "pace {pace}");
            }
        }
    }

    #[test]
    fn a_clock_never_goes_back() {
        let mut clock = Clock::new();
        let mut shown = Instant(0);
        for now in (0..100_000).step_by(37) {
            clock.set_pace(Instant(now), 600 + now % 900);
            assert!(clock.shows(Instant(now)) >= shown);
            shown = clock.shows(Instant(now));
        }
    }
}
