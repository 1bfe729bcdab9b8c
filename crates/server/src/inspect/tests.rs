//! Directories as they should be, and damaged ones.

use std::fs;

use journal::{Journal, Options};
use paxos::wire::encode_record;
use paxos::{Incarnation, Run};

use super::*;
use crate::data_dir;
use crate::file_disk::FileDisk;

const CLUSTER: ClusterId = ClusterId([1; 16]);
const NODE: NodeId = NodeId(1);
const DISK: DiskId = DiskId([2; 16]);

fn ballot(round: u64) -> Ballot {
    Ballot { round, leader: NODE, incarnation: Incarnation(7) }
}

fn accepted(round: u64, first: u64, values: u8) -> Record {
    let values: Vec<Value> = (0..values).map(|it| Value::Command(vec![it].into())).collect();
    Record::Accepted(Run { ballot: ballot(round), first: Slot(first), values: values.into() })
}

/// A journal with a frame a record, each in a batch of its own: frame n at byte 4096 * (n + 1).
fn directory(records: &[Record]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    data_dir::format(directory.path(), CLUSTER, NODE, DISK).unwrap();
    let identity = Identity { cluster: CLUSTER.0, node: NODE.0, disk: DISK.0 };
    let files = FileDisk::open(directory.path()).unwrap();
    let (mut journal, _) = Journal::open(files, identity, Options::default(), |_| {}).unwrap();
    let configuration = reader(identity).with_epoch(Epoch(3));
    for record in records {
        let mut frame = Vec::new();
        encode_record(&configuration, record, &mut frame);
        journal.append(&frame).unwrap();
        journal.sync().unwrap();
    }
    directory
}

fn flip(directory: &Path, offset: usize) {
    let path = directory.join("0000000000000001.segment");
    let mut bytes = fs::read(&path).unwrap();
    bytes[offset] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// Names, sizes, contents and times of change of all that is there.
fn state_of(directory: &Path) -> Vec<(PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            (path.clone(), fs::read(path).unwrap(), changed)
        })
        .collect();
    files.sort();
    files
}

fn records() -> Vec<Record> {
    vec![
        Record::Promised(ballot(1)),
        accepted(1, 0, 3),
        accepted(1, 3, 1),
        accepted(2, 1, 1),
        Record::Truncated(Slot(1)),
        Record::Promised(ballot(2)),
    ]
}

