//! A journal whose files hold whatever the input says: noise, headers and frames whose checksums
//! are right though nobody wrote them.
//!
//! The layout is written down here a second time, after `docs/formats.md`.

use crc::{CRC_32_ISCSI, Crc, Table};
use journal::{
    Entry, FORMAT_VERSION, Identity, Journal, OpenError, Options, Recovered, SECTOR_BYTES,
    SEGMENT_BYTES_MAX, SegmentNumber, inspect,
};

use crate::cursor::Cursor;
use crate::memory_disk::MemoryDisk;

pub(crate) const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
pub(crate) const SMALL: Options = Options { segment_bytes: 5 * SECTOR_BYTES };

const CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
const FILES_MAX: usize = 8;
const SECTORS_MAX: usize = 6;

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let mut disk = MemoryDisk::default();
    for _ in 0..cursor.below(FILES_MAX) {
        let small = u64::from(cursor.byte() % 16);
        let number = SegmentNumber(if small < 12 { small } else { u64::MAX - 15 + small });
        disk.files.insert(number, file(&mut cursor, number));
    }
    drop(open(disk));
}

/// Opens what is there: where it starts and ends, and all frames. However it is read, the answer
/// is the same; and a journal that opens goes on, and opens again with what it had and was given.
pub(crate) fn open(mut disk: MemoryDisk) -> Result<Kept, OpenError> {
    let mut inspected = Vec::new();
    let verdict = inspect(&mut disk, IDENTITY, |entry| inspected.push(shown(entry)));
    let (journal, opened) = read(disk);
    assert_eq!(journal.as_ref().map(|_| ()).map_err(Clone::clone), verdict.clone().map(|_| ()));
    assert_eq!(opened, inspected, "reading and opening see the same");
    let recovered = match verdict {
        Ok(recovered) => recovered,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Err(error);
        }
    };
    let frames = opened.iter().filter(|shown| matches!(shown, Shown::Frame(..))).count();
    assert_eq!(recovered.frames, frames as u64);
    let (mut sequence, mut missing, mut was_hole) = (recovered.first.0, 0, false);
    for shown in &opened {
        let (from, to) = match *shown {
            Shown::Frame(at, _) => (at, at.saturating_add(1)),
            Shown::Hole(from, to) => (from, to),
        };
        // The last sequence follows itself; no writer gets there.
        let is_last = from == u64::MAX;
        assert!(from >= sequence && (to > from || is_last), "entries follow each other");
        assert!(!was_hole || from == sequence, "a frame follows a hole");
        was_hole = matches!(shown, Shown::Hole(..));
        missing += if was_hole { to - from } else { 0 };
        sequence = to;
    }
    assert!(!was_hole, "a frame follows a hole");
    assert_eq!(recovered.missing, missing);
    assert!(recovered.next.0 >= sequence);
    let mut journal = journal.expect("the verdict was the same");
    if journal.disk_mut().files.contains_key(&SegmentNumber(u64::MAX)) {
        // Nothing follows the last number; the journal says so when it is full.
        return Ok(kept(&recovered, opened));
    }
    if recovered.missing > 0 {
        // Beside a hole it is seals that tell frames of one batch from what another one left, and
        // here they are forged: what goes on may be read as something else that nobody wrote.
        return Ok(kept(&recovered, opened));
    }
    assert_eq!(journal.append(b"more"), Ok(recovered.next));
    assert_eq!(journal.sync(), Ok(recovered.next.next()));
    let (again, grown) = read(journal.into_disk());
    assert!(again.is_ok(), "what was opened and written opens: {:?}", again.err());
    let more = Shown::Frame(recovered.next.0, b"more".to_vec());
    assert_eq!(grown.split_last(), Some((&more, &opened[..])));
    Ok(kept(&recovered, opened))
}

/// Where a journal starts and ends, and what is in it.
type Kept = (usize, usize, Vec<Shown>);

/// An entry that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Frame(u64, Vec<u8>),
    Hole(u64, u64),
}

fn shown(entry: Entry<'_>) -> Shown {
    match entry {
        Entry::Frame(sequence, frame) => Shown::Frame(sequence.0, frame.to_vec()),
        Entry::Hole { from, to } => Shown::Hole(from.0, to.0),
    }
}

