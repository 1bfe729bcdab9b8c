//! A disk that is full while something is to be written to it.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded, unbounded};
use journal::{
    DiskError, Fault, FaultyDisk, FileEntry, Identity, Options, SECTOR_BYTES, SegmentNumber,
};
use paxos::{
    Ballot, ClusterId, DiskId, Envelope, Incarnation, Member, Message, NodeId, Roles, Run, Slot,
    Value,
};

use super::*;
use crate::inbox::Jobs;
use crate::transport::Outbound;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

const ME: NodeId = NodeId(1);

/// A disk that a test can change while the journal has it.
#[derive(Clone)]
struct Shared(Arc<Mutex<FaultyDisk>>);

impl Shared {
    fn with<T>(&self, act: impl FnOnce(&mut FaultyDisk) -> T) -> T {
        act(&mut self.0.lock().unwrap())
    }
}

impl Disk for Shared {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        self.with(FaultyDisk::list)
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        self.with(|disk| disk.create(number, bytes))
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        self.with(|disk| disk.read_at(number, offset, into))
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        self.with(|disk| disk.write_at(number, offset, bytes))
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.with(|disk| disk.sync(number))
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        self.with(|disk| disk.rename(from, to))
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.with(|disk| disk.remove(number))
    }
}

/// What leaves: how many messages at a time.
struct Left(Sender<usize>);

impl Outbound for Left {
    fn send(&self, _: NodeId, messages: &[&[u8]]) {
        self.0.send(messages.len()).unwrap();
    }
}

/// A journal's thread, and everything around it.
struct Bench {
    disk: Shared,
    writes: Sender<Write>,
    left: Receiver<usize>,
    jobs: Jobs,
    killed: Arc<AtomicBool>,
    leaving: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), AppendError>>,
}

fn identity() -> Identity {
    Identity { cluster: [1; 16], node: 1, disk: [2; 16] }
}

fn open(disk: Shared) -> (Journal<Shared>, u64) {
    open_with(disk, 4 * SECTOR_BYTES)
}

fn open_with(disk: Shared, segment_bytes: usize) -> (Journal<Shared>, u64) {
    let mut frames = 0;
    let options = Options { segment_bytes };
    let (journal, _) = Journal::open(disk, identity(), options, |_| frames += 1).unwrap();
    (journal, frames)
}

/// A journal whose disk takes no other file.
fn full() -> Bench {
    bench(4 * SECTOR_BYTES, 0)
}

/// A journal with segments of that size, whose disk takes files of so many bytes.
fn bench(segment_bytes: usize, bytes_max: usize) -> Bench {
    let disk = Shared(Arc::new(Mutex::new(FaultyDisk::new(1))));
    Journal::format(&mut disk.clone(), identity()).unwrap();
    let (journal, _) = open_with(disk.clone(), segment_bytes);
    disk.with(|disk| disk.set_bytes_max(bytes_max));
    let member = |id: u32| {
        let roles = Roles { leader: id == 2, acceptor: id == 1, learner: false };
        (NodeId(id), Member { roles, disk: Some(DiskId::default()) })
    };
    let members: BTreeMap<_, _> = [1, 2].map(member).into();
    let configuration = Arc::new(Configuration::majority(ClusterId::default(), members).unwrap());
    let (writes, waiting) = bounded(WRITES_MAX);
    let (sent, left) = unbounded();
    let (inbox, jobs) = Inbox::new();
    let counters = Arc::new(Counters::default());
    let silenced = Arc::new(AtomicBool::new(false));
    let post = Post::new(
        ME,
        configuration.clone(),
        Arc::new(Left(sent)),
        inbox.clone(),
        counters.clone(),
        silenced,
    );
    let (killed, leaving) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let flags = (killed.clone(), leaving.clone());
    let ledger = Ledger::default();
    let writer = Writer::new(journal, ledger, configuration, (post, inbox), counters, flags);
    let thread = thread::spawn(move || writer.run(&waiting));
    Bench { disk, writes, left, jobs, killed, leaving, thread }
}

/// A vote that needs a segment of its own, and the word of it.
fn vote() -> Write {
    vote_in(0)
}

