//! A journal that was really written, then damaged: what opens holds true frames, and tells of all
//! that anything undamaged vouches for, be it as lost; or it does not open.
//!
//! What vouches, after the contract in `journal/src/recover.rs`: each write, where it is still
//! whole, for everything that was durable when it was made.

use std::collections::BTreeMap;

use journal::{Journal, SECTOR_BYTES, SegmentNumber, Sequence};

use crate::cursor::Cursor;
use crate::files::{IDENTITY, SMALL, Shown, open};
use crate::memory_disk::{MemoryDisk, Write};

const LENGTHS: [usize; 8] = [0, 1, 36, 500, 2_000, 4_068, 9_000, 17_000];
const STEPS_MAX: usize = 40;

/// What was really done.
#[derive(Default)]
struct Truth {
    /// Every frame that was appended, from sequence 0. The journal's own are nothing.
    frames: Vec<Option<Vec<u8>>>,
    /// Below this, they were cut.
    cut: usize,
}

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let mut truth = Truth::default();
    let mut disk = write(&mut cursor, &mut truth);
    let whole = disk.clone();
    while !cursor.is_empty() {
        damage(&mut cursor, &mut disk);
    }
    let is_whole = disk.files == whole.files;
    let floor = floor(&whole.writes, &disk.files);
    let opened = open(disk);
    assert!(opened.is_ok() || !is_whole, "an undamaged journal opens: {opened:?}");
    let Ok((first, end, entries)) = opened else {
        return;
    };
    assert!(end <= truth.frames.len(), "invented frames");
    let mut is_known = vec![false; end];
    for shown in entries {
        match shown {
            Shown::Frame(at, frame) => {
                let at = usize::try_from(at).expect("below the end");
                assert!(truth.frames[at] == Some(frame), "another frame {at}");
                is_known[at] = true;
            }
            Shown::Hole(from, to) => {
                assert!(!is_whole, "an undamaged journal has no holes");
                let [from, to] = [from, to].map(|at| usize::try_from(at).expect("below the end"));
                is_known[from..to].fill(true);
            }
        }
    }
    let silent = |at: usize| truth.frames[at].is_some() && !is_known[at];
    assert_eq!((truth.cut..end).find(|&at| silent(at)), None, "a frame is passed over");
    assert!(end >= floor, "frames below {floor} were vouched for, and only those below {end} came");
    if !is_whole {
        return;
    }
    assert!(first <= truth.cut, "{first} was not cut");
    assert_eq!(end, truth.frames.len(), "acknowledged frames are gone");
}

/// A life, or several.
fn write(cursor: &mut Cursor<'_>, truth: &mut Truth) -> MemoryDisk {
    let mut disk = MemoryDisk::default();
    Journal::format(&mut disk, IDENTITY).expect("the disk is empty");
    let mut journal = reopened(disk);
    for _ in 0..cursor.below(STEPS_MAX) {
        let durable = at(journal.durable());
        journal.disk_mut().durable = durable;
        match cursor.below(16) {
            0..=8 => {
                let frame = frame(cursor, truth.frames.len());
                journal.append(&frame).expect("the disk never fails");
                truth.frames.push(Some(frame));
            }
            9..=12 => drop(journal.sync().expect("the disk never fails")),
            13 => {
                let before = cursor.below(truth.frames.len().max(1));
                journal.cut(Sequence(before as u64)).expect("the disk never fails");
                truth.cut = truth.cut.max(before);
                truth.frames.resize(at(journal.next()), None);
            }
            14 => journal.prepare().expect("the disk never fails"),
            _ => {
                // The process dies; what it had not written is gone.
                truth.frames.truncate(durable);
                journal = reopened(journal.into_disk());
            }
        }
    }
    journal.disk_mut().durable = at(journal.durable());
    journal.sync().expect("the disk never fails");
    journal.into_disk()
}

/// Below this, something that is still whole vouches for every frame.
fn floor(writes: &[Write], files: &BTreeMap<SegmentNumber, Vec<u8>>) -> usize {
    let is_whole = |write: &&Write| {
        let place = files.get(&write.number).and_then(|file| file.get(write.offset..));
        place.is_some_and(|place| place.starts_with(&write.bytes))
    };
    writes.iter().filter(is_whole).map(|write| write.durable).max().unwrap_or(0)
}

/// Something befalls the disk.
fn damage(cursor: &mut Cursor<'_>, disk: &mut MemoryDisk) {
    let numbers: Vec<SegmentNumber> = disk.files.keys().copied().collect();
    let Some(&number) = numbers.get(cursor.below(numbers.len().max(1))) else {
        cursor.take(usize::MAX);
        return;
    };
    let other = SegmentNumber(u64::from(cursor.byte() % 16));
    let file = disk.files.get_mut(&number).expect("it was listed");
    match cursor.below(16) {
        0..=5 => {
            // Where headers are, mostly.
            let place = if cursor.is_odd() { cursor.below(64) } else { usize::from(cursor.u16()) };
            let offset = cursor.below(16) * SECTOR_BYTES + place;
            let mask = cursor.byte();
            file.get_mut(offset).into_iter().for_each(|byte| *byte ^= mask);
        }
        6..=8 => {
            // A sector that was lost, or that holds what belongs elsewhere.
            let (from, to) = (cursor.below(16) * SECTOR_BYTES, cursor.below(16) * SECTOR_BYTES);
            let sector = file.get(from..from + SECTOR_BYTES).map(<[u8]>::to_vec);
            let sector = sector.filter(|_| cursor.is_odd()).unwrap_or(vec![0; SECTOR_BYTES]);
            if let Some(place) = file.get_mut(to..to + SECTOR_BYTES) {
                place.copy_from_slice(&sector);
            }
        }
        9 => file.truncate(usize::from(cursor.u16())),
        10 => file.resize(file.len() + usize::from(cursor.u16()), 0),
        11 => drop(disk.files.remove(&number)),
        12 => {
            let moved = disk.files.remove(&number).expect("it was listed");
            disk.files.insert(other, moved);
        }
        13 => {
            let copied = file.clone();
            disk.files.insert(other, copied);
        }
        14 => {
            disk.files.insert(other, vec![0; 2 * SECTOR_BYTES]);
        }
        _ => file.fill(cursor.byte()),
    }
}

fn reopened(disk: MemoryDisk) -> Journal<MemoryDisk> {
    let opened = Journal::open(disk, IDENTITY, SMALL, |_| {});
    opened.expect("an undamaged journal opens").0
}

/// Frames that differ, though their lengths may not.
fn frame(cursor: &mut Cursor<'_>, sequence: usize) -> Vec<u8> {
    let mut frame = vec![cursor.byte(); cursor.pick(&LENGTHS)];
    for (byte, mark) in frame.iter_mut().zip(sequence.to_le_bytes()) {
        *byte = mark;
    }
    frame
}

fn at(sequence: Sequence) -> usize {
    usize::try_from(sequence.0).expect("a few frames")
}
