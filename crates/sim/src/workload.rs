//! Clients: each opens a session, appends its values, several at a time, asks again until it is
//! answered, and closes its session.
//!
//! A client obeys the rules of `node`'s sessions: a retry repeats its name, what it calls answered
//! is so, and one that is told that its session has expired gives up what is unanswered and goes on
//! with its later values in a new session. Some ask for short lifetimes and fall asleep, or rest
//! awake and keep their sessions alive. A client believes whom it is told to lead, and looks
//! elsewhere when that fails.

use std::collections::BTreeMap;

use node::{Append, Kind, Nonce, Refused, Reply, Request, SESSION_LIFETIME_US, Ticket};
use paxos::{Instant, NodeId, Rng, Slot};

/// All clients.
#[derive(Debug)]
pub struct Workload {
    clients: Vec<Client>,
    tickets: BTreeMap<Ticket, (usize, Question)>,
    /// Every session that a client uses, or has used.
    sessions: BTreeMap<Slot, Used>,
    next_ticket: u64,
    /// Nodes that may lead.
    leaders: Vec<NodeId>,
}

/// Whose a session is, and the values that were asked for in it: the first has sequence 1.
#[derive(Debug)]
struct Used {
    client: usize,
    first: u64,
    end: u64,
}

#[derive(Debug)]
struct Client {
    number: u8,
    believes: NodeId,
    /// How many values it wants in the history, and how many it asks for at a time.
    total: u64,
    pipeline: u64,
    value_bytes: usize,
    next: u64,
    open: BTreeMap<u64, Instant>,
    lifetime_us: u64,
    standing: Standing,
    /// How often it will still rest, and the rest that goes on.
    rests: u64,
    rest: Option<Rest>,
}

#[derive(Debug)]
enum Standing {
    /// It wants a session, and asks again then.
    Opening {
        nonce: Nonce,
        again: Instant,
    },
    /// It has one, and has used it last at that time.
    Open {
        session: Slot,
        used: Instant,
    },
    /// It has no more to ask, and asks again then.
    Closing {
        session: Slot,
        again: Instant,
    },
    Closed,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    until: Instant,
    /// Whether it does nothing at all meanwhile.
    is_asleep: bool,
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// The client's values are counted from 1, through all its sessions.
    Value(u64),
    /// Something about its session.
    Open(Nonce),
    KeepAlive(Slot),
    Close(Slot),
}

/// What a client does with an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing: it had its answer already.
    Late,
    /// It has its answer.
    Done(u8, u64, Slot),
    /// It knows more about its session.
    Session,
    /// It will ask again.
    Again,
    /// A client that obeys the rules must never hear this.
    Wrong(String),
}

/// A client that heard nothing for so long asks again.
const PATIENCE_US: u64 = 400_000;
/// The longest that it waits after a refusal.
const PAUSE_US_MAX: u64 = 40_000;
/// The longest rest: longer than the shortest lifetime, so that sessions expire.
const REST_US_MAX: u64 = 2_500_000;
/// How often a client rests, at most.
const RESTS_MAX: u64 = 2;
/// Of so many looks at the cluster, one begins a rest.
const RESTS_ONE_IN: u64 = 8;

impl Workload {
    pub fn new(clients: u8, requests: u64, leaders: Vec<NodeId>, rng: &mut Rng) -> Workload {
        let client = |number: u8| Client {
            number,
            believes: leaders[rng.index(leaders.len())],
            total: requests,
            pipeline: 1 + rng.below(8),
            value_bytes: rng.index(40),
            next: 1,
            open: BTreeMap::new(),
            lifetime_us: match rng.below(3) {
                0 => *SESSION_LIFETIME_US.end(),
                _ => *SESSION_LIFETIME_US.start(),
            },
            standing: Standing::Opening { nonce: nonce(rng), again: Instant(0) },
            rests: rng.below(RESTS_MAX + 1),
            rest: None,
        };
        let clients = (1..=clients).map(client).collect();
        let (tickets, sessions) = (BTreeMap::new(), BTreeMap::new());
        Workload { clients, tickets, sessions, next_ticket: 0, leaders }
    }

    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    /// Whether every client has an answer to everything.
    pub fn is_done(&self) -> bool {
        self.clients.iter().all(|client| matches!(client.standing, Standing::Closed))
    }

