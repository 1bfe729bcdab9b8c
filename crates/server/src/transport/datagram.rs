//! How messages become datagrams and come back.
//!
//! Pure: no socket and no clock. Small messages share a datagram, large ones are cut into
//! fragments, none is ever truncated (the ancestor cut at 2,048 bytes, silently). Nothing that
//! arrives is believed: every refusal has a name, and what waits for its missing parts is bounded
//! in bytes, in number and in age.
//!
//! The checksum finds accidents and strays; it proves nothing about who sent a datagram. That is
//! for a secure transport.
//!
//! Layout: `docs/formats.md`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crc::{CRC_32_ISCSI, Crc, Table};
use paxos::NodeId;

use super::{ClusterId, MESSAGE_BYTES_MAX};

/// The first four bytes of every datagram.
pub const MAGIC: [u8; 4] = *b"SYND";

/// The version of the layout. Others are refused.
pub const VERSION: u8 = 1;

/// The smallest bound on a datagram: what every path on the internet carries.
pub const DATAGRAM_BYTES_MIN: usize = 1_200;

/// The largest bound on a datagram: what UDP over IPv4 carries.
pub const DATAGRAM_BYTES_MAX: usize = 65_507;

/// Messages of one peer that wait for fragments, at most. The oldest makes room.
pub const PARTIAL_MESSAGES_MAX: usize = 32;

/// Their bytes, at most. The oldest make room.
pub const PARTIAL_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// A message that is still incomplete after this time has lost a fragment for good.
pub const PARTIAL_AGE_MAX: Duration = Duration::from_secs(2);

/// Completed messages of one peer whose late repeated fragments are recognised.
const COMPLETED_MAX: usize = 64;

const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Magic and version; the checksum follows, and covers all that comes after it.
const CHECKSUM_AT: usize = 5;
const COVERED_FROM: usize = CHECKSUM_AT + 4;
/// Up to and including the kind of the body.
const HEADER_BYTES: usize = COVERED_FROM + 16 + 4 + 4 + 1;
const LENGTH_BYTES: usize = 4;
const FRAGMENT_HEADER_BYTES: usize = 8 + 2 + 2 + 4;

const KIND_MESSAGES: u8 = 0;
const KIND_FRAGMENT: u8 = 1;

/// Why a datagram was not taken. None of its messages is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// It ends before its fixed part does.
    TooShort,
    /// It does not start with [`MAGIC`]: not ours.
    BadMagic,
    /// A layout that this build does not know.
    BadVersion,
    /// Damaged on the way.
    BadChecksum,
    /// A neighbour's.
    OtherCluster,
    /// It names another receiver: an address that changed hands.
    NotForMe,
    /// Its sender is no member.
    UnknownSender,
    /// Neither messages nor a fragment.
    BadKind,
    /// A length that the datagram's end contradicts, that is zero, or that is above the bound.
    BadLength,
    /// A fragment that cannot be a part of a message of the size that it names.
    FragmentOutOfBounds,
    /// A fragment that contradicts an earlier one of the same message.
    FragmentMismatch,
}

impl Refusal {
    /// All of them, in the order of their declaration.
    pub const ALL: [Refusal; 11] = [
        Refusal::TooShort,
        Refusal::BadMagic,
        Refusal::BadVersion,
        Refusal::BadChecksum,
        Refusal::OtherCluster,
        Refusal::NotForMe,
        Refusal::UnknownSender,
        Refusal::BadKind,
        Refusal::BadLength,
        Refusal::FragmentOutOfBounds,
        Refusal::FragmentMismatch,
    ];

    /// Its counter's name.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::TooShort => "refused_too_short",
            Refusal::BadMagic => "refused_bad_magic",
            Refusal::BadVersion => "refused_bad_version",
            Refusal::BadChecksum => "refused_bad_checksum",
            Refusal::OtherCluster => "refused_other_cluster",
            Refusal::NotForMe => "refused_not_for_me",
            Refusal::UnknownSender => "refused_unknown_sender",
            Refusal::BadKind => "refused_bad_kind",
            Refusal::BadLength => "refused_bad_length",
            Refusal::FragmentOutOfBounds => "refused_fragment_out_of_bounds",
            Refusal::FragmentMismatch => "refused_fragment_mismatch",
        }
    }
}

