//! Fetching what was missed. Liveness only: what is fetched is believed by the learner's rules.
//!
//! A learner with a hole waits a little, for messages overtake each other, then asks: the leader
//! first, then other learners and all acceptors in turn. One that is far behind asks another
//! learner first: everybody's values pass through the leader. Acceptors answer with votes, so a
//! learner can follow even where it reaches no other learner. One that hears no leader asks the
//! acceptors now and then although it knows of nothing: what was chosen while it was away, nobody
//! repeats.

use core::time::Duration;

use crate::ballot::{NodeId, Slot};
use crate::config::Timing;
use crate::quorum::Configuration;
use crate::time::Instant;

/// What one learner knows that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Catchup {
    delay: Duration,
    pause_max: Duration,
    /// Every slot below is chosen, somebody said.
    known: Slot,
    request: Option<Request>,
    /// When to see whether there is a leader to hear of news from.
    watch: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Request {
    /// The prefix when it was last looked at; if it has moved since, nothing is stuck.
    prefix: Slot,
    due: Instant,
    attempts: u32,
    target: Option<Target>,
    /// Where the last question begins, until its first answer.
    asked: Option<Slot>,
    /// Made for want of a leader, not because something is known to be missing.
    is_lonely: bool,
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One learner.
    Learner(NodeId),
    /// Every acceptor: only a quorum of their answers says what is chosen.
    Acceptors,
}

/// Doublings of the pause between requests, at most.
const ATTEMPTS_MAX: u32 = 5;

/// Who lacks more slots than this is far behind.
const FAR: u64 = 1 << 12;

impl Catchup {
    /// Nothing is known to be missing.
    pub fn new(timing: &Timing) -> Catchup {
        let (delay, pause_max) = (timing.fetch_delay, timing.resend_max);
        Catchup { delay, pause_max, known: Slot::FIRST, request: None, watch: None }
    }

    /// Somebody knows every slot below to be chosen.
    pub fn heard(&mut self, chosen: Slot) {
        self.known = self.known.max(chosen);
    }

