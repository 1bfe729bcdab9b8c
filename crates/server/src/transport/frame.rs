//! How messages become a stream of bytes and come back.
//!
//! Pure: no socket and no clock. A stream begins with a hello that says who speaks to whom; then
//! messages follow, each with its length before it. What comes is never believed: every refusal has
//! a name, and no length makes a buffer grow before the bytes are there.
//!
//! On a plain stream each message bears a checksum, as a datagram does: TCP's own misses too much
//! for what must be remembered for ever. Under TLS the records are authentic already, and it is
//! left out.
//!
//! Layout: `docs/formats.md`.

use crc::{CRC_32_ISCSI, Crc, Table};
use paxos::NodeId;

use super::{ClusterId, MESSAGE_BYTES_MAX};

/// The first four bytes of every stream.
pub const MAGIC: [u8; 4] = *b"SYNS";

/// The version of the layout. Others are refused.
pub const VERSION: u8 = 1;

/// The length of a hello.
pub const HELLO_BYTES: usize = COVERED_FROM + 16 + 4 + 4;

/// What the accepting side says, once when it has taken the hello and then again and again: I am
/// here. It says nothing else.
pub const PULSE: u8 = 0x2e;

const CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// Magic and version; the checksum follows, and covers all that comes after it.
const CHECKSUM_AT: usize = 5;
const COVERED_FROM: usize = CHECKSUM_AT + 4;

const LENGTH_BYTES: usize = 4;

/// What one read asks for, at least and at first.
const BUFFER_BYTES: usize = 64 << 10;

/// A buffer that grew for a large message and is larger than this is given back.
const BUFFER_KEPT_MAX: usize = 512 << 10;

/// Why a stream was not taken, or not any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
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
    /// A message above [`MESSAGE_BYTES_MAX`].
    TooLarge,
}

/// What a stream begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Both sides' cluster.
    pub cluster: ClusterId,
    /// Who dials, and whose messages follow.
    pub from: NodeId,
    /// Who is dialled.
    pub to: NodeId,
}

impl Hello {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        let covered = &mut bytes[COVERED_FROM..];
        covered[..16].copy_from_slice(&self.cluster.0);
        covered[16..20].copy_from_slice(&self.from.0.to_le_bytes());
        covered[20..].copy_from_slice(&self.to.0.to_le_bytes());
        let checksum = CHECKSUM.checksum(&bytes[COVERED_FROM..]);
        bytes[CHECKSUM_AT..COVERED_FROM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads one. Whether it may be believed is another question.
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Result<Hello, Refusal> {
        let (head, covered) = bytes.split_at(COVERED_FROM);
        if head[..4] != MAGIC {
            return Err(Refusal::BadMagic);
        }
        if head[4] != VERSION {
            return Err(Refusal::BadVersion);
        }
        if head[CHECKSUM_AT..] != CHECKSUM.checksum(covered).to_le_bytes() {
            return Err(Refusal::BadChecksum);
        }
        let (cluster, ids) = covered.split_at(16);
        let id = |bytes: &[u8]| NodeId(u32::from_le_bytes(bytes.try_into().expect("four bytes")));
        let cluster = ClusterId(cluster.try_into().expect("sixteen bytes"));
        Ok(Hello { cluster, from: id(&ids[..4]), to: id(&ids[4..]) })
    }
}

/// What protects messages from being damaged on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    /// A checksum with each message.
    Checksum,
    /// The records in which the stream travels.
    Records,
}

impl Seal {
    fn header_bytes(self) -> usize {
        match self {
            Seal::Checksum => LENGTH_BYTES + 4,
            Seal::Records => LENGTH_BYTES,
        }
    }

    /// So many bytes of a stream a message takes.
    pub fn framed_bytes(self, message: &[u8]) -> usize {
        self.header_bytes() + message.len()
    }

    /// Puts a message behind others. An empty one says nothing but that the sender is there.
    ///
    /// # Panics
    /// If it is above [`MESSAGE_BYTES_MAX`].
    pub fn put(self, message: &[u8], into: &mut Vec<u8>) {
        assert!(message.len() <= MESSAGE_BYTES_MAX);
        let length = u32::try_from(message.len()).expect("at most MESSAGE_BYTES_MAX").to_le_bytes();
        into.extend_from_slice(&length);
        if self == Seal::Checksum {
            into.extend_from_slice(&checksum(length, message).to_le_bytes());
        }
        into.extend_from_slice(message);
    }
}

fn checksum(length: [u8; LENGTH_BYTES], message: &[u8]) -> u32 {
    let mut digest = CHECKSUM.digest();
    digest.update(&length);
    digest.update(message);
    digest.finalize()
}

/// A stream to messages: bytes are put where [`Frames::room`] says, and messages taken out.
#[derive(Debug)]
pub struct Frames {
    seal: Seal,
    /// What came and was not taken yet is `buffer[start..end]`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    /// Of a stream whose hello was read.
    pub fn new(seal: Seal) -> Frames {
        Frames { seal, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 }
    }