#[test]
fn a_journal_is_shown_with_its_places_and_nothing_is_written() {
    let directory = directory(&records());
    let before = state_of(directory.path());
    let mut open = Directory::open(directory.path()).unwrap();
    let mut lines = Vec::new();
    let recovered = open.journal(|line| lines.push(line)).unwrap();
    assert_eq!((recovered.frames, recovered.missing), (6, 0));
    let shown: Vec<_> = lines.iter().map(|it| (it.at.offset, it.frame)).collect();
    assert_eq!(shown, (0..6).map(|it| (4096 * (it + 1), it as u64)).collect::<Vec<_>>());
    let found: Vec<_> = lines
        .into_iter()
        .map(|it| match it.what {
            What::Record(record, _) => record,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(found, records());
    open.verify().unwrap();
    open.newest_snapshot().unwrap_err();
    drop(open);
    assert_eq!(state_of(directory.path()), before);
}

#[test]
fn a_directory_is_not_looked_at_while_a_node_runs_there() {
    let directory = directory(&records());
    let running = FileDisk::open(directory.path()).unwrap();
    let error = Directory::open(directory.path()).unwrap_err();
    assert!(matches!(error, InspectError::Running(_)), "{error}");
    drop(running);
    let looked_at = Directory::open(directory.path()).unwrap();
    Directory::open(directory.path()).expect("two may look");
    assert!(FileDisk::open(directory.path()).is_err(), "no node starts meanwhile");
    drop(looked_at);
    // A copy without the lock's file is as good, and stays without one.
    fs::remove_file(directory.path().join("lock")).unwrap();
    Directory::open(directory.path()).unwrap().verify().unwrap();
    assert!(!directory.path().join("lock").exists());
}

#[test]
fn a_slot_shows_all_its_votes_and_that_they_were_cut() {
    let directory = directory(&records());
    let about = |slot| {
        let mut about = Vec::new();
        let mut open = Directory::open(directory.path()).unwrap();
        open.slot(Slot(slot), |_, frame, it| about.push((frame, it))).unwrap();
        about
    };
    let value = |byte: u8| Value::Command(vec![byte].into());
    let first = AboutSlot::Vote(ballot(1), value(0));
    assert_eq!(about(0), [(1, first), (4, AboutSlot::Truncated(Slot(1)))]);
    let (old, new) = (ballot(1), ballot(2));
    let votes = [(1, AboutSlot::Vote(old, value(1))), (3, AboutSlot::Vote(new, value(0)))];
    assert_eq!(about(1), votes);
    assert_eq!(about(9), []);
}

#[test]
fn only_what_raises_the_promise_is_shown_of_it() {
    let directory = directory(&records());
    let mut frames = Vec::new();
    let mut open = Directory::open(directory.path()).unwrap();
    open.promises(|line| frames.push(line.frame)).unwrap();
    assert_eq!(frames, [0, 3], "the vote of frame 3 promised, too");
}

#[test]
fn a_hole_is_named_with_its_file_and_its_byte() {
    let directory = directory(&records());
    flip(directory.path(), 2 * 4096 + 40);
    let mut open = Directory::open(directory.path()).unwrap();
    let (files, verdict) = open.verify().unwrap();
    assert_eq!(files[0].state, State::Damaged);
    let words = "frame 1 cannot be read, behind byte 41";
    assert!(files[0].words.starts_with(words), "{}", files[0].words);
    let verdict = verdict.unwrap();
    assert!(verdict.is_damaged() && verdict.refused.is_none());
    assert_eq!((verdict.frames, verdict.missing), (5, 1));
    assert_eq!(verdict.acceptor.suspect(), Slot::LIMIT, "it starts, and asks the others");
    let mut about = Vec::new();
    open.slot(Slot(0), |_, frame, it| about.push((frame, it))).unwrap();
    assert!(matches!(about[0], (1, AboutSlot::Hole(2, _))), "{about:?}");
}

#[test]
fn what_no_node_starts_from_is_shown_up_to_the_damage() {
    // Nothing that bears a promise follows the hole.
    let directory = directory(&records()[..5]);
    flip(directory.path(), 4 * 4096 + 40);
    let (files, verdict) = Directory::open(directory.path()).unwrap().verify().unwrap();
    assert_eq!(files[0].state, State::Damaged);
    assert!(verdict.unwrap().refused.unwrap().contains("what this acceptor has promised"));
    // Nor can whose it is be read.
    flip(directory.path(), 20);
    let mut open = Directory::open(directory.path()).unwrap();
    assert!(matches!(open.journal(|_| ()), Err(InspectError::NoOwner(_))));
    let (files, verdict) = open.verify().unwrap();
    assert_eq!(files[0].state, State::Damaged);
    assert!(verdict.unwrap().is_damaged());
}

#[test]
fn rot_in_the_last_write_looks_like_a_write_that_never_ended() {
    let directory = directory(&records());
    flip(directory.path(), 6 * 4096 + 40);
    let (files, verdict) = Directory::open(directory.path()).unwrap().verify().unwrap();
    assert_eq!(files[0].state, State::Torn);
    assert!(!verdict.unwrap().is_damaged(), "no later frame vouches for it");
}

#[test]
fn what_is_no_data_directory_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let error = Directory::open(directory.path()).unwrap_err();
    assert!(matches!(error, InspectError::Nothing(_)), "{error}");
    let missing = Directory::open(&directory.path().join("none")).unwrap_err();
    assert!(matches!(missing, InspectError::Disk { .. }), "{missing}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was made");
}
