//! Snapshots whose files hold whatever the input says: noise, headers and blocks whose checksums
//! are right though nobody wrote them.
//!
//! The layout is written down here a second time, after `docs/formats.md`.

use crc::{CRC_32_ISCSI, CRC_64_XZ, Crc, Table};
use journal::{
    Disk, GENERATIONS_MAX, OpenError, SECTOR_BYTES, SNAPSHOT_VERSION, SegmentNumber, Snapshots,
};

use crate::cursor::Cursor;
use crate::files::IDENTITY;
use crate::memory_disk::MemoryDisk;

const CRC32C: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
const CRC64: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

const BLOCK_BYTES: usize = 64 << 10;
const PAYLOAD_BYTES: usize = BLOCK_BYTES - 4;
const FILES_MAX: usize = 6;
const LENGTHS: [usize; 6] = [0, 1, 300, PAYLOAD_BYTES, PAYLOAD_BYTES + 1, 2 * PAYLOAD_BYTES];

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let mut disk = MemoryDisk::default();
    for _ in 0..cursor.below(FILES_MAX) {
        let number = u64::from(cursor.byte() % 16);
        disk.files.insert(SegmentNumber(number), file(&mut cursor, number));
    }
    let whole = disk.clone();
    let (mut snapshots, bad) = match Snapshots::open(disk, IDENTITY) {
        Ok(opened) => opened,
        Err(error) => return assert!(matches!(error, OpenError::Foreign { .. }), "{error}"),
    };
    let generations = snapshots.generations().to_vec();
    assert!(generations.len() <= GENERATIONS_MAX);
    let mut is_loaded = Vec::new();
    for (place, generation) in generations.iter().enumerate() {
        assert!(place == 0 || generation.number < generations[place - 1].number);
        let loaded = snapshots.load(generation);
        let mut part = [0; 3];
        let length = generation.bytes.min(3);
        let offset = (generation.bytes - length).min(u64::from(cursor.u16()));
        let part = &mut part[..usize::try_from(length).expect("at most 3")];
        let read = snapshots.read(generation, offset, part);
        if let Ok(payload) = &loaded {
            assert_eq!(CRC64.checksum(payload), generation.checksum);
            let offset = usize::try_from(offset).expect("within what was loaded");
            assert!(read.is_ok() && payload[offset..].starts_with(part), "a part is the same");
        }
        is_loaded.push(loaded);
    }
    assert!(bad.iter().all(|bad| generations.iter().all(|good| good.number != bad.number)));
    // It goes on, if it can: the new one is there, and so is the one before it.
    let newest = generations.first().map_or(0, |generation| generation.label);
    let Some(label) = newest.checked_add(1) else {
        return;
    };
    let before = snapshots.file_bytes();
    assert!(before >= generations.iter().map(|generation| generation.bytes).sum());
    snapshots.begin(label, 4).expect("the disk never fails");
    snapshots.write(b"mo").expect("the disk never fails");
    snapshots.write(b"re").expect("the disk never fails");
    let more = snapshots.finish().expect("the disk never fails");
    assert!(whole.files.keys().all(|&number| number < more.number));
    let disk = snapshots.into_disk();
    assert!(disk.files.len() <= GENERATIONS_MAX, "the others are gone");
    let (mut again, bad) = Snapshots::open(disk, IDENTITY).expect("it opened before");
    assert_eq!((again.generations().first(), bad), (Some(&more), Vec::new()));
    assert_eq!(again.load(&more).as_deref(), Ok(&b"more"[..]));
    if let Some((kept, loaded)) = generations.first().zip(is_loaded.first()) {
        assert_eq!(again.generations().get(1), Some(kept));
        assert_eq!(&again.load(kept), loaded);
    }
    assert!(again.disk_mut().list().is_ok());
}

/// Mostly a snapshot, mostly sound.
fn file(cursor: &mut Cursor<'_>, number: u64) -> Vec<u8> {
    let length = cursor.pick(&LENGTHS);
    let mark = cursor.byte();
    let payload: Vec<u8> = (0..=255).cycle().map(|byte| byte ^ mark).take(length).collect();
    let mut identity = IDENTITY.cluster.to_vec();
    identity.extend((IDENTITY.node + u32::from(cursor.byte() == 255)).to_le_bytes());
    identity.extend(IDENTITY.disk);
    let claimed = if cursor.below(8) == 7 { u64::from(cursor.u32()) << 8 } else { length as u64 };
    let mut file = b"SYNODS".to_vec();
    file.extend((SNAPSHOT_VERSION + u16::from(cursor.below(16) == 15)).to_le_bytes());
    file.extend((number ^ u64::from(cursor.below(16) == 15)).to_le_bytes());
    file.extend(&identity);
    let label = if cursor.byte() == 255 { u64::MAX } else { u64::from(cursor.byte()) };
    file.extend(label.to_le_bytes());
    file.extend(claimed.to_le_bytes());
    file.extend((CRC64.checksum(&payload) ^ u64::from(cursor.byte() == 255)).to_le_bytes());
    let checksum = CRC32C.checksum(&file);
    file.extend(checksum.to_le_bytes());
    file.resize(SECTOR_BYTES, 0);
    for (index, part) in (0u64..).zip(payload.chunks(PAYLOAD_BYTES)) {
        let mut digest = CRC32C.digest();
        digest.update(&identity);
        digest.update(&number.to_le_bytes());
        digest.update(&index.to_le_bytes());
        digest.update(part);
        file.extend(digest.finalize().to_le_bytes());
        file.extend(part);
    }
    file.resize(file.len().next_multiple_of(SECTOR_BYTES), 0);
    for _ in 0..cursor.below(4) {
        let place = usize::from(cursor.u16()) % file.len();
        file[place] ^= cursor.byte();
    }
    if cursor.below(8) == 7 {
        file.truncate(usize::from(cursor.u16()));
    }
    file
}
