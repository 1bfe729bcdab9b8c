//! One frame: the bytes of one append and what proves where and when they were written.
//!
//! This file encodes and validates single frames at a known place. It does not know how frames
//! follow each other, nor what a missing one means (see `recover.rs`).
//!
//! ```text
//!  offset  size
//!       0     4  header checksum   crc32c(identity, segment number, offset, bytes 4..28)
//!       4     4  payload checksum  crc32c(identity, segment number, offset, payload)
//!       8     4  payload length in bytes, at most FRAME_BYTES_MAX; the highest bit: kind
//!      12     8  sequence
//!      20     8  synced_before     every frame below it was durable when this one was encoded
//!      28     n  payload, then zeros up to a multiple of 8
//! ```
//!
//! All integers are little endian. Identity, number and offset are mixed into both checksums and
//! not stored: a frame of another cluster, node or disk, of the former life of a recycled file, or
//! written to the wrong place, never validates.
//!
//! The header has a checksum of its own because a header alone is evidence: whoever finds one
//! knows that all frames below `synced_before` once were durable, even if its payload is torn.

use alloc::vec::Vec;
use core::fmt;

use crc::{CRC_32_ISCSI, Crc, Digest, Table};

use crate::disk::SegmentNumber;
use crate::segment::Identity;

/// The largest payload of a frame, in bytes.
pub const FRAME_BYTES_MAX: usize = 16 << 20;

pub(crate) const HEADER_BYTES: usize = 28;

/// In the length field: the frame is the journal's own. No length comes near it.
const CUT_MARK: u32 = 1 << 31;

/// Whose frame it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The caller's: shown to whoever reads the journal.
    Payload,
    /// The journal's own: from here on it may start at the sequence that this frame holds.
    Cut,
}

/// Frames start at multiples of this, so that a search for them need not try every byte.
pub(crate) const ALIGNMENT: usize = 8;

/// Castagnoli's polynomial. Sixteen tables: an append should cost memory bandwidth, not arithmetic.
pub(crate) static CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// A frame's position in the journal, counted from zero over its whole life.
///
/// As a bound it is exclusive: "durable to 7" means that frames 0 to 6 are durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence that follows. Saturates; a million frames a second get there in 584,000 years.
    #[must_use]
    pub const fn next(self) -> Sequence {
        Sequence(self.0.saturating_add(1))
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The checksum of everything that a frame of one segment must not be mistaken about.
#[derive(Clone)]
pub(crate) struct Seal(Digest<'static, u32, Table<16>>);

impl Seal {
    pub(crate) fn new(identity: &Identity, number: SegmentNumber) -> Seal {
        let mut digest = CRC32C.digest();
        digest.update(&identity.to_bytes());
        digest.update(&number.0.to_le_bytes());
        Seal(digest)
    }

    /// Of bytes at this place: for a frame its offset.
    pub(crate) fn checksum(&self, place: u64, bytes: &[u8]) -> u32 {
        let mut digest = self.0.clone();
        digest.update(&place.to_le_bytes());
        digest.update(bytes);
        digest.finalize()
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seal({:08x})", self.0.clone().finalize())
    }
}

/// A header that has validated. Its payload may still be torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) sequence: Sequence,
    pub(crate) synced_before: Sequence,
    pub(crate) length: usize,
    payload_checksum: u32,
}

impl Header {
    /// How much of a segment the whole frame takes.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.length)
    }
}

/// How much of a segment a frame with this payload takes.
pub(crate) const fn frame_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT)
}

/// Appends a frame to `out`, which will be written so that the frame starts at offset.
pub(crate) fn encode(
    seal: &Seal,
    offset: usize,
    (kind, sequence, synced_before): (Kind, Sequence, Sequence),
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    assert!(synced_before <= sequence);
    assert!(offset.is_multiple_of(ALIGNMENT));
    assert!(payload.len() <= FRAME_BYTES_MAX);
    let length = u32::try_from(payload.len()).expect("FRAME_BYTES_MAX fits 32 bits");
    let mut header = [0; HEADER_BYTES];
    header[4..8].copy_from_slice(&seal.checksum(offset as u64, payload).to_le_bytes());
    let mark = if kind == Kind::Cut { CUT_MARK } else { 0 };
    header[8..12].copy_from_slice(&(mark | length).to_le_bytes());
    header[12..20].copy_from_slice(&sequence.0.to_le_bytes());
    header[20..28].copy_from_slice(&synced_before.0.to_le_bytes());
    let checksum = seal.checksum(offset as u64, &header[4..]);
    header[..4].copy_from_slice(&checksum.to_le_bytes());
    let end = out.len() + frame_bytes(payload.len());
    out.extend_from_slice(&header);
    out.extend_from_slice(payload);
    out.resize(end, 0);
}

