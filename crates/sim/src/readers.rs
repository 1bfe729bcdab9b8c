//! Clients that read: of whom, how much they want to be shown, and what they have been shown.

use std::collections::BTreeMap;
use std::time::Duration;

use node::{Consistency, Read, Ticket};
use paxos::{Instant, NodeId, Rng, Slot};

/// All reads that are under way, and what each client knows.
#[derive(Debug)]
pub struct Readers {
    open: BTreeMap<Ticket, Asked>,
    next_ticket: u64,
    /// By client: one past the last slot that it has been told of.
    known: Vec<Slot>,
}

/// A read that nodes were asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Who reads; nobody for the world's own reads.
    pub client: Option<usize>,
    /// The node that is asked.
    pub node: NodeId,
    /// When the client asked.
    pub at: Instant,
    /// How much must be shown.
    pub consistency: Consistency,
    /// One past the last slot in which anything was chosen when the node was asked.
    pub chosen: Slot,
}

/// No client accepts what is older.
const AGE_US_MAX: u64 = 300_000;

impl Readers {
    pub fn new(clients: u8) -> Readers {
        let known = vec![Slot::FIRST; usize::from(clients)];
        Readers { open: BTreeMap::new(), next_ticket: 0, known }
    }

    /// How much a client wants to be shown this time; none is whatever there is.
    pub fn wants(&self, client: usize, rng: &mut Rng) -> Option<Consistency> {
        match rng.below(5) {
            0 => None,
            1 => Some(Consistency::Sequential { at_least: self.known[client] }),
            2 => {
                let max_age = Duration::from_micros(rng.below(AGE_US_MAX));
                Some(Consistency::Stale { max_age })
            }
            _ => Some(Consistency::Linearizable),
        }
    }

    /// A read that is about to be asked for.
    pub fn asks(&mut self, asked: Asked) -> Read {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.open.insert(ticket, asked);
        Read { ticket, consistency: asked.consistency }
    }

    /// The node is asked at last.
    pub fn begins(&mut self, ticket: Ticket, chosen: Slot) {
        if let Some(asked) = self.open.get_mut(&ticket) {
            asked.chosen = chosen;
        }
    }

    /// A node has answered; none if it was not asked, or has answered before.
    pub fn answered(&mut self, ticket: Ticket) -> Option<Asked> {
        self.open.remove(&ticket)
    }

    /// A client is told of every slot below.
    pub fn knows(&mut self, client: usize, end: Slot) {
        self.known[client] = self.known[client].max(end);
    }
}

/// As statistics spell it.
pub fn kind(consistency: Consistency) -> &'static str {
    match consistency {
        Consistency::Linearizable => "linearizable",
        Consistency::Sequential { .. } => "sequential",
        Consistency::Stale { .. } => "stale",
    }
}
