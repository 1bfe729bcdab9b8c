//! Both halves of handing leadership over on purpose. Liveness only: a Prepare that nobody had to
//! wait for is a Prepare like any other, and acceptors take it so.
//!
//! ```text
//!   leader    looks ----------> drains ------------> told --------------> follows
//!             who could lead?   new values wait,     "prepare now"        or, if nobody took over,
//!                               old ones finish                           goes on
//!   the next  asks acceptors -> willing -----------------------> prepares
//! ```
//!
//! Nobody is disturbed while the leader looks: an offer changes nothing, and who answers it has
//! just heard a phase-1 quorum of acceptors, so one that is cut off is never told to lead. From
//! then on each step has an end of its own, after which the leader goes on.
//!
//! A message of this kind may be lost, repeated or come years later. It counts only for the ballot
//! that is led and followed, and each offer is good for one campaign, for a while after its answer.
//!
//! Source: Ongaro, "Consensus: Bridging Theory and Practice", section 3.10. Differs from it: the
//! target is asked first, for here the leader hears nothing from standbys and does not know whether
//! they reach the acceptors.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::mem;
use core::time::Duration;

use crate::ballot::{Ballot, NodeId, Slot};
use crate::config::Timing;
use crate::quorum::{Configuration, Phase1, Voters};
use crate::time::Instant;

/// Names one wish to hand over. Not used twice in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandOverId(pub u64);

/// Why this node did not hand over. It leads on, if it led.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HandOverRefusal {
    /// It does not lead, or does not any more, and has heard of nobody who leads since.
    NotLeading {
        /// The leader that is followed.
        leader: Option<NodeId>,
    },
    /// It is at it already.
    UnderWay,
    /// This node may not lead.
    NoLeader {
        /// Who was named.
        node: NodeId,
    },
    /// Nobody who was asked could lead: not heard, behind, or cut off from a phase-1 quorum.
    NobodyReady,
    /// It was told to lead and was not heard to.
    NotTaken {
        /// Who.
        to: NodeId,
    },
}

/// A leader's half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Handover {
    patience: Duration,
    repeat: Duration,
    /// The last offer's number.
    number: u64,
    wish: Option<Wish>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    id: HandOverId,
    ballot: Ballot,
    stage: Stage,
    /// The stage ends then, whatever comes.
    until: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Stage {
    /// Whoever knows less than `least` is behind.
    Looking {
        among: Vec<NodeId>,
        willing: BTreeMap<NodeId, Slot>,
        least: Slot,
        again: Instant,
    },
    Draining {
        to: NodeId,
    },
    Told {
        to: NodeId,
        again: Instant,
    },
}

/// What a leader is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Offer this number of this ballot to each.
    Offer(Ballot, u64, Vec<NodeId>),
    /// Tell it to lead.
    Tell(Ballot, u64, NodeId),
    /// It came to nothing.
    Over(HandOverId, Ballot, HandOverRefusal),
}

impl Handover {
    /// Nothing is to be handed over.
    pub fn new(timing: &Timing) -> Handover {
        let (patience, repeat) = (timing.election_timeout, timing.resend_min);
        Handover { patience, repeat, number: 0, wish: None }
    }

    /// Begins, unless it is under way. `chosen` is what the leader knows.
    pub fn begin(
        &mut self,
        id: HandOverId,
        ballot: Ballot,
        among: Vec<NodeId>,
        chosen: Slot,
        now: Instant,
    ) -> Result<(), HandOverRefusal> {
        if self.wish.is_some() {
            return Err(HandOverRefusal::UnderWay);
        }
        if among.is_empty() {
            return Err(HandOverRefusal::NobodyReady);
        }
        self.number += 1;
        let stage = Stage::Looking { among, willing: BTreeMap::new(), least: chosen, again: now };
        self.wish = Some(Wish { id, ballot, stage, until: now.plus(self.patience) });
        Ok(())
    }

    /// Whether clients' values wait, and higher ballots are let pass.
    pub fn holds_back(&self) -> bool {
        let stage = self.wish.as_ref().map(|wish| &wish.stage);
        matches!(stage, Some(Stage::Draining { .. } | Stage::Told { .. }))
    }

