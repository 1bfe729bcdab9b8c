//! What is chosen, and how much of it without a hole. Safety; no time, no requests.
//!
//! A learner believes a slot chosen on exactly three grounds: a phase-2 quorum accepted one ballot
//! there and it has seen that ballot's value; the leader of a ballot says so and it has seen that
//! very ballot's value; or another learner passes on what it knows. A bare watermark over
//! local votes is never enough: a vote may be for an older, losing ballot.
//!
//! ```text
//!   0 ........ forgotten .. prefix ........ prefix + ahead_slots_max
//!   | in a     | chosen,    | proposals seen, votes counted,   | not kept;
//!   | snapshot | no holes   | chosen above a hole              | fetched later
//! ```
//!
//! Source: Lamport, "Paxos Made Simple", section 2.3.

use alloc::vec::Vec;

use crate::ballot::{Ballot, NodeId, Slot};
use crate::config::Limits;
use crate::digest::Mark;
use crate::marks::{Differs, Marks};
use crate::quorum::Configuration;
use crate::runs::{Run, Runs};
use crate::tally::Tally;
use crate::value::{VALUE_OVERHEAD, Value, Values, distance};

/// One learner's memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Learner {
    /// One past the last slot below which every slot is known to be chosen.
    prefix: Slot,
    /// Chosen values, below the prefix and above holes. Their ballot no longer matters.
    chosen: Runs,
    /// Below this slot the values were let go; a snapshot covers them.
    forgotten: Slot,
    marks: Marks,
    /// Proposals at and above the prefix, per slot that of the highest ballot.
    seen: Runs,
    tally: Tally,
    ahead_slots_max: u64,
    ahead_bytes_max: usize,
}

/// Somebody says something that no correct member can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// One ballot, one slot, two values. What was seen first is kept.
    Proposed,
    /// Two values claim to be chosen in this slot: agreement is broken.
    Chosen(Slot),
}

impl Learner {
    /// A learner that knows nothing.
    pub fn new(limits: &Limits) -> Learner {
        Learner {
            prefix: Slot::FIRST,
            chosen: Runs::default(),
            forgotten: Slot::FIRST,
            marks: Marks::default(),
            seen: Runs::default(),
            tally: Tally::default(),
            ahead_slots_max: limits.ahead_slots_max,
            ahead_bytes_max: limits.ahead_bytes_max,
        }
    }

    /// One past the last slot of the contiguous chosen prefix.
    pub fn prefix(&self) -> Slot {
        self.prefix
    }

    /// What the slot was chosen to hold, if that is known.
    pub fn get(&self, slot: Slot) -> Option<&Value> {
        self.chosen.get(slot).map(|(_, value)| value)
    }

    /// Whether it knows of something above a hole in its prefix.
    pub fn has_hole(&self) -> bool {
        self.chosen.end() > self.prefix
    }

    /// Slots at and above the prefix that are not known to be chosen, below one that is.
    pub fn gaps(&self) -> u64 {
        self.chosen.holes_from(self.prefix)
    }

    /// Chosen values from a slot on, up to the prefix, at most about `bytes_max`; at least one if
    /// there is any.
    pub fn read(&self, from: Slot, bytes_max: usize) -> Values {
        let mut values = Vec::new();
        let mut bytes = 0;
        let mut at = from;
        while at < self.prefix {
            let Some(run) = self.chosen.next_from(at).filter(|run| run.first == at) else {
                break;
            };
            let run = run.clip(at, self.prefix);
            let fits = |value: &&Value| {
                bytes += VALUE_OVERHEAD + value.len();
                bytes <= bytes_max
            };
            let count = run.values.iter().take_while(fits).count();
            let count = if values.is_empty() { count.max(1) } else { count };
            values.extend_from_slice(&run.values[..count]);
            at = at.plus(count as u64);
            if at < run.end() {
                break;
            }
        }
        values.into()
    }

    /// Values proposed at a ballot. Nothing is chosen by this; a later count may refer to it.
    pub fn see(&mut self, configuration: &Configuration, run: &Run) -> Result<(), Contradiction> {
        let run = self.clip_to_window(run);
        let (first, end) = (run.first, run.end());
        if self.seen.contradicts(&run) {
            // One ballot, one slot, two values: its leader is not one.
            return Err(Contradiction::Proposed);
        }
        if !self.seen.covers(run.ballot, first, end) {
            let bytes = run.values.bytes();
            if self.seen.bytes() + bytes > self.ahead_bytes_max {
                return Ok(());
            }
            self.seen.merge(&run);
        }
        self.settle(configuration, first, end)
    }

