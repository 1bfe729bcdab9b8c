//! Damage to bytes that were durable: it is found, and it never changes what is read.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is a failed test")]

use journal::{
    Damage, Disk, Entry, Fault, FaultyDisk, Identity, Journal, OpenError, Options, Recovered,
    SECTOR_BYTES, SegmentNumber, Sequence, inspect,
};

const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
const SMALL: Options = Options { segment_bytes: 5 * SECTOR_BYTES };
const FIRST: SegmentNumber = SegmentNumber(1);

/// A journal with one batch for each list of frame lengths.
fn journal(batches: &[&[usize]]) -> Journal<FaultyDisk> {
    let mut disk = FaultyDisk::new(1);
    Journal::format(&mut disk, IDENTITY).unwrap();
    let (mut journal, _) = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap();
    for batch in batches {
        for &length in *batch {
            let name = u8::try_from(journal.next().0).unwrap();
            journal.append(&vec![name; length]).unwrap();
        }
        journal.sync().unwrap();
    }
    journal
}

/// What can be read, as `0 1 [2..4) 4`, and the verdict. Each frame has the right content.
fn check(disk: &mut FaultyDisk) -> (String, Result<Recovered, OpenError>) {
    let mut story = Vec::new();
    let result = inspect(disk, IDENTITY, |entry| {
        story.push(match entry {
            Entry::Frame(Sequence(at), frame) => {
                assert!(frame.iter().all(|&byte| u64::from(byte) == at), "wrong content at {at}");
                at.to_string()
            }
            Entry::Hole { from, to } => format!("[{from}..{to})"),
        });
    });
    (story.join(" "), result)
}

/// What is shown of a journal that opens.
fn story(disk: &mut FaultyDisk) -> String {
    let (story, result) = check(disk);
    result.unwrap();
    story
}

fn damage(disk: &mut FaultyDisk) -> (SegmentNumber, Sequence, Damage) {
    match check(disk).1 {
        Err(OpenError::Damaged { segment, sequence, why, .. }) => (segment, sequence, why),
        other => panic!("damage goes unnoticed: {other:?}"),
    }
}

