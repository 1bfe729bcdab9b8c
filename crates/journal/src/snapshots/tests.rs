//! One test a rule of the snapshots: what exists when, what is noticed, and what a failure leaves.

use alloc::string::ToString;

use super::*;
use crate::disk::SECTOR_BYTES;
use crate::faulty::{self, FaultyDisk};

const IDENTITY: Identity = Identity { cluster: [0xc1; 16], node: 7, disk: [0xd1; 16] };
const ONE: SegmentNumber = SegmentNumber(1);
/// Two blocks and a bit.
const LONG: usize = 2 * BLOCK_PAYLOAD_BYTES + 5;

fn open(disk: FaultyDisk) -> (Snapshots<FaultyDisk>, Vec<Bad>) {
    Snapshots::open(disk, IDENTITY).unwrap()
}

fn fresh() -> Snapshots<FaultyDisk> {
    open(FaultyDisk::new(1)).0
}

/// Bytes that differ from block to block and between snapshots.
fn payload(label: u64, length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at * 7 + at / 251 + label * 13).to_le_bytes()[0]).collect()
}

/// Writes a snapshot, in parts of this size.
fn write(
    snapshots: &mut Snapshots<FaultyDisk>,
    label: u64,
    length: usize,
    part: usize,
) -> Result<Generation, SnapshotError> {
    snapshots.begin(label, length as u64)?;
    payload(label, length).chunks(part).try_for_each(|part| snapshots.write(part))?;
    snapshots.finish()
}

fn labels(snapshots: &Snapshots<FaultyDisk>) -> Vec<u64> {
    snapshots.generations().iter().map(|generation| generation.label).collect()
}

#[test]
fn what_is_finished_survives_a_crash() {
    for length in [0, 1, BLOCK_PAYLOAD_BYTES - 1, BLOCK_PAYLOAD_BYTES, LONG] {
        for part in [1_000, BLOCK_PAYLOAD_BYTES, usize::MAX] {
            let mut snapshots = fresh();
            let generation = write(&mut snapshots, 3, length, part).unwrap();
            let mut disk = snapshots.into_disk();
            disk.crash();
            let (mut snapshots, bad) = open(disk);
            assert_eq!((snapshots.generations(), bad), (&[generation][..], Vec::new()));
            assert_eq!(snapshots.load(&generation), Ok(payload(3, length)), "{length}, {part}");
        }
    }
}

#[test]
fn any_part_can_be_read_alone() {
    let mut snapshots = fresh();
    let generation = write(&mut snapshots, 1, LONG, 999).unwrap();
    let whole = payload(1, LONG);
    let edges = [0, 1, BLOCK_PAYLOAD_BYTES - 1, BLOCK_PAYLOAD_BYTES, LONG - 5, LONG - 1, LONG];
    for start in edges {
        for end in edges.into_iter().filter(|&end| end >= start) {
            let mut part = vec![0; end - start];
            snapshots.read(&generation, start as u64, &mut part).unwrap();
            assert_eq!(part, whole[start..end], "{start}..{end}");
        }
    }
}

#[test]
fn the_two_newest_stay() {
    let mut snapshots = fresh();
    for label in 1..6 {
        write(&mut snapshots, label, 100, 100).unwrap();
        let newest: Vec<u64> = (1..=label).rev().take(GENERATIONS_MAX).collect();
        assert_eq!(labels(&snapshots), newest);
    }
    assert_eq!(snapshots.file_bytes(), 2 * 2 * SECTOR_BYTES as u64);
    let mut disk = snapshots.into_disk();
    let files = disk.list().unwrap();
    assert_eq!(files.iter().map(|file| file.number.0).collect::<Vec<_>>(), [4, 5]);
    assert_eq!(labels(&open(disk).0), [5, 4]);
}

