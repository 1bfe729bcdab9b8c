//! Which frames of a journal are still needed: the last votes, and the last word of the rest.
//!
//! A frame with votes is needed until all of them are cut. Promises and the like are written again
//! with each cut ([`paxos::Record::Truncated`] is followed by what still counts), so older ones are
//! not. Frames go from the front only, so a vote that is still needed keeps all that follows.

use alloc::collections::VecDeque;

use paxos::{Record, Slot};

/// A journal's frames, in blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    blocks: VecDeque<Block>,
    truncated: Slot,
    /// The frame of the last cut. From there on, all that counts beside votes is written again.
    said_again: u64,
    /// Something is missing in the journal, and nothing may be cut that could tell what.
    is_suspect: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Block {
    first: u64,
    frames: u64,
    /// One past the highest slot that a frame of the block holds a vote for.
    end: Slot,
}

/// Frames of a block.
const BLOCK: u64 = 32;

impl Ledger {
    /// A record stands in this frame, the next one of the journal.
    pub fn note(&mut self, frame: u64, record: &Record) {
        let end = match record {
            Record::Accepted(run) => run.end(),
            Record::Promised(_) => Slot::FIRST,
            Record::Truncated(slot) => {
                if *slot >= self.truncated {
                    (self.truncated, self.said_again) = (*slot, frame);
                }
                Slot::FIRST
            }
            Record::Suspect => {
                self.is_suspect = true;
                Slot::FIRST
            }
            Record::Settled(slot) => {
                self.is_suspect = *slot > Slot::FIRST;
                Slot::FIRST
            }
        };
        match self.blocks.back_mut().filter(|block| block.frames < BLOCK) {
            Some(block) => {
                block.frames += 1;
                block.end = block.end.max(end);
            }
            None => self.blocks.push_back(Block { first: frame, frames: 1, end }),
        }
    }

    /// The frame below which none is needed, once everything that was noted is on disk. None if
    /// that is not beyond what it was before.
    pub fn cut(&mut self) -> Option<u64> {
        if self.is_suspect {
            return None;
        }
        let mut from = None;
        // What was written again stays, in whichever block it begins.
        while let [first, next, ..] = self.blocks.make_contiguous()
            && first.end <= self.truncated
            && next.first <= self.said_again
        {
            from = Some(next.first);
            self.blocks.pop_front();
        }
        from
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use paxos::acceptor::Acceptor;
    use paxos::{Ballot, Incarnation, NodeId, Rng, Run, Value};

    use super::*;

    fn vote(slot: u64) -> Record {
        Record::Accepted(Run {
            ballot: Ballot::NONE,
            first: Slot(slot),
            values: vec![Value::Noop].into(),
        })
    }

    /// A vote for slot `n` in frame `n`.
    fn ledger(frames: u64) -> Ledger {
        let mut ledger = Ledger::default();
        (0..frames).for_each(|frame| ledger.note(frame, &vote(frame)));
        ledger
    }

    #[test]
    fn frames_whose_votes_are_cut_are_not_needed() {
        let mut ledger = ledger(1000);
        assert_eq!(ledger.cut(), None);
        ledger.note(1000, &Record::Truncated(Slot(600)));
        ledger.note(1001, &Record::Promised(Ballot::NONE));
        assert_eq!(ledger.cut(), Some(576), "a block goes as a whole");
        assert_eq!(ledger.cut(), None, "that is cut already");
        ledger.note(1002, &Record::Truncated(Slot(5000)));
        assert_eq!(ledger.cut(), Some(992), "never what was written last");
    }

    #[test]
    fn what_is_written_again_stays_wherever_a_block_ends() {
        // The truncation point is the last frame of a block, and the promise the next one's first.
        for before in 0..2 * BLOCK {
            let mut ledger = ledger(before);
            ledger.note(before, &Record::Truncated(Slot(before)));
            ledger.note(before + 1, &Record::Promised(Ballot::NONE));
            ledger.note(before + 2, &Record::Settled(Slot::FIRST));
            assert!(ledger.cut().is_none_or(|from| from <= before), "{before} votes");
        }
    }

    #[test]
    fn what_is_left_of_a_cut_journal_folds_to_the_same_acceptor() {
        let fold = |records: &[Record]| {
            let mut acceptor = Acceptor::default();
            for record in records {
                acceptor.apply(record);
            }
            acceptor
        };
        for seed in 0..50 {
            let (mut rng, mut all) = (Rng::new(seed), Vec::new());
            let (mut acceptor, mut ledger, mut from) = (Acceptor::default(), Ledger::default(), 0);
            let (mut round, mut next) = (1, 0);
            let retained = rng.index(2) * rng.index(400);
            for _ in 0..500 {
                let ballot =
                    |round| Ballot { round, leader: NodeId(1), incarnation: Incarnation(1) };
                let records = match rng.below(100) {
                    0..=2 => {
                        round += 1;
                        vec![Record::Promised(ballot(round))]
                    }
                    3..=6 => {
                        let covered = Slot(u64::saturating_sub(next, rng.below(100)));
                        let first = acceptor.votes().tail(covered, retained);
                        vec![Record::Truncated(first), Record::Promised(acceptor.promised())]
                    }
                    _ => {
                        let first = Slot(next);
                        next += 1;
                        let values = vec![Value::Noop].into();
                        vec![Record::Accepted(Run { ballot: ballot(round), first, values })]
                    }
                };
                for record in records {
                    acceptor.apply(&record);
                    ledger.note(all.len() as u64, &record);
                    all.push(record);
                }
                from = ledger.cut().unwrap_or(from);
                let left = &all[usize::try_from(from).unwrap()..];
                assert_eq!(fold(left), acceptor, "seed {seed}, cut at {from}");
            }
        }
    }

    #[test]
    fn an_old_vote_keeps_all_that_follows() {
        let mut ledger = Ledger::default();
        ledger.note(0, &vote(900));
        (1..1000).for_each(|frame| ledger.note(frame, &vote(frame)));
        ledger.note(1000, &Record::Truncated(Slot(800)));
        assert_eq!(ledger.cut(), None);
        ledger.note(1001, &Record::Truncated(Slot(901)));
        assert_eq!(ledger.cut(), Some(896));
    }

    #[test]
    fn a_journal_with_a_hole_is_kept_until_that_no_longer_matters() {
        let mut ledger = ledger(1000);
        ledger.note(1000, &Record::Suspect);
        ledger.note(1001, &Record::Truncated(Slot(1000)));
        assert_eq!(ledger.cut(), None);
        ledger.note(1002, &Record::Settled(Slot(1000)));
        assert_eq!(ledger.cut(), None);
        ledger.note(1003, &Record::Settled(Slot::FIRST));
        assert_eq!(ledger.cut(), Some(992));
    }
}