/// Messages to datagrams.
#[derive(Clone, Debug)]
pub struct Packer {
    cluster: ClusterId,
    me: NodeId,
    datagram_bytes_max: usize,
    next_message: u64,
    /// The datagram under construction; kept for its capacity.
    buffer: Vec<u8>,
}

impl Packer {
    /// `first_message` numbers the first message that is cut; draw it at random, so that fragments
    /// of two lives of a node are never joined.
    ///
    /// # Panics
    /// If `datagram_bytes_max` is outside [`DATAGRAM_BYTES_MIN`] to [`DATAGRAM_BYTES_MAX`].
    pub fn new(
        cluster: ClusterId,
        me: NodeId,
        datagram_bytes_max: usize,
        first_message: u64,
    ) -> Packer {
        assert!(datagram_bytes_max >= DATAGRAM_BYTES_MIN);
        assert!(datagram_bytes_max <= DATAGRAM_BYTES_MAX);
        let buffer = Vec::with_capacity(datagram_bytes_max);
        Packer { cluster, me, datagram_bytes_max, next_message: first_message, buffer }
    }

    /// Gives `emit` the datagrams that carry `messages` to a peer, in order. Returns how many
    /// messages were left out because they are empty or larger than [`MESSAGE_BYTES_MAX`].
    pub fn pack(&mut self, to: NodeId, messages: &[&[u8]], emit: &mut dyn FnMut(&[u8])) -> usize {
        let mut left_out = 0;
        self.begin(to, KIND_MESSAGES);
        for message in messages {
            if message.is_empty() || message.len() > MESSAGE_BYTES_MAX {
                left_out += 1;
                continue;
            }
            let needed = LENGTH_BYTES + message.len();
            if self.buffer.len() + needed > self.datagram_bytes_max {
                self.finish(emit);
                self.begin(to, KIND_MESSAGES);
            }
            if HEADER_BYTES + needed > self.datagram_bytes_max {
                self.cut(to, message, emit);
                self.begin(to, KIND_MESSAGES);
                continue;
            }
            let length = u32::try_from(message.len()).expect("at most MESSAGE_BYTES_MAX");
            self.buffer.extend_from_slice(&length.to_le_bytes());
            self.buffer.extend_from_slice(message);
        }
        self.finish(emit);
        left_out
    }

    fn begin(&mut self, to: NodeId, kind: u8) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&MAGIC);
        self.buffer.push(VERSION);
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&self.cluster.0);
        self.buffer.extend_from_slice(&self.me.0.to_le_bytes());
        self.buffer.extend_from_slice(&to.0.to_le_bytes());
        self.buffer.push(kind);
        assert_eq!(self.buffer.len(), HEADER_BYTES);
    }

    /// Emits the datagram under construction unless nothing is in it.
    fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        if self.buffer.len() == HEADER_BYTES {
            return;
        }
        assert!(self.buffer.len() <= self.datagram_bytes_max);
        let checksum = CHECKSUM.checksum(&self.buffer[COVERED_FROM..]);
        self.buffer[CHECKSUM_AT..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
        emit(&self.buffer);
    }

    fn cut(&mut self, to: NodeId, message: &[u8], emit: &mut dyn FnMut(&[u8])) {
        let room = self.datagram_bytes_max - HEADER_BYTES - FRAGMENT_HEADER_BYTES;
        let count = message.len().div_ceil(room);
        let piece = message.len().div_ceil(count);
        let count = u16::try_from(count).expect("4 MiB in pieces of a kilobyte");
        let total = u32::try_from(message.len()).expect("at most MESSAGE_BYTES_MAX");
        for (index, bytes) in (0..count).zip(message.chunks(piece)) {
            self.begin(to, KIND_FRAGMENT);
            self.buffer.extend_from_slice(&self.next_message.to_le_bytes());
            self.buffer.extend_from_slice(&index.to_le_bytes());
            self.buffer.extend_from_slice(&count.to_le_bytes());
            self.buffer.extend_from_slice(&total.to_le_bytes());
            self.buffer.extend_from_slice(bytes);
            self.finish(emit);
        }
        self.next_message = self.next_message.wrapping_add(1);
    }
}

