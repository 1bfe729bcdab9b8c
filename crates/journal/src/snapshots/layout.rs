//! The bytes of a snapshot's file.
//!
//! ```text
//!  offset  size
//!       0     6  "SYNODS"
//!       6     2  format version, now 1
//!       8     8  number: the file's name
//!      16    16  cluster id
//!      32     4  node id
//!      36    16  disk id
//!      52     8  label
//!      60     8  n: length of the payload
//!      68     8  crc64/xz of the payload
//!      76     4  crc32c of bytes 0..76
//!      80  4016  zeros
//!    4096        blocks of 65536 bytes each; the last one ends with its sector
//! ```
//!
//! A block is a checksum, crc32c(identity, number, index of the block, its payload), and 65532
//! bytes of the payload, or what is left of it; then zeros. Integers are little endian. Later
//! versions keep magic, version and checksum where they are.

use alloc::vec::Vec;

use crc::{CRC_64_XZ, Crc, Digest, Table};

use super::{Fault, Generation};
use crate::disk::{SECTOR_BYTES, SegmentNumber};
use crate::frame::{CRC32C, Seal};
use crate::segment::Identity;

/// The format that this release writes, and the only one that it reads.
pub const SNAPSHOT_VERSION: u16 = 1;

/// No snapshot is longer, in bytes.
pub const SNAPSHOT_BYTES_MAX: u64 = 1 << 36;

pub(super) const HEADER_BYTES: usize = SECTOR_BYTES;
pub(super) const CHECKSUM_BYTES: usize = 4;

/// Small enough to be read for a few bytes, large enough for its checksum to cost nothing.
const BLOCK_BYTES: usize = 64 << 10;
pub(super) const BLOCK_PAYLOAD_BYTES: usize = BLOCK_BYTES - CHECKSUM_BYTES;

const MAGIC: &[u8; 6] = b"SYNODS";
const FIELDS_BYTES: usize = 80;

static CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// What a file's first sector says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: SegmentNumber,
    pub(super) identity: Identity,
    pub(super) label: u64,
    pub(super) bytes: u64,
    pub(super) checksum: u64,
}

impl Header {
    pub(super) fn to_sector(self) -> [u8; SECTOR_BYTES] {
        let mut bytes = [0; SECTOR_BYTES];
        bytes[..6].copy_from_slice(MAGIC);
        bytes[6..8].copy_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.number.0.to_le_bytes());
        bytes[16..52].copy_from_slice(&self.identity.to_bytes());
        bytes[52..60].copy_from_slice(&self.label.to_le_bytes());
        bytes[60..68].copy_from_slice(&self.bytes.to_le_bytes());
        bytes[68..76].copy_from_slice(&self.checksum.to_le_bytes());
        let checksum = CRC32C.checksum(&bytes[..76]);
        bytes[76..80].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a file's first bytes, however few they are.
    pub(super) fn read(bytes: &[u8]) -> Result<Header, Fault> {
        let bytes = bytes.first_chunk::<FIELDS_BYTES>().ok_or(Fault::Header)?;
        if bytes[..6] != *MAGIC || CRC32C.checksum(&bytes[..76]).to_le_bytes() != bytes[76..] {
            return Err(Fault::Header);
        }
        let version = u16::from_le_bytes(field(bytes, 6));
        if version != SNAPSHOT_VERSION {
            return Err(Fault::Version(version));
        }
        Ok(Header {
            number: SegmentNumber(u64::from_le_bytes(field(bytes, 8))),
            identity: Identity {
                cluster: field(bytes, 16),
                node: u32::from_le_bytes(field(bytes, 32)),
                disk: field(bytes, 36),
            },
            label: u64::from_le_bytes(field(bytes, 52)),
            bytes: u64::from_le_bytes(field(bytes, 60)),
            checksum: u64::from_le_bytes(field(bytes, 68)),
        })
    }

    pub(super) fn generation(self) -> Generation {
        let Header { number, label, bytes, checksum, .. } = self;
        Generation { number, label, bytes, checksum }
    }
}

fn field<const N: usize>(bytes: &[u8; FIELDS_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N bytes long")
}

/// The size of a file with so much payload, which is at most [`SNAPSHOT_BYTES_MAX`].
pub(super) fn file_bytes(payload_bytes: u64) -> u64 {
    let (payload, sector) = (BLOCK_PAYLOAD_BYTES as u64, SECTOR_BYTES as u64);
    let rest = match payload_bytes % payload {
        0 => 0,
        rest => (CHECKSUM_BYTES as u64 + rest).next_multiple_of(sector),
    };
    HEADER_BYTES as u64 + payload_bytes / payload * BLOCK_BYTES as u64 + rest
}

/// Where a block lies in its file. Saturates, where no file reaches.
pub(super) fn block_offset(index: u64) -> usize {
    let index = usize::try_from(index).unwrap_or(usize::MAX);
    index.saturating_mul(BLOCK_BYTES).saturating_add(HEADER_BYTES)
}

/// How much of a payload lies in one of its blocks.
pub(super) fn payload_bytes(bytes: u64, index: u64) -> usize {
    let rest = bytes.saturating_sub(index * BLOCK_PAYLOAD_BYTES as u64);
    usize::try_from(rest).map_or(BLOCK_PAYLOAD_BYTES, |rest| rest.min(BLOCK_PAYLOAD_BYTES))
}

/// A block, in whole sectors.
pub(super) fn encode_block(seal: &Seal, index: u64, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= BLOCK_PAYLOAD_BYTES);
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    block.extend_from_slice(&seal.checksum(index, payload).to_le_bytes());
    block.extend_from_slice(payload);
    block.resize(block.len().next_multiple_of(SECTOR_BYTES), 0);
    block
}

/// The payload of a block without its zeros, if it is the one that was written.
pub(super) fn decode_block<'a>(seal: &Seal, index: u64, block: &'a [u8]) -> Option<&'a [u8]> {
    let (checksum, payload) = block.split_first_chunk::<CHECKSUM_BYTES>()?;
    (seal.checksum(index, payload).to_le_bytes() == *checksum).then_some(payload)
}

/// The checksum of a whole payload, part by part.
#[derive(Clone)]
pub(super) struct Whole(Digest<'static, u64, Table<16>>);

impl Default for Whole {
    fn default() -> Whole {
        Whole(CRC64.digest())
    }
}

impl core::fmt::Debug for Whole {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Whole")
    }
}

impl Whole {
    pub(super) fn update(&mut self, part: &[u8]) {
        self.0.update(part);
    }

    pub(super) fn finish(self) -> u64 {
        self.0.finalize()
    }
}
