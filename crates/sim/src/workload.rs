//! Clients: each appends its values, several at a time, and asks again until it is answered.
//!
//! A client obeys the rules of `node`'s sessions: a retry repeats its sequence, and what it names
//! as unanswered is so. It believes whom it is told to lead, and looks elsewhere when that fails.

use std::collections::BTreeMap;

use node::{Append, ClientId, Reply, Request, Ticket};
use paxos::{Instant, NodeId, Rng, Slot};

/// All clients.
#[derive(Debug)]
pub struct Workload {
    clients: Vec<Client>,
    tickets: BTreeMap<Ticket, (usize, u64)>,
    next_ticket: u64,
    /// Nodes that may lead.
    leaders: Vec<NodeId>,
}

#[derive(Debug)]
struct Client {
    id: ClientId,
    believes: NodeId,
    /// How many values it wants in the history, and how many it asks for at a time.
    total: u64,
    pipeline: u64,
    value_bytes: usize,
    next: u64,
    open: BTreeMap<u64, Instant>,
}

/// What a client does with an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: it had its answer already.
    Late,
    /// It has its answer.
    Done(ClientId, u64, Slot),
    /// It will ask again.
    Again,
    /// A client that obeys the rules must never hear this.
    Wrong(String),
}

/// A client that heard nothing for so long asks again.
const PATIENCE_US: u64 = 400_000;
/// The longest that it waits after a refusal.
const PAUSE_US_MAX: u64 = 40_000;

impl Workload {
    pub fn new(clients: u8, requests: u64, leaders: Vec<NodeId>, rng: &mut Rng) -> Workload {
        let client = |number: u8| Client {
            id: ClientId([number; 16]),
            believes: leaders[rng.index(leaders.len())],
            total: requests,
            pipeline: 1 + rng.below(8),
            value_bytes: rng.index(40),
            next: 1,
            open: BTreeMap::new(),
        };
        let clients = (1..=clients).map(client).collect();
        Workload { clients, tickets: BTreeMap::new(), next_ticket: 0, leaders }
    }

    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether every client has an answer to everything.
    pub fn is_done(&self) -> bool {
        self.clients.iter().all(|client| client.next > client.total && client.open.is_empty())
    }

    /// Who waits for what, for a reader.
    pub fn unanswered(&self) -> Vec<(ClientId, u64)> {
        let each = self.clients.iter();
        each.flat_map(|client| client.open.keys().map(|sequence| (client.id, *sequence))).collect()
    }

    /// What the client asks now, of whom, and when to look at it again.
    pub fn look(
        &mut self,
        now: Instant,
        index: usize,
        rng: &mut Rng,
    ) -> (NodeId, Vec<Append>, Option<Instant>) {
        let client = &mut self.clients[index];
        let mut overdue = false;
        let mut asked = Vec::new();
        for (sequence, again) in &mut client.open {
            if *again <= now {
                overdue = true;
                *again = Instant(now.0 + PATIENCE_US);
                asked.push(*sequence);
            }
        }
        if overdue && rng.below(3) == 0 {
            client.believes = self.leaders[rng.index(self.leaders.len())];
        }
        let first_open = client.open.keys().next().copied().unwrap_or(client.next);
        while client.next <= client.total && client.next < first_open + client.pipeline {
            asked.push(client.next);
            client.open.insert(client.next, Instant(now.0 + PATIENCE_US));
            client.next += 1;
        }
        let mut appends = Vec::with_capacity(asked.len());
        for sequence in asked {
            self.next_ticket += 1;
            let ticket = Ticket(self.next_ticket);
            self.tickets.insert(ticket, (index, sequence));
            appends.push(Append { ticket, request: client.request(sequence) });
        }
        (client.believes, appends, client.open.values().min().copied())
    }

    /// An answer arrived.
    pub fn hear(
        &mut self,
        now: Instant,
        ticket: Ticket,
        reply: &Reply<()>,
        rng: &mut Rng,
    ) -> Heard {
        let Some((index, sequence)) = self.tickets.remove(&ticket) else {
            return Heard::Wrong(format!("{ticket:?} was answered twice, or never given"));
        };
        let client = &mut self.clients[index];
        let Some(again) = client.open.get_mut(&sequence) else {
            return Heard::Late;
        };
        match reply {
            Reply::Done { slot, .. } => {
                client.open.remove(&sequence);
                return Heard::Done(client.id, sequence, *slot);
            }
            Reply::NotLeading { leader } | Reply::Unknown { leader } => {
                client.believes = leader.unwrap_or(self.leaders[rng.index(self.leaders.len())]);
            }
            Reply::Busy => {}
            Reply::Refused(_) | Reply::TooLarge { .. } => {
                let id = client.id.0[0];
                return Heard::Wrong(format!("client {id} was told of {sequence}: {reply:?}"));
            }
        }
        *again = (*again).min(Instant(now.0 + 1 + rng.below(PAUSE_US_MAX)));
        Heard::Again
    }

    /// The client and sequence behind a ticket that is still out.
    pub fn whose(&self, ticket: Ticket) -> Option<(usize, u64)> {
        self.tickets.get(&ticket).copied()
    }

    /// Whether the client wanted this very value under this sequence.
    pub fn wanted(&self, request: &Request) -> bool {
        let client = self.clients.iter().find(|client| client.id == request.client);
        client.is_some_and(|client| {
            request.sequence < client.next && client.value(request.sequence) == request.value()
        })
    }
}

impl Client {
    fn value(&self, sequence: u64) -> Vec<u8> {
        let mut value = sequence.to_le_bytes().to_vec();
        value.resize(8 + self.value_bytes, self.id.0[0]);
        value
    }

    fn request(&self, sequence: u64) -> Request {
        let first_unanswered = self.open.keys().next().copied().unwrap_or(sequence);
        Request::new(self.id, sequence, first_unanswered, &self.value(sequence))
            .expect("what is open begins at or below what is asked")
    }
}
