//! Who waits for which request. Local to one node and one life; nothing of it is replicated.

use alloc::collections::BTreeMap;

use crate::node::Ticket;
use crate::request::{ClientId, Request};

/// Tickets by request. Never more than the protocol's own queue and window hold, for each belongs
/// to a request that was proposed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Waiters {
    by_request: BTreeMap<(ClientId, u64), Ticket>,
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

    pub(crate) fn len(&self) -> usize {
        self.by_request.len()
    }
}

fn key(request: &Request) -> (ClientId, u64) {
    (request.client, request.sequence)
}
