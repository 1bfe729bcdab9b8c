//! One test a rule of the writer: what is durable when, in which file, and what a failure leaves.
//!
//! Long random lives are in `tests/crashes.rs`, damage to durable bytes in `tests/rot.rs`.

use super::*;
use crate::disk::DiskErrorKind;
use crate::faulty::{Fault, FaultyDisk};
use alloc::string::ToString;
use alloc::vec;

const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
const SMALL: Options = Options { segment_bytes: 3 * SECTOR_BYTES };

/// A frame's sequence and first byte. There are no holes here.
fn shown(entry: Entry<'_>) -> (u64, u8) {
    let (sequence, frame) = entry.frame().unwrap();
    (sequence.0, frame[0])
}

/// Opens a journal and returns it with the first byte of each frame.
fn open(disk: FaultyDisk) -> (Journal<FaultyDisk>, Vec<u8>) {
    let mut seen = Vec::new();
    let (journal, _) =
        Journal::open(disk, IDENTITY, SMALL, |entry| seen.push(shown(entry).1)).unwrap();
    (journal, seen)
}

fn fresh() -> Journal<FaultyDisk> {
    let mut disk = FaultyDisk::new(1);
    Journal::format(&mut disk, IDENTITY).unwrap();
    open(disk).0
}

fn crashed(journal: Journal<FaultyDisk>) -> FaultyDisk {
    let mut disk = journal.into_disk();
    disk.crash();
    disk
}

/// Fills the small first segment, so that the next frame begins segment 2.
fn fill_first_segment(journal: &mut Journal<FaultyDisk>) {
    let room = journal.rest(CUT_BYTES);
    journal.append(&vec![b'f'; room - 64]).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.live.len(), 1);
}

#[test]
fn what_sync_acknowledged_survives_a_crash() {
    let mut journal = fresh();
    assert_eq!(journal.append(b"a"), Ok(Sequence(0)));
    assert_eq!(journal.append(b"b"), Ok(Sequence(1)));
    assert_eq!(journal.durable(), Sequence(0));
    assert_eq!(journal.sync(), Ok(Sequence(2)));
    let (journal, seen) = open(crashed(journal));
    assert_eq!(seen, b"ab");
    assert_eq!((journal.durable(), journal.next()), (Sequence(2), Sequence(2)));
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    let mut journal = fresh();
    let before = journal.disk.operations();
    for _ in 0..100 {
        journal.append(b"frame").unwrap();
    }
    journal.sync().unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.disk.operations() - before, 2);
}

#[test]
fn durable_sectors_are_never_written_again() {
    let mut journal = fresh();
    for _ in 0..3 {
        let start = journal.written;
        journal.append(b"frame").unwrap();
        journal.sync().unwrap();
        assert_eq!(journal.written, start + SECTOR_BYTES);
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused_and_harms_nothing() {
    let mut journal = fresh();
    let bytes = FRAME_BYTES_MAX + 1;
    assert_eq!(journal.append(&vec![0; bytes]), Err(AppendError::TooLong { bytes }));
    assert_eq!(journal.append(b"a"), Ok(Sequence(0)));
    assert_eq!(journal.sync(), Ok(Sequence(1)));
}

#[test]
fn the_largest_frame_gets_a_segment_of_its_own() {
    let mut journal = fresh();
    journal.prepare().unwrap();
    journal.append(&vec![b'l'; FRAME_BYTES_MAX]).unwrap();
    journal.append(b"after").unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.live.len(), 2);
    assert_eq!(open(crashed(journal)).1, b"la");
}

#[test]
fn the_old_segment_is_durable_before_the_new_one_is_written() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    assert_eq!(journal.append(b"s"), Ok(Sequence(1)));
    assert_eq!(journal.append(&[b't'; SECTOR_BYTES / 2]), Ok(Sequence(2)));
    assert_eq!(journal.durable(), Sequence(1));
    assert_eq!(journal.append(&[b'u'; SECTOR_BYTES / 2]), Ok(Sequence(3)));
    assert_eq!(journal.durable(), Sequence(3), "leaving segment 2 made it durable");
    assert_eq!(journal.live.len(), 3);
    journal.sync().unwrap();
    assert_eq!(open(crashed(journal)).1, b"fstu");
}