    /// Who waits for what, for a reader.
    pub fn unanswered(&self) -> Vec<(u8, u64)> {
        let each = self.clients.iter();
        each.flat_map(|client| client.open.keys().map(|value| (client.number, *value))).collect()
    }

    /// What the client asks now, of whom, and when to look at it again.
    pub fn look(
        &mut self,
        now: Instant,
        index: usize,
        rng: &mut Rng,
    ) -> (NodeId, Vec<Append>, Option<Instant>) {
        let client = &mut self.clients[index];
        client.rests(now, rng);
        if let Some(Rest { until, is_asleep: true }) = client.rest {
            return (client.believes, Vec::new(), Some(until));
        }
        if client.is_overdue(now) && rng.below(3) == 0 {
            client.believes = self.leaders[rng.index(self.leaders.len())];
        }
        let asked = client.asks(now);
        if let Standing::Open { session, .. } = client.standing {
            let used = self.sessions.get_mut(&session).expect("noted when it was opened");
            used.end = client.next;
        }
        let first = client.session().map_or(0, |session| self.sessions[&session].first);
        let mut appends = Vec::with_capacity(asked.len());
        for question in asked {
            self.next_ticket += 1;
            let ticket = Ticket(self.next_ticket);
            self.tickets.insert(ticket, (index, question));
            appends.push(Append { ticket, request: client.request(question, first) });
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
        let Some((index, question)) = self.tickets.remove(&ticket) else {
            return Heard::Wrong(format!("{ticket:?} was answered twice, or never given"));
        };
        let client = &mut self.clients[index];
        if !client.waits_for(question) {
            return Heard::Late;
        }
        match (reply, question) {
            (Reply::Done { slot, .. }, Question::Value(value)) => {
                client.open.remove(&value);
                return Heard::Done(client.number, value, *slot);
            }
            (Reply::Opened { session }, Question::Open(_)) => {
                let (first, end) = (client.next, client.next);
                self.sessions.insert(*session, Used { client: index, first, end });
                client.standing = Standing::Open { session: *session, used: now };
                return Heard::Session;
            }
            (Reply::Kept { .. }, Question::KeepAlive(_)) => return Heard::Session,
            (Reply::Closed { .. }, Question::Close(_)) => {
                client.standing = Standing::Closed;
                return Heard::Session;
            }
            (
                Reply::Refused(Refused::Expired),
                Question::Value(_) | Question::KeepAlive(_) | Question::Close(_),
            ) => {
                client.expire(now, rng);
                return Heard::Session;
            }
            (Reply::NotLeading { leader } | Reply::Unknown { leader }, _) => {
                client.believes = leader.unwrap_or(self.leaders[rng.index(self.leaders.len())]);
            }
            (Reply::Busy, _) => {}
            _ => {
                let number = client.number;
                return Heard::Wrong(format!(
                    "client {number} was told of {question:?}: {reply:?}"
                ));
            }
        }
        client.asks_again(question, Instant(now.0 + 1 + rng.below(PAUSE_US_MAX)));
        Heard::Again
    }

    /// The client's number and its question behind a ticket that is still out.
    pub fn whose(&self, ticket: Ticket) -> Option<(u8, Question)> {
        let (index, question) = self.tickets.get(&ticket)?;
        Some((self.clients[*index].number, *question))
    }

    /// The client and its value, if it wanted this very one under this name.
    pub fn wanted(&self, request: &Request) -> Option<(u8, u64)> {
        let Kind::Append { session, sequence, .. } = request.kind() else { return None };
        let used = self.sessions.get(&session)?;
        let client = &self.clients[used.client];
        let value = used.first.checked_add(sequence)? - 1;
        let is_wanted = value < used.end && client.value(value) == request.value();
        is_wanted.then_some((client.number, value))
    }
}

impl Client {
    /// Begins a rest, or ends one.
    fn rests(&mut self, now: Instant, rng: &mut Rng) {
        self.rest = self.rest.filter(|rest| rest.until > now);
        let may_rest = self.rest.is_none() && self.session().is_some() && self.rests > 0;
        if may_rest && rng.below(RESTS_ONE_IN) == 0 {
            self.rests -= 1;
            let until = Instant(now.0 + rng.below(REST_US_MAX));
            self.rest = Some(Rest { until, is_asleep: rng.below(2) == 0 });
        }
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let session = match self.standing {
            Standing::Opening { again, .. } | Standing::Closing { again, .. } => Some(again),
            Standing::Open { .. } | Standing::Closed => None,
        };
        self.open.values().copied().chain(session).any(|again| again <= now)
    }