    /// Where the next bytes go. Never empty. To be asked for when no message is left to take.
    pub fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > BUFFER_KEPT_MAX {
                self.buffer = vec![0; BUFFER_BYTES];
            }
        }
        let is_tight = self.buffer.len() - self.end < BUFFER_BYTES / 2;
        if is_tight && self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.buffer.len() {
            // A message that is larger than the buffer. It doubles with what has come, so that a
            // length alone costs nothing.
            let whole = self.seal.header_bytes() + MESSAGE_BYTES_MAX;
            let doubled = (self.buffer.len() * 2).min(whole);
            assert!(doubled > self.end, "what is complete was taken");
            self.buffer.resize(doubled, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// So many bytes were put there.
    ///
    /// # Panics
    /// If there was no room for them.
    pub fn filled(&mut self, bytes: usize) {
        self.end += bytes;
        assert!(self.end <= self.buffer.len());
    }

    /// The next message that is whole, perhaps an empty one. After a refusal the stream is of no
    /// use: where its next message begins is not known.
    pub fn take(&mut self) -> Result<Option<&[u8]>, Refusal> {
        let waiting = &self.buffer[self.start..self.end];
        let Some((length, rest)) = waiting.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if bytes > MESSAGE_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let header = self.seal.header_bytes();
        let Some(message) = waiting.get(header..header + bytes) else { return Ok(None) };
        if self.seal == Seal::Checksum {
            let claimed = rest.first_chunk::<4>().expect("the message is behind it");
            if u32::from_le_bytes(*claimed) != checksum(*length, message) {
                return Err(Refusal::BadChecksum);
            }
        }
        let from = self.start + header;
        self.start = from + bytes;
        Ok(Some(&self.buffer[from..self.start]))
    }

    /// The memory that is held.
    pub fn bytes_held(&self) -> usize {
        self.buffer.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Hello = Hello { cluster: ClusterId([7; 16]), from: NodeId(2), to: NodeId(1) };

    fn feed(frames: &mut Frames, mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut taken = Vec::new();
        loop {
            while let Some(message) = frames.take()? {
                taken.push(message.to_vec());
            }
            if bytes.is_empty() {
                return Ok(taken);
            }
            let room = frames.room();
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            frames.filled(count);
        }
    }

    #[test]
    fn golden_bytes() {
        let mut expected = b"SYNS\x01".to_vec();
        expected.extend([0x1f, 0x99, 0x3b, 0x12]);
        expected.extend([7; 16]);
        expected.extend([2, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(HELLO.encode().to_vec(), expected);
        let mut bytes = Vec::new();
        Seal::Records.put(b"ab", &mut bytes);
        Seal::Records.put(b"", &mut bytes);
        assert_eq!(bytes, b"\x02\0\0\0ab\0\0\0\0");
        bytes.clear();
        Seal::Checksum.put(b"ab", &mut bytes);
        assert_eq!(bytes, b"\x02\0\0\0\xad\x82\x65\x9fab");
    }

    #[test]
    fn a_hello_is_read_back_and_each_flipped_byte_is_noticed() {
        let bytes = HELLO.encode();
        assert_eq!(Hello::decode(&bytes), Ok(HELLO));
        for at in 0..bytes.len() {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            let refusal = match at {
                0..4 => Refusal::BadMagic,
                4 => Refusal::BadVersion,
                _ => Refusal::BadChecksum,
            };
            assert_eq!(Hello::decode(&damaged), Err(refusal), "{at}");
        }
    }

    #[test]
    fn messages_of_every_size_come_back_in_order_however_they_are_cut() {
        let sizes = [0, 1, 5, 300, BUFFER_BYTES - 4, BUFFER_BYTES, 3, MESSAGE_BYTES_MAX, 0, 7];
        let messages: Vec<Vec<u8>> =
            sizes.iter().zip(1u8..).map(|(size, fill)| vec![fill; *size]).collect();
        for seal in [Seal::Checksum, Seal::Records] {
            let mut stream = Vec::new();
            for message in &messages {
                seal.put(message, &mut stream);
            }
            let framed: usize = messages.iter().map(|it| seal.framed_bytes(it)).sum();
            assert_eq!(stream.len(), framed);
            for piece in [997, 70_000, stream.len()] {
                let mut frames = Frames::new(seal);
                let mut taken = Vec::new();
                for bytes in stream.chunks(piece) {
                    taken.extend(feed(&mut frames, bytes).unwrap());
                }
                assert!(taken == messages, "{seal:?} {piece}");
                frames.room();
                assert!(frames.bytes_held() <= BUFFER_KEPT_MAX, "it is given back");
            }
        }
    }

    #[test]
    fn a_length_alone_costs_no_memory() {
        let mut frames = Frames::new(Seal::Records);
        let claimed = u32::try_from(MESSAGE_BYTES_MAX).unwrap();
        assert_eq!(feed(&mut frames, &claimed.to_le_bytes()), Ok(vec![]));
        feed(&mut frames, &[1; 1000]).unwrap();
        assert_eq!(frames.bytes_held(), BUFFER_BYTES);
        let mut frames = Frames::new(Seal::Records);
        assert_eq!(feed(&mut frames, &(claimed + 1).to_le_bytes()), Err(Refusal::TooLarge));
        assert_eq!(feed(&mut Frames::new(Seal::Checksum), &[0xff; 4]), Err(Refusal::TooLarge));
    }

    #[test]
    fn each_flipped_byte_of_a_plain_stream_ends_it() {
        let mut stream = Vec::new();
        Seal::Checksum.put(b"a message", &mut stream);
        Seal::Checksum.put(&[9; 300], &mut stream);
        for at in 0..stream.len() {
            let mut damaged = stream.clone();
            damaged[at] ^= 1;
            let taken = feed(&mut Frames::new(Seal::Checksum), &damaged);
            // Refused, or its end is still awaited.
            let is_noticed = taken.is_err()
                || taken.is_ok_and(|it| it.len() < 2 && it.iter().all(|it| it == b"a message"));
            assert!(is_noticed, "{at}");
        }
    }
}
