//! What stands around the chunks of a file: the head of each, and the footer that finds them.

use flate2::Crc;

use crate::row::LIMIT;
use crate::varint::Taken;
use crate::writer::CHUNK_ROWS_MAX;

/// Chunks of a trace, at most.
pub const CHUNKS_MAX: u32 = 1 << 20;
/// No chunk is larger in memory, as bytes.
pub const CHUNK_INFLATED_MAX: u32 = 16 * 1024 * 1024;
/// No chunk is larger in the file; what cannot be made smaller grows a little.
const CHUNK_GZIP_MAX: u32 = CHUNK_INFLATED_MAX + CHUNK_INFLATED_MAX / 1024 + 64;

const CHUNK_MAGIC: [u8; 4] = *b"SYTC";
const FOOTER_MAGIC: [u8; 4] = *b"SYTF";
/// The last four bytes of a whole trace.
const END_MAGIC: [u8; 4] = *b"SYTE";

/// Bytes in front of each chunk.
pub const HEAD_BYTES: usize = 32;
const PLACE_BYTES: usize = 28;
/// A footer without any place.
const FOOTER_BYTES: usize = 24;
/// The footer's length and the magic, at the very end.
pub const END_BYTES: usize = 8;

/// Where a chunk is, and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where its head begins in the file.
    pub offset: u64,
    /// Its rows, 1 to 65,536.
    pub rows: u32,
    /// The time of its first row, in microseconds.
    pub first_us: u64,
    /// The time of its last row.
    pub last_us: u64,
}

/// What stands in front of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub gzip_bytes: u32,
    pub inflated_bytes: u32,
    pub rows: u32,
    pub first_us: u64,
    pub last_us: u64,
}

impl Head {
    pub fn to_bytes(self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[..4].copy_from_slice(&CHUNK_MAGIC);
        bytes[4..8].copy_from_slice(&self.gzip_bytes.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.inflated_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.rows.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_us.to_le_bytes());
        bytes[24..].copy_from_slice(&self.last_us.to_le_bytes());
        bytes
    }

    pub fn of_bytes(bytes: &[u8; HEAD_BYTES]) -> Taken<Head> {
        if bytes[..4] != CHUNK_MAGIC {
            return Err("no chunk begins here");
        }
        let head = Head {
            gzip_bytes: u32_at(bytes, 4),
            inflated_bytes: u32_at(bytes, 8),
            rows: u32_at(bytes, 12),
            first_us: u64_at(bytes, 16),
            last_us: u64_at(bytes, 24),
        };
        if head.gzip_bytes > CHUNK_GZIP_MAX || head.inflated_bytes > CHUNK_INFLATED_MAX {
            return Err("a chunk is larger than it may be");
        }
        head.place(0).check(0)?;
        Ok(head)
    }

    /// Its length in the file.
    pub fn bytes(self) -> u64 {
        HEAD_BYTES as u64 + u64::from(self.gzip_bytes)
    }

    pub fn place(self, offset: u64) -> Place {
        let Head { rows, first_us, last_us, .. } = self;
        Place { offset, rows, first_us, last_us }
    }
}

impl Place {
    /// Whether it makes sense after a row at `before_us`.
    pub fn check(self, before_us: u64) -> Taken<()> {
        if self.rows == 0 || self.rows > CHUNK_ROWS_MAX {
            return Err("a chunk has no rows, or more than it may");
        }
        if before_us > self.first_us || self.first_us > self.last_us || self.last_us > LIMIT {
            return Err("times run back, or go beyond the limit");
        }
        Ok(())
    }
}

/// The footer of these chunks behind this header line.
pub fn footer(line: u32, places: &[Place]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FOOTER_BYTES + PLACE_BYTES * places.len());
    let count = u32::try_from(places.len()).expect("at most CHUNKS_MAX");
    out.extend(FOOTER_MAGIC);
    out.extend(count.to_le_bytes());
    for place in places {
        out.extend(place.offset.to_le_bytes());
        out.extend(place.rows.to_le_bytes());
        out.extend(place.first_us.to_le_bytes());
        out.extend(place.last_us.to_le_bytes());
    }
    out.extend(line.to_le_bytes());
    out.extend(checksum(&out).to_le_bytes());
    let length = u32::try_from(out.len() + END_BYTES).expect("at most CHUNKS_MAX places");
    out.extend(length.to_le_bytes());
    out.extend(END_MAGIC);
    out
}

/// The length of the footer whose end this is; none if it is no end.
pub fn footer_bytes(end: [u8; END_BYTES]) -> Option<u32> {
    (end[4..] == END_MAGIC).then(|| u32_at(&end, 0))
}

/// Whether so many bytes can be a footer.
pub fn is_footer_length(bytes: u32) -> bool {
    let max = FOOTER_BYTES as u64 + PLACE_BYTES as u64 * u64::from(CHUNKS_MAX);
    (FOOTER_BYTES as u64..=max).contains(&bytes.into())
}

/// The places that a whole footer names, behind this header line. `end` is where the footer
/// begins: every chunk lies before it, and the first begins at `start`.
pub fn places(footer: &[u8], line: u32, start: u64, end: u64) -> Taken<Vec<Place>> {
    let count = (footer.len() - FOOTER_BYTES) / PLACE_BYTES;
    if footer.len() != FOOTER_BYTES + count * PLACE_BYTES
        || footer[..4] != FOOTER_MAGIC
        || u64::from(u32_at(footer, 4)) != count as u64
    {
        return Err("the footer makes no sense");
    }
    let checked = footer.len() - END_BYTES - 4;
    if u32_at(footer, checked) != checksum(&footer[..checked]) {
        return Err("the footer's checksum does not fit");
    }
    if u32_at(footer, checked - 4) != line {
        return Err("the header is not the one that was written");
    }
    let mut places = Vec::new();
    let (mut offset, mut before_us) = (start, 0);
    for bytes in footer[8..].chunks_exact(PLACE_BYTES).take(count) {
        let place = Place {
            offset: u64_at(bytes, 0),
            rows: u32_at(bytes, 8),
            first_us: u64_at(bytes, 12),
            last_us: u64_at(bytes, 20),
        };
        place.check(before_us)?;
        let is_next = if places.is_empty() { place.offset == start } else { place.offset > offset };
        if !is_next || place.offset >= end {
            return Err("the footer names places where no chunk can be");
        }
        (offset, before_us) = (place.offset, place.last_us);
        places.push(place);
    }
    if places.is_empty() && start != end {
        return Err("the footer names not all that is there");
    }
    Ok(places)
}

pub fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}