fn vote_in(slot: u64) -> Write {
    let ballot = Ballot { round: 1, leader: NodeId(2), incarnation: Incarnation(1) };
    let values = vec![Value::Command(vec![7; 64 << 10].into())].into();
    let first = Slot(slot);
    let records = vec![Record::Accepted(Run { ballot, first, values })];
    let message = Message::Accepted { ballot, first, end: first.plus(1) };
    Write { records, then_send: vec![Envelope { to: NodeId(2), message }] }
}

fn told(jobs: &Jobs) -> bool {
    match jobs.next(PATIENCE) {
        Ok(Job::Room(has_room)) => has_room,
        other => panic!("{other:?} is no word about room"),
    }
}

#[test]
fn what_waits_for_room_leaves_nothing_early_and_goes_on_when_there_is_some() {
    let Bench { disk, writes, left, jobs, thread, .. } = full();
    writes.send(vote()).unwrap();
    // What has nothing to write waits for what is before it.
    writes.send(Write { records: Vec::new(), ..vote() }).unwrap();
    assert!(!told(&jobs), "the protocol thread hears that the disk is full");
    assert!(left.recv_timeout(2 * FULL).is_err(), "what waits for the disk has not left");
    disk.with(|disk| disk.set_bytes_max(usize::MAX));
    let messages = || left.recv_timeout(PATIENCE).expect("there is room");
    assert_eq!(messages(), 2);
    assert!(told(&jobs), "and that there is room again");
    drop(writes);
    assert_eq!(thread.join().unwrap(), Ok(()));
    assert_eq!(open(disk).1, 1, "it was appended once");
}

#[test]
fn room_that_a_cut_makes_is_told_however_much_is_sent() {
    const SEGMENT: usize = 2 * ROOM_MIN;
    // Two segments, and the one that a format makes.
    let Bench { writes, left, jobs, thread, .. } = bench(SEGMENT, 2 * SEGMENT + SEGMENT / 2);
    let mut slots = 0;
    let is_full = || match jobs.next(Duration::ZERO) {
        Ok(Job::Room(has_room)) => !has_room,
        _ => false,
    };
    while !is_full() {
        assert!(slots < 100, "it is full of six mebibytes");
        writes.send(vote_in(slots)).unwrap();
        left.recv_timeout(PATIENCE).expect("what is left of the segment takes it");
        slots += 1;
    }
    let promised = Record::Promised(Ballot::NONE);
    let records = vec![Record::Truncated(Slot(slots)), promised];
    writes.send(Write { records, then_send: Vec::new() }).unwrap();
    // The leader asks for votes again all the time: the thread is never idle.
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "there has been room for long");
        writes.send(Write { records: Vec::new(), ..vote() }).unwrap();
        left.recv_timeout(PATIENCE).expect("the word of an old vote leaves");
        if let Ok(Job::Room(has_room)) = jobs.next(IDLE / 10) {
            assert!(has_room);
            break;
        }
    }
    drop(writes);
    assert_eq!(thread.join().unwrap(), Ok(()));
}

#[test]
fn a_full_disk_is_not_waited_for_by_a_node_that_ends() {
    let end: [fn(&Bench) -> &AtomicBool; 2] = [|bench| &bench.killed, |bench| &bench.leaving];
    for flag in end {
        let bench = full();
        bench.writes.send(vote()).unwrap();
        assert!(!told(&bench.jobs));
        flag(&bench).store(true, Ordering::Relaxed);
        let Bench { disk, left, thread, writes, .. } = bench;
        drop(writes);
        assert_eq!(thread.join().unwrap(), Ok(()));
        assert!(left.try_recv().is_err(), "nothing leaves that was not written");
        disk.with(|disk| disk.set_bytes_max(usize::MAX));
        assert_eq!(open(disk).1, 0);
    }
}

#[test]
fn any_other_failure_ends_the_waiting_and_nothing_leaves() {
    let Bench { disk, left, writes, jobs, thread, .. } = full();
    writes.send(vote()).unwrap();
    assert!(!told(&jobs));
    disk.with(|disk| {
        disk.set_bytes_max(usize::MAX);
        for operation in disk.operations()..disk.operations() + 100 {
            disk.schedule(operation, Fault::Fail);
        }
    });
    let result = thread.join().unwrap();
    assert!(matches!(result, Err(AppendError::Disk(_))), "{result:?}");
    assert!(left.try_recv().is_err());
}