#[test]
fn every_failed_operation_poisons() {
    for operation in 0..4 {
        for fault in [Fault::Fail, Fault::Full, Fault::SyncDrops] {
            let mut journal = fresh();
            fill_first_segment(&mut journal);
            if fault == Fault::Full && (operation == 0 || operation == 3) {
                // A file that is not made for want of room harms nothing.
                continue;
            }
            let now = journal.disk.operations();
            journal.disk.schedule(now + operation, fault);
            // A new segment, a write and a sync to it, and the next segment.
            let first = (0..3).find_map(|_| journal.append(&[b'y'; SECTOR_BYTES / 2]).err());
            let Some(AppendError::Disk(error)) = first else {
                panic!("operation {operation} fails with {fault:?}: {first:?}");
            };
            if fault == Fault::Full {
                assert_eq!(error.kind, DiskErrorKind::Full);
            }
            assert_eq!(journal.sync(), Err(error.clone()));
            assert_eq!(journal.append(b"z"), Err(AppendError::Disk(error.clone())));
            let too_long = vec![0; FRAME_BYTES_MAX + 1];
            assert_eq!(journal.append(&too_long), Err(AppendError::Disk(error.clone())));
            assert_eq!(journal.cut(Sequence(1)), Err(error.clone()));
            assert_eq!(journal.prepare(), Err(error.clone()));
            assert_eq!(journal.replay(Sequence(0), |_| {}), Err(OpenError::Disk(error)));
        }
    }
}

/// Nothing more fits on the disk.
fn fill_disk(journal: &mut Journal<FaultyDisk>) {
    let used = usize::try_from(journal.file_bytes()).unwrap();
    journal.disk.set_bytes_max(used);
}

#[test]
fn a_full_disk_refuses_an_append_and_harms_nothing() {
    let mut journal = fresh();
    // One sector is left, which is too little for the frame.
    journal.append(&vec![b'f'; journal.rest(CUT_BYTES) - SECTOR_BYTES - 64]).unwrap();
    journal.sync().unwrap();
    fill_disk(&mut journal);
    let frame = [b'x'; SECTOR_BYTES];
    for _ in 0..3 {
        let Err(AppendError::Full(error)) = journal.append(&frame) else {
            panic!("there is no room");
        };
        assert_eq!(error.kind, DiskErrorKind::Full);
        assert_eq!(journal.prepare().unwrap_err().kind, DiskErrorKind::Full);
        assert_eq!((journal.next(), journal.sync()), (Sequence(1), Ok(Sequence(1))));
    }
    // What fits goes on, and what was refused is appended when there is room.
    assert_eq!(journal.append(b"s"), Ok(Sequence(1)));
    journal.append(&frame).unwrap_err();
    assert_eq!(journal.durable(), Sequence(2), "what was appended before is durable");
    journal.disk.set_bytes_max(usize::MAX);
    assert_eq!(journal.append(&frame), Ok(Sequence(2)));
    journal.prepare().unwrap();
    journal.sync().unwrap();
    assert_eq!(open(crashed(journal)).1, b"fsx");
}

#[test]
fn a_frame_too_large_for_a_spare_is_refused_on_a_full_disk_and_others_are_not() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    journal.prepare().unwrap();
    fill_disk(&mut journal);
    let refused = journal.append(&[b'l'; 4 * SECTOR_BYTES]);
    assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
    // The spare was given up for it, so there is room for another.
    assert_eq!(journal.append(&[b'x'; SECTOR_BYTES / 2]), Ok(Sequence(1)));
    journal.sync().unwrap();
    assert_eq!(open(crashed(journal)).1, b"fx");
}

#[test]
fn a_full_disk_can_be_cut_again_and_again_which_makes_room() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    let frame = [b'x'; SECTOR_BYTES - frame::HEADER_BYTES];
    for _ in 0..4 {
        journal.append(&frame).unwrap();
        journal.sync().unwrap();
    }
    fill_disk(&mut journal);
    journal.append(&frame).unwrap_err();
    // The first segment leaves room that the disk can use, others leave spares.
    for before in 1..200 {
        journal.cut(Sequence(before)).unwrap();
        match journal.append(&frame) {
            Ok(_) => drop(journal.sync().unwrap()),
            Err(error) => assert!(matches!(error, AppendError::Full(_)), "{error}"),
        }
    }
    assert!(journal.next() > Sequence(200));
    let (journal, seen) = open(crashed(journal));
    assert!(!seen.is_empty());
    assert!(journal.first() > Sequence(150));
}