#[test]
fn a_crash_at_any_operation_leaves_all_of_the_new_one_or_nothing() {
    // Create, three blocks, header, sync, rename, remove.
    let operations = 8;
    let mut seen = alloc::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut before = open(FaultyDisk::new(seed)).0;
        write(&mut before, 1, LONG, LONG).unwrap();
        write(&mut before, 2, LONG, LONG).unwrap();
        let begun = before.disk_mut().operations();
        let disk = before.into_disk();
        let mut undisturbed = open(disk.clone()).0;
        write(&mut undisturbed, 3, LONG, 70_000).unwrap();
        assert_eq!(undisturbed.disk_mut().operations() - begun, operations);
        for operation in 0..operations {
            let mut disk = disk.clone();
            disk.schedule(begun + operation, faulty::Fault::PowerCut);
            let mut snapshots = open(disk).0;
            let written = write(&mut snapshots, 3, LONG, 70_000);
            let mut disk = snapshots.into_disk();
            disk.crash();
            let (mut snapshots, bad) = open(disk);
            assert_eq!(bad, []);
            let found = labels(&snapshots);
            assert!(found == [2, 1] || found == [3, 2], "{operation}: {found:?}");
            assert!(written.is_err() || found == [3, 2], "{operation}");
            seen.insert((operation, found));
            for generation in snapshots.generations().to_vec() {
                let whole = payload(generation.label, LONG);
                assert_eq!(snapshots.load(&generation), Ok(whole), "{operation}");
            }
            write(&mut snapshots, 4, 10, 10).unwrap();
            assert_eq!(snapshots.generations().len(), 2);
            let files = snapshots.disk_mut().list().unwrap();
            assert_eq!(files.len(), 2, "{operation}: nothing is left over");
        }
    }
    let rename = operations - 2;
    assert!(seen.contains(&(rename, vec![2, 1])) && seen.contains(&(rename, vec![3, 2])));
}

#[test]
fn a_failed_operation_gives_up_the_new_one_alone() {
    for fault in [faulty::Fault::Fail, faulty::Fault::Full, faulty::Fault::SyncDrops] {
        // Of create, three blocks, header, sync, rename.
        for operation in 0..7 {
            let mut snapshots = fresh();
            let old = write(&mut snapshots, 1, LONG, LONG).unwrap();
            let now = snapshots.disk_mut().operations();
            snapshots.disk_mut().schedule(now + operation, fault);
            let error = write(&mut snapshots, 2, LONG, LONG).unwrap_err();
            match fault {
                faulty::Fault::Full => assert!(matches!(error, SnapshotError::Full(_))),
                _ => assert!(matches!(error, SnapshotError::Disk(_))),
            }
            assert_eq!(snapshots.generations(), [old]);
            assert_eq!(snapshots.disk_mut().list().unwrap().len(), 1, "the scratch file is gone");
            assert_eq!(snapshots.load(&old), Ok(payload(1, LONG)));
            let new = write(&mut snapshots, 2, LONG, LONG).unwrap();
            let mut disk = snapshots.into_disk();
            disk.crash();
            let mut snapshots = open(disk).0;
            assert_eq!(snapshots.generations(), [new, old]);
            assert_eq!(snapshots.load(&new), Ok(payload(2, LONG)));
        }
    }
}

#[test]
fn a_full_disk_is_told_at_once_and_harms_no_other() {
    let mut snapshots = fresh();
    let old = write(&mut snapshots, 1, LONG, LONG).unwrap();
    let used = usize::try_from(snapshots.file_bytes()).unwrap();
    snapshots.disk_mut().set_bytes_max(used + LONG);
    assert!(matches!(snapshots.begin(2, LONG as u64), Err(SnapshotError::Full(_))));
    assert_eq!((snapshots.generations(), snapshots.file_bytes()), (&[old][..], used as u64));
    write(&mut snapshots, 2, 100, 100).unwrap();
    assert_eq!(labels(&snapshots), [2, 1]);
}