/// Datagrams to messages.
#[derive(Clone, Debug)]
pub struct Assembler {
    cluster: ClusterId,
    me: NodeId,
    peers: BTreeMap<NodeId, Partials>,
    given_up: u64,
}

/// One peer's unfinished messages, oldest first.
#[derive(Clone, Debug, Default)]
struct Partials {
    waiting: VecDeque<Partial>,
    /// The sum of `bytes.len()` over `waiting`, at most [`PARTIAL_BYTES_MAX`].
    bytes: usize,
    completed: VecDeque<u64>,
}

#[derive(Clone, Debug)]
struct Partial {
    message: u64,
    since: Instant,
    bytes: Vec<u8>,
    is_there: Vec<bool>,
    missing: usize,
}

struct Fragment<'a> {
    message: u64,
    index: usize,
    count: usize,
    total: usize,
    offset: usize,
    bytes: &'a [u8],
}

impl Assembler {
    /// Takes what members of `peers` send to `me`.
    pub fn new(
        cluster: ClusterId,
        me: NodeId,
        peers: impl IntoIterator<Item = NodeId>,
    ) -> Assembler {
        let peers = peers.into_iter().map(|peer| (peer, Partials::default())).collect();
        Assembler { cluster, me, peers, given_up: 0 }
    }

    /// Gives `deliver` each message that this datagram holds or completes.
    ///
    /// Messages may be delivered twice when datagrams are, and in any order.
    pub fn accept(
        &mut self,
        now: Instant,
        datagram: &[u8],
        deliver: &mut dyn FnMut(NodeId, Vec<u8>),
    ) -> Result<(), Refusal> {
        let mut rest = datagram;
        if take(&mut rest)? != MAGIC {
            return Err(Refusal::BadMagic);
        }
        if take(&mut rest)? != [VERSION] {
            return Err(Refusal::BadVersion);
        }
        let checksum = u32::from_le_bytes(take(&mut rest)?);
        if checksum != CHECKSUM.checksum(rest) {
            return Err(Refusal::BadChecksum);
        }
        if take(&mut rest)? != self.cluster.0 {
            return Err(Refusal::OtherCluster);
        }
        let from = NodeId(u32::from_le_bytes(take(&mut rest)?));
        if NodeId(u32::from_le_bytes(take(&mut rest)?)) != self.me {
            return Err(Refusal::NotForMe);
        }
        let partials = self.peers.get_mut(&from).ok_or(Refusal::UnknownSender)?;
        match take(&mut rest)? {
            [KIND_MESSAGES] => {
                // Checked as a whole before any is delivered.
                for message in messages(rest) {
                    message?;
                }
                for message in messages(rest).flatten() {
                    deliver(from, message.to_vec());
                }
            }
            [KIND_FRAGMENT] => {
                let fragment = fragment(rest)?;
                let (complete, given_up) = partials.accept(now, &fragment)?;
                self.given_up += given_up;
                if let Some(message) = complete {
                    deliver(from, message);
                }
            }
            _ => return Err(Refusal::BadKind),
        }
        Ok(())
    }

    /// Gives up messages whose missing fragments are overdue.
    pub fn expire(&mut self, now: Instant) {
        for partials in self.peers.values_mut() {
            self.given_up += partials.expire(now);
        }
    }

    /// Bytes that wait for missing fragments: at most [`PARTIAL_BYTES_MAX`] a peer.
    pub fn bytes_held(&self) -> usize {
        self.peers.values().map(|partials| partials.bytes).sum()
    }

    /// Messages that were given up incomplete: too old, or in the way of newer ones.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Whose datagrams are taken.
    pub fn peers(&self) -> BTreeSet<NodeId> {
        self.peers.keys().copied().collect()
    }
}

