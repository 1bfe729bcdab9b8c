//! Everything that happens in one walk, as data: for traces, for shrinking, for whoever compares a
//! walk with a specification. A walk is recorded only when somebody asks; most are not.

use std::fmt;

use node::Reply;
use paxos::{Envelope, Event, Instant, Message, NodeId, Record, Slot, Values};

use crate::workload::Question;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    /// When, in the world's virtual time.
    pub at: Instant,
    /// What.
    pub what: What,
}

/// What can happen. Messages have numbers in the order in which they are sent; both copies of one
/// that the network repeats have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message leaves.
    Sent {
        /// Its number.
        number: u64,
        /// The message whose arrival made its sender say this; none if time or a client did.
        cause: Option<u64>,
        /// The sender.
        from: NodeId,
        /// The receiver, and what is said.
        envelope: Envelope,
        /// When it will arrive: never, once or twice. Whether somebody is there to hear it is
        /// another question.
        arrives: Vec<Instant>,
    },
    /// A message arrives at a node that hears it.
    Arrived {
        /// Its number.
        number: u64,
        /// The sender.
        from: NodeId,
        /// The receiver.
        to: NodeId,
        /// What it says.
        message: Message,
    },
    /// These records are on disk from now on.
    Durable {
        /// The acceptor.
        node: NodeId,
        /// In the order in which they were written.
        records: Vec<Record>,
    },
    /// A learner has these values in its prefix from now on.
    Learned {
        /// The learner.
        node: NodeId,
        /// The slot of the first value.
        first: Slot,
        /// One a slot.
        values: Values,
        /// The message whose arrival led to it; none if time or a client did.
        cause: Option<u64>,
    },
    /// A node tells something.
    Event {
        /// The node.
        node: NodeId,
        /// The message whose arrival led to it; none if time or a client did.
        cause: Option<u64>,
        /// What it tells.
        event: Event,
    },
    /// A node begins a life.
    Started {
        /// The node.
        node: NodeId,
        /// Which life, from one.
        life: u32,
    },
    /// A life ends.
    Ended {
        /// The node.
        node: NodeId,
    },
    /// A client's request reaches a node.
    Asked {
        /// The node.
        node: NodeId,
        /// The client's number.
        client: u8,
        /// What it asks for.
        question: Question,
    },
    /// A client hears an answer.
    Answered {
        /// The client's number.
        client: u8,
        /// What it had asked for.
        question: Question,
        /// The answer.
        reply: Reply<()>,
    },
    /// Something befalls the world, in words.
    World(String),
}

/// A recording that is going on, or none.
#[derive(Debug, Default)]
pub struct Recording {
    happened: Option<Vec<Happened>>,
}

/// A recording ends here: no walk has so many happenings.
const HAPPENED_MAX: usize = 20_000_000;

impl Recording {
    /// From now on everything is kept.
    pub fn begin(&mut self) {
        self.happened = Some(Vec::new());
    }

    /// Keeps what happened, if anybody wants to know.
    pub fn note(&mut self, at: Instant, what: impl FnOnce() -> What) {
        if let Some(happened) = &mut self.happened
            && happened.len() < HAPPENED_MAX
        {
            happened.push(Happened { at, what: what() });
        }
    }

    /// Everything that was kept.
    pub fn end(&mut self) -> Vec<Happened> {
        self.happened.take().unwrap_or_default()
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} {}", self.at.0, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Sent { number, from, envelope: Envelope { to, message }, arrives, .. } => {
                write!(f, "#{number} {from} to {to}: {message:?}")?;
                if arrives.is_empty() { write!(f, ", lost") } else { Ok(()) }
            }
            What::Arrived { number, from, to, message } => {
                write!(f, "#{number} {to} hears from {from}: {}", message.kind().name())
            }
            What::Durable { node, records } => {
                write!(f, "{node} has {} more on disk", records.len())
            }
            What::Learned { node, first, values, .. } => {
                write!(f, "{node} learns {} values from slot {first} on", values.len())
            }
            What::Event { node, event, .. } => write!(f, "{node} {event:?}"),
            What::Started { node, life } => write!(f, "{node} begins life {life}"),
            What::Ended { node } => write!(f, "{node} ends a life"),
            What::Asked { node, client, question } => {
                write!(f, "client {client} asks {node} for {question:?}")
            }
            What::Answered { client, question, reply } => {
                write!(f, "client {client} hears of {question:?}: {reply:?}")
            }
            What::World(what) => f.write_str(what),
        }
    }
}
