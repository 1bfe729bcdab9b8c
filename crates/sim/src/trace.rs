//! What happened, line by line: a hash over all of it, and the last lines for a reader.
//!
//! The hash covers times and bytes, so that two runs of one seed can be compared without keeping
//! either. Lines are kept as data and written out only when somebody wants to read them.

use std::collections::VecDeque;
use std::fmt::Write;

use node::Reply;
use paxos::{Event, Instant, Message, NodeId};

/// How many lines a violation comes with.
const LINES_MAX: usize = 40;

/// The trace of one walk.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    last: VecDeque<(Instant, Line)>,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Line {
    Delivered { from: NodeId, to: NodeId, message: Message },
    Synced { node: NodeId, records: usize },
    Event { node: NodeId, event: Event },
    Asked { node: NodeId, client: u8, sequence: u64 },
    Answered { client: u8, sequence: u64, reply: Reply<()> },
    World(String),
}

impl Trace {
    pub fn new() -> Trace {
        // The offset basis of FNV-1a, whose hash this is.
        Trace { hash: 0xcbf2_9ce4_8422_2325, last: VecDeque::with_capacity(LINES_MAX + 1) }
    }

    /// Notes a line; `bytes` are what of it goes into the hash, beside the time.
    pub fn note(&mut self, now: Instant, line: Line, bytes: &[u8]) {
        for byte in now.0.to_le_bytes().iter().chain(bytes) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.last.len() == LINES_MAX {
            self.last.pop_front();
        }
        self.last.push_back((now, line));
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn lines(&self) -> Vec<String> {
        self.last.iter().map(|(at, line)| written(*at, line)).collect()
    }
}

fn written(at: Instant, line: &Line) -> String {
    let mut out = format!("{:>9} ", at.0);
    let result = match line {
        Line::Delivered { from, to, message } => write!(out, "{from} -> {to} {message:?}"),
        Line::Synced { node, records } => write!(out, "{node} has {records} more on disk"),
        Line::Event { node, event } => write!(out, "{node} {event:?}"),
        Line::Asked { node, client, sequence } => {
            write!(out, "client {client} asks {node} for {sequence}")
        }
        Line::Answered { client, sequence, reply } => {
            write!(out, "client {client} hears of {sequence}: {reply:?}")
        }
        Line::World(what) => write!(out, "{what}"),
    };
    result.expect("writing to a String cannot fail");
    out
}
