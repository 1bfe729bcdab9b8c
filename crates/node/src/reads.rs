//! Who waits to read, and for what. When a read is ready, the state of this very moment answers it,
//! or a later one.
//!
//! What each kind promises, at whatever node:
//!
//! - [`Consistency::Linearizable`]: everything chosen before the read began, here or elsewhere. How
//!   that is known is told in the protocol's `read.rs`.
//! - [`Consistency::Sequential`]: everything below a slot. A client that names one past the last
//!   slot it was told of reads its own writes, and never less than it has read already.
//! - [`Consistency::Stale`]: everything chosen up to `max_age` before the read began. It begins a
//!   linearizable read for itself if none that was answered here, or is under way, began that
//!   lately. So what has been confirmed once serves many reads for a while, without a message.
//!
//! The one clock that is compared is this node's own, and only with itself, for stale reads: a
//! clock that runs slow makes them older by as much. No promise of the other two needs a clock.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use paxos::{Config, Instant, NodeId, ReadId, ReadRefusal, Slot};

use crate::machine::StateMachine;
use crate::node::{Effects, Ticket};

/// A read, and who wants to know when it may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Read {
    /// Comes back in the answer. Not used twice.
    pub ticket: Ticket,
    /// How much it must show.
    pub consistency: Consistency,
}

/// How much a read must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consistency {
    /// Everything chosen before it began.
    Linearizable,
    /// Every slot below.
    Sequential {
        /// One past the last slot that the reader knows of.
        at_least: Slot,
    },
    /// Everything chosen so long before it began, by this node's clock.
    Stale {
        /// How old the answer may be.
        max_age: Duration,
    },
}

/// Whether a read may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadReply {
    /// Yes: from the machine as it is now or later.
    Ready {
        /// One past the last slot that it has applied.
        applied: Slot,
    },
    /// No: this node keeps no history.
    NotLearning,
    /// No: too many reads wait here.
    Busy,
    /// No: what it needs could not be had within its patience.
    TimedOut {
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
}

/// The reads that wait at one node in one life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reads {
    learns: bool,
    patience: Duration,
    waiting_max: usize,
    waiting: usize,
    /// The replica's reads under way; later ones have larger ids.
    under_way: BTreeMap<ReadId, Shared>,
    /// Sequential reads by what they wait for, and the same by when they give up.
    by_slot: BTreeSet<(Slot, Ticket, Instant)>,
    by_end: BTreeSet<(Instant, Ticket, Slot)>,
    last: ReadId,
    /// What is applied holds everything that was chosen before then.
    fresh: Option<Instant>,
}

/// One read of the replica's, for all that began together and those that may be as old.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shared {
    began: Instant,
    tickets: Vec<Ticket>,
}

impl Reads {
    pub(crate) fn new(config: &Config) -> Reads {
        Reads {
            learns: config.configuration.roles(config.node).learns(),
            patience: config.timing.read_patience,
            waiting_max: config.limits.reads_max,
            waiting: 0,
            under_way: BTreeMap::new(),
            by_slot: BTreeSet::new(),
            by_end: BTreeSet::new(),
            last: ReadId(0),
            fresh: None,
        }
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// When [`Reads::answer`] wants to be called, if not before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.by_end.first().map(|(end, ..)| *end)
    }

    /// Reads begin. Answers those that need not wait, and gives back what to ask of the replica.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        applied: Slot,
        reads: Vec<Read>,
        replies: &mut Vec<(Ticket, ReadReply)>,
    ) -> Vec<ReadId> {
        let mut tickets = Vec::new();
        for Read { ticket, consistency } in reads {
            if !self.learns {
                replies.push((ticket, ReadReply::NotLearning));
            } else if self.is_ready(now, applied, consistency) {
                replies.push((ticket, ReadReply::Ready { applied }));
            } else if self.waiting == self.waiting_max {
                replies.push((ticket, ReadReply::Busy));
            } else {
                self.waiting += 1;
                self.wait(now, ticket, consistency, &mut tickets);
            }
        }
        if tickets.is_empty() {
            return Vec::new();
        }
        self.last.0 += 1;
        self.under_way.insert(self.last, Shared { began: now, tickets });
        [self.last].into()
    }

    fn is_ready(&self, now: Instant, applied: Slot, consistency: Consistency) -> bool {
        match consistency {
            Consistency::Linearizable => false,
            Consistency::Sequential { at_least } => applied >= at_least,
            Consistency::Stale { max_age } => {
                self.fresh.is_some_and(|fresh| now.since(fresh) <= max_age)
            }
        }
    }

    /// Notes who waits; those who need a new read of the replica go to `tickets`.
    fn wait(
        &mut self,
        now: Instant,
        ticket: Ticket,
        consistency: Consistency,
        tickets: &mut Vec<Ticket>,
    ) {
        match consistency {
            Consistency::Linearizable => tickets.push(ticket),
            Consistency::Sequential { at_least } => {
                let end = now.plus(self.patience);
                self.by_slot.insert((at_least, ticket, end));
                self.by_end.insert((end, ticket, at_least));
            }
            Consistency::Stale { max_age } => {
                let latest = self.under_way.values_mut().next_back();
                match latest.filter(|shared| now.since(shared.began) <= max_age) {
                    Some(shared) => shared.tickets.push(ticket),
                    None => tickets.push(ticket),
                }
            }
        }
    }

    /// Answers what the replica has answered, what has been applied for, and what is late.
    pub(crate) fn answer<M: StateMachine>(
        &mut self,
        now: Instant,
        applied: Slot,
        leader: Option<NodeId>,
        effects: &mut Effects<M>,
    ) {
        let Effects { replica, reads: replies, .. } = effects;
        for (id, index) in replica.readable.drain(..) {
            assert!(index <= applied, "what was handed out is applied before it is read");
            if let Some(Shared { began, tickets }) = self.under_way.remove(&id) {
                self.waiting -= tickets.len();
                self.fresh = self.fresh.max(Some(began));
                let ready = |ticket| (ticket, ReadReply::Ready { applied });
                replies.extend(tickets.into_iter().map(ready));
            }
        }
        for (id, why) in replica.unreadable.drain(..) {
            let reply = match why {
                ReadRefusal::NotLearning => ReadReply::NotLearning,
                ReadRefusal::TooMany => ReadReply::Busy,
                ReadRefusal::TimedOut { leader } => ReadReply::TimedOut { leader },
            };
            if let Some(Shared { tickets, .. }) = self.under_way.remove(&id) {
                self.waiting -= tickets.len();
                replies.extend(tickets.into_iter().map(|ticket| (ticket, reply)));
            }
        }
        while let Some(first) = self.by_slot.first().copied().filter(|first| first.0 <= applied) {
            self.forget(first);
            replies.push((first.1, ReadReply::Ready { applied }));
        }
        while let Some(first) = self.by_end.first().copied().filter(|first| first.0 <= now) {
            self.forget((first.2, first.1, first.0));
            replies.push((first.1, ReadReply::TimedOut { leader }));
        }
    }

    fn forget(&mut self, sequential: (Slot, Ticket, Instant)) {
        let (slot, ticket, end) = sequential;
        self.by_slot.remove(&sequential);
        self.by_end.remove(&(end, ticket, slot));
        self.waiting -= 1;
    }
}

#[cfg(test)]
mod tests;
