//! Exactly once: which requests have been applied, by client and sequence.
//!
//! The table is part of the replicated state: it changes only when a request is applied, from
//! what stands in the request and nothing else, so it is the same on every node at the same slot.
//! A retry after a lost leader may be chosen in a second slot; it is found here and skipped.
//!
//! Source: Ongaro, "Consensus: Bridging Theory and Practice", section 6.3; forgetting by
//! acknowledgement after Lee et al., "Implementing Linearizability at Large Scale and Low Latency"
//! (RIFL), SOSP 2015.

use alloc::collections::BTreeMap;

use paxos::Slot;

use crate::request::{ClientId, Request};

/// Clients that are remembered. The one whose last request is oldest, in slots, is forgotten first.
///
/// A forgotten client that asks again before its first answer cannot be told from a new one, and
/// its request is applied a second time: a retry must not wait for so many other clients.
pub const SESSIONS_MAX: usize = 1 << 16;

/// Answers that are remembered for one client: how far `sequence` may run ahead of
/// `first_unanswered`.
pub const SESSION_WINDOW: u64 = 1 << 16;

/// Answers that are remembered for all clients together.
const ANSWERS_MAX: usize = 1 << 20;

/// The answers that clients may still ask for again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sessions<O> {
    by_client: BTreeMap<ClientId, Session<O>>,
    /// The same clients by the slot of their last request.
    by_age: BTreeMap<Slot, ClientId>,
    answers: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session<O> {
    first_unanswered: u64,
    /// Sequences at and above `first_unanswered` that were applied.
    done: BTreeMap<u64, (Slot, O)>,
    last: Slot,
}

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known<O> {
    /// It has not been applied.
    No,
    /// It was applied there.
    Done(Slot, O),
    /// It has not been applied, and will not be under this sequence.
    Refused(Refused),
}

/// Why a request is never applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refused {
    /// The client has said that this sequence is answered.
    Answered,
    /// The sequence is [`SESSION_WINDOW`] or more above the client's first unanswered one.
    Window,
    /// The client was forgotten: [`SESSIONS_MAX`] others have come since. Whether its unanswered
    /// requests were applied is no longer known here.
    Expired,
}

impl<O: Clone> Sessions<O> {
    pub(crate) fn new() -> Sessions<O> {
        Sessions { by_client: BTreeMap::new(), by_age: BTreeMap::new(), answers: 0 }
    }

    /// What is known of a request now.
    pub(crate) fn look(&self, request: &Request) -> Known<O> {
        let Some(session) = self.by_client.get(&request.client) else {
            let is_new = request.first_unanswered == 1;
            return if is_new { window(request) } else { Known::Refused(Refused::Expired) };
        };
        if request.sequence < session.first_unanswered {
            return Known::Refused(Refused::Answered);
        }
        match session.done.get(&request.sequence) {
            Some((slot, output)) => Known::Done(*slot, output.clone()),
            None => window(request),
        }
    }

    /// Applies a request by `apply` if it is new, and remembers the answer.
    pub(crate) fn apply_once(
        &mut self,
        slot: Slot,
        request: &Request,
        apply: impl FnOnce() -> O,
    ) -> Known<O> {
        let known = self.look(request);
        if !matches!(known, Known::No) {
            return known;
        }
        let output = apply();
        let fresh = || Session { first_unanswered: 1, done: BTreeMap::new(), last: slot };
        let session = self.by_client.entry(request.client).or_insert_with(fresh);
        self.by_age.remove(&session.last);
        self.by_age.insert(slot, request.client);
        session.last = slot;
        session.first_unanswered = session.first_unanswered.max(request.first_unanswered);
        let before = session.done.len();
        session.done = session.done.split_off(&session.first_unanswered);
        session.done.insert(request.sequence, (slot, output.clone()));
        self.answers = self.answers - before + session.done.len();
        self.forget_oldest();
        Known::Done(slot, output)
    }

    fn forget_oldest(&mut self) {
        while self.by_client.len() > SESSIONS_MAX || self.answers > ANSWERS_MAX {
            let Some((_, client)) = self.by_age.pop_first() else {
                return;
            };
            let forgotten = self.by_client.remove(&client);
            self.answers -= forgotten.map_or(0, |session| session.done.len());
        }
    }
}