#[test]
fn what_was_begun_can_be_abandoned() {
    let mut snapshots = fresh();
    snapshots.abandon().unwrap();
    snapshots.begin(1, LONG as u64).unwrap();
    snapshots.write(&payload(1, 70_000)).unwrap();
    assert!(snapshots.file_bytes() > LONG as u64);
    snapshots.abandon().unwrap();
    assert_eq!((snapshots.file_bytes(), snapshots.disk_mut().list()), (0, Ok(Vec::new())));
    write(&mut snapshots, 1, LONG, LONG).unwrap();
}

#[test]
fn every_flipped_byte_is_noticed_or_means_nothing() {
    let mut snapshots = fresh();
    let generation = write(&mut snapshots, 1, LONG, LONG).unwrap();
    let bytes = usize::try_from(snapshots.file_bytes()).unwrap();
    let disk = snapshots.into_disk();
    let whole = payload(1, LONG);
    // What each byte belongs to: a header, blocks of a checksum and a payload, zeros.
    let used = [0..80, 4096..4096 + 4 + LONG + 8];
    let near_an_edge = |at: usize| at % SECTOR_BYTES < 90 || at % SECTOR_BYTES > 4080;
    for at in (0..bytes).filter(|&at| near_an_edge(at) || at % 97 == 0) {
        let mut disk = disk.clone();
        disk.flip(ONE, at, [0x01, 0x80, 0xff][at % 3]);
        let (mut snapshots, bad) = open(disk);
        if used[0].contains(&at) {
            assert_eq!((snapshots.generations(), bad.len()), (&[][..], 1), "byte {at}");
            continue;
        }
        assert_eq!((snapshots.generations(), bad.len()), (&[generation][..], 0), "byte {at}");
        let loaded = snapshots.load(&generation);
        if !used[1].contains(&at) {
            assert_eq!(loaded, Ok(whole.clone()), "byte {at}");
            continue;
        }
        let block = (at - 4096) / (64 << 10);
        let offset = (block * BLOCK_PAYLOAD_BYTES) as u64;
        assert_eq!(loaded, Err(SnapshotError::Damaged { number: ONE, offset }), "byte {at}");
        // Other blocks can be read all the same.
        for other in (0..3).filter(|&other| other != block) {
            let start = other * BLOCK_PAYLOAD_BYTES;
            let mut byte = [0];
            snapshots.read(&generation, start as u64, &mut byte).unwrap();
            assert_eq!(byte[0], whole[start]);
        }
    }
}

#[test]
fn a_block_of_another_place_snapshot_or_owner_is_never_taken_for_it() {
    let mut snapshots = fresh();
    write(&mut snapshots, 1, LONG, LONG).unwrap();
    let newest = write(&mut snapshots, 2, LONG, LONG).unwrap();
    let disk = snapshots.into_disk();
    let sectors = 16;
    for (from, block) in [(ONE, 0), (newest.number, 1)] {
        let mut disk = disk.clone();
        (1..=sectors).for_each(|at| {
            disk.misread(newest.number, at, Some((from, block * sectors + at)));
        });
        let mut snapshots = open(disk).0;
        let damaged = SnapshotError::Damaged { number: newest.number, offset: 0 };
        assert_eq!(snapshots.load(&newest), Err(damaged));
    }
    for foreign in [
        Identity { cluster: [9; 16], ..IDENTITY },
        Identity { node: 9, ..IDENTITY },
        Identity { disk: [9; 16], ..IDENTITY },
    ] {
        let error = Snapshots::open(disk.clone(), foreign).unwrap_err();
        assert_eq!(error, OpenError::Foreign { found: IDENTITY, expected: foreign });
    }
}

