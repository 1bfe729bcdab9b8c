//! Runs: consecutive slots at one ballot, and an ordered map of them.
//!
//! Votes, reports of votes and proposals seen are all "per slot, the value of the highest ballot",
//! so they are one structure with one rule: [`Runs::merge`]. The cost of a decision falls with the
//! length of the run; a hole splits a run, nothing else is special about it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ballot::{Ballot, Slot};
use crate::value::{VALUE_OVERHEAD, Value, Values, distance};

/// Values of consecutive slots, proposed or accepted at one ballot. Never empty where it matters:
/// the codec refuses an empty run and no role makes one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// The ballot of every value.
    pub ballot: Ballot,
    /// The slot of the first value.
    pub first: Slot,
    /// One value a slot.
    pub values: Values,
}

impl Run {
    /// One past the last slot.
    pub fn end(&self) -> Slot {
        self.first.plus(self.values.count())
    }

    /// The part of the run within `from..to`; empty if they do not meet.
    #[must_use]
    pub fn clip(&self, from: Slot, to: Slot) -> Run {
        let first = from.clamp(self.first, self.end());
        let end = to.clamp(first, self.end());
        let values = self.values.slice(distance(self.first, first), distance(self.first, end));
        Run { ballot: self.ballot, first, values }
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// Runs that do not overlap, in slot order. Per slot: the value of the highest ballot merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Runs {
    by_first: BTreeMap<Slot, Run>,
    /// The bytes of all values.
    bytes: usize,
    slots: u64,
}

impl Runs {
    /// Takes over each slot in which `run` has a higher ballot than what is known; keeps the rest.
    ///
    /// At the same ballot the known value stays: one ballot proposes one value a slot, so both are
    /// the same, and [`Runs::contradicts`] tells when they are not.
    pub fn merge(&mut self, run: &Run) {
        if run.is_empty() {
            return;
        }
        let end = run.end();
        // Where the part of the new run begins that is not yet in the map.
        let mut open = run.first;
        let overlapping: Vec<Run> = self.overlapping(run.first, end).cloned().collect();
        for known in overlapping {
            if known.ballot >= run.ballot {
                self.insert(run.clip(open, known.first));
                open = known.end();
            } else {
                self.remove(known.first);
                self.insert(known.clip(known.first, run.first));
                self.insert(known.clip(end, known.end()));
            }
        }
        self.insert(run.clip(open, end));
    }

    /// Whether some slot holds another value at the same ballot. A correct leader never causes it.
    pub fn contradicts(&self, run: &Run) -> bool {
        self.overlapping(run.first, run.end()).any(|known| {
            let common = || known.clip(run.first, run.end());
            let differs =
                |common: Run| common.values != run.clip(common.first, common.end()).values;
            known.ballot == run.ballot && differs(common())
        })
    }

    /// Whether every slot of `first..end` holds a value at exactly this ballot.
    pub fn covers(&self, ballot: Ballot, first: Slot, end: Slot) -> bool {
        let mut covered = first;
        for known in self.overlapping(first, end) {
            if known.first > covered || known.ballot != ballot {
                return false;
            }
            covered = known.end();
        }
        covered >= end
    }

    /// What the slot holds.
    pub fn get(&self, slot: Slot) -> Option<(Ballot, &Value)> {
        let (first, run) = self.by_first.range(..=slot).next_back()?;
        let value = run.values.get(distance(*first, slot))?;
        Some((run.ballot, value))
    }

    /// The run that holds `slot`, from there on; or the first run above it.
    pub fn next_from(&self, slot: Slot) -> Option<Run> {
        let holding = self.by_first.range(..=slot).next_back().map(|(_, run)| run);
        match holding {
            Some(run) if run.end() > slot => Some(run.clip(slot, run.end())),
            _ => self.by_first.range(slot..).next().map(|(_, run)| run.clone()),
        }
    }

    /// One past the highest slot that holds anything; the first slot if nothing does.
    pub fn end(&self) -> Slot {
        self.by_first.last_key_value().map_or(Slot::FIRST, |(_, run)| run.end())
    }

