//! What is lost of a journal, by a byte, a sector or whole files, is never passed over: each frame
//! that was acknowledged is shown, or lies in a hole that is shown, or the journal does not open.
//! Only the very last batch may vanish without a word.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is a failed test")]

use journal::{
    Disk, Entry, FaultyDisk, Identity, Journal, Options, SECTOR_BYTES, SegmentNumber, Sequence,
    inspect,
};

const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
const SMALL: Options = Options { segment_bytes: 5 * SECTOR_BYTES };

/// What was really done.
#[derive(Clone)]
struct Truth {
    disk: FaultyDisk,
    /// Every frame, from sequence 0. The journal's own are nothing.
    frames: Vec<Option<Vec<u8>>>,
    /// Where the journal starts.
    first: usize,
    /// Where the last batch starts.
    last_batch: usize,
}

/// An entry that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    Frame(usize, Vec<u8>),
    Hole(usize, usize),
}

fn at(sequence: Sequence) -> usize {
    usize::try_from(sequence.0).unwrap()
}

fn shown(entry: Entry<'_>) -> Shown {
    match entry {
        Entry::Frame(sequence, frame) => Shown::Frame(at(sequence), frame.to_vec()),
        Entry::Hole { from, to } => Shown::Hole(at(from), at(to)),
    }
}

/// Several batches, segments and cuts; and a segment that ends with a torn batch if `is_torn`.
fn truth(is_torn: bool) -> Truth {
    let mut disk = FaultyDisk::new(1);
    Journal::format(&mut disk, IDENTITY).unwrap();
    let (mut journal, _) = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap();
    let mut frames = Vec::new();
    let mut last_batch = 0;
    let batches: [&[usize]; 10] = [
        &[10, 20],
        &[56_000],
        &[3_000, 1_500, 0],
        &[30, 40],
        &[15_000],
        &[1, 2, 3],
        &[4_068, 8],
        &[5_000],
        &[60, 70, 80],
        &[90, 100],
    ];
    for (number, batch) in batches.into_iter().enumerate() {
        if is_torn && number == 6 {
            // Three frames that a crash tears: the first is lost.
            let torn = at(journal.next());
            for _ in 0..3 {
                journal.append(b"never acknowledged").unwrap();
            }
            journal.sync().unwrap();
            let mut disk = journal.into_disk();
            let last = disk.list().unwrap().iter().map(|file| file.number).max().unwrap();
            let mut bytes = vec![0; 5 * SECTOR_BYTES];
            disk.read_at(last, 0, &mut bytes).unwrap();
            let place = bytes.windows(5).position(|window| window == b"never").unwrap();
            disk.flip(last, place, 1);
            journal = Journal::open(disk, IDENTITY, SMALL, |_| {}).unwrap().0;
            assert_eq!(at(journal.next()), torn);
        }
        last_batch = frames.len();
        for &length in batch {
            let mark = u8::try_from(frames.len()).unwrap();
            journal.append(&vec![mark; length]).unwrap();
            frames.push(Some(vec![mark; length]));
        }
        journal.sync().unwrap();
        if let Some(before) = [(5, 3), (8, 8)].iter().find(|cut| cut.0 == number).map(|cut| cut.1) {
            let first = journal.first();
            journal.cut(Sequence(before)).unwrap();
            assert!(journal.first() > first);
            frames.resize(at(journal.next()), None);
        }
    }
    let first = at(journal.first());
    Truth { disk: journal.into_disk(), frames, first, last_batch }
}

impl Truth {
    /// Judges a disk that was damaged. Says whether the journal opens.
    fn judge(&self, mut disk: FaultyDisk, context: &str) -> bool {
        let mut entries = Vec::new();
        let verdict = inspect(&mut disk, IDENTITY, |entry| entries.push(shown(entry)));
        let mut is_known = vec![false; self.frames.len()];
        let mut next = 0;
        for (place, entry) in entries.iter().enumerate() {
            match entry {
                Shown::Frame(sequence, frame) => {
                    assert!(*sequence >= next, "{context}: out of order");
                    assert_eq!(Some(frame), self.frames[*sequence].as_ref(), "{context}");
                    is_known[*sequence] = true;
                    next = sequence + 1;
                }
                &Shown::Hole(from, to) => {
                    assert!(next <= from && from < to, "{context}: out of order");
                    is_known[from..to].fill(true);
                    let follower = entries.get(place + 1);
                    let follows = matches!(follower, Some(Shown::Frame(at, _)) if *at == to);
                    assert!(follows, "{context}: nothing follows {to}");
                    next = to;
                }
            }
        }
        let opened = Journal::open(disk.clone(), IDENTITY, SMALL, |_| {});
        assert_eq!(verdict.as_ref().err(), opened.as_ref().err(), "{context}");
        let Ok((mut journal, recovered)) = opened else {
            return false;
        };
        for (sequence, frame) in self.frames.iter().enumerate().take(self.last_batch) {
            let is_silent = frame.is_some() && sequence >= self.first && !is_known[sequence];
            assert!(!is_silent, "{context}: {sequence} is missing");
        }
        let in_holes = |entry: &Shown| match entry {
            Shown::Frame(..) => 0,
            Shown::Hole(from, to) => to - from,
        };
        let missing: usize = entries.iter().map(in_holes).sum();
        assert_eq!(recovered.missing, missing as u64, "{context}");
        assert_eq!(recovered.frames, is_frame(&entries), "{context}");
        let mut again = Vec::new();
        journal.replay(Sequence(0), |entry| again.push(shown(entry))).unwrap();
        assert_eq!(again, entries, "{context}: a replay shows something else");
        // It goes on.
        entries.push(Shown::Frame(at(recovered.next), b"more".to_vec()));
        assert_eq!(journal.append(b"more"), Ok(recovered.next), "{context}");
        journal.sync().unwrap();
        let mut grown = Vec::new();
        Journal::open(journal.into_disk(), IDENTITY, SMALL, |entry| grown.push(shown(entry)))
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(grown, entries, "{context}: what was shown is another story now");
        true
    }

