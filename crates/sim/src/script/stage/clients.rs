//! Clients on the stage: what they ask, and what they hear.

use node::{Append, ClientId, Input, Reply, Request, Ticket};
use paxos::NodeId;

use super::{Done, Stage, Trouble};
use crate::script::words::text;

/// Who is asked what by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The client's number.
    pub client: u8,
    /// Of the first value; the others follow. The client's next one if none is given.
    pub sequence: Option<u64>,
    /// The node that is asked.
    pub to: NodeId,
}

/// So many answers share a line.
const ROW_MIN: usize = 5;

impl Stage {
    /// A client asks a node to append values; they travel together.
    pub fn append(&mut self, asked: Asked, texts: &[String]) -> Done {
        let host = &self.hosts[&asked.to];
        if host.node.is_none() || host.is_failed {
            return Err(Trouble::Script(format!("{} answers nobody", self.names.node(asked.to))));
        }
        let next = self.sequences.entry(asked.client).or_insert(1);
        let first = asked.sequence.unwrap_or(*next);
        *next = (*next).max(first + texts.len() as u64);
        let mut appends = Vec::new();
        for (sequence, text) in (first..).zip(texts) {
            let client = ClientId([asked.client; 16]);
            let request = Request::new(client, sequence, 1, text.as_bytes());
            let request = request.map_err(|error| Trouble::Script(error.to_string()))?;
            let ticket = Ticket(self.asked.len() as u64);
            self.asked.insert(ticket, (asked.client, request.clone()));
            appends.push(Append { ticket, request });
        }
        self.step(asked.to, Input::Append(appends))
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
            Some((*client, request.sequence, slot.0))
        };
        let places: Vec<_> = replies.iter().map_while(place).collect();
        let Some((client, sequence, slot)) = places.first().copied() else { return 0 };
        let expected = (0..).map(|step| (client, sequence + step, slot + step));
        places.iter().copied().zip(expected).take_while(|(one, other)| one == other).count()
    }

    /// One reply, or a row of those that are done.
    fn reply(&mut self, row: &[(Ticket, Reply<()>)]) {
        let [(ticket, reply), others @ ..] = row else { return };
        let Some((client, request)) = self.asked.get(ticket) else { return };
        let leads = |leader: &Option<NodeId>| match leader {
            Some(leader) => format!("{} leads", self.names.node(*leader)),
            None => "nobody is known to lead".into(),
        };
        let (text, sequence) = (text(request), request.sequence);
        let more = others.len() as u64;
        let said = match reply {
            Reply::Done { slot, .. } if more > 0 => {
                let (last, end) = (sequence + more, slot.plus(more));
                format!("{text} and the others up to #{last} are done in slots {slot}..{end}")
            }
            Reply::Done { slot, .. } => format!("{text} #{sequence} is done in slot {slot}"),
            Reply::NotLeading { leader } => {
                format!("{text} #{sequence} is not taken, {}", leads(leader))
            }
            Reply::Busy => format!("{text} #{sequence} is not taken, too much is waiting"),
            Reply::Unknown { leader } => {
                format!("{text} #{sequence} is lost from sight, {}", leads(leader))
            }
            Reply::Refused(why) => format!("{text} #{sequence} is refused for good: {why:?}"),
            Reply::TooLarge { bytes_max } => {
                format!("{text} #{sequence} is larger than {bytes_max} bytes")
            }
        };
        let at = self.at();
        self.notes.add(at, &format!("c{client}"), format!(" hears: {said}"));
    }
}
