//! The rows of one chunk as columns, and back.
//!
//! A chunk stands alone: every difference begins at zero with it. The parts are in the order of
//! [`Part`], each behind its length, so that a reader may skip what it does not need.

use crate::header::{Header, Node};
use crate::row::{Ballot, EventKind, Fate, LIMIT, MessageKind, Row, Slots, Value, What};
use crate::table::{Table, at, take_all};
use crate::varint::{Taken, fold, put, take, take_byte, take_bytes, unfold};

/// The parts of a chunk.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
enum Part {
    /// Tables.
    Ballots,
    Values,
    Texts,
    /// Columns of every row.
    Kind,
    At,
    Node,
    Peer,
    Cause,
    Ballot,
    Promised,
    First,
    Count,
    Chosen,
    Value,
    /// Columns of messages.
    Fate,
    Latency,
    /// Columns of events.
    Numbers,
    Text,
}

const PARTS: usize = Part::Text as usize + 1;

/// A chunk that is being filled.
#[derive(Debug)]
pub struct Columns {
    parts: [Vec<u8>; PARTS],
    ballots: Table<Ballot>,
    values: Table<Value>,
    texts: Table<String>,
    before: Before,
}

/// Of the rows before, what differences are taken to.
#[derive(Debug, Default)]
struct Before {
    at_us: u64,
    first: u64,
    chosen: u64,
}

/// A row's nodes as the file has them: their places in the header, from 1.
#[derive(Clone, Copy, Debug)]
pub struct Nodes {
    pub node: u8,
    pub peer: u8,
}

impl Columns {
    /// No rows yet; the first of them will be at `first_us`.
    pub fn new(first_us: u64) -> Columns {
        Columns {
            parts: Default::default(),
            ballots: Table::new(),
            values: Table::new(),
            texts: Table::new(),
            before: Before { at_us: first_us, ..Before::default() },
        }
    }

    /// Adds a row that obeys all rules.
    pub fn push(&mut self, number: u64, row: &Row, nodes: Nodes) {
        self.put(Part::At, row.at_us - self.before.at_us);
        self.before.at_us = row.at_us;
        self.parts[Part::Node as usize].push(nodes.node);
        self.parts[Part::Peer as usize].push(nodes.peer);
        self.put(Part::Cause, row.cause.map_or(0, |cause| number - cause));
        let ballot = self.ballots.place(row.ballot.as_ref());
        self.put(Part::Ballot, ballot);
        let promised = self.ballots.place(row.promised.as_ref());
        self.put(Part::Promised, promised);
        self.put(Part::Count, row.slots.map_or(0, |slots| slots.count + 1));
        if let Some(slots) = row.slots {
            self.put(Part::First, fold(self.before.first, slots.first));
            self.before.first = slots.first;
        }
        self.put(Part::Chosen, row.chosen.map_or(0, |it| 1 + fold(self.before.chosen, it)));
        self.before.chosen = row.chosen.unwrap_or(self.before.chosen);
        let value = self.values.place(row.value.as_ref());
        self.put(Part::Value, value);
        match &row.what {
            What::Message { kind, fate, .. } => {
                self.parts[Part::Kind as usize].push(*kind as u8);
                self.push_fate(*fate);
            }
            What::Event { kind, numbers, text, .. } => {
                self.parts[Part::Kind as usize].push(*kind as u8);
                self.put(Part::Numbers, numbers[0]);
                self.put(Part::Numbers, numbers[1]);
                let text = self.texts.place((!text.is_empty()).then_some(text));
                self.put(Part::Text, text);
            }
        }
    }

    fn push_fate(&mut self, fate: Fate) {
        let (number, latencies) = match fate {
            Fate::Lost => (0, [None, None]),
            Fate::Once(first) => (1, [Some(first), None]),
            Fate::Twice(first, second) => (2, [Some(first), Some(second)]),
            Fate::Unheard(first) => (3, [Some(first), None]),
            Fate::Open => (4, [None, None]),
        };
        self.parts[Part::Fate as usize].push(number);
        latencies.into_iter().flatten().for_each(|latency| self.put(Part::Latency, latency));
    }

    fn put(&mut self, part: Part, number: u64) {
        put(&mut self.parts[part as usize], number);
    }

    /// The bytes of all tables so far.
    pub fn tables(&self) -> usize {
        self.ballots.bytes() + self.values.bytes() + self.texts.bytes()
    }

    /// The whole chunk.
    pub fn end(mut self) -> Vec<u8> {
        self.parts[Part::Ballots as usize] = self.ballots.end();
        self.parts[Part::Values as usize] = self.values.end();
        self.parts[Part::Texts as usize] = self.texts.end();
        let mut out = Vec::new();
        for part in self.parts {
            put(&mut out, u64::try_from(part.len()).expect("a length fits in 64 bits"));
            out.extend(part);
        }
        out
    }
}

/// What a chunk is read by.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    pub header: &'a Header,
    /// The number of its first row.
    pub number: u64,
    pub rows: u32,
    pub first_us: u64,
    pub last_us: u64,
}

