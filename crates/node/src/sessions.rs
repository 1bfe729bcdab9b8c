//! Exactly once: which sessions there are, and which of their requests have been applied.
//!
//! A session is named by the slot in which it was opened, so a name is never used twice, and one
//! that is not in the table was never opened or is gone for good. Nothing can take it for a new
//! one.
//!
//! The table is part of the replicated state: it changes only when a request is applied, from
//! what stands in the request and nothing else, so it is the same on every node at the same slot.
//! That includes time: the log's time is the highest stamp applied so far, and a session that was
//! not used for its lifetime of it is gone. A retry after a lost leader may be chosen in a second
//! slot; it is found here and skipped.
//!
//! Source: Ongaro, "Consensus: Bridging Theory and Practice", section 6.3; forgetting by
//! acknowledgement after Lee et al., "Implementing Linearizability at Large Scale and Low Latency"
//! (RIFL), SOSP 2015.

mod bytes;

use alloc::collections::{BTreeMap, BTreeSet};
use core::ops::RangeInclusive;

use paxos::Slot;

use crate::node::Reply;
use crate::request::{Kind, Request};

pub use bytes::SessionsError;

/// Sessions that are remembered. The one that was idle for longest makes room for a new one.
pub const SESSIONS_MAX: usize = 1 << 16;

/// Answers that are remembered for one session: how far `sequence` may run ahead of
/// `first_unanswered`.
pub const SESSION_WINDOW: u64 = 1 << 16;

/// The shortest and the longest lifetime of a session, in microseconds of the log's time: a second
/// and a week. What a client asks for is brought within.
pub const SESSION_LIFETIME_US: RangeInclusive<u64> = 1_000_000..=7 * 24 * 3600 * 1_000_000;

/// Answers that are remembered for all sessions together.
const ANSWERS_MAX: usize = 1 << 20;

/// The answers that clients may still ask for again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sessions<O> {
    /// The log's time: the highest stamp that was applied.
    time_us: u64,
    by_slot: BTreeMap<Slot, Session<O>>,
    /// The same sessions by the slot of their last request.
    by_use: BTreeMap<Slot, Slot>,
    /// The same by the last moment at which they live, if nothing more is heard of them.
    by_end: BTreeSet<(u64, Slot)>,
    answers: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session<O> {
    lifetime_us: u64,
    /// Its last request: where, and the log's time there.
    used: Slot,
    used_us: u64,
    first_unanswered: u64,
    /// Sequences at and above `first_unanswered` that were applied.
    done: BTreeMap<u64, (Slot, O)>,
}

/// Why a request is not applied, and never will be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// The client has said that this sequence is answered.
    Answered,
    /// The sequence is [`SESSION_WINDOW`] or more above the session's first unanswered one.
    Window,
    /// The session is gone: it was not used for its lifetime, made room for others, or was closed.
    /// Whether its unanswered requests were applied before is no longer known here; from now on
    /// none of them will be.
    Expired,
}

impl<O> Default for Sessions<O> {
    fn default() -> Sessions<O> {
        Sessions {
            time_us: 0,
            by_slot: BTreeMap::new(),
            by_use: BTreeMap::new(),
            by_end: BTreeSet::new(),
            answers: 0,
        }
    }
}

impl<O: Clone> Sessions<O> {
    /// The log's time: the highest stamp that was applied, in microseconds.
    pub fn time_us(&self) -> u64 {
        self.time_us
    }

    /// How many sessions there are.
    pub fn count(&self) -> usize {
        self.by_slot.len()
    }

    /// The answer to a request, if it is known before the request has a place. Everything below
    /// `applied` is in this table; a session above may only be unknown *yet*, as to a node that has
    /// just started, and the place decides.
    pub(crate) fn look(&self, request: &Request, applied: Slot) -> Option<Reply<O>> {
        let id = match request.kind() {
            Kind::Open { .. } => return None,
            Kind::Append { session, .. }
            | Kind::KeepAlive { session }
            | Kind::Close { session } => session,
        };
        let Some(session) = self.by_slot.get(&id) else {
            return (id < applied).then_some(Reply::Refused(Refused::Expired));
        };
        match request.kind() {
            Kind::Append { sequence, first_unanswered, .. } => {
                session.look(sequence, first_unanswered)
            }
            _ => None,
        }
    }

