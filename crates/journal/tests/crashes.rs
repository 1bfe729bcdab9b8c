//! What a journal promises, tried under thousands of power cuts.
//!
//! The model is a list of frames: what was acknowledged must come back, what was appended later may
//! come back as a prefix, and nothing else ever does.

#![expect(clippy::unwrap_used, reason = "helpers of tests; a panic is a failed test")]

use journal::{
    Disk, DiskError, Fault, FaultyDisk, FileEntry, Identity, Journal, Options, SECTOR_BYTES,
    SegmentNumber, Sequence,
};

const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
const SMALL: Options = Options { segment_bytes: 5 * SECTOR_BYTES };

/// What a journal should hold.
#[derive(Clone, Debug, Default)]
struct Model {
    /// Every frame that was appended and not refuted by a crash, from sequence 0. The journal's own
    /// are nothing.
    frames: Vec<Option<Vec<u8>>>,
    /// Below this, frames must come back.
    acknowledged: usize,
    /// Below this, they may be gone.
    cut: usize,
}

impl Model {
    /// Opens the journal and compares. The unacknowledged frames that are gone, are gone for good.
    fn reopen(&mut self, disk: FaultyDisk, context: &str) -> Journal<FaultyDisk> {
        let mut seen = Vec::new();
        let opened = Journal::open(disk, IDENTITY, SMALL, |entry| {
            let (sequence, frame) = entry.frame().expect("nothing is lost");
            seen.push((sequence, frame.to_vec()));
        });
        let (journal, recovered) = opened.unwrap_or_else(|error| panic!("{context}: {error}"));
        let first = usize::try_from(recovered.first.0).unwrap();
        assert!(first <= self.cut, "{context}: {first} was not cut");
        let next = at(recovered.next);
        assert!(next >= self.acknowledged, "{context}: acknowledged frames are gone");
        assert!(next <= self.frames.len(), "{context}: invented frames");
        assert_eq!(recovered.frames, seen.len() as u64, "{context}");
        self.frames.truncate(next);
        let expected = (0u64..).zip(&self.frames).skip(first);
        let expected = expected.filter_map(|(at, frame)| Some((Sequence(at), frame.clone()?)));
        assert_eq!(seen, expected.collect::<Vec<_>>(), "{context}");
        self.acknowledged = self.frames.len();
        journal
    }

    /// Does something to the journal, and notes what it may rely on. `false` if the disk failed.
    fn step(&mut self, journal: &mut Journal<FaultyDisk>, random: &mut Random) -> bool {
        match random.below(10) {
            0..=5 => {
                let frame = random.frame(self.frames.len());
                // Noted first: a frame whose append fails may still have reached the disk.
                self.frames.push(Some(frame.clone()));
                let appended = journal.append(&frame).is_ok();
                self.acknowledged = self.acknowledged.max(at(journal.durable()));
                appended
            }
            6..=7 => {
                let synced = journal.sync();
                self.acknowledged = self.acknowledged.max(at(journal.durable()));
                assert!(synced.is_err() || self.acknowledged == self.frames.len());
                synced.is_ok()
            }
            8 => {
                let before = random.below(self.frames.len() + 1);
                self.cut = self.cut.max(before);
                let cut = journal.cut(Sequence(before as u64)).is_ok();
                if at(journal.next()) > self.frames.len() {
                    self.frames.push(None);
                }
                self.acknowledged = self.acknowledged.max(at(journal.durable()));
                cut
            }
            _ => journal.prepare().is_ok(),
        }
    }
}

fn at(sequence: Sequence) -> usize {
    usize::try_from(sequence.0).unwrap()
}

fn fresh(seed: u64) -> FaultyDisk {
    let mut disk = FaultyDisk::new(seed);
    Journal::format(&mut disk, IDENTITY).unwrap();
    disk
}

#[test]
fn acknowledged_frames_survive_and_nothing_else_appears() {
    for seed in 0..400 {
        let mut random = Random(seed);
        let mut model = Model::default();
        let mut disk = fresh(seed);
        for life in 0..12 {
            let context = format!("seed {seed}, life {life}");
            let mut journal = model.reopen(disk, &context);
            let power_cut = journal.disk_mut().operations() + random.below(40) as u64;
            if random.below(4) != 0 {
                journal.disk_mut().schedule(power_cut, Fault::PowerCut);
            }
            for _ in 0..random.below(60) {
                if !model.step(&mut journal, &mut random) {
                    break;
                }
            }
            disk = journal.into_disk();
            disk.crash();
        }
        model.reopen(disk, &format!("seed {seed}, at the end"));
    }
}