    /// An acceptor's vote for what `ballot` proposes in `first..end`.
    pub fn count(
        &mut self,
        configuration: &Configuration,
        voter: NodeId,
        ballot: Ballot,
        first: Slot,
        end: Slot,
    ) -> Result<(), Contradiction> {
        let first = first.max(self.prefix);
        let end = end.min(self.window_end());
        if first >= end {
            return Ok(());
        }
        self.tally.add(configuration, voter, ballot, first, end);
        self.settle(configuration, first, end)
    }

    /// One past the last slot of `first..end` that a quorum is known to have accepted, whether its
    /// value was seen or not; none if there is no such slot above the prefix.
    pub fn accepted_end(
        &self,
        configuration: &Configuration,
        first: Slot,
        end: Slot,
    ) -> Option<Slot> {
        let chosen = self.tally.chosen(configuration, first.max(self.prefix), end);
        chosen.into_iter().map(|(_, _, end)| end).max()
    }

    /// The leader of `ballot` knows every slot below `end` to be chosen. Where we have seen what
    /// that very ballot proposed, that is what was chosen: the leader would not have proposed
    /// anything else in a slot that is chosen.
    pub fn announced(&mut self, ballot: Ballot, end: Slot) -> Result<(), Contradiction> {
        let mut at = self.prefix;
        while let Some(run) = self.seen.next_from(at).filter(|run| run.first < end) {
            at = run.end();
            if run.ballot == ballot {
                let run = run.clip(run.first, end);
                self.learn(run.first, run.values)?;
            }
        }
        Ok(())
    }

    /// These values are chosen; the caller has the proof.
    pub fn learn(&mut self, first: Slot, values: Values) -> Result<(), Contradiction> {
        // Chosen values stand beside each other regardless of the ballot that chose them, so all
        // get the same: a slot once chosen is never overwritten, only compared.
        let run = self.clip_to_window(&Run { ballot: Ballot::NONE, first, values });
        if self.chosen.contradicts(&run) {
            let differs = |slot: &Slot| {
                let claimed = run.values.get(distance(run.first, *slot));
                self.get(*slot).is_some() && self.get(*slot) != claimed
            };
            let slot = (run.first.0..run.end().0).map(Slot).find(differs);
            return Err(Contradiction::Chosen(slot.unwrap_or(run.first)));
        }
        self.chosen.merge(&run);
        Ok(())
    }

    /// Moves the prefix over everything that is chosen without a hole and hands it out: each slot
    /// once, in order. Tells if that shows another learner to hold another history.
    pub fn advance(&mut self, deliver: &mut Vec<(Slot, Value)>) -> Option<Differs> {
        let before = self.prefix;
        let mut differs = None;
        while let Some(run) =
            self.chosen.next_from(self.prefix).filter(|run| run.first == self.prefix)
        {
            for value in run.values.iter() {
                differs = differs.or(self.marks.extend(value));
            }
            deliver.extend((self.prefix.0..).map(Slot).zip(run.values.iter().cloned()));
            self.prefix = run.end();
        }
        if self.prefix > before {
            self.seen.cut_below(self.prefix);
            self.tally.cut_below(self.prefix);
        }
        differs
    }

    /// Digests of this learner's history.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Another learner's digest. Tells if it holds another history.
    pub fn compare(&mut self, from: NodeId, mark: Mark) -> Option<Differs> {
        self.marks.compare(from, mark)
    }

    /// Below this slot values were let go.
    pub fn forgotten(&self) -> Slot {
        self.forgotten
    }

    /// Lets go of values below `slot`, which a snapshot covers, but for the last `bytes_max` bytes.
    pub fn forget(&mut self, slot: Slot, bytes_max: usize) {
        let slot = slot.min(self.prefix);
        let first = self.chosen.tail(slot, bytes_max);
        self.forgotten = self.forgotten.max(first);
        self.chosen.cut_below(self.forgotten);
    }

    /// Goes on from a snapshot that covers more than the prefix.
    pub fn restore(&mut self, mark: Mark) {
        assert!(mark.below > self.prefix, "a snapshot is not gone back to");
        (self.prefix, self.forgotten) = (mark.below, mark.below);
        self.chosen.cut_below(self.prefix);
        self.seen.cut_below(self.prefix);
        self.tally.cut_below(self.prefix);
        self.marks.restore(mark);
    }

    /// Whether votes and proposals up to `end` are kept, if they are not known to be chosen.
    pub fn keeps(&self, end: Slot) -> bool {
        end <= self.window_end()
    }