    /// Forgets every slot below.
    pub fn cut_below(&mut self, slot: Slot) {
        while let Some((&first, run)) = self.by_first.first_key_value() {
            if first >= slot {
                break;
            }
            let rest = run.clip(slot, run.end());
            self.remove(first);
            self.insert(rest);
        }
    }

    /// Every run in slot order.
    pub fn iter(&self) -> impl Iterator<Item = &Run> {
        self.by_first.values()
    }

    /// Whether no slot holds anything.
    pub fn is_empty(&self) -> bool {
        self.by_first.is_empty()
    }

    /// How many slots hold something.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Slots from `first` on that hold nothing, below one that holds something.
    pub fn holes_from(&self, first: Slot) -> u64 {
        let end = self.end().max(first);
        let held = self.overlapping(first, end).map(|run| run.clip(first, end).values.count());
        end.0 - first.0 - held.sum::<u64>()
    }

    /// How many bytes of clients' values it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes of clients' values stand in `first..end`.
    pub fn bytes_within(&self, first: Slot, end: Slot) -> usize {
        self.overlapping(first, end).map(|run| run.clip(first, end).values.bytes()).sum()
    }

    /// Where the values below `end` begin that take about `bytes_max` on the wire: never more.
    pub fn tail(&self, end: Slot, bytes_max: usize) -> Slot {
        let mut bytes = 0;
        let mut first = end;
        for run in self.by_first.range(..end).rev().map(|(_, run)| run.clip(run.first, end)) {
            bytes += run.values.len() * VALUE_OVERHEAD + run.values.bytes();
            if bytes > bytes_max {
                return first;
            }
            first = run.first;
        }
        first
    }

    fn remove(&mut self, first: Slot) {
        let run = self.by_first.remove(&first);
        self.bytes -= run.as_ref().map_or(0, |run| run.values.bytes());
        self.slots -= run.map_or(0, |run| run.values.count());
    }

    fn insert(&mut self, run: Run) {
        if !run.is_empty() {
            self.bytes += run.values.bytes();
            self.slots += run.values.count();
            self.by_first.insert(run.first, run);
        }
    }

