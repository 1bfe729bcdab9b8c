//! What is promised and what is accepted. Safety; no time, no peers, no learning.
//!
//! State is a fold of records: [`Acceptor::apply`] is its only mutator, live and in recovery.
//! Promise and vote are two variables. Reporting the promise as if it were the ballot of the vote
//! is the bug that lived for years in another protocol and in the ancestor.
//!
//! Source: Lamport, "Paxos Made Simple", section 2.2 (phases 1b and 2b), with one promise for all
//! slots as in "Paxos Made Moderately Complex". Differs from section 2.2: accepting a ballot also
//! promises it, in the same record, because otherwise a later, lower Prepare could be promised
//! after a higher ballot was accepted.

use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::ballot::{Ballot, Slot};
use crate::doubt::Doubt;
use crate::message::Page;
use crate::record::Record;
use crate::runs::{Run, Runs};
use crate::value::VALUE_OVERHEAD;

/// One acceptor's memory.
///
/// `vote ballots <= promised`, always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Acceptor {
    promised: Ballot,
    votes: Runs,
    truncated: Slot,
    /// What was lost with a part of the disk, if anything was.
    doubt: Option<Doubt>,
}

/// How an acceptor answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Yes, once this record is on disk.
    Yes(Record),
    /// Yes, and the disk already has it or is about to.
    Known,
    /// No: a higher ballot is promised.
    No,
    /// No: the ballot has already proposed another value in one of these slots. No correct leader
    /// does that.
    Contradiction,
}

impl Acceptor {
    /// Phase 1b: whether to promise the ballot.
    pub fn prepare(&self, ballot: Ballot) -> Answer {
        match ballot.cmp(&self.promised) {
            Ordering::Greater => Answer::Yes(Record::Promised(ballot)),
            // The Prepare was repeated, or asks for the next page.
            Ordering::Equal => Answer::Known,
            Ordering::Less => Answer::No,
        }
    }

    /// Phase 2b: whether to accept the run.
    pub fn accept(&self, run: &Run) -> Answer {
        if run.ballot < self.promised || run.first < self.truncated {
            Answer::No
        } else if self.votes.contradicts(run) {
            Answer::Contradiction
        } else if self.votes.covers(run.ballot, run.first, run.end()) {
            Answer::Known
        } else {
            Answer::Yes(Record::Accepted(run.clone()))
        }
    }