/// The header at offset, if one of this segment with a sequence at or above `from` is there.
///
/// The cheap comparisons come first: a search tries every eighth byte of a segment.
pub(crate) fn header_at(
    seal: &Seal,
    segment: &[u8],
    offset: usize,
    from: Sequence,
) -> Option<Header> {
    let bytes: &[u8; HEADER_BYTES] = segment.get(offset..)?.first_chunk()?;
    let length = read_u32(bytes, 8);
    let header = Header {
        kind: if length & CUT_MARK == 0 { Kind::Payload } else { Kind::Cut },
        sequence: Sequence(read_u64(bytes, 12)),
        synced_before: Sequence(read_u64(bytes, 20)),
        length: (length & !CUT_MARK) as usize,
        payload_checksum: read_u32(bytes, 4),
    };
    // Most of a segment is zeros, and zeros are no frame: as one, they would be the journal's first
    // with two checksums that both happen to be zero.
    let is_plausible = *bytes != [0; HEADER_BYTES]
        && header.sequence >= from
        && header.synced_before <= header.sequence
        && header.length <= FRAME_BYTES_MAX
        && header.frame_bytes() <= segment.len() - offset;
    let is_sealed = || seal.checksum(offset as u64, &bytes[4..]) == read_u32(bytes, 0);
    (is_plausible && is_sealed()).then_some(header)
}

/// The payload behind a header that was found at offset, if it is whole.
pub(crate) fn payload_of<'a>(
    header: &Header,
    seal: &Seal,
    segment: &'a [u8],
    offset: usize,
) -> Option<&'a [u8]> {
    let payload = &segment[offset + HEADER_BYTES..][..header.length];
    (seal.checksum(offset as u64, payload) == header.payload_checksum).then_some(payload)
}

/// The frame at offset, if it is whole and has exactly this sequence.
pub(crate) fn frame_at<'a>(
    seal: &Seal,
    segment: &'a [u8],
    offset: usize,
    sequence: Sequence,
) -> Option<(Kind, &'a [u8])> {
    let header = header_at(seal, segment, offset, sequence)?;
    let payload = payload_of(&header, seal, segment, offset)?;
    (header.sequence == sequence).then_some((header.kind, payload))
}

/// What a frame of kind [`Kind::Cut`] says: where the journal may start. Never above itself.
pub(crate) fn cut_of(sequence: Sequence, payload: &[u8]) -> Option<Sequence> {
    let first = Sequence(u64::from_le_bytes(payload.try_into().ok()?));
    (first <= sequence).then_some(first)
}

fn read_u32(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("the range is four bytes long"))
}