    fn overlapping(&self, first: Slot, end: Slot) -> impl Iterator<Item = &Run> {
        let below = self.by_first.range(..first).next_back().map(|(_, run)| run);
        let below = below.filter(|run| run.end() > first);
        let within = self.by_first.range(first..end.max(first)).map(|(_, run)| run);
        below.into_iter().chain(within)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::ballot::{Incarnation, NodeId};
    use crate::rng::Rng;

    fn ballot(round: u64) -> Ballot {
        Ballot { round, leader: NodeId(1), incarnation: Incarnation(1) }
    }

    fn run(round: u64, first: u64, bytes: &[u8]) -> Run {
        let values: Vec<Value> =
            bytes.iter().map(|byte| Value::Command(vec![*byte].into())).collect();
        Run { ballot: ballot(round), first: Slot(first), values: values.into() }
    }

    #[test]
    fn holes_are_counted_up_to_the_last_slot_held() {
        let mut runs = Runs::default();
        assert_eq!(runs.holes_from(Slot(5)), 0, "nothing is held");
        for it in [run(1, 0, b"aa"), run(1, 4, b"b"), run(1, 7, b"cc")] {
            runs.merge(&it);
        }
        let holes = |first| runs.holes_from(Slot(first));
        assert_eq!([0, 1, 2, 3, 4, 8, 9, 99].map(holes), [4, 4, 4, 3, 2, 0, 0, 0]);
    }

    #[test]
    fn a_tail_is_never_more_than_it_may() {
        let mut runs = Runs::default();
        for it in [run(1, 0, b"aa"), run(1, 2, b"b"), run(1, 7, b"cc")] {
            runs.merge(&it);
        }
        let each = VALUE_OVERHEAD + 1;
        let tail = |end, values: usize| runs.tail(Slot(end), values * each).0;
        assert_eq!([0, 1, 2, 3, 4, 5].map(|values| tail(9, values)), [9, 9, 7, 2, 2, 0]);
        assert_eq!(tail(8, 1), 7, "a part of a run");
        assert_eq!(tail(3, 1), 2);
        assert_eq!(tail(20, 9), 0);
    }

    #[test]
    fn the_highest_ballot_wins_slot_by_slot() {
        // Against the definition: a plain map from slot to the best (ballot, value).
        let mut rng = Rng::new(5);
        for _ in 0..2_000 {
            let mut runs = Runs::default();
            let mut plain = BTreeMap::new();
            for _ in 0..8 {
                let (round, first, length) = (rng.below(4) + 1, rng.below(12), rng.below(6));
                // One ballot proposes one value a slot.
                let bytes: Vec<u8> =
                    (0..length).map(|i| (round * 50 + first + i).to_le_bytes()[0]).collect();
                runs.merge(&run(round, first, &bytes));
                for (i, byte) in bytes.iter().enumerate() {
                    let best = plain.entry(first + i as u64).or_insert((round, *byte));
                    *best = (*best).max((round, *byte));
                }
            }
            let cut = rng.below(10);
            runs.cut_below(Slot(cut));
            plain.retain(|slot, _| *slot >= cut);
            for slot in 0..20 {
                let known = runs.get(Slot(slot)).map(|(b, v)| (b.round, v.clone()));
                let expected = plain
                    .get(&slot)
                    .map(|(round, byte)| (*round, Value::Command(vec![*byte].into())));
                assert_eq!(known, expected, "slot {slot}");
            }
            assert_eq!(runs.slots(), plain.len() as u64);
            assert_eq!(runs.bytes(), plain.len(), "a byte each");
            let mut end = Slot::FIRST;
            for known in runs.iter() {
                assert!(known.first >= end, "runs overlap");
                assert!(!known.values.is_empty());
                end = known.end();
            }
        }
    }

    #[test]
    fn coverage_needs_every_slot_at_the_ballot() {
        let mut runs = Runs::default();
        runs.merge(&run(1, 0, b"ab"));
        runs.merge(&run(1, 3, b"d"));
        assert!(runs.covers(ballot(1), Slot(0), Slot(2)));
        assert!(!runs.covers(ballot(1), Slot(0), Slot(4)));
        runs.merge(&run(2, 2, b"c"));
        assert!(!runs.covers(ballot(1), Slot(0), Slot(4)));
        assert!(runs.covers(ballot(2), Slot(2), Slot(3)));
    }

    #[test]
    fn one_ballot_with_two_values_is_a_contradiction() {
        let mut runs = Runs::default();
        runs.merge(&run(1, 0, b"abc"));
        assert!(!runs.contradicts(&run(1, 1, b"bcd")));
        assert!(runs.contradicts(&run(1, 2, b"x")));
        assert!(!runs.contradicts(&run(2, 2, b"x")), "another ballot may differ");
    }

    #[test]
    fn the_next_run_starts_within_or_above() {
        let mut runs = Runs::default();
        runs.merge(&run(1, 2, b"cd"));
        runs.merge(&run(1, 7, b"h"));
        assert_eq!(runs.next_from(Slot(0)), Some(run(1, 2, b"cd")));
        assert_eq!(runs.next_from(Slot(3)), Some(run(1, 3, b"d")));
        assert_eq!(runs.next_from(Slot(4)), Some(run(1, 7, b"h")));
        assert_eq!(runs.next_from(Slot(8)), None);
        assert_eq!(runs.end(), Slot(8));
    }

    #[test]
    fn nothing_is_left_of_a_run_that_was_cut_whole() {
        let mut runs = Runs::default();
        assert!(runs.is_empty());
        runs.merge(&run(1, 2, b"cd"));
        assert!(!runs.is_empty());
        runs.cut_below(Slot(4));
        assert!(runs.is_empty());
        assert_eq!(runs, Runs::default(), "no bytes either");
    }
}