#[test]
fn a_power_cut_at_any_operation_of_a_life_with_cuts_is_survived() {
    for seed in 0..6 {
        // One undisturbed life gives the number of operations; then each is interrupted in turn.
        let live = |power_cut: Option<u64>| {
            let (mut random, mut model) = (Random(seed), Model::default());
            let mut journal = model.reopen(fresh(seed), "at first");
            if let Some(operation) = power_cut {
                journal.disk_mut().schedule(operation, Fault::PowerCut);
            }
            let mut steps = 0..250;
            while steps.next().is_some() && model.step(&mut journal, &mut random) {}
            (journal.into_disk(), model)
        };
        let first = fresh(seed).operations();
        let last = live(None).0.operations();
        assert!(last - first > 100, "the life is long enough to be worth it");
        for operation in first..last {
            let (mut disk, mut model) = live(Some(operation));
            disk.crash();
            // The recovery itself is interrupted as well, at each of its first operations.
            for interrupted in 0..4 {
                let mut disk = disk.clone();
                disk.schedule(disk.operations() + interrupted, Fault::PowerCut);
                let _ = Journal::open(Lent(&mut disk), IDENTITY, SMALL, |_| {});
                let context = format!("seed {seed}, operation {operation}, {interrupted}");
                disk.crash();
                model.clone().reopen(disk, &context);
            }
            let mut journal = model.reopen(disk, &format!("seed {seed}, operation {operation}"));
            let mut random = Random(operation);
            (0..20).for_each(|_| assert!(model.step(&mut journal, &mut random)));
            let mut disk = journal.into_disk();
            disk.crash();
            model.reopen(disk, &format!("seed {seed}, after operation {operation}"));
        }
    }
}

#[test]
fn a_failed_sync_loses_only_what_was_never_acknowledged() {
    for seed in 0..200 {
        let (mut random, mut model) = (Random(seed), Model::default());
        let mut journal = model.reopen(fresh(seed), "at first");
        let operation = journal.disk_mut().operations() + random.below(60) as u64;
        journal.disk_mut().schedule(operation, Fault::SyncDrops);
        while model.step(&mut journal, &mut random) && model.frames.len() < 200 {}
        let mut disk = journal.into_disk();
        disk.crash();
        model.reopen(disk, &format!("seed {seed}"));
    }
}

#[test]
fn the_remains_of_a_torn_batch_never_come_back_to_life() {
    // Frames of one size, so that a new first frame would fit exactly in front of the old second.
    let mut torn = 0;
    for seed in 0..200 {
        let mut model = Model::default();
        let mut disk = fresh(seed);
        for life in 0..6u8 {
            let mut journal = model.reopen(disk, &format!("seed {seed}, life {life}"));
            for part in 0..4u8 {
                let frame = vec![life * 4 + part; SECTOR_BYTES - 28];
                journal.append(&frame).unwrap();
                model.frames.push(Some(frame));
            }
            // The power goes during the sync: a write, then this.
            let operation = journal.disk_mut().operations() + 1;
            journal.disk_mut().schedule(operation, Fault::PowerCut);
            let rolled = journal.sync().unwrap_err();
            assert!(rolled.detail.contains("power"));
            model.acknowledged = model.acknowledged.max(at(journal.durable()));
            disk = journal.into_disk();
            disk.crash();
            let report = journal::inspect(&mut disk, IDENTITY, |_| {}).unwrap();
            torn += usize::from(report.torn.is_some());
        }
        model.reopen(disk, &format!("seed {seed}, at the end"));
    }
    assert!(torn > 100, "this must have happened to be worth anything: {torn}");
}

#[test]
fn one_seed_gives_one_history_to_the_byte() {
    let run = || {
        let (mut random, mut model) = (Random(9), Model::default());
        let mut journal = model.reopen(fresh(9), "at first");
        (0..200).for_each(|_| assert!(model.step(&mut journal, &mut random)));
        journal.into_disk()
    };
    assert_eq!(run(), run());
    assert!(run().list().unwrap().len() > 1);
}

/// `SplitMix64`, as in the disk itself: the tests need no better.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound.max(1) as u64).unwrap()
    }

    /// Mostly small, sometimes larger than a segment. The bytes never repeat between frames.
    fn frame(&mut self, sequence: usize) -> Vec<u8> {
        let length = match self.below(20) {
            0 => 0,
            1..=12 => self.below(200),
            13..=18 => self.below(2 * SECTOR_BYTES),
            _ => self.below(6 * SECTOR_BYTES),
        };
        let mut frame = vec![self.below(256).to_le_bytes()[0]; length];
        for (byte, mark) in frame.iter_mut().zip(sequence.to_le_bytes()) {
            *byte = mark;
        }
        frame
    }
}

/// A disk that outlives the journal that was opened on it, even if that failed.
struct Lent<'a>(&'a mut FaultyDisk);

impl Disk for Lent<'_> {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        self.0.list()
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        self.0.create(number, bytes)
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        self.0.read_at(number, offset, into)
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        self.0.write_at(number, offset, bytes)
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.0.sync(number)
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        self.0.rename(from, to)
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.0.remove(number)
    }
}