/// The rows of a whole chunk. Everything is checked that a writer promises.
pub fn read(bytes: &[u8], context: Context<'_>) -> Taken<Vec<Row>> {
    let mut chunk = Chunk::of(bytes, context)?;
    // Each row has a byte at least, so the claim is covered by bytes that are here.
    if u64::from(context.rows) != chunk.left(Part::Kind) {
        return Err("a chunk has not as many rows as it says");
    }
    let mut rows = Vec::new();
    for number in (context.number..).take(usize::try_from(context.rows).unwrap_or(usize::MAX)) {
        rows.push(chunk.row(number)?);
    }
    if chunk.parts[Part::Kind as usize..].iter().any(|part| !part.is_empty()) {
        return Err("a column goes on after its last row");
    }
    let ends = rows.first().zip(rows.last()).map(|(first, last)| (first.at_us, last.at_us));
    if ends != Some((context.first_us, context.last_us)) {
        return Err("a chunk lasts not as long as it says");
    }
    Ok(rows)
}

/// A chunk that is being read; what is read is gone from its parts.
struct Chunk<'a> {
    nodes: &'a [Node],
    parts: [&'a [u8]; PARTS],
    ballots: Vec<Ballot>,
    values: Vec<Value>,
    texts: Vec<String>,
    before: Before,
}

impl<'a> Chunk<'a> {
    fn of(mut bytes: &'a [u8], context: Context<'a>) -> Taken<Chunk<'a>> {
        let mut parts = [&[][..]; PARTS];
        for part in &mut parts {
            let length = take(&mut bytes)?;
            *part = take_bytes(&mut bytes, length)?;
        }
        if !bytes.is_empty() {
            return Err("a chunk goes on after its last part");
        }
        let rows = u64::from(context.rows);
        let values: Vec<Value> = take_all(parts[Part::Values as usize], rows)?;
        if values.iter().any(|value| *value != value.redacted(context.header.values)) {
            return Err("a value shows more than the header allows");
        }
        Ok(Chunk {
            nodes: &context.header.nodes,
            ballots: take_all(parts[Part::Ballots as usize], 2 * rows)?,
            texts: take_all(parts[Part::Texts as usize], rows)?,
            values,
            parts,
            before: Before { at_us: context.first_us, ..Before::default() },
        })
    }

    fn row(&mut self, number: u64) -> Taken<Row> {
        let at_us = within(self.before.at_us.checked_add(self.take(Part::At)?))?;
        self.before.at_us = at_us;
        let node = self.node(Part::Node)?;
        let peer = self.node(Part::Peer)?;
        let cause = match self.take(Part::Cause)? {
            0 => None,
            back => Some(number.checked_sub(back).ok_or("a cause is no earlier row")?),
        };
        let place = self.take(Part::Ballot)?;
        let ballot = at(&self.ballots, place)?;
        let place = self.take(Part::Promised)?;
        let promised = at(&self.ballots, place)?;
        let slots = self.slots()?;
        let chosen = match self.take(Part::Chosen)? {
            0 => None,
            folded => Some(within(Some(unfold(self.before.chosen, folded - 1)))?),
        };
        self.before.chosen = chosen.unwrap_or(self.before.chosen);
        let place = self.take(Part::Value)?;
        let value = at(&self.values, place)?;
        let what = self.what(peer)?;
        Ok(Row { at_us, node, cause, ballot, promised, slots, chosen, value, what })
    }

    fn slots(&mut self) -> Taken<Option<Slots>> {
        let Some(count) = self.take(Part::Count)?.checked_sub(1) else { return Ok(None) };
        let first = unfold(self.before.first, self.take(Part::First)?);
        within(first.checked_add(count))?;
        self.before.first = first;
        Ok(Some(Slots { first, count }))
    }

    fn what(&mut self, peer: u32) -> Taken<What> {
        let kind = self.take_byte(Part::Kind)?;
        if let Some(kind) = MessageKind::ALL.into_iter().find(|it| *it as u8 == kind) {
            return Ok(What::Message { kind, to: peer, fate: self.fate()? });
        }
        let kind = EventKind::ALL.into_iter().find(|it| *it as u8 == kind);
        let kind = kind.ok_or("a row is of no known kind")?;
        let numbers = [self.take(Part::Numbers)?, self.take(Part::Numbers)?];
        let place = self.take(Part::Text)?;
        let text = at(&self.texts, place)?.unwrap_or_default();
        Ok(What::Event { kind, peer, numbers, text })
    }

    fn fate(&mut self) -> Taken<Fate> {
        Ok(match self.take_byte(Part::Fate)? {
            0 => Fate::Lost,
            1 => Fate::Once(self.latency()?),
            2 => Fate::Twice(self.latency()?, self.latency()?),
            3 => Fate::Unheard(self.latency()?),
            4 => Fate::Open,
            _ => return Err("a message has no known fate"),
        })
    }

    fn latency(&mut self) -> Taken<u64> {
        within(Some(self.take(Part::Latency)?))
    }

    /// The id of the node at the place that a column has.
    fn node(&mut self, part: Part) -> Taken<u32> {
        let place = usize::from(self.take_byte(part)?);
        let Some(index) = place.checked_sub(1) else { return Ok(0) };
        self.nodes.get(index).map(|node| node.id).ok_or("a row names a node that no header has")
    }

    fn take(&mut self, part: Part) -> Taken<u64> {
        take(&mut self.parts[part as usize])
    }

    fn take_byte(&mut self, part: Part) -> Taken<u8> {
        take_byte(&mut self.parts[part as usize])
    }

    fn left(&self, part: Part) -> u64 {
        self.parts[part as usize].len().try_into().expect("a length fits in 64 bits")
    }
}

fn within(number: Option<u64>) -> Taken<u64> {
    number.filter(|number| *number <= LIMIT).ok_or("a number is beyond the limit")
}
