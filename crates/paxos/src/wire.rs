//! Bytes to messages and records, and back. Where bad bytes die.
//!
//! Little endian throughout; `docs/formats.md` draws it, and golden vectors below pin it. Decoding
//! checks every length before it allocates, every slot, round and kind, the format's version, the
//! cluster, the epoch and both ends. It never panics.
//!
//! ```text
//!   message  version u8 | kind u8 | cluster 16 | epoch u64 | from u32 | to u32 | body
//!   record   version u8 | kind u8 | cluster 16 | epoch u64 | body
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::ballot::{Ballot, Incarnation, NodeId, Slot};
use crate::digest::{Digest, Mark, SnapshotId};
use crate::message::{Kind, Message, Page};
use crate::quorum::{ClusterId, Configuration, Epoch};
use crate::record::Record;
use crate::runs::Run;
use crate::time::{Instant, micros};
use crate::value::{Value, Values};

/// The version of both formats.
pub const VERSION: u8 = 2;

/// Why bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WireError {
    /// They end too early, or a length in them says more than there is.
    Short,
    /// Something is left after the end.
    Long,
    /// A format of another version.
    Version(u8),
    /// No such message, record or kind of value.
    Kind(u8),
    /// Another cluster's.
    Cluster,
    /// Of a configuration that is not ours.
    Epoch(u64),
    /// Not addressed to this node.
    Receiver(NodeId),
    /// Sent by nobody whom the configuration knows.
    Sender(NodeId),
    /// A slot above the last, a run without values, or an end before its beginning.
    Slots,
    /// A ballot whose round is above the last.
    Round(u64),
    /// A part of a snapshot that is empty or does not lie within it, or a name of none.
    Part,
}

impl WireError {
    /// As metrics spell it.
    pub fn name(&self) -> &'static str {
        match self {
            WireError::Short => "short",
            WireError::Long => "long",
            WireError::Version(_) => "version",
            WireError::Kind(_) => "kind",
            WireError::Cluster => "cluster",
            WireError::Epoch(_) => "epoch",
            WireError::Receiver(_) => "receiver",
            WireError::Sender(_) => "sender",
            WireError::Slots => "slots",
            WireError::Round(_) => "round",
            WireError::Part => "part",
        }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Short => write!(f, "the bytes end too early"),
            WireError::Long => write!(f, "bytes are left after the end"),
            WireError::Version(found) => {
                write!(f, "format version {found}; this program reads version {VERSION}")
            }
            WireError::Kind(found) => write!(f, "unknown kind {found}"),
            WireError::Cluster => write!(f, "it belongs to another cluster"),
            WireError::Epoch(found) => write!(f, "configuration epoch {found} is not ours"),
            WireError::Receiver(node) => write!(f, "it is addressed to node {node}"),
            WireError::Sender(node) => write!(f, "node {node} is not a member"),
            WireError::Slots => write!(f, "its slots make no sense"),
            WireError::Round(found) => write!(f, "no ballot has the round {found}"),
            WireError::Part => write!(f, "its part of a snapshot makes no sense"),
        }
    }
}

impl core::error::Error for WireError {}