    /// The file of the last batch: without it, its frames are not shown.
    fn last_file(&self) -> SegmentNumber {
        let shows_last = |number| {
            let mut disk = self.disk.clone();
            disk.remove(number).unwrap();
            let mut last = None;
            drop(inspect(&mut disk, IDENTITY, |entry| last = entry.frame().map(|(at, _)| at)));
            last >= Some(Sequence(self.last_batch as u64))
        };
        self.files().into_iter().map(|file| file.0).find(|&number| !shows_last(number)).unwrap()
    }

    fn files(&self) -> Vec<(SegmentNumber, usize)> {
        let files = self.disk.clone().list().unwrap();
        files.into_iter().map(|file| (file.number, file.bytes)).collect()
    }
}

fn is_frame(entries: &[Shown]) -> u64 {
    entries.iter().filter(|entry| matches!(entry, Shown::Frame(..))).count() as u64
}

#[test]
fn every_flipped_byte_is_told_or_harms_nothing_but_the_last_batch() {
    for is_torn in [false, true] {
        let truth = truth(is_torn);
        assert!(truth.judge(truth.disk.clone(), "undamaged"));
        let (mut opened, mut refused) = (0, 0);
        for (number, bytes) in truth.files() {
            // All of the headers and small frames, and some of what is long.
            let all = (0..bytes).filter(|byte| byte % SECTOR_BYTES < 300 || byte % 211 == 0);
            for offset in all {
                let mut disk = truth.disk.clone();
                disk.flip(number, offset, [0x01, 0x80, 0xff][offset % 3]);
                let opens = truth.judge(disk, &format!("segment {number} byte {offset}"));
                *(if opens { &mut opened } else { &mut refused }) += 1;
            }
        }
        assert!(opened > 10 * refused, "{opened} open, {refused} do not");
    }
}

#[test]
fn every_lost_file_is_told_and_so_is_every_pair() {
    for is_torn in [false, true] {
        let truth = truth(is_torn);
        let files = truth.files();
        assert!(files.len() > 4, "{files:?}");
        let mut opened = 0;
        for &(one, _) in &files {
            for &(other, _) in &files {
                let mut disk = truth.disk.clone();
                disk.remove(one).unwrap();
                if other != one {
                    disk.remove(other).unwrap();
                }
                // A last file that is gone takes all with it that nothing else vouches for.
                let last = truth.last_file();
                if one == last || other == last {
                    drop(inspect(&mut disk, IDENTITY, |_| {}));
                    continue;
                }
                opened += usize::from(truth.judge(disk, &format!("without {one} and {other}")));
            }
        }
        assert!(opened > 0);
    }
}

#[test]
fn a_sector_that_was_lost_or_that_reads_as_another_is_told() {
    for is_torn in [false, true] {
        let truth = truth(is_torn);
        let places: Vec<_> = truth
            .files()
            .into_iter()
            .flat_map(|(number, bytes)| (0..bytes / SECTOR_BYTES).map(move |at| (number, at)))
            .collect();
        for &(number, sector) in &places {
            let mut disk = truth.disk.clone();
            disk.misread(number, sector, None);
            truth.judge(disk, &format!("segment {number} sector {sector}"));
            for &(other, from) in places.iter().step_by(3) {
                let mut disk = truth.disk.clone();
                disk.misread(number, sector, Some((other, from)));
                let context = format!("segment {number} sector {sector} is {other}, {from}");
                truth.judge(disk, &context);
            }
        }
    }
}

#[test]
fn several_flipped_bytes_are_told() {
    let mut random = 1u64;
    let truths = [truth(false), truth(true)];
    for round in 0..2_000 {
        let truth = &truths[round % 2];
        // Not in the last file: it must stand for all others.
        let last = truth.last_file();
        let files: Vec<_> = truth.files().into_iter().filter(|file| file.0 < last).collect();
        let mut disk = truth.disk.clone();
        let mut context = format!("round {round}");
        for _ in 0..2 + round % 3 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let place = usize::try_from(random >> 33).unwrap();
            let (number, bytes) = files[place % files.len()];
            let offset = place / 7 % (bytes / SECTOR_BYTES) * SECTOR_BYTES + place / 64 % 200;
            disk.flip(number, offset, 0x10);
            context += &format!(", segment {number} byte {offset}");
        }
        truth.judge(disk, &context);
    }
}