    fn window_end(&self) -> Slot {
        self.prefix.plus(self.ahead_slots_max)
    }

    fn clip_to_window(&self, run: &Run) -> Run {
        run.clip(self.prefix, self.window_end())
    }

    fn settle(
        &mut self,
        configuration: &Configuration,
        first: Slot,
        end: Slot,
    ) -> Result<(), Contradiction> {
        for (ballot, mut at, end) in self.tally.chosen(configuration, first, end) {
            while let Some(run) = self.seen.next_from(at).filter(|run| run.first < end) {
                at = run.end();
                if run.ballot == ballot {
                    let run = run.clip(run.first, end);
                    self.learn(run.first, run.values)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::ballot::Incarnation;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};

    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id <= 2, acceptor: id > 2, learner: false };
            let disk = (id > 2).then(DiskId::default);
            (NodeId(id), Member { roles, disk })
        };
        Configuration::majority(ClusterId::default(), (1..=5).map(member).collect()).unwrap()
    }

    fn ballot(round: u64) -> Ballot {
        Ballot { round, leader: NodeId(1), incarnation: Incarnation(1) }
    }

    fn run(round: u64, first: u64, bytes: &[u8]) -> Run {
        Run { ballot: ballot(round), first: Slot(first), values: values(bytes) }
    }

    fn values(bytes: &[u8]) -> Values {
        let all: Vec<Value> = bytes.iter().map(|byte| Value::Command(vec![*byte].into())).collect();
        all.into()
    }

    fn delivered(learner: &mut Learner) -> Vec<(u64, u8)> {
        let mut out = Vec::new();
        learner.advance(&mut out);
        let byte = |value: Value| match value {
            Value::Command(bytes) => bytes[0],
            Value::Noop => b'-',
            Value::LeaderStart => b'^',
        };
        out.into_iter().map(|(slot, value)| (slot.0, byte(value))).collect()
    }

    fn learner() -> Learner {
        Learner::new(&Limits::default())
    }

    #[test]
    fn a_quorum_of_acceptors_at_one_ballot_chooses() {
        // Section 2.3 of Paxos Made Simple, with the values sent once.
        let configuration = configuration();
        let mut learner = learner();
        learner.see(&configuration, &run(1, 0, b"ab")).unwrap();
        let vote = |learner: &mut Learner, id, round, first, end| {
            learner.count(&configuration, NodeId(id), ballot(round), Slot(first), Slot(end))
        };
        vote(&mut learner, 3, 1, 0, 2).unwrap();
        vote(&mut learner, 3, 1, 0, 2).unwrap();
        assert_eq!(delivered(&mut learner), [], "one acceptor twice is one acceptor");
        vote(&mut learner, 4, 2, 0, 2).unwrap();
        assert_eq!(delivered(&mut learner), [], "two ballots do not add up");
        vote(&mut learner, 5, 2, 0, 1).unwrap();
        assert_eq!(delivered(&mut learner), [], "the value of ballot 2 was never seen");
        learner.see(&configuration, &run(2, 0, b"xy")).unwrap();
        assert_eq!(delivered(&mut learner), [(0, b'x')]);
    }

    #[test]
    fn votes_for_what_is_chosen_already_say_nothing_new() {
        let configuration = configuration();
        let mut learner = learner();
        learner.learn(Slot(0), values(b"abc")).unwrap();
        delivered(&mut learner);
        for id in 3..=5 {
            learner.count(&configuration, NodeId(id), ballot(1), Slot(0), Slot(2)).unwrap();
        }
        assert_eq!(learner.accepted_end(&configuration, Slot(0), Slot(2)), None);
        for id in 3..=5 {
            learner.count(&configuration, NodeId(id), ballot(1), Slot(1), Slot(5)).unwrap();
        }
        assert_eq!(learner.accepted_end(&configuration, Slot(1), Slot(5)), Some(Slot(5)));
    }

    #[test]
    fn a_watermark_says_nothing_about_another_ballots_value() {
        let configuration = configuration();
        let mut learner = learner();
        learner.see(&configuration, &run(1, 0, b"a")).unwrap();
        learner.announced(ballot(2), Slot(1)).unwrap();
        assert_eq!(delivered(&mut learner), []);
        learner.see(&configuration, &run(2, 0, b"x")).unwrap();
        learner.announced(ballot(2), Slot(1)).unwrap();
        assert_eq!(delivered(&mut learner), [(0, b'x')]);
    }

