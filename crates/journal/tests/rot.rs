//! Damage to bytes that were durable: it is found, and it never changes what is read.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is a failed test")]

use journal::{
    Damage, Disk, Fault, FaultyDisk, Identity, Journal, OpenError, Options, SECTOR_BYTES,
    SegmentNumber, Sequence, inspect,
};

const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
const SMALL: Options = Options { segment_bytes: 5 * SECTOR_BYTES };
const FIRST: SegmentNumber = SegmentNumber(1);

/// A journal with one batch for each list of frame lengths.
fn journal(batches: &[&[usize]]) -> Journal<FaultyDisk> {
    let mut disk = FaultyDisk::new(1);
    Journal::format(&mut disk, IDENTITY).unwrap();
    let (mut journal, _) = Journal::open(disk, IDENTITY, SMALL, |_, _| {}).unwrap();
    for batch in batches {
        for &length in *batch {
            let name = u8::try_from(journal.next().0).unwrap();
            journal.append(&vec![name; length]).unwrap();
        }
        journal.sync().unwrap();
    }
    journal
}

/// What can be read: the sequences that were seen, each with the right content, and the verdict.
fn check(disk: &mut FaultyDisk) -> (u64, Result<(), OpenError>) {
    let mut next = 0;
    let result = inspect(disk, IDENTITY, |sequence, frame| {
        assert_eq!(sequence.0, next);
        assert!(frame.iter().all(|&byte| u64::from(byte) == next), "wrong content at {next}");
        next += 1;
    });
    (next, result.map(|_| ()))
}

fn damage(disk: &mut FaultyDisk) -> (SegmentNumber, Sequence, Damage) {
    match check(disk).1 {
        Err(OpenError::Damaged { segment, sequence, why, .. }) => (segment, sequence, why),
        other => panic!("damage goes unnoticed: {other:?}"),
    }
}

#[test]
fn every_flipped_byte_is_damage_or_costs_the_last_batch() {
    let batches: &[&[usize]] = &[&[10, 20, 30], &[5000], &[40, 0, 50]];
    let whole = journal(batches).into_disk();
    let last_batch = 4;
    for offset in 0..6 * SECTOR_BYTES {
        let mut disk = whole.clone();
        disk.flip(FIRST, offset, [0x01, 0x80, 0xff][offset % 3]);
        match check(&mut disk) {
            (seen, Ok(())) => assert!(seen >= last_batch, "byte {offset}"),
            (_, Err(OpenError::Damaged { segment, .. })) => assert_eq!(segment, FIRST),
            (_, other) => panic!("byte {offset}: {other:?}"),
        }
    }
}

#[test]
fn a_flipped_byte_in_any_used_place_is_noticed() {
    let whole = journal(&[&[10, 20, 30], &[5000], &[40, 0, 50]]).into_disk();
    // The header; the first batch: three frames of 40, 48 and 64 bytes with up to 7 of padding;
    // the second: one frame.
    let header = 0..64;
    let frames = [4096..4096 + 38, 4136..4136 + 48, 4184..4184 + 58, 8192..8192 + 5028];
    for offset in header.chain(frames.into_iter().flatten()) {
        let mut disk = whole.clone();
        disk.flip(FIRST, offset, 0x10);
        damage(&mut disk);
    }
}

#[test]
fn a_flipped_byte_in_any_of_several_segments_never_changes_a_frame() {
    // A cut leaves live segments and a spare with the frames of its former life.
    let mut journal = journal(&[&[10], &[57_000], &[12_000], &[12_000], &[30, 40], &[50]]);
    journal.cut(Sequence(3)).unwrap();
    let expected = visited(journal.disk_mut()).0;
    let segments = journal.disk_mut().list().unwrap();
    assert_eq!(segments.len(), 3);
    for entry in segments {
        for sector in 0..entry.bytes / SECTOR_BYTES {
            for offset in (0..64).chain([200, SECTOR_BYTES - 1]) {
                let offset = sector * SECTOR_BYTES + offset;
                let mut disk = journal.clone().into_disk();
                disk.flip(entry.number, offset, 0x04);
                let (seen, result) = visited(&mut disk);
                let context = format!("segment {} byte {offset}", entry.number);
                assert!(expected.starts_with(&seen), "{context}");
                // Only the last batch, of one frame, has nobody to vouch for it.
                assert!(result.is_err() || seen.len() + 1 >= expected.len(), "{context}");
            }
        }
    }
}