#[test]
fn a_cut_without_room_to_say_so_harms_nothing() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    journal.append(&[b'x'; SECTOR_BYTES - frame::HEADER_BYTES]).unwrap();
    journal.sync().unwrap();
    // As after a torn batch: nothing is added to such a segment.
    journal.written = journal.last().bytes;
    fill_disk(&mut journal);
    assert_eq!(journal.cut(Sequence(1)).unwrap_err().kind, DiskErrorKind::Full);
    assert_eq!((journal.first(), journal.next()), (Sequence(0), Sequence(2)));
    journal.disk.set_bytes_max(usize::MAX);
    journal.cut(Sequence(1)).unwrap();
    assert_eq!(journal.first(), Sequence(1));
    assert_eq!(open(crashed(journal)).1, b"x");
}

#[test]
fn a_journal_knows_how_much_fits_without_a_file() {
    let mut journal = fresh();
    let before = journal.room();
    assert_eq!(before, FIRST_SEGMENT_BYTES - FRAMES_START - CUT_BYTES);
    journal.append(b"four").unwrap();
    assert_eq!(before - journal.room(), frame::frame_bytes(4));
    journal.sync().unwrap();
    assert_eq!(before - journal.room(), SECTOR_BYTES);
    journal.prepare().unwrap();
    assert_eq!(journal.room(), before, "a spare of this size has room for a sector");
    fill_first_segment(&mut journal);
    fill_disk(&mut journal);
    assert_eq!((journal.rest(CUT_BYTES), journal.room()), (0, SECTOR_BYTES));
    journal.append(&[0; SECTOR_BYTES - frame::HEADER_BYTES]).unwrap();
    assert_eq!(journal.room(), 0);
}

#[test]
fn a_format_never_overwrites() {
    let mut disk = fresh().into_disk();
    let error = FormatError::NotEmpty { segment: FIRST_SEGMENT };
    assert_eq!(Journal::format(&mut disk, IDENTITY), Err(error));
}

#[test]
fn a_format_cut_short_leaves_nothing_or_everything() {
    for seed in 0..20 {
        for operation in 0..4 {
            let mut disk = FaultyDisk::new(seed);
            disk.schedule(operation, Fault::PowerCut);
            Journal::format(&mut disk, IDENTITY).unwrap_err();
            disk.crash();
            match Journal::open(disk.clone(), IDENTITY, SMALL, |_| {}) {
                Ok(_) => assert_eq!(operation, 3, "only the rename makes a journal"),
                Err(error) => {
                    assert_eq!(error, OpenError::Empty);
                    Journal::format(&mut disk, IDENTITY).unwrap();
                    open(disk);
                }
            }
        }
    }
}

#[test]
fn frames_read_after_the_death_of_the_process_alone_are_durable() {
    for seed in 0..20 {
        let mut disk = FaultyDisk::new(seed);
        Journal::format(&mut disk, IDENTITY).unwrap();
        let mut journal = open(disk).0;
        journal.append(b"a").unwrap();
        let sync = journal.disk.operations() + 1;
        journal.disk.schedule(sync, Fault::Fail);
        journal.sync().unwrap_err();
        let (journal, seen) = open(journal.into_disk());
        assert_eq!(seen, b"a");
        assert_eq!(open(crashed(journal)).1, b"a");
    }
}

#[test]
fn a_cut_drops_whole_segments_and_keeps_two_files() {
    let mut journal = fresh();
    for _ in 0..40 {
        journal.append(&[b'x'; SECTOR_BYTES / 2]).unwrap();
        journal.sync().unwrap();
    }
    let before = journal.file_bytes();
    journal.cut(Sequence(0)).unwrap();
    assert_eq!((journal.first(), journal.file_bytes()), (Sequence(0), before));
    journal.cut(Sequence(30)).unwrap();
    assert_eq!(journal.first(), Sequence(30));
    assert_eq!(journal.spares, SPARES_MAX);
    assert_eq!((journal.durable(), journal.next()), (Sequence(41), Sequence(41)));
    journal.cut(Sequence(39)).unwrap();
    assert_eq!((journal.first(), journal.live.len()), (Sequence(39), 2));
    let (journal, seen) = open(crashed(journal));
    assert_eq!((seen.len(), journal.first(), journal.next()), (1, Sequence(39), Sequence(42)));
}