impl Partials {
    /// The completed message, if this fragment was its last, and how many others were given up.
    fn accept(
        &mut self,
        now: Instant,
        fragment: &Fragment<'_>,
    ) -> Result<(Option<Vec<u8>>, u64), Refusal> {
        if self.completed.contains(&fragment.message) {
            return Ok((None, 0));
        }
        let mut given_up = 0;
        let known = self.waiting.iter().position(|partial| partial.message == fragment.message);
        let position = if let Some(position) = known {
            position
        } else {
            given_up = self.make_room(now, fragment.total);
            self.bytes += fragment.total;
            self.waiting.push_back(Partial {
                message: fragment.message,
                since: now,
                bytes: vec![0; fragment.total],
                is_there: vec![false; fragment.count],
                missing: fragment.count,
            });
            self.waiting.len() - 1
        };
        let partial = &mut self.waiting[position];
        if partial.bytes.len() != fragment.total || partial.is_there.len() != fragment.count {
            return Err(Refusal::FragmentMismatch);
        }
        if !partial.is_there[fragment.index] {
            partial.is_there[fragment.index] = true;
            partial.missing -= 1;
            partial.bytes[fragment.offset..fragment.offset + fragment.bytes.len()]
                .copy_from_slice(fragment.bytes);
        }
        if partial.missing > 0 {
            return Ok((None, given_up));
        }
        let complete = self.remove(position);
        if self.completed.len() == COMPLETED_MAX {
            self.completed.pop_front();
        }
        self.completed.push_back(complete.message);
        Ok((Some(complete.bytes), given_up))
    }

    /// Gives up old messages until one more of `total` bytes fits.
    fn make_room(&mut self, now: Instant, total: usize) -> u64 {
        let mut given_up = self.expire(now);
        while self.waiting.len() >= PARTIAL_MESSAGES_MAX || self.bytes + total > PARTIAL_BYTES_MAX {
            self.remove(0);
            given_up += 1;
        }
        given_up
    }

    fn expire(&mut self, now: Instant) -> u64 {
        let mut given_up = 0;
        while let Some(oldest) = self.waiting.front()
            && now.saturating_duration_since(oldest.since) > PARTIAL_AGE_MAX
        {
            self.remove(0);
            given_up += 1;
        }
        given_up
    }

    fn remove(&mut self, position: usize) -> Partial {
        let partial = self.waiting.remove(position).expect("the caller found it there");
        self.bytes -= partial.bytes.len();
        partial
    }
}

/// The next `N` bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Refusal> {
    let (head, tail) = rest.split_first_chunk().ok_or(Refusal::TooShort)?;
    *rest = tail;
    Ok(*head)
}

/// The messages of a body, until it ends or a length is wrong. An empty body has a wrong length.
fn messages(body: &[u8]) -> impl Iterator<Item = Result<&[u8], Refusal>> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let body = rest.take()?;
        let Some((length, tail)) = body.split_first_chunk() else {
            return Some(Err(Refusal::BadLength));
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let Some((message, tail)) = tail.split_at_checked(length) else {
            return Some(Err(Refusal::BadLength));
        };
        if message.is_empty() {
            return Some(Err(Refusal::BadLength));
        }
        rest = (!tail.is_empty()).then_some(tail);
        Some(Ok(message))
    })
}

/// A fragment that can be a part of some message: its place follows from the total and the count,
/// as pieces are equal but for the last one.
fn fragment(mut body: &[u8]) -> Result<Fragment<'_>, Refusal> {
    let message = u64::from_le_bytes(take(&mut body)?);
    let index = usize::from(u16::from_le_bytes(take(&mut body)?));
    let count = usize::from(u16::from_le_bytes(take(&mut body)?));
    let total = usize::try_from(u32::from_le_bytes(take(&mut body)?)).unwrap_or(usize::MAX);
    if total == 0 || total > MESSAGE_BYTES_MAX {
        return Err(Refusal::BadLength);
    }
    if count < 2 || index >= count {
        return Err(Refusal::FragmentOutOfBounds);
    }
    let piece = total.div_ceil(count);
    if total.div_ceil(piece) != count {
        return Err(Refusal::FragmentOutOfBounds);
    }
    let offset = index * piece;
    if body.len() != piece.min(total - offset) {
        return Err(Refusal::BadLength);
    }
    Ok(Fragment { message, index, count, total, offset, bytes: body })
}

#[cfg(test)]
mod tests;