/// Every frame that can be read, and the verdict.
fn visited(disk: &mut FaultyDisk) -> (Vec<Vec<u8>>, Result<(), OpenError>) {
    let mut seen = Vec::new();
    let result = inspect(disk, IDENTITY, |_, frame| seen.push(frame.to_vec()));
    (seen, result.map(|_| ()))
}

#[test]
fn rot_before_a_later_batch_is_a_hole() {
    let mut disk = journal(&[&[10], &[10], &[10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    let why = Damage::BeforeFrame { segment: FIRST, synced_before: Sequence(2) };
    assert_eq!(damage(&mut disk), (FIRST, Sequence(1), why));
    let text = "journal damaged in segment 1 at byte 4136: frame 1 cannot be read, and a later \
                frame in segment 1 proves that all below 2 were durable";
    assert_eq!(check(&mut disk).1.unwrap_err().to_string(), text);
}

#[test]
fn rot_in_the_last_batch_looks_like_a_torn_tail() {
    // A limit that is documented, not wished for.
    let mut disk = journal(&[&[10], &[10], &[10, 10]]).into_disk();
    disk.flip(FIRST, 3 * SECTOR_BYTES + 30, 1);
    assert_eq!(check(&mut disk), (2, Ok(())));
    let torn = inspect(&mut disk, IDENTITY, |_, _| {}).unwrap().torn.unwrap();
    assert_eq!((torn.segment, torn.sequence, torn.frames), (FIRST, Sequence(2), 2));
    assert_eq!(torn.offset, 2 * SECTOR_BYTES + 40);
}

#[test]
fn what_was_cut_stays_cut_even_if_its_bytes_can_be_read_again() {
    let mut disk = journal(&[&[10], &[10, 10, 10]]).into_disk();
    let place = 2 * SECTOR_BYTES + 30;
    disk.flip(FIRST, place, 1);
    let (mut journal, recovered) = Journal::open(disk, IDENTITY, SMALL, |_, _| {}).unwrap();
    assert_eq!(recovered.next, Sequence(1));
    journal.append(b"new").unwrap();
    journal.sync().unwrap();
    let mut disk = journal.into_disk();
    disk.flip(FIRST, place, 1);
    let mut seen = Vec::new();
    inspect(&mut disk, IDENTITY, |_, frame| seen.push(frame.to_vec())).unwrap();
    assert_eq!(seen, [vec![0; 10], b"new".to_vec()]);
}

#[test]
fn rot_before_a_later_segment_is_a_hole() {
    let mut disk = journal(&[&[10], &[57_000], &[10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    let why = Damage::BeforeSegment { segment: SegmentNumber(2), start: Sequence(2) };
    assert_eq!(damage(&mut disk), (FIRST, Sequence(1), why));
}

#[test]
fn a_rotten_header_is_damage_wherever_a_later_batch_vouches_for_it() {
    for segment in [1, 2] {
        let mut disk = journal(&[&[10], &[57_000], &[15_000], &[15_000]]).into_disk();
        disk.flip(SegmentNumber(segment), 20, 1);
        assert_eq!(damage(&mut disk).2, Damage::Header);
    }
    let mut disk = journal(&[&[10], &[57_000], &[10], &[10]]).into_disk();
    disk.flip(SegmentNumber(2), 20, 1);
    let why = Damage::BeforeFrame { segment: SegmentNumber(2), synced_before: Sequence(3) };
    assert_eq!(damage(&mut disk), (FIRST, Sequence(2), why));
}

#[test]
fn a_missing_segment_is_damage() {
    let mut disk = journal(&[&[10], &[57_000], &[15_000], &[15_000]]).into_disk();
    disk.remove(SegmentNumber(2)).unwrap();
    assert_eq!(damage(&mut disk), (SegmentNumber(2), Sequence(2), Damage::Missing));
}

#[test]
fn a_renamed_segment_is_damage() {
    let mut disk = journal(&[&[10], &[57_000], &[15_000]]).into_disk();
    disk.remove(FIRST).unwrap();
    disk.rename(SegmentNumber(2), FIRST).unwrap();
    let why = Damage::Misplaced { found: SegmentNumber(2) };
    assert_eq!(damage(&mut disk).2, why);
}

#[test]
fn a_file_larger_than_any_segment_is_not_read() {
    let mut disk = journal(&[&[10]]).into_disk();
    disk.create(SegmentNumber(2), journal::SEGMENT_BYTES_MAX + 1).unwrap();
    assert_eq!(damage(&mut disk).2, Damage::Oversized);
}

#[test]
fn another_owners_journal_is_foreign() {
    let disk = journal(&[&[10]]).into_disk();
    for expected in [
        Identity { cluster: [9; 16], ..IDENTITY },
        Identity { node: 9, ..IDENTITY },
        Identity { disk: [9; 16], ..IDENTITY },
    ] {
        let error = Journal::open(disk.clone(), expected, SMALL, |_, _| {}).unwrap_err();
        assert_eq!(error, OpenError::Foreign { found: IDENTITY, expected });
        assert!(error.to_string().contains("expected cluster"));
    }
}

#[test]
fn an_empty_disk_is_empty_and_not_a_new_journal() {
    let error = Journal::open(FaultyDisk::new(1), IDENTITY, SMALL, |_, _| {}).unwrap_err();
    assert_eq!(error, OpenError::Empty);
    assert!(error.to_string().contains("never formatted"));
}

#[test]
fn a_disk_that_does_not_answer_is_no_verdict_on_the_journal() {
    let mut journal = journal(&[&[10]]);
    let operation = journal.disk_mut().operations();
    journal.disk_mut().schedule(operation, Fault::PowerCut);
    journal.append(b"lost").unwrap();
    journal.sync().unwrap_err();
    let error = Journal::open(journal.into_disk(), IDENTITY, SMALL, |_, _| {}).unwrap_err();
    assert!(matches!(&error, OpenError::Disk(_)), "{error}");
    assert!(error.to_string().starts_with("disk failed: list"), "{error}");
}

#[test]
fn a_misdirected_batch_is_never_read_where_it_landed() {
    for sectors in 1..8 {
        let mut journal = journal(&[&[10], &[10]]);
        let operation = journal.disk_mut().operations();
        journal.disk_mut().schedule(operation, Fault::Misdirect { sectors });
        for _ in 0..2 {
            let name = u8::try_from(journal.next().0).unwrap();
            journal.append(&[name; 10]).unwrap();
            journal.sync().unwrap();
        }
        let mut disk = journal.into_disk();
        assert_eq!(damage(&mut disk).1, Sequence(2), "{sectors}");
    }
}

#[test]
fn bytes_of_any_kind_never_panic() {
    let mut random = 1u64;
    for round in 0..300 {
        let mut disk = journal(&[&[10, 20], &[5000], &[57_000], &[10], &[10]]).into_disk();
        for _ in 0..=round % 8 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = usize::try_from(random >> 33).unwrap();
            let segment = SegmentNumber(1 + (random >> 20) % 2);
            let [mask, ..] = (random >> 40).to_le_bytes();
            // Mostly where lengths and numbers are.
            let offset = place % 4 * SECTOR_BYTES + place / 4 % 40;
            disk.flip(segment, offset, mask);
        }
        let _ = check(&mut disk);
        let _ = Journal::open(disk, IDENTITY, SMALL, |_, _| {});
    }
}

#[test]
fn a_recovery_counts_what_it_kept_and_what_it_cut() {
    let mut disk = journal(&[&[10], &[20], &[30, 40]]).into_disk();
    let whole = inspect(&mut disk, IDENTITY, |_, _| {}).unwrap();
    assert_eq!((whole.frames, whole.bytes, whole.torn), (4, 100, None));
    disk.flip(FIRST, 3 * SECTOR_BYTES + 30, 1);
    let cut = inspect(&mut disk, IDENTITY, |_, _| {}).unwrap();
    assert_eq!((cut.frames, cut.bytes), (2, 30));
    // Headers included, in whole units of eight.
    let torn = cut.torn.unwrap();
    assert_eq!((torn.frames, torn.bytes), (2, 64 + 72));
}

#[test]
fn a_file_may_be_as_large_as_the_largest_segment() {
    let mut disk = journal(&[&[10]]).into_disk();
    disk.create(SegmentNumber(2), journal::SEGMENT_BYTES_MAX).unwrap();
    assert_eq!(check(&mut disk), (1, Ok(())));
}