#[test]
fn rot_before_a_later_batch_is_a_hole() {
    let mut disk = journal(&[&[10], &[10], &[10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    assert_eq!(story(&mut disk), "0 [1..2) 2");
    let recovered = check(&mut disk).1.unwrap();
    assert_eq!((recovered.frames, recovered.missing, recovered.next), (2, 1, Sequence(3)));
}

#[test]
fn rot_that_no_later_frame_follows_is_damage() {
    let mut disk = journal(&[&[10], &[10], &[10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    // The header of the last frame is whole, and vouches; its payload is not.
    disk.flip(FIRST, 3 * SECTOR_BYTES + 30, 1);
    let why = Damage::BeforeFrame { segment: FIRST, synced_before: Sequence(2) };
    assert_eq!(damage(&mut disk), (FIRST, Sequence(1), why));
    let text = "journal damaged in segment 1 at byte 4136: frame 1 cannot be read, and a later \
                frame in segment 1 proves that all below 2 were durable";
    assert_eq!(check(&mut disk).1.unwrap_err().to_string(), text);
}

#[test]
fn a_rotten_header_and_its_payload_are_passed_over_alike() {
    for offset in [0, 10, 28, 4_000, 8_000] {
        let mut disk = journal(&[&[10, 9_000, 40], &[10]]).into_disk();
        disk.flip(FIRST, SECTOR_BYTES + 40 + offset, 1);
        assert_eq!(story(&mut disk), "0 [1..2) 2 3", "{offset}");
    }
}

#[test]
fn several_holes_are_shown_each_for_itself() {
    let mut disk = journal(&[&[10], &[10, 10], &[10], &[10], &[10]]).into_disk();
    for sector in [1, 3, 4] {
        disk.flip(FIRST, sector * SECTOR_BYTES + 30, 1);
    }
    assert_eq!(story(&mut disk), "[0..1) 1 2 [3..5) 5");
}

#[test]
fn a_torn_batch_behind_a_hole_is_still_a_torn_tail() {
    let mut disk = journal(&[&[10], &[10], &[10], &[10, 10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    disk.flip(FIRST, 4 * SECTOR_BYTES + 30, 1);
    assert_eq!(story(&mut disk), "0 [1..2) 2");
    let torn = check(&mut disk).1.unwrap().torn.unwrap();
    assert_eq!((torn.sequence, torn.frames), (Sequence(3), 2));
}

#[test]
fn the_rest_of_a_torn_batch_never_follows_a_hole() {
    // Frame 3, of the batch that vouches for 1 and 2, may never have been acknowledged.
    let mut disk = journal(&[&[10], &[10, 10], &[10, 10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    disk.flip(FIRST, 2 * SECTOR_BYTES + 40 + 30, 1);
    disk.flip(FIRST, 3 * SECTOR_BYTES + 30, 1);
    let why = Damage::BeforeFrame { segment: FIRST, synced_before: Sequence(3) };
    assert_eq!(damage(&mut disk), (FIRST, Sequence(1), why));
}

#[test]
fn rot_in_the_last_batch_looks_like_a_torn_tail() {
    // A limit that is documented, not wished for.
    let mut disk = journal(&[&[10], &[10], &[10, 10]]).into_disk();
    disk.flip(FIRST, 3 * SECTOR_BYTES + 30, 1);
    assert_eq!(story(&mut disk), "0 1");
    let torn = inspect(&mut disk, IDENTITY, |_| {}).unwrap().torn.unwrap();
    assert_eq!((torn.segment, torn.sequence, torn.frames), (FIRST, Sequence(2), 2));
    assert_eq!(torn.offset, 2 * SECTOR_BYTES + 40);
}

#[test]
fn what_was_cut_stays_cut_even_if_its_bytes_can_be_read_again() {
    let mut disk = journal(&[&[10], &[10, 10, 10]]).into_disk();
    let place = 2 * SECTOR_BYTES + 30;
    disk.flip(FIRST, place, 1);
    let (mut journal, recovered) = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap();
    assert_eq!(recovered.next, Sequence(1));
    // In a segment of its own: what is left of the batch may be read again, but not behind it.
    journal.append(&[1; 20]).unwrap();
    journal.sync().unwrap();
    journal.append(&[2; 20]).unwrap();
    journal.sync().unwrap();
    let mut disk = journal.into_disk();
    assert_eq!(story(&mut disk), "0 1 2");
    disk.flip(FIRST, place, 1);
    assert_eq!(story(&mut disk), "0 1 2");
    assert_eq!(lengths(&mut disk), [10, 20, 20]);
    // Not even if nobody knows any more where the next segment starts.
    disk.flip(SegmentNumber(2), 20, 1);
    assert_eq!(lengths(&mut disk), [10, 20, 20]);
}

fn lengths(disk: &mut FaultyDisk) -> Vec<usize> {
    let mut lengths = Vec::new();
    let visit = |entry: Entry<'_>| lengths.extend(entry.frame().map(|(_, frame)| frame.len()));
    inspect(disk, IDENTITY, visit).unwrap();
    lengths
}

#[test]
fn rot_before_a_later_segment_is_a_hole() {
    let mut disk = journal(&[&[10], &[57_000], &[10]]).into_disk();
    disk.flip(FIRST, 2 * SECTOR_BYTES + 30, 1);
    assert_eq!(story(&mut disk), "0 [1..2) 2");
    disk.flip(SegmentNumber(2), SECTOR_BYTES + 30, 1);
    let why = Damage::BeforeSegment { segment: SegmentNumber(2), start: Sequence(2) };
    assert_eq!(damage(&mut disk), (FIRST, Sequence(1), why));
}

#[test]
fn a_segment_without_its_header_is_read_all_the_same() {
    let batches: &[&[usize]] = &[&[10], &[57_000], &[10], &[12_000], &[15_000], &[15_000]];
    for segment in 1..=5 {
        let mut disk = journal(batches).into_disk();
        disk.flip(SegmentNumber(segment), 20, 1);
        // That of the last segment might as well be torn: its one batch is given up.
        let all = if segment == 5 { "0 1 2 3 4" } else { "0 1 2 3 4 5" };
        assert_eq!(story(&mut disk), all, "{segment}");
    }
    let mut disk = journal(&[&[10], &[57_000], &[10], &[10]]).into_disk();
    disk.flip(SegmentNumber(2), 20, 1);
    assert_eq!(story(&mut disk), "0 1 2 3", "its second batch vouches for its first");
    let opened = Journal::open(disk, IDENTITY, SMALL, |_| {});
    let mut journal = opened.unwrap().0;
    journal.append(&[4; 10]).unwrap();
    journal.sync().unwrap();
    let mut disk = journal.into_disk();
    assert_eq!(disk.list().unwrap().len(), 3, "nothing is added to such a segment");
    assert_eq!(story(&mut disk), "0 1 2 3 4");
}

#[test]
fn without_any_header_and_any_voucher_there_is_no_journal() {
    let mut disk = journal(&[&[10, 20]]).into_disk();
    disk.flip(FIRST, 20, 1);
    assert_eq!(damage(&mut disk), (FIRST, Sequence(0), Damage::Header));
    let mut disk = journal(&[&[10, 20], &[30]]).into_disk();
    disk.flip(FIRST, 20, 1);
    assert_eq!(story(&mut disk), "0 1 2");
}

#[test]
fn a_missing_segment_is_a_hole_if_a_frame_follows() {
    let batches: &[&[usize]] = &[&[10], &[10], &[49_000], &[15_000], &[15_000]];
    let mut disk = journal(batches).into_disk();
    disk.remove(SegmentNumber(2)).unwrap();
    // Without the next start, the first segment shows what it vouches for.
    assert_eq!(story(&mut disk), "0 1 [2..4) 4");
    disk.flip(SegmentNumber(3), SECTOR_BYTES + 30, 1);
    assert_eq!(damage(&mut disk), (SegmentNumber(2), Sequence(2), Damage::Missing));
}

#[test]
fn a_missing_segment_before_an_empty_one_is_damage() {
    let mut journal = journal(&[&[10], &[57_000], &[15_000]]);
    journal.prepare().unwrap();
    let mut disk = journal.into_disk();
    disk.remove(SegmentNumber(2)).unwrap();
    assert_eq!(damage(&mut disk), (SegmentNumber(2), Sequence(2), Damage::Missing));
}

#[test]
fn the_lost_beginning_is_a_hole_and_what_was_cut_is_none() {
    let batches: &[&[usize]] = &[&[10], &[57_000], &[15_000], &[15_000], &[10], &[15_000], &[20]];
    let mut journal = journal(batches);
    journal.cut(Sequence(3)).unwrap();
    let mut disk = journal.disk_mut().clone();
    assert_eq!(story(&mut disk), "3 4 5 6");
    let files = disk.list().unwrap();
    let first = files.iter().map(|file| file.number).min().unwrap();
    disk.remove(first).unwrap();
    assert_eq!(story(&mut disk), "[3..4) 4 5 6");
    let (opened, recovered) = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap();
    assert_eq!((opened.first(), recovered.first, recovered.missing), (Sequence(3), Sequence(3), 1));
    // A further cut gives up the hole.
    let mut opened = opened;
    opened.cut(Sequence(5)).unwrap();
    assert_eq!(opened.first(), Sequence(5));
    assert_eq!(story(opened.disk_mut()), "5 6");
}

#[test]
fn a_lost_beginning_that_only_a_cut_follows_is_damage() {
    let mut journal = journal(&[&[10], &[57_000], &[15_000], &[10]]);
    journal.cut(Sequence(2)).unwrap();
    let first = journal.disk_mut().list().unwrap().iter().map(|file| file.number).min().unwrap();
    journal.disk_mut().flip(first, SECTOR_BYTES + 30, 1);
    journal.disk_mut().flip(first.plus(1), SECTOR_BYTES + 30, 1);
    let (story, result) = check(journal.disk_mut());
    assert_eq!(story, "");
    assert!(matches!(result, Err(OpenError::Damaged { sequence: Sequence(2), .. })), "{result:?}");
}

#[test]
fn a_replay_shows_holes_as_an_open_does() {
    let batches: &[&[usize]] = &[&[10], &[10], &[49_000], &[15_000], &[15_000], &[10], &[10]];
    let mut disk = journal(batches).into_disk();
    disk.flip(FIRST, SECTOR_BYTES + 30, 1);
    disk.remove(SegmentNumber(2)).unwrap();
    disk.flip(SegmentNumber(3), 20, 1);
    let mut opened = Vec::new();
    let visit = |entry: Entry<'_>| opened.push(format!("{entry:?}"));
    let (mut journal, _) = Journal::open(disk, IDENTITY, SMALL, visit).unwrap();
    assert_eq!(opened.len(), 6);
    let mut replayed = Vec::new();
    journal.replay(Sequence(0), |entry| replayed.push(format!("{entry:?}"))).unwrap();
    assert_eq!(replayed, opened);
    let mut late = 0;
    journal.replay(Sequence(5), |_| late += 1).unwrap();
    assert_eq!(late, 2, "from the segment that holds it");
    // What rots after the open is no less lost.
    let last = journal.disk_mut().list().unwrap().iter().map(|file| file.number).max().unwrap();
    journal.disk_mut().flip(last, 2 * SECTOR_BYTES + 30, 1);
    let result = journal.replay(Sequence(0), |_| {});
    assert!(matches!(result, Err(OpenError::Damaged { sequence: Sequence(6), .. })), "{result:?}");
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
        let error = Journal::open(disk.clone(), expected, SMALL, |_| {}).unwrap_err();
        assert_eq!(error, OpenError::Foreign { found: IDENTITY, expected });
        assert!(error.to_string().contains("expected cluster"));
    }
}

#[test]
fn an_empty_disk_is_empty_and_not_a_new_journal() {
    let error = Journal::open(FaultyDisk::new(1), IDENTITY, SMALL, |_| {}).unwrap_err();
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
    let error = Journal::open(journal.into_disk(), IDENTITY, SMALL, |_| {}).unwrap_err();
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
        assert_eq!(story(&mut journal.into_disk()), "0 1 [2..3) 3", "{sectors}");
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
        let _ = Journal::open(disk, IDENTITY, SMALL, |_| {});
    }
}

#[test]
fn a_recovery_counts_what_it_kept_and_what_it_cut() {
    let mut disk = journal(&[&[10], &[20], &[30, 40]]).into_disk();
    let whole = inspect(&mut disk, IDENTITY, |_| {}).unwrap();
    assert_eq!((whole.frames, whole.bytes, whole.torn), (4, 100, None));
    disk.flip(FIRST, 3 * SECTOR_BYTES + 30, 1);
    let cut = inspect(&mut disk, IDENTITY, |_| {}).unwrap();
    assert_eq!((cut.frames, cut.bytes), (2, 30));
    // Headers included, in whole units of eight.
    let torn = cut.torn.unwrap();
    assert_eq!((torn.frames, torn.bytes), (2, 64 + 72));
}

#[test]
fn a_file_may_be_as_large_as_the_largest_segment() {
    let mut disk = journal(&[&[10]]).into_disk();
    disk.create(SegmentNumber(2), journal::SEGMENT_BYTES_MAX).unwrap();
    assert_eq!(story(&mut disk), "0");
}
