//! A segment: one file of the journal, and the header that says whose it is and where it starts.
//!
//! This file knows the layout of the header and nothing of frames.
//!
//! ```text
//!  offset  size
//!       0     6  "SYNODJ"
//!       6     2  format version, now 2
//!       8     8  segment number
//!      16     8  start: the sequence of the segment's first frame
//!      24    16  cluster id
//!      40     4  node id
//!      44    16  disk id
//!      60     4  crc32c of bytes 0..60
//!      64  4032  zeros
//!    4096        frames; each batch starts at a multiple of 4096, zeros between batches
//! ```
//!
//! All integers are little endian. Every later version keeps magic, version and checksum where
//! they are, so that "written by a newer release" can be told from damage.
//!
//! ```text
//!   files by number      3        4        5        6        7
//!                     [ live ][ live ][ live  ][ spare ][ spare ]
//!                       first            current
//! ```
//!
//! Live segments have a header with their own number; a spare has none yet, or that of its former
//! life. Numbers are contiguous, and a file's number only grows: that is why no frame of a former
//! life can validate again.

use core::fmt;

use crate::disk::{SECTOR_BYTES, SegmentNumber};
use crate::frame::{CRC32C, FRAME_BYTES_MAX, Sequence, frame_bytes};

/// The format that this release writes, and the only one that it reads.
pub const FORMAT_VERSION: u16 = 2;

/// No segment is larger, in bytes; a file that is was not made by a journal.
///
/// Recovery reads a segment into memory as a whole, so this is also its bound on memory.
pub const SEGMENT_BYTES_MAX: usize = 64 << 20;

/// The smallest segment: a header, one sector of frames, and one for a cut.
pub const SEGMENT_BYTES_MIN: usize = 3 * SECTOR_BYTES;

/// The end of each segment is kept free of the caller's frames, so that a full disk can still be
/// told of a cut, which makes room.
pub(crate) const CUT_BYTES: usize = SECTOR_BYTES;

/// The size of the segment that [`crate::Journal::format`] makes. Small: most journals of tests
/// and trials never fill it, and `init` should not wait for zeros.
pub(crate) const FIRST_SEGMENT_BYTES: usize = (64 << 10) + CUT_BYTES;

/// Frames start after the header's sector, which is written once and never again.
pub(crate) const FRAMES_START: usize = SECTOR_BYTES;

pub(crate) const FIRST_SEGMENT: SegmentNumber = SegmentNumber(1);

/// Where an unfinished format leaves its file. Never live.
pub(crate) const SCRATCH: SegmentNumber = SegmentNumber(0);

const MAGIC: &[u8; 6] = b"SYNODJ";
const HEADER_BYTES: usize = 64;
const IDENTITY_BYTES: usize = 36;

const _: () = assert!(bytes_for(FRAME_BYTES_MAX) <= SEGMENT_BYTES_MAX);

/// Whose journal this is. The configuration names all three; a node whose directory says otherwise,
/// or nothing, must not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The cluster, drawn at random when it was made.
    pub cluster: [u8; 16],
    /// The node's id in that cluster.
    pub node: u32,
    /// This disk, drawn at random by `format`: an empty replacement is another disk.
    pub disk: [u8; 16],
}

impl Identity {
    pub(crate) fn to_bytes(self) -> [u8; IDENTITY_BYTES] {
        let mut bytes = [0; IDENTITY_BYTES];
        bytes[..16].copy_from_slice(&self.cluster);
        bytes[16..20].copy_from_slice(&self.node.to_le_bytes());
        bytes[20..].copy_from_slice(&self.disk);
        bytes
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cluster ")?;
        self.cluster.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, " node {} disk ", self.node)?;
        self.disk.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What the first sector of a live segment says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: SegmentNumber,
    pub(crate) start: Sequence,
    pub(crate) identity: Identity,
}

/// What reading a first sector can lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderRead {
    Whole(Header),
    OtherVersion(u16),
    /// Zeros, torn or damaged: which of them, only the other segments can tell.
    Unreadable,
}

impl Header {
    /// The first sector of the segment.
    pub(crate) fn to_sector(self) -> [u8; SECTOR_BYTES] {
        let mut bytes = [0; SECTOR_BYTES];
        bytes[..6].copy_from_slice(MAGIC);
        bytes[6..8].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.start.0.to_le_bytes());
        bytes[24..60].copy_from_slice(&self.identity.to_bytes());
        let checksum = CRC32C.checksum(&bytes[..60]);
        bytes[60..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a file's first bytes, however few they are.
    pub(crate) fn read(bytes: &[u8]) -> HeaderRead {
        let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
            return HeaderRead::Unreadable;
        };
        if bytes[..6] != *MAGIC || CRC32C.checksum(&bytes[..60]).to_le_bytes() != bytes[60..] {
            return HeaderRead::Unreadable;
        }
        let version = u16::from_le_bytes([bytes[6], bytes[7]]);
        if version != FORMAT_VERSION {
            return HeaderRead::OtherVersion(version);
        }
        HeaderRead::Whole(Header {
            number: SegmentNumber(u64::from_le_bytes(field(bytes, 8))),
            start: Sequence(u64::from_le_bytes(field(bytes, 16))),
            identity: Identity {
                cluster: field(bytes, 24),
                node: u32::from_le_bytes(field(bytes, 40)),
                disk: field(bytes, 44),
            },
        })
    }
}

/// The smallest file that holds a header, one frame with this payload and a cut.
pub(crate) const fn bytes_for(payload_bytes: usize) -> usize {
    FRAMES_START + frame_bytes(payload_bytes).next_multiple_of(SECTOR_BYTES) + CUT_BYTES
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N bytes long")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        number: SegmentNumber(2),
        start: Sequence(0x0102),
        identity: Identity { cluster: [0xc1; 16], node: 7, disk: [0xd1; 16] },
    };

    #[test]
    fn a_header_is_these_bytes() {
        let sector = HEADER.to_sector();
        #[rustfmt::skip]
        let golden = [
            b'S', b'Y', b'N', b'O', b'D', b'J', 2, 0,
            2, 0, 0, 0, 0, 0, 0, 0,
            2, 1, 0, 0, 0, 0, 0, 0,
            0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1,
            0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1,
            7, 0, 0, 0,
            0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1,
            0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1,
            0x75, 0x8b, 0x4f, 0x5b,
        ];
        assert_eq!(sector[..HEADER_BYTES], golden, "{:02x?}", &sector[60..64]);
        assert!(sector[HEADER_BYTES..].iter().all(|&byte| byte == 0));
        assert_eq!(Header::read(&sector), HeaderRead::Whole(HEADER));
    }

    #[test]
    fn no_flipped_bit_and_no_truncation_reads_as_a_header() {
        let sector = HEADER.to_sector();
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = sector;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::read(&flipped), HeaderRead::Unreadable, "bit {bit}");
        }
        for length in 0..HEADER_BYTES {
            assert_eq!(Header::read(&sector[..length]), HeaderRead::Unreadable);
        }
    }

    #[test]
    fn another_version_is_named_only_when_its_checksum_holds() {
        let mut sector = HEADER.to_sector();
        sector[6] = 3;
        assert_eq!(Header::read(&sector), HeaderRead::Unreadable);
        let checksum = CRC32C.checksum(&sector[..60]);
        sector[60..64].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::read(&sector), HeaderRead::OtherVersion(3));
    }

    #[test]
    fn an_empty_frame_fits_the_smallest_segment() {
        assert_eq!(bytes_for(0), SEGMENT_BYTES_MIN);
    }
}
