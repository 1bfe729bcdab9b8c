//! Clients on the stage: what they ask, and what they hear.

use std::time::Duration;

use node::{Append, Input, Kind, Nonce, Reply, Request, Ticket};
use paxos::{NodeId, Slot};

use super::{Done, Stage, Trouble};
use crate::script::words::text;

/// Who is asked what by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The client's number.
    pub client: u8,
    /// Of the first value; the others follow. The session's next one if none is given.
    pub sequence: Option<u64>,
    /// The node that is asked.
    pub to: NodeId,
}

/// A client's session, from its point of view.
#[derive(Debug, Default)]
pub struct Client {
    /// The one that it heard of last; it stays, whatever becomes of it, until there is another.
    session: Option<Slot>,
    /// Sessions that it has wanted and got: a retry repeats the number of the next one.
    opened: u8,
    /// Of the next value.
    next: u64,
}

/// So many answers share a line.
const ROW_MIN: usize = 5;

impl Stage {
    /// A client asks a node for a session.
    pub fn open(&mut self, client: u8, to: NodeId, lifetime: Duration) -> Done {
        let mut nonce = [0; 16];
        nonce[..2].copy_from_slice(&[client, self.clients.entry(client).or_default().opened]);
        let lifetime_us = u64::try_from(lifetime.as_micros()).unwrap_or(u64::MAX);
        self.ask(client, to, vec![Request::open(Nonce(nonce), lifetime_us)])
    }

    /// A client keeps its session alive.
    pub fn keep(&mut self, client: u8, to: NodeId) -> Done {
        let session = self.session(client)?;
        self.ask(client, to, vec![Request::keep_alive(session)])
    }

    /// A client needs its session no more.
    pub fn close(&mut self, client: u8, to: NodeId) -> Done {
        let session = self.session(client)?;
        self.ask(client, to, vec![Request::close(session)])
    }

    /// A client asks a node to append values; they travel together.
    pub fn append(&mut self, asked: Asked, texts: &[String]) -> Done {
        let session = self.session(asked.client)?;
        let next = &mut self.clients.entry(asked.client).or_default().next;
        let first = asked.sequence.unwrap_or(*next);
        *next = (*next).max(first + texts.len() as u64);
        let request = |(sequence, text): (u64, &String)| {
            let request = Request::append(session, sequence, 1, text.as_bytes());
            request.map_err(|error| Trouble::Script(error.to_string()))
        };
        let requests = (first..).zip(texts).map(request).collect::<Result<_, _>>()?;
        self.ask(asked.client, asked.to, requests)
    }

    fn session(&self, client: u8) -> Result<Slot, Trouble> {
        let session = self.clients.get(&client).and_then(|client| client.session);
        session.ok_or(Trouble::Script(format!("c{client} has no session: `open c{client} at L1`")))
    }

    fn ask(&mut self, client: u8, to: NodeId, requests: Vec<Request>) -> Done {
        let host = &self.hosts[&to];
        if host.node.is_none() || host.is_failed {
            return Err(Trouble::Script(format!("{} answers nobody", self.names.node(to))));
        }
        let mut appends = Vec::new();
        for request in requests {
            let ticket = Ticket(self.asked.len() as u64);
            self.asked.insert(ticket, (client, request.clone()));
            appends.push(Append { ticket, request });
        }
        self.step(to, Input::Append(appends))
    }

    /// What clients hear. Requests of one client that are done one after another share a line.
    pub(super) fn replies(&mut self, mut replies: &[(Ticket, Reply<()>)]) {
        while !replies.is_empty() {
            let done = self.done_together(replies);
            let (row, rest) = replies.split_at(if done < ROW_MIN { 1 } else { done });
            self.reply(row);
            replies = rest;
        }
    }

    /// How many of the replies, from the first on, say that one client's requests are done in
    /// consecutive slots.
    fn done_together(&self, replies: &[(Ticket, Reply<()>)]) -> usize {
        let place = |(ticket, reply): &(Ticket, Reply<()>)| {
            let (client, request) = self.asked.get(ticket)?;
            let Reply::Done { slot, .. } = reply else { return None };
            Some((*client, sequence(request)?, slot.0))
        };
        let places: Vec<_> = replies.iter().map_while(place).collect();
        let Some((client, sequence, slot)) = places.first().copied() else { return 0 };
        let expected = (0..).map(|step| (client, sequence + step, slot + step));
        places.iter().copied().zip(expected).take_while(|(one, other)| one == other).count()
    }

    /// One reply, or a row of those that are done.
    fn reply(&mut self, row: &[(Ticket, Reply<()>)]) {
        let [(ticket, reply), others @ ..] = row else { return };
        let Some((client, request)) = self.asked.get(ticket).cloned() else { return };
        let leads = |leader: &Option<NodeId>| match leader {
            Some(leader) => format!("{} leads", self.names.node(*leader)),
            None => "nobody is known to lead".into(),
        };
        let asked = match sequence(&request) {
            Some(sequence) => format!("{} #{sequence}", text(&request)),
            None => text(&request),
        };
        let more = others.len() as u64;
        let said = match reply {
            Reply::Done { slot, .. } if more > 0 => {
                let last = sequence(&request).map_or(more, |sequence| sequence + more);
                let (text, end) = (text(&request), slot.plus(more));
                format!("{text} and the others up to #{last} are done in slots {slot}..{end}")
            }
            Reply::Opened { session } => format!("session {session} is open"),
            Reply::Done { slot, .. } | Reply::Kept { slot } | Reply::Closed { slot } => {
                format!("{asked} is done in slot {slot}")
            }
            Reply::NotLeading { leader } => format!("{asked} is not taken, {}", leads(leader)),
            Reply::Busy => format!("{asked} is not taken, too much is waiting"),
            Reply::Unknown { leader } => format!("{asked} is lost from sight, {}", leads(leader)),
            Reply::Refused(why) => format!("{asked} is refused for good: {why:?}"),
            Reply::TooLarge { bytes_max } => format!("{asked} is larger than {bytes_max} bytes"),
        };
        if let Reply::Opened { session } = reply {
            self.opened(client, &request, *session);
        }
        let at = self.at();
        self.notes.add(at, &format!("c{client}"), format!(" hears: {said}"));
    }

    /// A client uses the session that it hears of first.
    fn opened(&mut self, client: u8, request: &Request, session: Slot) {
        let Kind::Open { nonce, .. } = request.kind() else { return };
        let client = self.clients.entry(client).or_default();
        if nonce.0[1] == client.opened {
            *client = Client { session: Some(session), opened: client.opened + 1, next: 1 };
        }
    }
}

fn sequence(request: &Request) -> Option<u64> {
    match request.kind() {
        Kind::Append { sequence, .. } => Some(sequence),
        Kind::Open { .. } | Kind::KeepAlive { .. } | Kind::Close { .. } => None,
    }
}