/// Appends a message's bytes to `out`.
pub fn encode_message(
    configuration: &Configuration,
    from: NodeId,
    to: NodeId,
    message: &Message,
    out: &mut Vec<u8>,
) {
    let mut w = Writer { out };
    w.head(message.kind() as u8, configuration);
    w.u32(from.0);
    w.u32(to.0);
    match message {
        Message::Prepare { ballot, from } => {
            w.ballot(*ballot);
            w.slot(*from);
        }
        Message::Promise { ballot, page } => {
            w.ballot(*ballot);
            w.page(page);
        }
        Message::Reject { ballot, promised, truncated } => {
            w.ballot(*ballot);
            w.ballot(*promised);
            w.slot(*truncated);
        }
        Message::Accept { run, chosen } => {
            w.slot(*chosen);
            w.run(run);
        }
        Message::Accepted { ballot, first, end } => {
            w.ballot(*ballot);
            w.slot(*first);
            w.slot(*end);
        }
        Message::Chosen { ballot, chosen } => {
            w.ballot(*ballot);
            w.slot(*chosen);
        }
        Message::Heartbeat { ballot, sent, proof_age, chosen, start, mark } => {
            w.ballot(*ballot);
            w.u64(sent.0);
            w.age(*proof_age);
            w.slot(*chosen);
            w.slot(*start);
            w.slot(mark.below);
            w.digest(mark.digest);
        }
        Message::HeartbeatReply { ballot, sent, is_suspect } => {
            w.ballot(*ballot);
            w.u64(sent.0);
            w.u8((*is_suspect).into());
        }
        Message::Probe { id } => w.u64(*id),
        Message::ProbeReply { id, promised, progress_age } => {
            w.u64(*id);
            w.ballot(*promised);
            w.age(*progress_age);
        }
        Message::Fetch { from } => w.slot(*from),
        Message::Learned { first, values, chosen, truncated } => {
            w.slot(*first);
            w.slot(*chosen);
            w.slot(*truncated);
            w.values(values);
        }
        Message::Votes { page } => w.page(page),
        Message::Confirm { ballot, round } | Message::Confirmed { ballot, round } => {
            w.ballot(*ballot);
            w.u64(*round);
        }
        Message::ReadIndex { id } => w.u64(*id),
        Message::ReadIndexReply { id, index } => {
            w.u64(*id);
            w.slot(index.unwrap_or(Slot::LIMIT));
        }
        Message::Kept { below } => w.slot(*below),
        Message::FetchPart { snapshot, offset } => {
            // No snapshot has no bytes.
            w.snapshot(snapshot.unwrap_or_default());
            w.u64(*offset);
        }
        Message::Part { snapshot, offset, bytes } => {
            w.snapshot(*snapshot);
            w.u64(*offset);
            w.count(bytes.len());
            w.out.extend_from_slice(bytes);
        }
        Message::Offer { ballot, number } | Message::HandOver { ballot, number } => {
            w.ballot(*ballot);
            w.u64(*number);
        }
        Message::Willing { ballot, number, chosen } => {
            w.ballot(*ballot);
            w.u64(*number);
            w.slot(*chosen);
        }
    }
}

/// Reads a message addressed to `to`: its sender, and what it says.
pub fn decode_message(
    configuration: &Configuration,
    to: NodeId,
    bytes: &[u8],
) -> Result<(NodeId, Message), WireError> {
    let mut r = Reader { bytes };
    let (kind, epoch) = r.head(configuration)?;
    if epoch != configuration.epoch() {
        return Err(WireError::Epoch(epoch.0));
    }
    let sender = NodeId(r.u32()?);
    let receiver = NodeId(r.u32()?);
    if !configuration.members().contains_key(&sender) {
        return Err(WireError::Sender(sender));
    }
    if receiver != to {
        return Err(WireError::Receiver(receiver));
    }
    let kind = Kind::ALL.into_iter().find(|k| *k as u8 == kind).ok_or(WireError::Kind(kind))?;
    let message = match kind {
        Kind::Prepare => Message::Prepare { ballot: r.ballot()?, from: r.slot()? },
        Kind::Promise => Message::Promise { ballot: r.ballot()?, page: r.page()? },
        Kind::Reject => {
            let (ballot, promised) = (r.ballot()?, r.ballot()?);
            Message::Reject { ballot, promised, truncated: r.slot()? }
        }
        Kind::Accept => {
            let chosen = r.slot()?;
            Message::Accept { chosen, run: r.run()? }
        }
        Kind::Accepted => {
            let (ballot, first, end) = (r.ballot()?, r.slot()?, r.slot()?);
            if first >= end {
                return Err(WireError::Slots);
            }
            Message::Accepted { ballot, first, end }
        }
        Kind::Chosen => Message::Chosen { ballot: r.ballot()?, chosen: r.slot()? },
        Kind::Heartbeat => {
            let (ballot, sent) = (r.ballot()?, Instant(r.u64()?));
            let (proof_age, chosen, start) = (r.age()?, r.slot()?, r.slot()?);
            let mark = Mark { below: r.slot()?, digest: r.digest()? };
            Message::Heartbeat { ballot, sent, proof_age, chosen, start, mark }
        }
        Kind::HeartbeatReply => {
            let (ballot, sent) = (r.ballot()?, Instant(r.u64()?));
            Message::HeartbeatReply { ballot, sent, is_suspect: r.flag()? }
        }
        Kind::Probe => Message::Probe { id: r.u64()? },
        Kind::ProbeReply => {
            let (id, promised) = (r.u64()?, r.ballot()?);
            Message::ProbeReply { id, promised, progress_age: r.age()? }
        }
        Kind::Fetch => Message::Fetch { from: r.slot()? },
        Kind::Learned => {
            let (first, chosen, truncated) = (r.slot()?, r.slot()?, r.slot()?);
            let values = r.values(first)?;
            Message::Learned { first, values, chosen, truncated }
        }
        Kind::Votes => Message::Votes { page: r.page()? },
        Kind::Confirm => Message::Confirm { ballot: r.ballot()?, round: r.u64()? },
        Kind::Confirmed => Message::Confirmed { ballot: r.ballot()?, round: r.u64()? },
        Kind::ReadIndex => Message::ReadIndex { id: r.u64()? },
        Kind::ReadIndexReply => {
            let (id, index) = (r.u64()?, r.slot()?);
            Message::ReadIndexReply { id, index: (index != Slot::LIMIT).then_some(index) }
        }
        Kind::Kept => Message::Kept { below: r.slot()? },
        Kind::FetchPart => {
            let (snapshot, offset) = (r.snapshot()?, r.u64()?);
            let named = (snapshot.bytes > 0).then_some(snapshot);
            if offset > snapshot.bytes || named.unwrap_or_default() != snapshot {
                return Err(WireError::Part);
            }
            Message::FetchPart { snapshot: named, offset }
        }
        Kind::Part => {
            let (snapshot, offset) = (r.snapshot()?, r.u64()?);
            let length = r.count(1)?;
            let end = offset.checked_add(length as u64);
            if length == 0 || end.is_none_or(|end| end > snapshot.bytes) {
                return Err(WireError::Part);
            }
            Message::Part { snapshot, offset, bytes: Arc::from(r.take(length)?) }
        }
        Kind::Offer => Message::Offer { ballot: r.ballot()?, number: r.u64()? },
        Kind::Willing => {
            let (ballot, number) = (r.ballot()?, r.u64()?);
            Message::Willing { ballot, number, chosen: r.slot()? }
        }
        Kind::HandOver => Message::HandOver { ballot: r.ballot()?, number: r.u64()? },
    };
    r.end()?;
    Ok((sender, message))
}