    /// Makes a record part of the state. The only mutator.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Promised(ballot) => self.promise(*ballot),
            Record::Accepted(run) => {
                // Phase 2b promises, too; without this a lower ballot could be accepted later.
                self.promise(run.ballot);
                self.votes.merge(run);
            }
            Record::Truncated(slot) => {
                self.truncated = self.truncated.max(*slot);
                self.votes.cut_below(self.truncated);
            }
            Record::Suspect => self.doubt = Some(Doubt::new(self.promised)),
            Record::Settled(Slot::FIRST) => self.doubt = None,
            Record::Settled(slot) => {
                if let Some(doubt) = &mut self.doubt {
                    doubt.narrow(*slot);
                }
            }
        }
    }

    fn promise(&mut self, ballot: Ballot) {
        self.promised = self.promised.max(ballot);
        if let Some(doubt) = &mut self.doubt {
            doubt.close(self.promised);
        }
    }

    /// What must be written before anything else, and before anything is said: that votes were
    /// lost, and the promise and the truncation point once more, so that nothing written earlier
    /// is needed for either.
    pub fn mark(&self) -> Vec<Record> {
        if !self.doubt.is_some_and(|doubt| doubt.is_open()) {
            return Vec::new();
        }
        alloc::vec![
            Record::Suspect,
            Record::Promised(self.promised),
            Record::Truncated(self.truncated),
        ]
    }

    /// Below this slot votes may be missing; the first slot if none may.
    pub fn suspect(&self) -> Slot {
        self.doubt.map_or(Slot::FIRST, |doubt| doubt.below())
    }

    /// What is in doubt.
    pub fn doubt(&self) -> Option<&Doubt> {
        self.doubt.as_ref()
    }

    /// The first slots from `from` on in which only a decided value can tell what the vote was:
    /// the first, and one past the last. None while it is not known where they end.
    pub fn gap(&self, from: Slot) -> Option<(Slot, Slot)> {
        let doubt = self.doubt.filter(|doubt| doubt.below() < Slot::LIMIT)?;
        let mut first = from.max(self.truncated);
        let mut at = first;
        while let Some(run) = self.votes.next_from(at).filter(|run| run.first < doubt.below()) {
            at = run.end();
            if doubt.is_past(run.ballot) {
                if run.first > first {
                    return Some((first, run.first));
                }
                first = at;
            }
        }
        (first < doubt.below()).then_some((first, doubt.below()))
    }

    /// The highest ballot promised.
    pub fn promised(&self) -> Ballot {
        self.promised
    }

    /// Below this slot votes were cut.
    pub fn truncated(&self) -> Slot {
        self.truncated
    }

    /// The votes, per slot the one of the highest ballot.
    pub fn votes(&self) -> &Runs {
        &self.votes
    }

    /// The votes from a slot on, as many as fit into about `bytes_max`.
    pub fn page(&self, from: Slot, bytes_max: usize) -> Page {
        let (truncated, suspect) = (self.truncated, self.suspect());
        let page = |votes, next| Page { from, votes, next, truncated, suspect };
        let mut votes: Vec<Run> = Vec::new();
        let mut bytes = 0;
        let mut at = from;
        while let Some(run) = self.votes.next_from(at) {
            let room = fitting(&run, bytes_max.saturating_sub(bytes), votes.is_empty());
            if room == run.first {
                return page(votes, Some(run.first));
            }
            let part = run.clip(run.first, room);
            bytes += wire_bytes(&part);
            at = room;
            votes.push(part);
        }
        page(votes, None)
    }
}

/// One past the last slot of the run that still fits; at least one slot if it `must`.
fn fitting(run: &Run, bytes_max: usize, must: bool) -> Slot {
    let mut bytes = RUN_OVERHEAD;
    for (index, value) in (0..).zip(run.values.iter()) {
        bytes += VALUE_OVERHEAD + value.len();
        if bytes > bytes_max && !(must && index == 0) {
            return run.first.plus(index);
        }
    }
    run.end()
}

fn wire_bytes(run: &Run) -> usize {
    RUN_OVERHEAD + run.values.len() * VALUE_OVERHEAD + run.values.bytes()
}