    #[test]
    fn a_hole_holds_back_what_is_above_it() {
        let mut learner = learner();
        learner.learn(Slot(1), values(b"b")).unwrap();
        assert_eq!(delivered(&mut learner), []);
        assert!(learner.has_hole());
        learner.learn(Slot(0), values(b"a")).unwrap();
        assert_eq!(delivered(&mut learner), [(0, b'a'), (1, b'b')]);
        assert!(!learner.has_hole());
        learner.learn(Slot(0), values(b"ab")).unwrap();
        assert_eq!(delivered(&mut learner), [], "each slot is handed out once");
    }

    #[test]
    fn what_is_chosen_is_compared_and_never_overwritten() {
        let mut learner = learner();
        learner.learn(Slot(2), values(b"c")).unwrap();
        assert_eq!(learner.learn(Slot(1), values(b"bX")), Err(Contradiction::Chosen(Slot(2))));
        assert_eq!(learner.get(Slot(2)), Some(&values(b"c")[0]));
    }

    #[test]
    fn nothing_is_kept_beyond_the_window() {
        let configuration = configuration();
        let limits = Limits { ahead_slots_max: 4, ahead_bytes_max: 3, ..Limits::default() };
        let mut learner = Learner::new(&limits);
        learner.learn(Slot(3), values(b"def")).unwrap();
        assert_eq!(learner.get(Slot(3)), Some(&values(b"d")[0]));
        assert_eq!(learner.get(Slot(4)), None);
        for round in 1..100 {
            learner.see(&configuration, &run(round, 0, b"abc")).unwrap();
        }
        assert!(learner.seen.bytes() <= 3);
        learner.count(&configuration, NodeId(3), ballot(1), Slot(0), Slot(1 << 40)).unwrap();
        assert!(learner.tally.chosen(&configuration, Slot(4), Slot::LIMIT).is_empty());
    }

    #[test]
    fn a_read_ends_at_its_bound_and_at_the_prefix() {
        let mut learner = learner();
        learner.learn(Slot(0), values(b"abc")).unwrap();
        learner.learn(Slot(4), values(b"e")).unwrap();
        delivered(&mut learner);
        assert_eq!(learner.read(Slot(0), 1000).len(), 3);
        assert_eq!(learner.read(Slot(1), 12).len(), 2);
        assert_eq!(learner.read(Slot(1), 11).len(), 1, "a value costs its bytes and five more");
        assert_eq!(learner.read(Slot(1), 0).len(), 1, "one value at least");
        assert_eq!(learner.read(Slot(3), 1000).len(), 0);
        assert_eq!(learner.read(Slot(4), 1000).len(), 0, "not above a hole");
    }

    #[test]
    fn one_ballot_proposes_one_value_a_slot() {
        let configuration = configuration();
        let mut learner = learner();
        learner.see(&configuration, &run(1, 0, b"ab")).unwrap();
        let twisted = learner.see(&configuration, &run(1, 1, b"x"));
        assert_eq!(twisted, Err(Contradiction::Proposed));
        for id in 3..=4 {
            learner.count(&configuration, NodeId(id), ballot(1), Slot(0), Slot(2)).unwrap();
        }
        assert_eq!(delivered(&mut learner), [(0, b'a'), (1, b'b')], "what was seen first is kept");
    }

    #[test]
    fn what_was_handed_out_is_no_longer_counted() {
        let configuration = configuration();
        let mut learner = learner();
        learner.see(&configuration, &run(1, 0, b"ab")).unwrap();
        for id in 3..=4 {
            learner.count(&configuration, NodeId(id), ballot(1), Slot(0), Slot(2)).unwrap();
        }
        assert_eq!(delivered(&mut learner).len(), 2);
        assert_eq!((&learner.seen, &learner.tally), (&Runs::default(), &Tally::default()));
    }

    #[test]
    fn a_learner_keeps_as_many_bytes_as_it_may() {
        let configuration = configuration();
        let limits = Limits { ahead_bytes_max: 3, ..Limits::default() };
        let kept = |lengths: &[usize]| {
            let mut learner = Learner::new(&limits);
            for (slot, length) in (0..).zip(lengths) {
                let values = vec![Value::Command(vec![7; *length].into())].into();
                let run = Run { ballot: ballot(1), first: Slot(slot), values };
                learner.see(&configuration, &run).unwrap();
            }
            learner.seen.bytes()
        };
        assert_eq!(kept(&[3]), 3);
        assert_eq!(kept(&[4]), 0);
        assert_eq!(kept(&[1, 2, 1]), 3);
        assert_eq!(kept(&[2, 2, 1]), 3);
    }
}