    /// What is asked now, for the first time or again.
    fn asks(&mut self, now: Instant) -> Vec<Question> {
        let patience = Instant(now.0 + PATIENCE_US);
        if let Standing::Open { session, .. } = self.standing
            && self.next > self.total
            && self.open.is_empty()
        {
            self.standing = Standing::Closing { session, again: now };
        }
        match &mut self.standing {
            Standing::Opening { nonce, again } if *again <= now => {
                *again = patience;
                vec![Question::Open(*nonce)]
            }
            Standing::Closing { session, again } if *again <= now => {
                *again = patience;
                vec![Question::Close(*session)]
            }
            Standing::Open { session, used } => {
                let mut asked = Vec::new();
                for (value, again) in &mut self.open {
                    if *again <= now {
                        *again = patience;
                        asked.push(Question::Value(*value));
                    }
                }
                let first_open = self.open.keys().next().copied().unwrap_or(self.next);
                let has_room = |next| next < first_open + self.pipeline;
                while self.rest.is_none() && self.next <= self.total && has_room(self.next) {
                    asked.push(Question::Value(self.next));
                    self.open.insert(self.next, patience);
                    self.next += 1;
                }
                let is_idle = self.open.is_empty() && now.0 - used.0 >= self.lifetime_us / 3;
                if is_idle {
                    asked.push(Question::KeepAlive(*session));
                }
                if !asked.is_empty() {
                    *used = now;
                }
                asked
            }
            _ => Vec::new(),
        }
    }

    /// Whether an answer to this still matters.
    fn waits_for(&self, question: Question) -> bool {
        match (question, &self.standing) {
            (Question::Value(value), _) => self.open.contains_key(&value),
            (Question::Open(asked), Standing::Opening { nonce, .. }) => asked == *nonce,
            (Question::KeepAlive(asked), Standing::Open { session, .. })
            | (Question::Close(asked), Standing::Closing { session, .. }) => asked == *session,
            _ => false,
        }
    }

    fn asks_again(&mut self, question: Question, at: Instant) {
        let again = match (question, &mut self.standing) {
            (Question::Value(value), _) => self.open.get_mut(&value),
            (_, Standing::Opening { again, .. } | Standing::Closing { again, .. }) => Some(again),
            // The next third of the lifetime brings the next one.
            _ => None,
        };
        if let Some(again) = again {
            *again = (*again).min(at);
        }
    }

    /// The session is gone. What is unanswered stays unknown, and is not asked for again.
    fn expire(&mut self, now: Instant, rng: &mut Rng) {
        self.open.clear();
        self.standing = if self.next > self.total {
            Standing::Closed
        } else {
            Standing::Opening { nonce: nonce(rng), again: now }
        };
    }

    fn session(&self) -> Option<Slot> {
        match self.standing {
            Standing::Open { session, .. } | Standing::Closing { session, .. } => Some(session),
            Standing::Opening { .. } | Standing::Closed => None,
        }
    }

    fn value(&self, value: u64) -> Vec<u8> {
        let mut bytes = value.to_le_bytes().to_vec();
        bytes.resize(8 + self.value_bytes, self.number);
        bytes
    }

    /// `first` is the first value of the client's session.
    fn request(&self, question: Question, first: u64) -> Request {
        match question {
            Question::Open(nonce) => Request::open(nonce, self.lifetime_us),
            Question::KeepAlive(session) => Request::keep_alive(session),
            Question::Close(session) => Request::close(session),
            Question::Value(value) => {
                let session = self.session().expect("values are asked for in a session");
                let unanswered = self.open.keys().next().copied().unwrap_or(value);
                let (sequence, unanswered) = (value - first + 1, unanswered - first + 1);
                Request::append(session, sequence, unanswered, &self.value(value))
                    .expect("what is open begins at or below what is asked")
            }
        }
    }
}

fn nonce(rng: &mut Rng) -> Nonce {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&rng.draw().to_le_bytes());
    bytes[8..].copy_from_slice(&rng.draw().to_le_bytes());
    Nonce(bytes)
}