fn kept(recovered: &Recovered, opened: Vec<Shown>) -> Kept {
    let [first, next] = [recovered.first, recovered.next]
        .map(|sequence| usize::try_from(sequence.0).unwrap_or(usize::MAX));
    (first, next, opened)
}

type Opened = (Result<Journal<MemoryDisk>, OpenError>, Vec<Shown>);

fn read(disk: MemoryDisk) -> Opened {
    let mut seen = Vec::new();
    let opened = Journal::open(disk, IDENTITY, SMALL, |entry| seen.push(shown(entry)));
    (opened.map(|(journal, _)| journal), seen)
}

fn file(cursor: &mut Cursor<'_>, number: SegmentNumber) -> Vec<u8> {
    let length = match cursor.below(16) {
        0 => usize::from(cursor.byte()),
        1 => SEGMENT_BYTES_MAX + 1,
        sectors => sectors.min(SECTORS_MAX) * SECTOR_BYTES + cursor.below(2),
    };
    let mut file = vec![0; length];
    for _ in 0..cursor.below(16) {
        match cursor.below(4) {
            0 => {
                let offset = usize::from(cursor.u16());
                let count = cursor.below(32);
                put(&mut file, offset, cursor.take(count));
            }
            1 => put(&mut file, 0, &header(cursor, number)),
            // A frame, of the caller or of the journal itself.
            kind => {
                let offset = (cursor.below(SECTORS_MAX) * SECTOR_BYTES) + cursor.below(64) * 8;
                let cuts = kind == 3 && cursor.is_odd();
                let frame = frame(cursor, number, offset, cuts);
                put(&mut file, offset, &frame);
            }
        }
    }
    file
}

/// Writes as much as fits.
fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
    for (byte, new) in file.iter_mut().skip(offset).zip(bytes) {
        *byte = *new;
    }
}

fn header(cursor: &mut Cursor<'_>, number: SegmentNumber) -> Vec<u8> {
    let mut bytes = b"SYNODJ".to_vec();
    bytes.extend((FORMAT_VERSION + u16::from(cursor.below(8) == 7)).to_le_bytes());
    bytes.extend((number.0.wrapping_add(cursor.pick(&[0, 0, 0, 1, u64::MAX]))).to_le_bytes());
    bytes.extend(sequence(cursor).to_le_bytes());
    bytes.extend(identity(cursor.below(8) == 7));
    let checksum = CRC32C.checksum(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

fn frame(cursor: &mut Cursor<'_>, number: SegmentNumber, offset: usize, cuts: bool) -> Vec<u8> {
    let seal = |bytes: &[u8]| {
        let mut digest = CRC32C.digest();
        digest.update(&identity(false));
        digest.update(&number.0.to_le_bytes());
        digest.update(&(offset as u64).to_le_bytes());
        digest.update(bytes);
        digest.finalize()
    };
    let count = if cuts { 8 } else { cursor.byte() % 32 };
    let taken = if cuts { sequence(cursor).to_le_bytes().to_vec() } else { Vec::new() };
    let payload = if cuts { &taken } else { cursor.take(count.into()) };
    let claimed = if cursor.below(8) == 7 { cursor.u32() } else { count.into() };
    let claimed = claimed | u32::from(cuts) << 31;
    let mut covered = seal(payload).to_le_bytes().to_vec();
    covered.extend(claimed.to_le_bytes());
    covered.extend(sequence(cursor).to_le_bytes());
    covered.extend(sequence(cursor).to_le_bytes());
    let mut bytes = seal(&covered).to_le_bytes().to_vec();
    bytes.extend(covered);
    bytes.extend(payload);
    bytes
}

fn identity(is_foreign: bool) -> Vec<u8> {
    let mut bytes = IDENTITY.cluster.to_vec();
    bytes.extend((IDENTITY.node + u32::from(is_foreign)).to_le_bytes());
    bytes.extend(IDENTITY.disk);
    bytes
}

/// Mostly one of the first; sometimes one of the last.
fn sequence(cursor: &mut Cursor<'_>) -> u64 {
    match cursor.byte() {
        255 => u64::MAX - u64::from(cursor.byte() % 4),
        small => u64::from(small % 16),
    }
}
