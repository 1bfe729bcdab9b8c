//! Digests of a learner's own history, at slots where another learner can be expected to have one.

use alloc::collections::VecDeque;

use crate::ballot::{NodeId, Slot};
use crate::digest::{Digest, Mark};
use crate::value::Value;

/// A digest is remembered each so many slots.
const EVERY: u64 = 64;

/// So many are remembered: two learners that lie no further apart than 16,384 slots can compare.
const MARKS_MAX: usize = 256;

/// What one learner knows of its own history's digest, and of another's that it cannot compare yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Marks {
    /// The digest of all that is handed out.
    now: Mark,
    /// Earlier ones, in order.
    past: VecDeque<Mark>,
    /// One of somebody who is ahead: compared on arrival there. While it is open no other is taken,
    /// or a learner that is always behind would never compare anything.
    awaited: Option<(NodeId, Mark)>,
}

/// Two histories that should be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Differs {
    /// Whose history the other is.
    pub from: NodeId,
    /// Both end before this slot.
    pub below: Slot,
    /// The digest of ours.
    pub ours: Digest,
    /// The digest of theirs.
    pub theirs: Digest,
}

impl Marks {
    /// The digest of all that was handed out.
    pub fn now(&self) -> Mark {
        self.now
    }

    /// The latest that others can be expected to have, too.
    pub fn latest(&self) -> Mark {
        self.past.back().copied().unwrap_or_default()
    }

    /// The next slot holds this. Tells if that shows somebody to have another history.
    pub fn extend(&mut self, value: &Value) -> Option<Differs> {
        self.now = self.now.extended(value);
        if !self.now.below.0.is_multiple_of(EVERY) {
            return None;
        }
        if self.past.len() == MARKS_MAX {
            self.past.pop_front();
        }
        self.past.push_back(self.now);
        let (from, mark) = self.awaited.filter(|(_, mark)| mark.below <= self.now.below)?;
        self.awaited = None;
        self.compare(from, mark)
    }

    /// Somebody's digest.
    pub fn compare(&mut self, from: NodeId, mark: Mark) -> Option<Differs> {
        if mark.below > self.now.below {
            self.awaited.get_or_insert((from, mark));
            return None;
        }
        let at = self.past.binary_search_by_key(&mark.below, |own| own.below).ok()?;
        let (ours, theirs) = (self.past[at].digest, mark.digest);
        (ours != theirs).then_some(Differs { from, below: mark.below, ours, theirs })
    }

    /// Goes on from a snapshot's.
    pub fn restore(&mut self, mark: Mark) {
        self.now = mark;
        self.past.clear();
        if mark.below.0.is_multiple_of(EVERY) && mark.below > Slot::FIRST {
            self.past.push_back(mark);
        }
        self.awaited = self.awaited.filter(|(_, awaited)| awaited.below > mark.below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: NodeId = NodeId(2);

    fn value(slot: u64) -> Value {
        Value::Command(slot.to_le_bytes().as_slice().into())
    }

    fn marks(slots: u64) -> Marks {
        let mut marks = Marks::default();
        (0..slots).for_each(|slot| assert_eq!(marks.extend(&value(slot)), None));
        marks
    }

    /// The latest mark of somebody who holds something else in one slot.
    fn differing(slots: u64, at: u64) -> Mark {
        let mut marks = Marks::default();
        for slot in 0..slots {
            marks.extend(&if slot == at { Value::Noop } else { value(slot) });
        }
        marks.latest()
    }

    #[test]
    fn equal_histories_compare_equal_wherever_they_end() {
        for (ours, theirs) in [(0, 500), (100, 128), (500, 130), (1000, 1000)] {
            let mut own = marks(ours);
            assert_eq!(own.compare(OTHER, marks(theirs).latest()), None);
            for slot in ours..1000 {
                assert_eq!(own.extend(&value(slot)), None);
            }
        }
    }

    #[test]
    fn one_other_value_is_found_at_the_next_mark() {
        let other = differing(320, 70);
        let found = marks(400).compare(OTHER, other).expect("we are ahead");
        assert_eq!((found.from, found.below, found.theirs), (OTHER, Slot(320), other.digest));
        assert_ne!(found.ours, found.theirs);
        let mut behind = marks(100);
        assert_eq!(behind.compare(OTHER, other), None, "not there yet");
        assert_eq!(behind.compare(OTHER, marks(640).latest()), None, "the first is kept");
        let found = (100..400).find_map(|slot| behind.extend(&value(slot)));
        assert_eq!(found.map(|found| found.below), Some(Slot(320)));
    }

    #[test]
    fn what_is_too_long_ago_is_not_compared() {
        let far = 64 * MARKS_MAX as u64 + 64;
        assert_eq!(marks(far).compare(OTHER, differing(64, 1)), None);
        assert!(marks(far).compare(OTHER, differing(128, 1)).is_some());
    }

    #[test]
    fn after_a_snapshot_the_chain_goes_on() {
        let mut restored = marks(10);
        restored.compare(OTHER, marks(128).latest());
        restored.restore(marks(192).now());
        assert_eq!(restored.latest(), marks(192).latest());
        for slot in 192..300 {
            assert_eq!(restored.extend(&value(slot)), None);
        }
        assert_eq!(restored.now(), marks(300).now());
        assert!(restored.compare(OTHER, differing(256, 3)).is_some());
    }
}