#[test]
fn a_cut_that_drops_nothing_writes_nothing() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    journal.append(&[b'x'; SECTOR_BYTES / 2]).unwrap();
    journal.sync().unwrap();
    let before = journal.disk.operations();
    journal.cut(Sequence(0)).unwrap();
    assert_eq!((journal.disk.operations(), journal.next()), (before, Sequence(2)));
    // The frame that says so, its sync, and the first segment.
    journal.cut(Sequence(1)).unwrap();
    assert_eq!((journal.disk.operations() - before, journal.next()), (3, Sequence(3)));
    journal.cut(Sequence(u64::MAX)).unwrap();
    assert_eq!((journal.disk.operations() - before, journal.next()), (3, Sequence(3)));
}

#[test]
fn a_cut_finds_room_at_the_end_of_a_full_segment() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    journal.append(&[b'x'; SECTOR_BYTES - frame::HEADER_BYTES]).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.rest(CUT_BYTES), 0);
    journal.cut(Sequence(1)).unwrap();
    assert_eq!((journal.live.len(), journal.rest(0)), (1, 0));
    assert_eq!(open(crashed(journal)).1, b"x");
}

#[test]
fn a_spare_is_used_instead_of_a_new_file() {
    let mut journal = fresh();
    fill_first_segment(&mut journal);
    journal.prepare().unwrap();
    let before = journal.disk.operations();
    journal.prepare().unwrap();
    assert_eq!(journal.disk.operations(), before, "one spare is enough");
    journal.append(&[b'x'; SECTOR_BYTES / 2]).unwrap();
    journal.sync().unwrap();
    assert_eq!(journal.disk.operations() - before, 2);
}

#[test]
fn a_segment_never_goes_before_the_next_ones_header_is_on_disk() {
    for seed in 0..20 {
        let mut journal = fresh();
        fill_first_segment(&mut journal);
        journal.append(&[b'x'; 128]).unwrap();
        assert_eq!(journal.live.len(), 2);
        journal.cut(Sequence(1)).unwrap();
        let mut disk = journal.into_disk();
        (0..seed).for_each(|_| disk.crash());
        disk.crash();
        assert_eq!(open(disk).1, b"x");
    }
}

#[test]
fn a_replay_shows_the_durable_frames_again() {
    let mut journal = fresh();
    for name in b'a'..=b'h' {
        journal.append(&[name; SECTOR_BYTES / 2]).unwrap();
        journal.sync().unwrap();
    }
    fill_first_segment_is_left(&mut journal);
    journal.append(b"unsynced").unwrap();
    let mut seen = Vec::new();
    journal.replay(Sequence(0), |entry| seen.push(shown(entry))).unwrap();
    let all: Vec<_> = (0..journal.durable().0).zip(b'a'..=b'z').collect();
    assert_eq!(seen, all);
    let mut late = Vec::new();
    let from = journal.durable();
    journal.replay(from, |entry| late.push(shown(entry))).unwrap();
    assert_eq!(late, []);
}

/// Appends until the first segment, 64 KiB, is left.
fn fill_first_segment_is_left(journal: &mut Journal<FaultyDisk>) {
    while journal.live.len() < 3 {
        let name = b'a' + u8::try_from(journal.next().0).unwrap();
        journal.append(&[name; SECTOR_BYTES / 2]).unwrap();
        journal.sync().unwrap();
    }
}