#[test]
fn bad_files_are_named_kept_and_replaced_by_the_next_one() {
    let mut snapshots = fresh();
    let one = write(&mut snapshots, 1, 100, 100).unwrap();
    let mut disk = snapshots.into_disk();
    let mut sector = vec![0; SECTOR_BYTES];
    disk.read_at(ONE, 0, &mut sector).unwrap();
    let mut newer = sector.clone();
    newer[6] = 2;
    let checksum = crate::frame::CRC32C.checksum(&newer[..76]);
    newer[76..80].copy_from_slice(&checksum.to_le_bytes());
    for (number, bytes, content) in [
        (2, 2 * SECTOR_BYTES, &vec![]),
        (3, 2 * SECTOR_BYTES, &sector),
        (4, 2 * SECTOR_BYTES, &newer),
        (5, 10, &vec![]),
    ] {
        disk.create(SegmentNumber(number), bytes).unwrap();
        disk.write_at(SegmentNumber(number), 0, content).unwrap();
    }
    let (snapshots, bad) = open(disk);
    let faults: Vec<_> = bad.iter().map(|bad| (bad.number.0, bad.why)).collect();
    let expected = [
        (5, Fault::Header),
        (4, Fault::Version(2)),
        (3, Fault::Misplaced(ONE)),
        (2, Fault::Header),
    ];
    assert_eq!(faults, expected);
    assert_eq!(snapshots.generations(), [one]);
    let mut disk = snapshots.into_disk();
    assert_eq!(disk.list().unwrap().len(), 5, "they are kept until another is whole");
    // One that is too long or too short for its header.
    disk.remove(ONE).unwrap();
    disk.create(ONE, 3 * SECTOR_BYTES).unwrap();
    disk.write_at(ONE, 0, &sector).unwrap();
    let (mut snapshots, bad) = open(disk);
    assert_eq!(bad.last(), Some(&Bad { number: ONE, why: Fault::Size }));
    let new = write(&mut snapshots, 1, 100, 100).unwrap();
    assert_eq!(new.number, SegmentNumber(6), "a number is never used again");
    assert_eq!(snapshots.disk_mut().list().unwrap().len(), 1);
}

#[test]
fn what_is_longer_than_any_snapshot_is_refused() {
    let mut snapshots = fresh();
    let bytes = SNAPSHOT_BYTES_MAX + 1;
    let error = snapshots.begin(1, bytes).unwrap_err();
    assert_eq!(error, SnapshotError::TooLong { bytes });
    let text = "a snapshot of 68719476737 bytes exceeds the limit of 68719476736";
    assert_eq!(error.to_string(), text);
    let damaged = SnapshotError::Damaged { number: ONE, offset: 7 };
    assert_eq!(damaged.to_string(), "snapshot 1 is damaged from byte 7 on");
    write(&mut snapshots, 1, 1, 1).unwrap();
}

#[test]
fn a_snapshot_is_these_bytes() {
    let mut snapshots = fresh();
    snapshots.begin(0x0102, 5).unwrap();
    snapshots.write(b"synod").unwrap();
    snapshots.finish().unwrap();
    let mut file = vec![0; 2 * SECTOR_BYTES];
    snapshots.disk_mut().read_at(ONE, 0, &mut file).unwrap();
    #[rustfmt::skip]
    let golden = [
        b'S', b'Y', b'N', b'O', b'D', b'S', 1, 0,
        1, 0, 0, 0, 0, 0, 0, 0,
        0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1,
        0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1, 0xc1,
        7, 0, 0, 0,
        0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1,
        0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1, 0xd1,
        2, 1, 0, 0, 0, 0, 0, 0,
        5, 0, 0, 0, 0, 0, 0, 0,
        0xd4, 0x35, 0xef, 0xb9, 0x41, 0x59, 0xb6, 0x62,
        0xe9, 0x10, 0x12, 0x14,
    ];
    assert_eq!(file[..80], golden, "{:02x?}", &file[68..80]);
    let block = [0x2d, 0x4c, 0x82, 0x4a, b's', b'y', b'n', b'o', b'd', 0];
    assert_eq!(file[4096..4106], block, "{:02x?}", &file[4096..4100]);
    let zeros = |bytes: &[u8]| bytes.iter().all(|&byte| byte == 0);
    assert!(zeros(&file[80..4096]) && zeros(&file[4105..]));
}
