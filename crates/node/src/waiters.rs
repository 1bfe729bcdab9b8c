//! Who waits for which request. Local to one node and one life; nothing of it is replicated.

use alloc::collections::BTreeMap;

use paxos::Slot;

use crate::node::Ticket;
use crate::request::{Kind, Nonce, Request};

/// Tickets by request. Never more than the protocol's own queue and window hold, for each belongs
/// to a request that was proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Waiters {
    by_request: BTreeMap<Key, Ticket>,
}

/// What all copies of a request share, whoever stamped them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Open(Nonce),
    Append(Slot, u64),
    KeepAlive(Slot),
    Close(Slot),
}

impl Waiters {
    /// Notes who waits; gives back who waited for the same request before.
    pub(crate) fn wait(&mut self, request: &Request, ticket: Ticket) -> Option<Ticket> {
        self.by_request.insert(key(request), ticket)
    }

    /// Who waits for the request, no longer.
    pub(crate) fn take(&mut self, request: &Request) -> Option<Ticket> {
        self.by_request.remove(&key(request))
    }

    /// Everybody who waits, no longer.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Ticket> {
        core::mem::take(&mut self.by_request).into_values()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_request.len()
    }
}

fn key(request: &Request) -> Key {
    match request.kind() {
        Kind::Open { nonce, .. } => Key::Open(nonce),
        Kind::Append { session, sequence, .. } => Key::Append(session, sequence),
        Kind::KeepAlive { session } => Key::KeepAlive(session),
        Kind::Close { session } => Key::Close(session),
    }
}
