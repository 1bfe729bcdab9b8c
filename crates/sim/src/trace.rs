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
/// How many a whole trace holds: no walk has more happenings, and each notes a few.
const WHOLE_LINES_MAX: usize = 10_000_000;

/// The trace of one walk.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    last: VecDeque<(Instant, Line)>,
    lines_max: usize,
}

/// A line for a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceLine {
    /// When, in virtual time.
    pub at: Instant,
    /// What happened.
    pub what: String,
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
        Trace { hash: 0xcbf2_9ce4_8422_2325, last: VecDeque::new(), lines_max: LINES_MAX }
    }

    /// Notes a line; `bytes` are what of it goes into the hash, beside the time.
    pub fn note(&mut self, now: Instant, line: Line, bytes: &[u8]) {
        for byte in now.0.to_le_bytes().iter().chain(bytes) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if self.last.len() == self.lines_max {
            self.last.pop_front();
        }
        self.last.push_back((now, line));
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// From now on every line is kept.
    pub fn keep_whole(&mut self) {
        self.lines_max = WHOLE_LINES_MAX;
    }

    /// The last lines, as text.
    pub fn last_lines(&self) -> Vec<String> {
        let skipped = self.last.len().saturating_sub(LINES_MAX);
        let lines = self.last.iter().skip(skipped);
        lines.map(|(at, line)| format!("{:>9} {}", at.0, written(line))).collect()
    }

    /// Every line, if all were kept; else none.
    pub fn whole(&self) -> Vec<TraceLine> {
        if self.lines_max == LINES_MAX {
            return Vec::new();
        }
        let line = |(at, line): &(Instant, Line)| TraceLine { at: *at, what: written(line) };
        self.last.iter().map(line).collect()
    }
}

fn written(line: &Line) -> String {
    let mut out = String::new();
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