#[test]
fn another_formats_version_is_named_and_nothing_is_visited() {
    let mut disk = fresh().into_disk();
    let header = Header { number: FIRST_SEGMENT, start: Sequence(0), identity: IDENTITY };
    let mut sector = header.to_sector();
    let found = segment::FORMAT_VERSION + 1;
    sector[6..8].copy_from_slice(&found.to_le_bytes());
    let checksum = frame::CRC32C.checksum(&sector[..60]);
    sector[60..64].copy_from_slice(&checksum.to_le_bytes());
    disk.write_at(FIRST_SEGMENT, 0, &sector).unwrap();
    let error = Journal::open(disk, IDENTITY, SMALL, |_| panic!("visited")).unwrap_err();
    assert_eq!(error, OpenError::Version { segment: FIRST_SEGMENT, found });
    let text = "segment 1 has format version 3; this release reads version 2";
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_scratch_file_is_never_live_whatever_it_says() {
    let mut disk = FaultyDisk::new(1);
    let header = Header { number: SCRATCH, start: Sequence(0), identity: IDENTITY };
    disk.create(SCRATCH, FIRST_SEGMENT_BYTES).unwrap();
    disk.write_at(SCRATCH, 0, &header.to_sector()).unwrap();
    // Beside a spare; were both accepted, the spare would go, and all would count as no journal.
    disk.create(FIRST_SEGMENT, FIRST_SEGMENT_BYTES).unwrap();
    let error = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap_err();
    let why = recover::Damage::Header;
    let (offset, sequence) = (0, Sequence(0));
    assert_eq!(error, OpenError::Damaged { segment: SCRATCH, offset, sequence, why });
}

#[test]
fn a_segment_that_starts_below_its_predecessor_is_damage() {
    let mut journal = fresh();
    fill_first_segment_is_left(&mut journal);
    journal.cut(Sequence(u64::MAX)).unwrap();
    let first = journal.first();
    journal.append(&[b'x'; SECTOR_BYTES]).unwrap();
    journal.sync().unwrap();
    let segment = journal.last().number;
    assert_eq!(journal.live.len(), 2);
    let mut disk = journal.into_disk();
    let header = Header { number: segment, start: Sequence(0), identity: IDENTITY };
    disk.write_at(segment, 0, &header.to_sector()).unwrap();
    let error = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap_err();
    let why = recover::Damage::OutOfOrder;
    assert_eq!(error, OpenError::Damaged { segment, offset: 0, sequence: first, why });
}

#[test]
fn a_frame_that_fits_to_the_byte_stays_in_its_segment() {
    let mut journal = fresh();
    let room = journal.rest(CUT_BYTES);
    journal.append(&vec![b'x'; room - frame::HEADER_BYTES]).unwrap();
    assert_eq!(journal.live.len(), 1);
    journal.append(b"y").unwrap();
    assert_eq!(journal.live.len(), 2);
    journal.sync().unwrap();
    assert_eq!(open(crashed(journal)).1, b"xy");
}

#[test]
fn a_journal_tells_how_large_its_files_are() {
    let mut journal = fresh();
    let first = FIRST_SEGMENT_BYTES as u64;
    assert_eq!(journal.file_bytes(), first);
    fill_first_segment(&mut journal);
    journal.append(&[b'x'; 128]).unwrap();
    let segment_bytes = SMALL.segment_bytes as u64;
    assert_eq!(journal.file_bytes(), first + segment_bytes);
    journal.prepare().unwrap();
    assert_eq!(journal.file_bytes(), first + 2 * segment_bytes);
    journal.cut(Sequence(u64::MAX)).unwrap();
    assert_eq!(journal.file_bytes(), 2 * segment_bytes);
}

#[test]
fn refusals_say_why() {
    let mut disk = fresh().into_disk();
    let error = Journal::format(&mut disk, IDENTITY).unwrap_err();
    let text = "there is a journal already (segment 1); it is not overwritten";
    assert_eq!(error.to_string(), text);
    let text = "a frame of 16777217 bytes exceeds the limit of 16777216";
    assert_eq!(AppendError::TooLong { bytes: FRAME_BYTES_MAX + 1 }.to_string(), text);
}

#[test]
fn a_file_of_any_length_is_searched_to_its_end() {
    // What a power cut leaves of a segment that was being made, beside a journal that is in use.
    for bytes in (0..=SECTOR_BYTES + 8).chain(2 * SECTOR_BYTES - 8..=2 * SECTOR_BYTES) {
        let mut journal = fresh();
        journal.append(b"kept").unwrap();
        journal.sync().unwrap();
        let mut disk = journal.into_disk();
        disk.create(FIRST_SEGMENT.plus(1), bytes).unwrap();
        let (_, recovered) = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap();
        assert_eq!(recovered.frames, 1, "{bytes} bytes");
    }
}