fn window<O>(request: &Request) -> Known<O> {
    if request.sequence - request.first_unanswered < SESSION_WINDOW {
        Known::No
    } else {
        Known::Refused(Refused::Window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(client: u8, sequence: u64, first_unanswered: u64) -> Request {
        Request::new(ClientId([client; 16]), sequence, first_unanswered, b"v").unwrap()
    }

    fn apply(sessions: &mut Sessions<u64>, slot: u64, request: &Request) -> Known<u64> {
        sessions.apply_once(Slot(slot), request, || slot * 10)
    }

    #[test]
    fn a_repeat_is_answered_and_not_applied() {
        let mut sessions = Sessions::new();
        assert_eq!(apply(&mut sessions, 3, &request(1, 1, 1)), Known::Done(Slot(3), 30));
        assert_eq!(apply(&mut sessions, 4, &request(1, 1, 1)), Known::Done(Slot(3), 30));
        assert_eq!(apply(&mut sessions, 5, &request(2, 1, 1)), Known::Done(Slot(5), 50));
    }

    #[test]
    fn requests_of_a_pipeline_may_be_applied_out_of_order() {
        let mut sessions = Sessions::new();
        for (slot, sequence) in [(1, 2), (2, 1), (3, 3)] {
            let answer = apply(&mut sessions, slot, &request(1, sequence, 1));
            assert_eq!(answer, Known::Done(Slot(slot), slot * 10));
        }
        assert_eq!(sessions.look(&request(1, 1, 1)), Known::Done(Slot(2), 20));
    }

    #[test]
    fn what_the_client_has_seen_is_forgotten_and_never_applied_again() {
        let mut sessions = Sessions::new();
        for sequence in 1..=10 {
            apply(&mut sessions, sequence, &request(1, sequence, sequence.max(3) - 2));
        }
        assert_eq!(sessions.answers, 3);
        let late = request(1, 2, 1);
        assert_eq!(apply(&mut sessions, 99, &late), Known::Refused(Refused::Answered));
    }

    #[test]
    fn a_client_cannot_run_ahead_of_its_window() {
        let mut sessions: Sessions<u64> = Sessions::new();
        let far = request(1, SESSION_WINDOW + 1, 1);
        assert_eq!(apply(&mut sessions, 1, &far), Known::Refused(Refused::Window));
        assert_eq!(
            apply(&mut sessions, 1, &request(1, SESSION_WINDOW, 1)),
            Known::Done(Slot(1), 10)
        );
    }

    #[test]
    fn a_forgotten_client_is_told_so() {
        let mut sessions = Sessions::new();
        for client in 0..=SESSIONS_MAX as u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&client.to_le_bytes());
            let request = Request::new(ClientId(id), 1, 1, b"").unwrap();
            apply(&mut sessions, client, &request);
        }
        assert_eq!(sessions.by_client.len(), SESSIONS_MAX);
        assert_eq!(sessions.by_age.len(), SESSIONS_MAX);
        let old = Request::new(ClientId([0; 16]), 3, 2, b"").unwrap();
        assert_eq!(sessions.look(&old), Known::Refused(Refused::Expired));
    }

    /// The only request of one of many clients.
    fn first_of(client: usize) -> Request {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(client as u64).to_le_bytes());
        Request::new(ClientId(id), 1, 1, b"").unwrap()
    }

    #[test]
    fn the_client_whose_last_request_is_oldest_is_forgotten_first() {
        let mut sessions = Sessions::new();
        for client in 0..SESSIONS_MAX {
            apply(&mut sessions, client as u64, &first_of(client));
        }
        let again = Request::new(first_of(0).client, 2, 1, b"").unwrap();
        apply(&mut sessions, 1 << 20, &again);
        apply(&mut sessions, 1 << 21, &first_of(SESSIONS_MAX));
        assert_eq!(sessions.look(&again), Known::Done(Slot(1 << 20), 10 << 20));
        assert_eq!(sessions.look(&first_of(1)), Known::No, "as if it had never been");
        assert_eq!(sessions.look(&first_of(2)), Known::Done(Slot(2), 20));
    }

    #[test]
    fn answers_are_bounded_for_all_clients_together() {
        let mut sessions = Sessions::new();
        let clients = ANSWERS_MAX as u64 / SESSION_WINDOW;
        let of = |client, sequence| request(u8::try_from(client).unwrap(), sequence, 1);
        for slot in 0..ANSWERS_MAX as u64 {
            apply(&mut sessions, slot, &of(slot % clients, slot / clients + 1));
        }
        assert_eq!(sessions.answers, ANSWERS_MAX);
        assert_eq!(sessions.by_client.len() as u64, clients);
        apply(&mut sessions, 1 << 30, &of(clients, 1));
        assert_eq!(sessions.look(&of(0, 1)), Known::No, "the oldest is forgotten as a whole");
        assert_eq!(sessions.look(&of(1, 1)), Known::Done(Slot(1), 10));
        assert_eq!(sessions.answers, ANSWERS_MAX - ANSWERS_MAX / 16 + 1);
    }
}