    /// When [`Catchup::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        let request = self.request.map(|request| request.due);
        request.into_iter().chain(self.watch).min()
    }

    /// Looks after the learner: starts, keeps or ends a request. `has_hole` tells whether
    /// something above the prefix is known to be chosen.
    pub fn look(&mut self, now: Instant, prefix: Slot, has_hole: bool) {
        self.watch.get_or_insert(now.plus(self.pause_max));
        let is_missing = self.known > prefix || has_hole;
        match &mut self.request {
            Some(request) if is_missing => request.is_lonely = false,
            Some(request) if request.is_lonely => {}
            Some(_) => self.request = None,
            None if is_missing => self.request = Some(self.question(now, prefix)),
            None => {}
        }
    }

    /// The learner leads, so it is the first to know.
    pub fn rest(&mut self) {
        (self.request, self.watch) = (None, None);
    }

    fn question(&self, now: Instant, prefix: Slot) -> Request {
        let due = now.plus(self.delay);
        Request { prefix, due, attempts: 0, target: None, asked: None, is_lonely: false }
    }

    /// Whom to ask now, if it is time.
    pub fn due(
        &mut self,
        now: Instant,
        prefix: Slot,
        me: NodeId,
        leader: Option<NodeId>,
        configuration: &Configuration,
    ) -> Option<Target> {
        let afresh = self.question(now, prefix);
        if self.watch.is_some_and(|watch| watch <= now) {
            self.watch = Some(now.plus(self.pause_max));
            if leader.is_none() && self.request.is_none() {
                // The second turn is the acceptors'.
                self.request = Some(Request { due: now, attempts: 1, is_lonely: true, ..afresh });
            }
        }
        let request = self.request.as_mut().filter(|request| request.due <= now)?;
        if request.prefix < prefix {
            // It moves without our asking.
            *request = Request { is_lonely: request.is_lonely, ..afresh };
            return None;
        }
        if request.is_lonely && request.target.is_some() {
            // There was no news.
            self.request = None;
            return None;
        }
        let turn = usize::try_from(request.attempts).expect("a few attempts");
        // Another one for each who asks, as far as there are.
        let spares = || configuration.learners().filter(|id| *id != me && Some(*id) != leader);
        let spare = spares().find(|id| *id > me).or_else(|| spares().next());
        let is_far = self.known > prefix.plus(FAR);
        let leader = spare.filter(|_| is_far).or(leader);
        let target = match leader.filter(|leader| *leader != me) {
            Some(leader) if request.attempts == 0 => Target::Learner(leader),
            _ if turn % 2 == 1 => Target::Acceptors,
            _ => {
                let others = || configuration.learners().filter(|id| *id != me);
                let place = (turn / 2) % others().count().max(1);
                others().nth(place).map_or(Target::Acceptors, Target::Learner)
            }
        };
        let pause = (self.delay * 2u32.pow(request.attempts.min(ATTEMPTS_MAX))).min(self.pause_max);
        request.attempts = request.attempts.wrapping_add(1);
        (request.target, request.asked) = (Some(target), Some(prefix));
        let is_lonely = request.is_lonely;
        request.due = now.plus(if is_lonely { self.pause_max } else { pause });
        Some(target)
    }

    /// An answer to a question that began there has come.
    pub fn answered(&mut self, first: Slot) {
        if let Some(request) = self.request.as_mut().filter(|it| it.asked == Some(first)) {
            request.asked = None;
        }
    }

    /// A snapshot has come. What was asked for before is in it, or was asked for in vain.
    pub fn answered_all(&mut self) {
        if let Some(request) = &mut self.request {
            request.asked = None;
        }
    }

    /// The prefix may have moved. If a question was answered and there is more to get, ask the same
    /// again at once. Not before: what is chosen moves the prefix as well, a hundred times while an
    /// answer is on its way.
    pub fn progressed(&mut self, now: Instant, prefix: Slot) -> Option<Target> {
        let request = self.request.as_mut()?;
        if request.prefix >= prefix || request.asked.is_some() {
            return None;
        }
        request.prefix = prefix;
        request.asked = request.target.map(|_| prefix);
        request.due = now.plus(if request.is_lonely { self.pause_max } else { self.delay });
        request.attempts = 0;
        request.target
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};

    const ME: NodeId = NodeId(2);
    const LEADER: NodeId = NodeId(1);

    /// Three learners, of which the first leads, and three acceptors.
    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id <= 3, acceptor: id > 3, learner: false };
            (NodeId(id), Member { roles, disk: (id > 3).then(DiskId::default) })
        };
        Configuration::majority(ClusterId::default(), (1..=6).map(member).collect()).unwrap()
    }

    /// A learner that knows five slots and has heard of ten.
    fn behind() -> Catchup {
        let mut catchup = Catchup::new(&Timing::default());
        catchup.heard(Slot(10));
        catchup.heard(Slot(3));
        catchup.look(Instant(0), Slot(5), false);
        catchup
    }

    fn ask(catchup: &mut Catchup, leader: Option<NodeId>) -> (Instant, Target) {
        let at = catchup.request.expect("something is missing").due;
        let asked =
            |catchup: &mut Catchup, now| catchup.due(now, Slot(5), ME, leader, &configuration());
        assert_eq!(asked(catchup, Instant(at.0 - 1)), None, "not before it is time");
        (at, asked(catchup, at).expect("it is time"))
    }

    #[test]
    fn nothing_is_asked_for_while_nothing_is_missing() {
        let mut catchup = Catchup::new(&Timing::default());
        catchup.heard(Slot(5));
        catchup.look(Instant(0), Slot(5), false);
        assert_eq!(catchup.request, None);
        catchup.look(Instant(0), Slot(5), true);
        assert_eq!(catchup.deadline(), Some(Instant(0).plus(Timing::default().fetch_delay)));
        catchup.look(Instant(9), Slot(5), true);
        assert_eq!(catchup.deadline(), Some(Instant(0).plus(Timing::default().fetch_delay)));
        catchup.look(Instant(9), Slot(6), false);
        assert_eq!(catchup.request, None, "it has closed by itself");
    }

    #[test]
    fn the_leader_is_asked_first_and_then_everybody_in_turn() {
        let turns = |leader| -> Vec<Target> {
            let mut catchup = behind();
            (0..6).map(|_| ask(&mut catchup, leader).1).collect()
        };
        let (first, third) = (Target::Learner(LEADER), Target::Learner(NodeId(3)));
        let all = Target::Acceptors;
        assert_eq!(turns(Some(LEADER)), [first, all, third, all, first, all]);
        assert_eq!(turns(Some(ME)), turns(None), "not itself");
        assert_eq!(turns(Some(NodeId(3))), [third, all, third, all, first, all]);
    }

    #[test]
    fn pauses_between_questions_grow_up_to_a_bound() {
        let mut catchup = behind();
        let times: Vec<Instant> = (0..9).map(|_| ask(&mut catchup, None).0).collect();
        let pauses: Vec<u128> =
            times.windows(2).map(|pair| pair[1].since(pair[0]).as_millis()).collect();
        assert_eq!(pauses, [20, 40, 80, 160, 320, 500, 500, 500]);
    }

    #[test]
    fn who_is_far_behind_spares_the_leader() {
        let mut catchup = behind();
        catchup.heard(Slot(5).plus(FAR));
        let target = ask(&mut catchup, Some(LEADER)).1;
        assert_eq!(target, Target::Learner(LEADER), "not far enough");
        let mut catchup = behind();
        catchup.heard(Slot(6).plus(FAR));
        let target = ask(&mut catchup, Some(LEADER)).1;
        assert_eq!(target, Target::Learner(NodeId(3)));
        // Node 3 leads: the other one is asked, though it comes before us.
        let mut catchup = behind();
        catchup.heard(Slot(6).plus(FAR));
        assert_eq!(ask(&mut catchup, Some(NodeId(3))).1, Target::Learner(NodeId(1)));
    }

    #[test]
    fn an_answer_is_followed_by_the_next_question_to_the_same() {
        let mut catchup = behind();
        assert_eq!(catchup.progressed(Instant(1), Slot(6)), None, "nobody was asked");
        let mut catchup = behind();
        let (at, target) = ask(&mut catchup, Some(LEADER));
        assert_eq!(catchup.progressed(at, Slot(6)), None, "no answer");
        catchup.answered(Slot(4));
        assert_eq!(catchup.progressed(at, Slot(6)), None, "an answer to an older question");
        catchup.answered(Slot(5));
        assert_eq!(catchup.progressed(at, Slot(5)), None, "no progress");
        assert_eq!(catchup.progressed(at, Slot(7)), Some(target));
        assert_eq!(catchup.deadline(), Some(at.plus(Timing::default().fetch_delay)));
        catchup.answered(Slot(5));
        assert_eq!(catchup.progressed(at, Slot(8)), None, "it was asked for already");
        catchup.answered_all();
        assert_eq!(catchup.progressed(at, Slot(8)), Some(target));
    }

    #[test]
    fn without_a_leader_the_acceptors_are_asked_for_news_now_and_then() {
        let mut catchup = Catchup::new(&Timing::default());
        catchup.look(Instant(0), Slot(5), false);
        let step = |catchup: &mut Catchup, prefix, leader| {
            let at = catchup.deadline().expect("it watches");
            let target = catchup.due(at, Slot(prefix), ME, leader, &configuration());
            catchup.look(at, Slot(prefix), false);
            (at.0 / 1000, target)
        };
        let all = Some(Target::Acceptors);
        assert_eq!(step(&mut catchup, 5, Some(LEADER)), (500, None), "it would tell");
        assert_eq!(step(&mut catchup, 5, None), (1000, all));
        assert_eq!(step(&mut catchup, 5, None), (1500, None), "no news");
        assert_eq!(step(&mut catchup, 5, None), (2000, all));
        catchup.answered(Slot(5));
        assert_eq!(catchup.progressed(Instant(2_001_000), Slot(9)), all, "there is more");
        assert_eq!(step(&mut catchup, 9, None), (2500, None), "an answer may be on its way");
        assert_eq!(step(&mut catchup, 9, None), (2501, None), "no more");
        assert_eq!(step(&mut catchup, 9, None), (3000, all));
        catchup.rest();
        assert_eq!(catchup.deadline(), None, "a leader knows");
    }

    #[test]
    fn a_prefix_that_moves_by_itself_is_left_alone() {
        let mut catchup = behind();
        let at = catchup.request.expect("something is missing").due;
        assert_eq!(catchup.due(at, Slot(6), ME, Some(LEADER), &configuration()), None);
        assert_eq!(catchup.deadline(), Some(at.plus(Timing::default().fetch_delay)));
    }
}