const PROMISED: u8 = 1;
const ACCEPTED: u8 = 2;
const TRUNCATED: u8 = 3;
const SUSPECT: u8 = 4;
const SETTLED: u8 = 5;

/// Appends a record's bytes to `out`.
pub fn encode_record(configuration: &Configuration, record: &Record, out: &mut Vec<u8>) {
    let mut w = Writer { out };
    match record {
        Record::Promised(ballot) => {
            w.head(PROMISED, configuration);
            w.ballot(*ballot);
        }
        Record::Accepted(run) => {
            w.head(ACCEPTED, configuration);
            w.run(run);
        }
        Record::Truncated(slot) => {
            w.head(TRUNCATED, configuration);
            w.slot(*slot);
        }
        Record::Suspect => w.head(SUSPECT, configuration),
        Record::Settled(slot) => {
            w.head(SETTLED, configuration);
            w.slot(*slot);
        }
    }
}

/// Reads a record of this cluster. It may be of an earlier configuration, never of a later one: an
/// acceptor that has taken part in that must not go back.
pub fn decode_record(configuration: &Configuration, bytes: &[u8]) -> Result<Record, WireError> {
    let mut r = Reader { bytes };
    let (kind, epoch) = r.head(configuration)?;
    if epoch > configuration.epoch() {
        return Err(WireError::Epoch(epoch.0));
    }
    let record = match kind {
        PROMISED => Record::Promised(r.ballot()?),
        ACCEPTED => Record::Accepted(r.run()?),
        TRUNCATED => Record::Truncated(r.slot()?),
        SUSPECT => Record::Suspect,
        SETTLED => Record::Settled(r.slot()?),
        kind => return Err(WireError::Kind(kind)),
    };
    r.end()?;
    Ok(record)
}

const NOOP: u8 = 0;
const LEADER_START: u8 = 1;
const COMMAND: u8 = 2;

/// No age, on the wire.
const NEVER: u64 = u64::MAX;

struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("bounds on values and runs are far below 2^32"));
    }

    fn head(&mut self, kind: u8, configuration: &Configuration) {
        self.u8(VERSION);
        self.u8(kind);
        self.out.extend_from_slice(&configuration.cluster().0);
        self.u64(configuration.epoch().0);
    }

    fn ballot(&mut self, ballot: Ballot) {
        self.u64(ballot.round);
        self.u32(ballot.leader.0);
        self.u64(ballot.incarnation.0);
    }

    fn slot(&mut self, slot: Slot) {
        self.u64(slot.0);
    }

    fn digest(&mut self, digest: Digest) {
        self.out.extend_from_slice(&digest.0);
    }

    fn snapshot(&mut self, id: SnapshotId) {
        self.slot(id.below);
        self.u64(id.bytes);
        self.digest(id.digest);
    }

    fn age(&mut self, age: Option<Duration>) {
        self.u64(age.map_or(NEVER, |age| micros(age).min(NEVER - 1)));
    }

    fn values(&mut self, values: &Values) {
        self.count(values.len());
        for value in values.iter() {
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Noop => (NOOP, &[]),
                Value::LeaderStart => (LEADER_START, &[]),
                Value::Command(bytes) => (COMMAND, bytes),
            };
            self.u8(kind);
            self.count(bytes.len());
            self.out.extend_from_slice(bytes);
        }
    }

    fn run(&mut self, run: &Run) {
        self.ballot(run.ballot);
        self.slot(run.first);
        self.values(&run.values);
    }

    fn page(&mut self, page: &Page) {
        self.slot(page.from);
        self.slot(page.next.unwrap_or(Slot::LIMIT));
        self.slot(page.truncated);
        self.slot(page.suspect);
        self.count(page.votes.len());
        for run in &page.votes {
            self.run(run);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(WireError::Short)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        self.take(N)?.try_into().map_err(|_| WireError::Short)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A number of items of at least `each` bytes, that the rest of the bytes can hold.
    fn count(&mut self, each: usize) -> Result<usize, WireError> {
        let count = usize::try_from(self.u32()?).map_err(|_| WireError::Short)?;
        if count > self.bytes.len() / each { Err(WireError::Short) } else { Ok(count) }
    }

    fn head(&mut self, configuration: &Configuration) -> Result<(u8, Epoch), WireError> {
        let version = self.u8()?;
        if version != VERSION {
            return Err(WireError::Version(version));
        }
        let kind = self.u8()?;
        if ClusterId(self.array()?) != configuration.cluster() {
            return Err(WireError::Cluster);
        }
        Ok((kind, Epoch(self.u64()?)))
    }

    fn flag(&mut self) -> Result<bool, WireError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(WireError::Kind(other)),
        }
    }

    fn ballot(&mut self) -> Result<Ballot, WireError> {
        let (round, leader) = (self.u64()?, NodeId(self.u32()?));
        if round > Ballot::ROUND_MAX {
            return Err(WireError::Round(round));
        }
        Ok(Ballot { round, leader, incarnation: Incarnation(self.u64()?) })
    }

    fn slot(&mut self) -> Result<Slot, WireError> {
        let slot = Slot(self.u64()?);
        if slot > Slot::LIMIT { Err(WireError::Slots) } else { Ok(slot) }
    }

    fn digest(&mut self) -> Result<Digest, WireError> {
        Ok(Digest(self.array()?))
    }

    fn snapshot(&mut self) -> Result<SnapshotId, WireError> {
        Ok(SnapshotId { below: self.slot()?, bytes: self.u64()?, digest: self.digest()? })
    }

    fn age(&mut self) -> Result<Option<Duration>, WireError> {
        let age = self.u64()?;
        Ok((age != NEVER).then(|| Duration::from_micros(age)))
    }

    /// Values that start at `first`; all of their slots lie below the last.
    fn values(&mut self, first: Slot) -> Result<Values, WireError> {
        let count = self.count(VALUE_BYTES_MIN)?;
        if Slot::LIMIT.since(first) <= count as u64 {
            return Err(WireError::Slots);
        }
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let kind = self.u8()?;
            let length = self.count(1)?;
            let bytes = self.take(length)?;
            values.push(match kind {
                COMMAND => Value::Command(bytes.into()),
                NOOP if length == 0 => Value::Noop,
                LEADER_START if length == 0 => Value::LeaderStart,
                other => return Err(WireError::Kind(other)),
            });
        }
        Ok(values.into())
    }

    fn run(&mut self) -> Result<Run, WireError> {
        let (ballot, first) = (self.ballot()?, self.slot()?);
        let values = self.values(first)?;
        if values.is_empty() { Err(WireError::Slots) } else { Ok(Run { ballot, first, values }) }
    }

    fn page(&mut self) -> Result<Page, WireError> {
        let (from, next) = (self.slot()?, self.slot()?);
        let (truncated, suspect) = (self.slot()?, self.slot()?);
        let count = self.count(RUN_BYTES_MIN)?;
        let votes = (0..count).map(|_| self.run()).collect::<Result<Vec<Run>, WireError>>()?;
        let next = (next != Slot::LIMIT).then_some(next);
        if next.is_some_and(|next| next <= from) {
            return Err(WireError::Slots);
        }
        Ok(Page { from, votes, next, truncated, suspect })
    }

    fn end(&self) -> Result<(), WireError> {
        if self.bytes.is_empty() { Ok(()) } else { Err(WireError::Long) }
    }
}

/// Kind and length.
const VALUE_BYTES_MIN: usize = 5;
/// Ballot, slot, count, and one value.
const RUN_BYTES_MIN: usize = 20 + 8 + 4 + VALUE_BYTES_MIN;

#[cfg(test)]
mod tests;
