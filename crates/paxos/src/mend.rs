//! When an acceptor that has lost votes asks for what was decided. Liveness only: what may be kept
//! of the answers is decided by the acceptor's rules.
//!
//! Learners are asked in turn, one question at a time, with a growing pause while no answer helps.

use core::time::Duration;

use crate::ballot::{Ballot, NodeId, Slot};
use crate::config::Timing;
use crate::quorum::Configuration;
use crate::time::Instant;

/// One acceptor's way out of its doubt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mend {
    delay: Duration,
    pause_max: Duration,
    /// What may be kept, and at which ballot: its leader says that every slot below is chosen.
    word: Option<(Ballot, Slot)>,
    /// Below this slot nothing is missing any more.
    whole: Slot,
    question: Option<Question>,
    /// Whose turn it is.
    turn: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Question {
    due: Instant,
    attempts: u32,
}

/// Doublings of the pause between questions, at most.
const ATTEMPTS_MAX: u32 = 5;

impl Mend {
    /// Nothing is known to be missing.
    pub fn new(timing: &Timing) -> Mend {
        Mend {
            delay: timing.fetch_delay,
            pause_max: timing.resend_max,
            word: None,
            whole: Slot::FIRST,
            question: None,
            turn: 0,
        }
    }

    /// A leader's word that every slot below is chosen.
    pub fn heard(&mut self, ballot: Ballot, chosen: Slot) {
        self.word = self.word.max(Some((ballot, chosen)));
    }

    /// The latest word.
    pub fn word(&self) -> Option<(Ballot, Slot)> {
        self.word
    }

    /// Below this slot nothing is missing any more.
    pub fn whole(&self) -> Slot {
        self.whole
    }

    /// When [`Mend::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        self.question.map(|question| question.due)
    }

    /// From `gap` on, something is missing; none if nothing is that could be asked for. True if it
    /// is time to ask at once, for the last answer helped.
    pub fn look(&mut self, now: Instant, gap: Option<Slot>) -> bool {
        let Some(gap) = gap else {
            self.question = None;
            return false;
        };
        let helped = gap > self.whole && self.question.is_some();
        self.whole = gap;
        if helped || self.question.is_none() {
            self.question = Some(Question { due: now.plus(self.delay), attempts: 0 });
            return true;
        }
        false
    }

    /// Whether it is time to ask again, somebody else.
    pub fn due(&mut self, now: Instant) -> bool {
        let Some(question) = self.question.as_mut().filter(|question| question.due <= now) else {
            return false;
        };
        question.attempts = (question.attempts + 1).min(ATTEMPTS_MAX);
        let pause = (self.delay * 2u32.pow(question.attempts)).min(self.pause_max);
        question.due = now.plus(pause);
        self.turn = self.turn.wrapping_add(1);
        true
    }

    /// Whom to ask.
    pub fn whom(&self, configuration: &Configuration) -> Option<NodeId> {
        let learners = configuration.learners().count();
        configuration.learners().nth(self.turn % learners.max(1))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};

    fn mend() -> Mend {
        Mend::new(&Timing::default())
    }

    #[test]
    fn learners_are_asked_in_turn_with_growing_pauses_up_to_a_bound() {
        let member = |id: u32| {
            let roles = Roles { leader: id == 1, acceptor: id == 2, learner: id == 3 };
            (NodeId(id), Member { roles, disk: (id == 2).then(DiskId::default) })
        };
        let members = (1..=3).map(member).collect();
        let configuration = Configuration::majority(ClusterId::default(), members).unwrap();
        let mut mend = mend();
        assert!(mend.look(Instant(0), Some(Slot(0))), "the first question does not wait");
        let mut asked = Vec::new();
        let mut at = Instant(0);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            asked.extend(mend.whom(&configuration).map(|id| id.0));
            let due = mend.deadline().unwrap();
            assert!(!mend.due(Instant(due.0 - 1)));
            assert!(mend.due(due));
            pauses.push(due.since(at).as_millis());
            at = due;
            assert!(!mend.look(at, Some(Slot(0))), "no answer helped");
        }
        assert_eq!(asked, [1, 3, 1, 3, 1, 3, 1, 3]);
        assert_eq!(pauses, [20, 40, 80, 160, 320, 500, 500, 500]);
    }

    #[test]
    fn an_answer_that_helps_asks_for_more_of_the_same_learner_at_once() {
        let mut mend = mend();
        mend.look(Instant(0), Some(Slot(0)));
        mend.due(Instant(20_000));
        let turn = mend.turn;
        assert!(mend.look(Instant(20_001), Some(Slot(7))));
        assert_eq!((mend.turn, mend.whole()), (turn, Slot(7)));
        assert_eq!(mend.deadline(), Some(Instant(40_001)), "the pause is short again");
        mend.look(Instant(20_002), None);
        assert_eq!(mend.deadline(), None, "nothing is missing");
    }

    #[test]
    fn the_word_of_the_highest_ballot_counts() {
        let ballot = |round| Ballot { round, ..Ballot::NONE };
        let mut mend = mend();
        for (round, chosen) in [(2, 5), (1, 9), (2, 7), (2, 6)] {
            mend.heard(ballot(round), Slot(chosen));
        }
        assert_eq!(mend.word(), Some((ballot(2), Slot(7))));
    }
}
