//! Which of the messages in flight a command is about.
//!
//! ```text
//!   KIND.. BALLOT slot N from NODE.. to NODE..        each part may be left out
//! ```

use paxos::{Ballot, Kind, Message, NodeId, Slot};

use super::words::Names;

/// A description of messages. What is not said does not matter.
#[derive(Clone, Debug, Default)]
pub struct Selector {
    kinds: Vec<Kind>,
    ballot: Option<String>,
    slot: Option<Slot>,
    from: Vec<NodeId>,
    to: Vec<NodeId>,
}

impl Selector {
    /// Reads a description.
    pub fn parse(words: &[&str], names: &Names) -> Result<Selector, String> {
        let mut selector = Selector::default();
        let mut nodes: Option<bool> = None;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match (*word, nodes) {
                ("from", _) => nodes = Some(true),
                ("to", _) => nodes = Some(false),
                ("slot", _) => {
                    let slot = words.next().and_then(|slot| slot.parse().ok());
                    selector.slot = Some(Slot(slot.ok_or("a slot is a number")?));
                }
                (name, Some(is_from)) => {
                    let node = names.find(name).ok_or(format!("{name} is no node"))?;
                    let list = if is_from { &mut selector.from } else { &mut selector.to };
                    list.push(node);
                }
                (ballot, None) if ballot.contains('·') => selector.ballot = Some(ballot.into()),
                (name, None) => {
                    let kind = Kind::ALL.into_iter().find(|kind| format!("{kind:?}") == name);
                    let kind = kind.ok_or(format!("{name} is no message and no ballot"))?;
                    selector.kinds.push(kind);
                }
            }
        }
        Ok(selector)
    }

    /// Whether the message is meant.
    pub fn is_about(&self, names: &Names, from: NodeId, to: NodeId, message: &Message) -> bool {
        let is_one = |list: &[NodeId], node| list.is_empty() || list.contains(&node);
        let is_kind = self.kinds.is_empty() || self.kinds.contains(&message.kind());
        let wanted = self.ballot.as_ref();
        let is_ballot =
            wanted.is_none_or(|it| ballot(message).is_some_and(|its| names.ballot(its) == *it));
        let is_slot = self.slot.is_none_or(|slot| concerns(message, slot));
        is_kind && is_ballot && is_slot && is_one(&self.from, from) && is_one(&self.to, to)
    }
}

fn ballot(message: &Message) -> Option<Ballot> {
    match message {
        Message::Prepare { ballot, .. }
        | Message::Promise { ballot, .. }
        | Message::Reject { ballot, .. }
        | Message::Accepted { ballot, .. }
        | Message::Chosen { ballot, .. }
        | Message::Heartbeat { ballot, .. }
        | Message::Confirm { ballot, .. }
        | Message::Confirmed { ballot, .. }
        | Message::HeartbeatReply { ballot, .. }
        | Message::Offer { ballot, .. }
        | Message::Willing { ballot, .. }
        | Message::HandOver { ballot, .. } => Some(*ballot),
        Message::Accept { run, .. } => Some(run.ballot),
        Message::Probe { .. }
        | Message::ProbeReply { .. }
        | Message::Fetch { .. }
        | Message::Learned { .. }
        | Message::Votes { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::Kept { .. }
        | Message::FetchPart { .. }
        | Message::Part { .. } => None,
    }
}

fn concerns(message: &Message, slot: Slot) -> bool {
    match message {
        Message::Accept { run, .. } => run.first <= slot && slot < run.end(),
        Message::Accepted { first, end, .. } => *first <= slot && slot < *end,
        Message::Learned { first, values, .. } => {
            *first <= slot && slot < first.plus(values.count())
        }
        Message::Prepare { from, .. } | Message::Fetch { from } => *from == slot,
        Message::Promise { page, .. } | Message::Votes { page } => page.from == slot,
        Message::Reject { .. }
        | Message::Chosen { .. }
        | Message::Heartbeat { .. }
        | Message::HeartbeatReply { .. }
        | Message::Probe { .. }
        | Message::ProbeReply { .. }
        | Message::Confirm { .. }
        | Message::Confirmed { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::Kept { .. }
        | Message::FetchPart { .. }
        | Message::Part { .. }
        | Message::Offer { .. }
        | Message::Willing { .. }
        | Message::HandOver { .. } => false,
    }
}