    /// Applies a request in its place; `apply` gives the value to the machine, and is called only
    /// for an append that is new.
    pub(crate) fn apply(
        &mut self,
        slot: Slot,
        request: &Request,
        apply: impl FnOnce() -> O,
    ) -> Reply<O> {
        self.time_us = self.time_us.max(request.stamp_us());
        self.expire();
        let reply = match request.kind() {
            Kind::Open { lifetime_us, .. } => {
                self.open(slot, lifetime_us);
                Reply::Opened { session: slot }
            }
            Kind::Append { session, sequence, first_unanswered } => {
                match self.touch(slot, session) {
                    None => Reply::Refused(Refused::Expired),
                    Some(session) => {
                        let before = session.done.len();
                        let reply = session.append(slot, sequence, first_unanswered, apply);
                        let after = session.done.len();
                        self.answers = self.answers - before + after;
                        reply
                    }
                }
            }
            Kind::KeepAlive { session } => match self.touch(slot, session) {
                None => Reply::Refused(Refused::Expired),
                Some(_) => Reply::Kept { slot },
            },
            Kind::Close { session } => match self.remove(session) {
                None => Reply::Refused(Refused::Expired),
                Some(_) => Reply::Closed { slot },
            },
        };
        self.make_room();
        reply
    }

    fn open(&mut self, slot: Slot, lifetime_us: u64) {
        let (shortest, longest) = SESSION_LIFETIME_US.into_inner();
        let session = Session {
            lifetime_us: lifetime_us.clamp(shortest, longest),
            used: slot,
            used_us: self.time_us,
            first_unanswered: 1,
            done: BTreeMap::new(),
        };
        self.insert(slot, session);
    }

    fn insert(&mut self, id: Slot, session: Session<O>) {
        self.by_use.insert(session.used, id);
        self.by_end.insert((session.end_us(), id));
        self.answers += session.done.len();
        let before = self.by_slot.insert(id, session);
        assert!(before.is_none(), "a slot opens one session");
    }

    /// The session is used in this slot, if it is there.
    fn touch(&mut self, slot: Slot, id: Slot) -> Option<&mut Session<O>> {
        let session = self.by_slot.get_mut(&id)?;
        self.by_use.remove(&session.used);
        self.by_end.remove(&(session.end_us(), id));
        (session.used, session.used_us) = (slot, self.time_us);
        self.by_use.insert(slot, id);
        self.by_end.insert((session.end_us(), id));
        Some(session)
    }

    fn remove(&mut self, id: Slot) -> Option<Session<O>> {
        let session = self.by_slot.remove(&id)?;
        self.by_use.remove(&session.used);
        self.by_end.remove(&(session.end_us(), id));
        self.answers -= session.done.len();
        Some(session)
    }

    /// Whose time has passed is gone.
    fn expire(&mut self) {
        while let Some((end_us, id)) = self.by_end.first().copied()
            && end_us < self.time_us
        {
            self.remove(id);
        }
    }

    /// Who was idle for longest makes room for the others.
    fn make_room(&mut self) {
        while self.by_slot.len() > SESSIONS_MAX || self.answers > ANSWERS_MAX {
            let (_, id) = self.by_use.first_key_value().expect("too many are not none");
            self.remove(*id);
        }
    }
}

impl<O: Clone> Session<O> {
    /// The last moment of the log's time at which it lives, if it is not used again.
    fn end_us(&self) -> u64 {
        self.used_us.saturating_add(self.lifetime_us)
    }

    /// The answer to an append, unless it is new.
    fn look(&self, sequence: u64, first_unanswered: u64) -> Option<Reply<O>> {
        if sequence < self.first_unanswered {
            return Some(Reply::Refused(Refused::Answered));
        }
        if let Some((slot, output)) = self.done.get(&sequence) {
            return Some(Reply::Done { slot: *slot, output: output.clone() });
        }
        let is_beyond = sequence - first_unanswered >= SESSION_WINDOW;
        is_beyond.then_some(Reply::Refused(Refused::Window))
    }

    fn append(
        &mut self,
        slot: Slot,
        sequence: u64,
        first_unanswered: u64,
        apply: impl FnOnce() -> O,
    ) -> Reply<O> {
        self.first_unanswered = self.first_unanswered.max(first_unanswered);
        while let Some(oldest) = self.done.first_entry()
            && *oldest.key() < self.first_unanswered
        {
            oldest.remove();
        }
        if let Some(reply) = self.look(sequence, first_unanswered) {
            return reply;
        }
        let output = apply();
        self.done.insert(sequence, (slot, output.clone()));
        Reply::Done { slot, output }
    }
}

#[cfg(test)]
mod tests;
