//! How much a leader dares to have under way: what its acceptors take while they still confirm it
//! in time. Liveness only.
//!
//! The proof that a quorum is with a leader stands in the same queues as its proposals, and waits
//! for the same disks. Who proposes as much at once as a disk writes in a second has no fresh proof
//! for a second, and is replaced; its successor adopts as much and proposes it again, and so on for
//! ever. So a leader begins with little, doubles it while heartbeats are confirmed before the next
//! one is due, and halves it while they are not.
//!
//! Source: the idea is that of Jacobson, "Congestion Avoidance and Control", SIGCOMM 1988. Differs
//! from it: late answers are the sign, not lost ones.

use core::time::Duration;

/// A leader's pace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pace {
    bytes: usize,
    /// Whether that was ever too little since the last heartbeat.
    was_full: bool,
}

/// Of a new leader. With the rest of what is sent it fits the buffer of a socket for datagrams.
const BYTES_FIRST: usize = 256 << 10;

/// One run is always let pass, however large it is.
const BYTES_MIN: usize = 64 << 10;

impl Default for Pace {
    fn default() -> Pace {
        Pace { bytes: BYTES_FIRST, was_full: false }
    }
}

impl Pace {
    /// Bytes proposed and not yet chosen, at most.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// As much as that is under way: more could be.
    pub fn filled(&mut self) {
        self.was_full = true;
    }

    /// A heartbeat is due, and the last proof of a quorum is so old; it cannot be younger than the
    /// last heartbeat.
    pub fn beat(&mut self, proof_age: Option<Duration>, heartbeat: Duration, bytes_max: usize) {
        // Half a heartbeat more for timers that are late.
        let is_late = proof_age.is_some_and(|age| age > heartbeat * 3 / 2);
        if is_late {
            self.bytes = (self.bytes / 2).max(BYTES_MIN);
        } else if self.was_full {
            self.bytes = self.bytes.saturating_mul(2);
        }
        self.bytes = self.bytes.min(bytes_max);
        self.was_full = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEARTBEAT: Duration = Duration::from_millis(50);

    fn beats(pace: &mut Pace, count: usize, age: Duration) -> usize {
        for _ in 0..count {
            pace.filled();
            pace.beat(Some(age), HEARTBEAT, 32 << 20);
        }
        pace.bytes()
    }

    #[test]
    fn it_doubles_while_confirmed_in_time_and_halves_while_not() {
        let mut pace = Pace::default();
        assert_eq!(beats(&mut pace, 2, HEARTBEAT), 4 * BYTES_FIRST);
        assert_eq!(beats(&mut pace, 1, HEARTBEAT * 2), 2 * BYTES_FIRST);
        assert_eq!(beats(&mut pace, 1_000, HEARTBEAT), 32 << 20, "a bound is a bound");
        assert_eq!(beats(&mut pace, 1_000, HEARTBEAT * 2), BYTES_MIN);
    }

    #[test]
    fn it_does_not_grow_unused() {
        let mut pace = Pace::default();
        pace.beat(Some(HEARTBEAT), HEARTBEAT, usize::MAX);
        assert_eq!(pace, Pace::default());
        // Nothing is known yet of a new ballot.
        pace.beat(None, HEARTBEAT, usize::MAX);
        assert_eq!(pace, Pace::default());
    }
}
