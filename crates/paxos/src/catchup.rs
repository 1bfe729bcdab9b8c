//! Fetching what was missed. Liveness only: what is fetched is believed by the learner's rules.
//!
//! A learner with a hole waits a little, for messages overtake each other, then asks: the leader
//! first, then other learners and all acceptors in turn. Acceptors answer with votes, so a learner
//! can follow even where it reaches no other learner.

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Request {
    /// The prefix when it was last looked at; if it has moved since, nothing is stuck.
    prefix: Slot,
    due: Instant,
    attempts: u32,
    target: Option<Target>,
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

impl Catchup {
    /// Nothing is known to be missing.
    pub fn new(timing: &Timing) -> Catchup {
        let (delay, pause_max) = (timing.fetch_delay, timing.resend_max);
        Catchup { delay, pause_max, known: Slot::FIRST, request: None }
    }

    /// Somebody knows every slot below to be chosen.
    pub fn heard(&mut self, chosen: Slot) {
        self.known = self.known.max(chosen);
    }

    /// When [`Catchup::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        self.request.map(|request| request.due)
    }

    /// Looks after the learner: starts, keeps or ends a request. `has_hole` tells whether
    /// something above the prefix is known to be chosen.
    pub fn look(&mut self, now: Instant, prefix: Slot, has_hole: bool) {
        if self.known <= prefix && !has_hole {
            self.request = None;
        } else if self.request.is_none() {
            let due = now.plus(self.delay);
            self.request = Some(Request { prefix, due, attempts: 0, target: None });
        }
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
        let request = self.request.as_mut().filter(|request| request.due <= now)?;
        if request.prefix < prefix {
            // It moves without our asking.
            *request = Request { prefix, due: now.plus(self.delay), attempts: 0, target: None };
            return None;
        }
        let turn = usize::try_from(request.attempts).expect("a few attempts");
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
        request.due = now.plus(pause);
        request.target = Some(target);
        Some(target)
    }

    /// An answer moved the prefix. If there is more to get, ask the same again at once.
    pub fn progressed(&mut self, now: Instant, prefix: Slot) -> Option<Target> {
        let request = self.request.as_mut()?;
        if request.prefix >= prefix {
            return None;
        }
        request.prefix = prefix;
        request.due = now.plus(self.delay);
        request.attempts = 0;
        request.target
    }
}