/// About what a run costs on the wire beside its values: ballot, slot, count.
const RUN_OVERHEAD: usize = 32;

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::ballot::{Incarnation, NodeId};
    use crate::value::Value;

    fn ballot(round: u64, leader: u32) -> Ballot {
        Ballot { round, leader: NodeId(leader), incarnation: Incarnation(0) }
    }

    fn run(ballot: Ballot, first: u64, bytes: &[u8]) -> Run {
        let values: Vec<Value> =
            bytes.iter().map(|byte| Value::Command(vec![*byte].into())).collect();
        Run { ballot, first: Slot(first), values: values.into() }
    }

    fn accept(acceptor: &mut Acceptor, run: &Run) -> bool {
        match acceptor.accept(run) {
            Answer::Yes(record) => {
                acceptor.apply(&record);
                true
            }
            Answer::Known => true,
            Answer::No | Answer::Contradiction => false,
        }
    }

    #[test]
    fn a_lower_ballot_is_refused_after_a_promise() {
        // Phase 1b, Paxos Made Simple section 2.2.
        let mut acceptor = Acceptor::default();
        acceptor.apply(&Record::Promised(ballot(2, 1)));
        assert_eq!(acceptor.prepare(ballot(1, 9)), Answer::No);
        assert_eq!(acceptor.prepare(ballot(2, 1)), Answer::Known);
        assert_eq!(acceptor.prepare(ballot(2, 2)), Answer::Yes(Record::Promised(ballot(2, 2))));
        assert!(!accept(&mut acceptor, &run(ballot(1, 9), 0, b"x")));
        assert!(accept(&mut acceptor, &run(ballot(2, 1), 0, b"x")));
    }

    #[test]
    fn accepting_promises() {
        let mut acceptor = Acceptor::default();
        assert!(accept(&mut acceptor, &run(ballot(3, 1), 0, b"x")));
        assert_eq!(acceptor.promised(), ballot(3, 1));
        assert_eq!(acceptor.prepare(ballot(2, 1)), Answer::No);
        assert!(!accept(&mut acceptor, &run(ballot(2, 1), 7, b"y")), "in no other slot either");
    }

    #[test]
    fn the_ballot_of_a_vote_is_not_the_promise() {
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(1, 1), 0, b"x"));
        acceptor.apply(&Record::Promised(ballot(5, 2)));
        let page = acceptor.page(Slot(0), 1000);
        assert_eq!(page.votes, [run(ballot(1, 1), 0, b"x")]);
        assert_eq!(page.next, None);
    }

    #[test]
    fn an_acceptance_repeated_writes_nothing_again() {
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(1, 1), 0, b"xy"));
        assert_eq!(acceptor.accept(&run(ballot(1, 1), 0, b"xy")), Answer::Known);
        assert_eq!(acceptor.accept(&run(ballot(1, 1), 1, b"y")), Answer::Known);
    }

    #[test]
    fn one_ballot_has_one_value_a_slot() {
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(1, 1), 0, b"x"));
        assert_eq!(acceptor.accept(&run(ballot(1, 1), 0, b"z")), Answer::Contradiction);
        assert_eq!(acceptor.votes().get(Slot(0)).map(|(b, _)| b), Some(ballot(1, 1)));
    }

    #[test]
    fn pages_hold_every_vote_once() {
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(1, 1), 0, b"abcdefgh"));
        accept(&mut acceptor, &run(ballot(2, 1), 20, b"ijkl"));
        for bytes_max in [0, 40, 50, 60, 90, 10_000] {
            let mut seen = Runs::default();
            let mut from = Slot(0);
            for _ in 0..20 {
                let page = acceptor.page(from, bytes_max);
                assert_eq!(page.from, from);
                for vote in page.votes {
                    assert!(vote.first >= from);
                    seen.merge(&vote);
                }
                match page.next {
                    Some(next) => {
                        assert!(next > from, "a page makes progress");
                        from = next;
                    }
                    None => break,
                }
            }
            assert_eq!(seen.slots(), 12, "bytes_max {bytes_max}");
            assert!((0..30).all(|s| seen.get(Slot(s)) == acceptor.votes().get(Slot(s))));
        }
    }

    #[test]
    fn what_was_cut_is_reported_and_never_accepted_again() {
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(1, 1), 0, b"abcd"));
        acceptor.apply(&Record::Truncated(Slot(2)));
        let page = acceptor.page(Slot(0), 1000);
        assert_eq!((page.truncated, acceptor.truncated()), (Slot(2), Slot(2)));
        assert_eq!(page.votes, [run(ballot(1, 1), 2, b"cd")]);
        assert_eq!(acceptor.accept(&run(ballot(9, 1), 1, b"z")), Answer::No);
    }

    #[test]
    fn a_page_keeps_its_bound() {
        // A run costs 32 bytes and a value five and its own.
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(1, 1), 0, b"abcdefgh"));
        accept(&mut acceptor, &run(ballot(2, 1), 20, b"ijkl"));
        let page = |bytes_max| {
            let page = acceptor.page(Slot(0), bytes_max);
            let values: usize = page.votes.iter().map(|run| run.values.len()).sum();
            (values, page.next.map(|next| next.0))
        };
        assert_eq!(page(0), (1, Some(1)), "one vote at least");
        assert_eq!(page(32 + 3 * 6 - 1), (2, Some(2)));
        assert_eq!(page(32 + 3 * 6), (3, Some(3)));
        assert_eq!(page(32 + 8 * 6), (8, Some(20)));
        assert_eq!(page(2 * 32 + 9 * 6 - 1), (8, Some(20)));
        assert_eq!(page(2 * 32 + 9 * 6), (9, Some(21)));
        assert_eq!(page(2 * 32 + 12 * 6), (12, None));
    }

    fn recovered(records: &[Record]) -> Acceptor {
        let mut acceptor = Acceptor::default();
        for record in records {
            acceptor.apply(record);
        }
        acceptor
    }

    #[test]
    fn lost_votes_are_suspect_and_not_absent() {
        let lost = [Record::Promised(ballot(3, 1)), Record::Suspect];
        let mut acceptor = recovered(&lost);
        assert_eq!(acceptor.page(Slot(0), 1000).suspect, Slot::LIMIT);
        acceptor.apply(&Record::Settled(Slot(7)));
        assert_eq!(acceptor.page(Slot(0), 1000).suspect, Slot(7));
        acceptor.apply(&Record::Settled(Slot(9)));
        assert_eq!(acceptor.suspect(), Slot(7), "what is settled stays settled");
        acceptor.apply(&Record::Settled(Slot::FIRST));
        assert_eq!(acceptor, recovered(&lost[..1]), "nothing is in doubt");
    }

    #[test]
    fn a_mark_repeats_what_must_not_be_lost_with_what_stands_before_it() {
        let before = [Record::Promised(ballot(3, 1)), Record::Truncated(Slot(4)), Record::Suspect];
        let mut acceptor = recovered(&before);
        let mark = acceptor.mark();
        assert_eq!(mark[0], Record::Suspect);
        for record in &mark {
            acceptor.apply(record);
        }
        assert_eq!(acceptor.mark(), [], "once");
        // Even if all that stands before it is gone, which votes are in doubt is known.
        assert_eq!(recovered(&mark), acceptor);
        acceptor.apply(&Record::Promised(ballot(9, 1)));
        let is_past = |round| acceptor.doubt().unwrap().is_past(ballot(round, 1));
        assert_eq!([3, 4].map(is_past), [false, true], "a later promise is none of it");
    }

    #[test]
    fn a_loss_noticed_later_is_not_settled_by_what_was_known_earlier() {
        let settled = [Record::Suspect, Record::Settled(Slot::FIRST), Record::Suspect];
        assert_eq!(recovered(&settled).suspect(), Slot::LIMIT);
    }

    #[test]
    fn gaps_are_where_no_vote_is_later_than_all_that_was_lost() {
        let mut acceptor = Acceptor::default();
        accept(&mut acceptor, &run(ballot(3, 1), 0, b"abcdefgh"));
        acceptor.apply(&Record::Suspect);
        for record in acceptor.mark() {
            acceptor.apply(&record);
        }
        assert_eq!(acceptor.gap(Slot(0)), None, "nobody knows where they end");
        acceptor.apply(&Record::Settled(Slot(12)));
        assert_eq!(acceptor.gap(Slot(0)), Some((Slot(0), Slot(12))), "a higher vote may be lost");
        accept(&mut acceptor, &run(ballot(4, 1), 0, b"abc"));
        accept(&mut acceptor, &run(ballot(4, 1), 5, b"f"));
        accept(&mut acceptor, &run(ballot(4, 1), 10, b"klmn"));
        let gaps = [0, 4, 5, 8, 10].map(|from| acceptor.gap(Slot(from)));
        let expected =
            [(3, 5), (4, 5), (6, 10), (8, 10)].map(|(at, end)| Some((Slot(at), Slot(end))));
        assert_eq!(gaps, [expected[0], expected[1], expected[2], expected[3], None]);
        acceptor.apply(&Record::Truncated(Slot(10)));
        assert_eq!(acceptor.gap(Slot(0)), None, "what was cut is in snapshots");
    }
}
