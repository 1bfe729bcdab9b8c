//! What an acceptor that has lost votes with a part of its disk may have forgotten. Safety; no
//! time, no peers.
//!
//! ```text
//!   journal   ... records, some lost ... | Suspect | Promised | Truncated | ... | Settled(S + 1)
//!                 ballots <= bound         the mark
//!   slots     FIRST .... truncated ............ below ................ LIMIT
//!                        | votes may be missing |  none that matters is
//! ```
//!
//! The promise is not in doubt: promises only grow along a journal, so a readable promise after
//! the hole bounds everything that was lost (whoever recovers sees to that). What is in doubt is
//! "no vote": that must not be believed below `below`.
//!
//! **Mark.** What recovery finds is written down before anything else: Suspect, then the promise
//! and the truncation point once more. So nothing that stands before a mark is needed once the
//! doubt is settled, and a hole found later is an old one if a mark follows it.
//!
//! **Narrowing.** The leader of a ballot above the bound was elected by acceptors whose word was
//! good, this one not among them. From the leader's start on, none of them had voted, and all had
//! promised: at no lower ballot can anything be chosen there any more, so it does not matter who
//! voted for it. At the bound itself this is false: its leader may have counted this acceptor,
//! before the loss, and then its vote.
//!
//! **Mending.** Below, every slot is decided once that leader says so. A decided value, kept as a
//! vote at the leader's ballot, is what that leader would propose there or has: no later leader
//! decides anything else for it. Once all slots hold a vote above the bound, nothing is in doubt.
//!
//! `docs/decisions/0009-lost-votes.md` has the argument; `spec/` proves it. Source: the idea of an
//! answer between "vote" and "no vote" is that of Alagappan and others, "Protocol-Aware Recovery
//! for Consensus-Based Storage", FAST 2018. Differs from it: only the acceptor's own memory is in
//! doubt, and it mends that itself; leaders only do not count it meanwhile.

use crate::ballot::{Ballot, Slot};

/// What may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Doubt {
    /// Below this slot votes may be missing.
    below: Slot,
    /// No missing vote was cast above this ballot.
    bound: Ballot,
    /// The mark is not complete: its promise is still to come.
    is_open: bool,
}

impl Doubt {
    /// A mark begins, at this promise.
    pub fn new(promised: Ballot) -> Doubt {
        Doubt { below: Slot::LIMIT, bound: promised, is_open: true }
    }

    /// The first promise after the mark is the mark's own.
    pub fn close(&mut self, promised: Ballot) {
        if self.is_open {
            self.bound = self.bound.max(promised);
            self.is_open = false;
        }
    }

    /// Whether the mark is still to be written.
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// At and above this slot nothing is missing that matters.
    pub fn narrow(&mut self, below: Slot) {
        self.below = self.below.min(below);
    }

    /// Below this slot votes may be missing.
    pub fn below(&self) -> Slot {
        self.below
    }

    /// Whether a vote at this ballot, or the word of its leader, is later than all that is lost.
    pub fn is_past(&self, ballot: Ballot) -> bool {
        ballot > self.bound
    }

    /// One past the start of `ballot`'s leader, if that is less in doubt: below `chosen`, its
    /// leader says, every slot is decided.
    pub fn settles(&self, ballot: Ballot, start: Slot, chosen: Slot) -> Option<Slot> {
        let below = start.plus(1);
        (self.is_past(ballot) && chosen > start && below < self.below).then_some(below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Incarnation, NodeId};

    fn ballot(round: u64) -> Ballot {
        Ballot { round, leader: NodeId(1), incarnation: Incarnation(0) }
    }

    #[test]
    fn only_a_leader_above_all_that_was_lost_settles_anything() {
        let mut doubt = Doubt::new(ballot(3));
        doubt.close(ballot(4));
        let says = |round| doubt.settles(ballot(round), Slot(7), Slot(8));
        // The leader of 4·1 may have counted this acceptor's promise, and then a vote above its
        // start; with one other vote that was chosen, and is now known to one acceptor only.
        assert_eq!([3, 4, 5].map(says), [None, None, Some(Slot(8))]);
    }

    #[test]
    fn a_start_settles_nothing_before_it_is_chosen() {
        let mut doubt = Doubt::new(ballot(3));
        assert_eq!(doubt.settles(ballot(4), Slot(7), Slot(7)), None);
        assert_eq!(doubt.settles(ballot(4), Slot(7), Slot(8)), Some(Slot(8)));
        doubt.narrow(Slot(8));
        assert_eq!(doubt.settles(ballot(5), Slot(9), Slot(10)), None, "less is known already");
        doubt.narrow(Slot(11));
        assert_eq!(doubt.below(), Slot(8));
    }

    #[test]
    fn the_promise_of_the_mark_bounds_what_is_lost_and_no_later_one() {
        let mut doubt = Doubt::new(ballot(1));
        assert!(doubt.is_open());
        doubt.close(ballot(3));
        doubt.close(ballot(9));
        assert!(!doubt.is_open());
        assert_eq!([3, 4].map(|round| doubt.is_past(ballot(round))), [false, true]);
    }
}