fn read_u64(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("the range is eight bytes long"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const IDENTITY: Identity = Identity { cluster: [0xc1; 16], node: 7, disk: [0xd1; 16] };

    fn seal(number: u64) -> Seal {
        Seal::new(&IDENTITY, SegmentNumber(number))
    }

    #[test]
    fn a_frame_is_these_bytes() {
        let mut out = Vec::new();
        encode(&seal(1), 4096, (Kind::Payload, Sequence(5), Sequence(3)), b"synod", &mut out);
        #[rustfmt::skip]
        let golden = [
            0xde, 0xe1, 0x02, 0x9b, 0x3e, 0x94, 0xab, 0x53,
            5, 0, 0, 0,
            5, 0, 0, 0, 0, 0, 0, 0,
            3, 0, 0, 0, 0, 0, 0, 0,
            b's', b'y', b'n', b'o', b'd',
            0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(out, golden, "{out:02x?}");
    }

    #[test]
    fn a_cut_is_these_bytes() {
        let mut out = Vec::new();
        let first = Sequence(4).0.to_le_bytes();
        encode(&seal(1), 4096, (Kind::Cut, Sequence(5), Sequence(3)), &first, &mut out);
        #[rustfmt::skip]
        let golden = [
            0xe2, 0x21, 0xff, 0x9e, 0xc3, 0xf6, 0x5c, 0xf9,
            8, 0, 0, 0x80,
            5, 0, 0, 0, 0, 0, 0, 0,
            3, 0, 0, 0, 0, 0, 0, 0,
            4, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 0,
        ];
        assert_eq!(out, golden, "{out:02x?}");
        let (kind, payload) = frame_at(&seal(1), &[vec![0; 4096], out].concat(), 4096, Sequence(5))
            .map(|(kind, payload)| (kind, payload.to_vec()))
            .unwrap();
        assert_eq!((kind, cut_of(Sequence(5), &payload)), (Kind::Cut, Some(Sequence(4))));
        assert_eq!(cut_of(Sequence(3), &payload), None, "it never names a frame above itself");
        assert_eq!(cut_of(Sequence(5), b"short"), None);
    }

    #[test]
    fn the_checksum_is_castagnolis_of_the_parts_in_a_row() {
        let mut parts = Vec::new();
        parts.extend_from_slice(&IDENTITY.to_bytes());
        parts.extend_from_slice(&9u64.to_le_bytes());
        parts.extend_from_slice(&4096u64.to_le_bytes());
        parts.extend_from_slice(b"payload");
        assert_eq!(seal(9).checksum(4096, b"payload"), CRC32C.checksum(&parts));
        assert_eq!(CRC32C.checksum(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn payloads_of_every_small_length_come_back() {
        for length in 0..100 {
            let payload = vec![0xa5; length];
            let mut segment = vec![0; 16];
            encode(&seal(1), 16, (Kind::Payload, Sequence(2), Sequence(0)), &payload, &mut segment);
            assert_eq!(segment.len() % ALIGNMENT, 0);
            let found = frame_at(&seal(1), &segment, 16, Sequence(2));
            assert_eq!(found, Some((Kind::Payload, &payload[..])));
            assert_eq!(frame_at(&seal(1), &segment, 16, Sequence(1)), None);
        }
    }

    #[test]
    fn a_foreign_stale_or_misdirected_frame_never_validates() {
        let mut segment = Vec::new();
        encode(&seal(1), 0, (Kind::Payload, Sequence(0), Sequence(0)), b"here", &mut segment);
        let length = segment.len();
        segment.extend_from_within(..);
        assert!(header_at(&seal(1), &segment, 0, Sequence(0)).is_some());
        assert!(header_at(&seal(1), &segment, length, Sequence(0)).is_none(), "misdirected");
        assert!(header_at(&seal(2), &segment, 0, Sequence(0)).is_none(), "recycled");
        for foreign in [
            Identity { cluster: [0xc2; 16], ..IDENTITY },
            Identity { node: 8, ..IDENTITY },
            Identity { disk: [0xd2; 16], ..IDENTITY },
        ] {
            let seal = Seal::new(&foreign, SegmentNumber(1));
            assert!(header_at(&seal, &segment, 0, Sequence(0)).is_none(), "{foreign:?}");
        }
    }

    #[test]
    fn no_flipped_bit_and_no_truncation_validates() {
        let mut frame = Vec::new();
        encode(&seal(1), 0, (Kind::Payload, Sequence(3), Sequence(3)), b"twelve bytes", &mut frame);
        let used = HEADER_BYTES + 12;
        for bit in 0..used * 8 {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(frame_at(&seal(1), &flipped, 0, Sequence(3)), None, "bit {bit}");
        }
        for length in 0..used {
            assert_eq!(frame_at(&seal(1), &frame[..length], 0, Sequence(3)), None);
        }
    }

    #[test]
    fn no_frame_ends_beyond_its_segment() {
        let mut segment = vec![0; 8];
        encode(&seal(1), 8, (Kind::Payload, Sequence(3), Sequence(3)), b"payload", &mut segment);
        for length in 0..segment.len() {
            assert_eq!(header_at(&seal(1), &segment[..length], 8, Sequence(3)), None);
        }
        assert!(header_at(&seal(1), &segment, 8, Sequence(3)).is_some());
    }
}