    /// When [`Handover::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        let wish = self.wish.as_ref()?;
        Some(match &wish.stage {
            Stage::Looking { again, .. } | Stage::Told { again, .. } => wish.until.min(*again),
            Stage::Draining { .. } => wish.until,
        })
    }

    /// Somebody could lead. True if it was asked now, and knows enough.
    pub fn willing(&mut self, node: NodeId, ballot: Ballot, number: u64, chosen: Slot) -> bool {
        let offer = (ballot, number);
        let Some(Wish { ballot, stage: Stage::Looking { among, willing, least, .. }, .. }) =
            &mut self.wish
        else {
            return false;
        };
        let counts = offer == (*ballot, self.number) && among.contains(&node) && chosen >= *least;
        if counts {
            willing.insert(node, chosen);
        }
        counts
    }

    /// Picks one of those that could lead, once all have answered or were given the time to. From
    /// here on clients wait.
    pub fn pick(&mut self, now: Instant) -> Option<NodeId> {
        let wish = self.wish.as_mut()?;
        let Stage::Looking { among, willing, again, .. } = &wish.stage else { return None };
        if willing.len() < among.len() && *again > now {
            return None;
        }
        // The furthest has the least to catch up with; of equals, the first among the leaders.
        let (to, _) = willing.iter().max_by_key(|(node, chosen)| (**chosen, Reverse(**node)))?;
        let to = *to;
        wish.stage = Stage::Draining { to };
        wish.until = now.plus(self.patience / 2);
        Some(to)
    }

    /// Nothing is in flight any more, or nobody waits for that any longer.
    pub fn drained(&mut self, is_drained: bool, now: Instant) {
        if let Some(wish) = &mut self.wish
            && let Stage::Draining { to } = wish.stage
            && (is_drained || wish.until <= now)
        {
            wish.stage = Stage::Told { to, again: now };
            wish.until = now.plus(self.patience);
        }
    }

    /// What is due by now, one thing at a time.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        let wish = self.wish.as_mut()?;
        let (id, ballot, next) = (wish.id, wish.ballot, now.plus(self.repeat));
        if wish.until <= now {
            let why = match wish.stage {
                Stage::Looking { .. } => HandOverRefusal::NobodyReady,
                Stage::Told { to, .. } => HandOverRefusal::NotTaken { to },
                Stage::Draining { .. } => return None,
            };
            self.wish = None;
            return Some(Due::Over(id, ballot, why));
        }
        match &mut wish.stage {
            Stage::Looking { among, again, .. } if *again <= now => {
                *again = next;
                Some(Due::Offer(ballot, self.number, among.clone()))
            }
            Stage::Told { to, again } if *again <= now => {
                *again = next;
                Some(Due::Tell(ballot, self.number, *to))
            }
            Stage::Looking { .. } | Stage::Draining { .. } | Stage::Told { .. } => None,
        }
    }

    /// A leader was heard: if its ballot is higher, it has taken over, whoever it is.
    pub fn heard(&mut self, ballot: Ballot) -> Option<HandOverId> {
        let is_over = self.wish.as_ref().is_some_and(|wish| ballot > wish.ballot);
        if is_over { mem::take(&mut self.wish).map(|wish| wish.id) } else { None }
    }
}

/// A would-be leader's half: the last offer that it heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Standby {
    offer: Option<Offered>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Offered {
    ballot: Ballot,
    number: u64,
    state: OfferState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum OfferState {
    /// Asks acceptors whether they hear it; nothing else of their answers is of interest.
    Asking { probe: u64, reached: Voters<Phase1> },
    /// May be told to lead, until then.
    Willing { until: Instant },
    /// Was told.
    Spent,
}

impl Standby {
    /// The leader that it follows makes an offer. The probe to ask acceptors with: a new one that
    /// `fresh` names, or the one that is under way. None if the offer is an old one.
    pub fn offered(
        &mut self,
        ballot: Ballot,
        number: u64,
        fresh: impl FnOnce() -> u64,
    ) -> Option<(u64, Voters<Phase1>)> {
        if let Some(last) = self.offer.filter(|last| last.ballot == ballot) {
            if number < last.number {
                return None;
            }
            if number == last.number {
                match last.state {
                    OfferState::Asking { probe, reached } => return Some((probe, reached)),
                    OfferState::Spent => return None,
                    // Its answer was lost, and may be out of date.
                    OfferState::Willing { .. } => {}
                }
            }
        }
        let (probe, reached) = (fresh(), Voters::default());
        self.offer = Some(Offered { ballot, number, state: OfferState::Asking { probe, reached } });
        Some((probe, reached))
    }

    /// An acceptor answered a probe. The ballot and number of the offer that may be accepted now.
    pub fn probed(
        &mut self,
        configuration: &Configuration,
        acceptor: NodeId,
        id: u64,
        until: Instant,
    ) -> Option<(Ballot, u64)> {
        let offer = self.offer.as_mut()?;
        let OfferState::Asking { probe, reached } = &mut offer.state else { return None };
        if *probe != id {
            return None;
        }
        configuration.count(reached, acceptor);
        if !configuration.is_quorum(*reached) {
            return None;
        }
        offer.state = OfferState::Willing { until };
        Some((offer.ballot, offer.number))
    }

    /// The leader that it follows tells it to lead. True once an offer.
    pub fn told(&mut self, ballot: Ballot, number: u64, now: Instant) -> bool {
        let Some(offer) = self.offer.as_mut() else { return false };
        let is_its = (offer.ballot, offer.number) == (ballot, number);
        let is_willing = matches!(offer.state, OfferState::Willing { until } if now <= until);
        if is_its && is_willing {
            offer.state = OfferState::Spent;
        }
        is_its && is_willing
    }
}

#[cfg(test)]
mod tests;
