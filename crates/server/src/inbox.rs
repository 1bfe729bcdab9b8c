//! What the protocol thread is asked to do, in one bounded queue.
//!
//! Peers' messages are dropped when it is full, as a network would; clients are told that the node
//! is busy. Nobody waits for room except those who stop the node, and the snapshot thread, for
//! which nobody waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use node::{Frozen, History, Request, SnapshotError, StateMachine, Thawed};
use paxos::{Ballot, HandOverRefusal, NodeId, Restored, Slot, SnapshotId};
use tokio::sync::{mpsc, oneshot};

use crate::hosted::Read;

/// Jobs that wait, at most.
pub const INBOX_MAX: usize = 1 << 16;

/// Their bytes, about, at most.
pub const INBOX_BYTES_MAX: usize = 256 << 20;

/// What the protocol thread does.
#[derive(Debug)]
pub enum Job<M: StateMachine = History> {
    /// Bytes of a peer, or of this node to itself.
    Message {
        /// Whom the transport took them from.
        from: NodeId,
        /// One encoded message.
        bytes: Vec<u8>,
    },
    /// A client's request.
    Append(Request, ReplyTo<M::Output>),
    /// A request that another node proposes: who wants to know what becomes of it here.
    Expect(Request, ReplyTo<M::Output>),
    /// Nobody waits any more for a request that was expected.
    Forget(Request),
    /// A question to the state.
    Read(Read<M>),
    /// What this node sees.
    Status(oneshot::Sender<Status>),
    /// The state as it is, for whoever wants it outside of the cluster.
    Freeze(oneshot::Sender<Frozen<M>>),
    /// A state was made of another node's snapshot, or could not be.
    Thawed(Restored, Result<Box<Thawed<M>>, SnapshotError>),
    /// A snapshot can be read and given to others.
    Kept {
        /// Its name.
        snapshot: SnapshotId,
        /// Whether it is on disk.
        is_durable: bool,
    },
    /// The snapshot that was asked for could not be kept.
    NotKept,
    /// Whether the journal has room for votes.
    Room(bool),
    /// Another node is to lead.
    HandOver {
        /// Who; none: whoever could.
        to: Option<NodeId>,
        /// Where the answer goes: the ballot that leads now, or why this node goes on.
        answer: oneshot::Sender<Result<Ballot, HandOverRefusal>>,
    },
    /// Take no new requests, and stop once what came before is answered, or then.
    Leave {
        /// When nobody is waited for any longer.
        until: Instant,
    },
    /// Stop, after everything that came before.
    Stop,
}

/// Where the answer goes: a client's stream. The stream's window bounds how many are under way.
#[derive(Clone, Debug)]
pub struct ReplyTo<O = ()> {
    /// The stream.
    pub replies: mpsc::UnboundedSender<Replied<O>>,
    /// What pairs the answer with its question there.
    pub sequence: u64,
    /// When it was asked.
    pub asked: Instant,
}

/// An answer to one request.
#[derive(Debug)]
pub struct Replied<O = ()> {
    /// Which request of the session; zero for what concerns the session itself.
    pub sequence: u64,
    /// What became of it.
    pub answer: Answer<O>,
}

/// What became of a request.
#[derive(Debug)]
pub enum Answer<O = ()> {
    /// What the node says.
    Node(node::Reply<O>),
    /// It is no request at all.
    Malformed(String),
}

/// What a node sees of itself.
#[derive(Clone, Debug)]
pub struct Status {
    /// What it does at the moment.
    pub part: paxos::Part,
    /// The ballot that it leads, prepares or follows.
    pub ballot: Option<Ballot>,
    /// Who leads, as far as it knows.
    pub leader: Option<NodeId>,
    /// One past the last slot of its chosen prefix.
    pub chosen: Slot,
    /// One past the last applied slot.
    pub applied: Slot,
    /// Values in the history.
    pub values: u64,
    /// Slots proposed here and not yet chosen.
    pub in_flight: u64,
    /// Slots not known to be chosen, below one that is.
    pub gaps: u64,
    /// Clients' sessions that are open.
    pub sessions: usize,
    /// What its acceptor has promised.
    pub promised: Option<Ballot>,
    /// Acceptors that have confirmed this leader lately.
    pub acceptors_reachable: usize,
    /// Whether its acceptor has lost votes and does not have them again yet.
    pub is_suspect: bool,
    /// An epoch that is not this node's, and that a peer spoke in lately.
    pub other_epoch: Option<u64>,
    /// What it holds, and where.
    pub storage: Storage,
}

/// How much of the history a node holds, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The history below this slot was let go.
    pub first_held: Slot,
    /// One past the last slot of the newest snapshot.
    pub snapshot: Slot,
    /// The acceptor has cut its votes below this slot.
    pub truncated: Slot,
    /// The size of the journal's files.
    pub journal_bytes: u64,
    /// The size of the snapshots' files.
    pub snapshot_bytes: u64,
    /// Whether the journal's disk has room. Where it has none, the acceptor does not vote.
    pub has_room: bool,
}

impl<M: StateMachine> Job<M> {
    fn bytes(&self) -> usize {
        match self {
            Job::Message { bytes, .. } => bytes.len(),
            Job::Append(request, _) | Job::Expect(request, _) | Job::Forget(request) => {
                request.command().len()
            }
            Job::Thawed(..) | Job::Kept { .. } => 0,
            Job::Read(_) | Job::Status(_) | Job::Freeze(_) => 0,
            Job::NotKept | Job::Room(_) => 0,
            Job::HandOver { .. } | Job::Leave { .. } | Job::Stop => 0,
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub struct Inbox<M: StateMachine = History> {
    jobs: Sender<Job<M>>,
    bytes: Arc<AtomicUsize>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Jobs<M: StateMachine = History> {
    jobs: Receiver<Job<M>>,
    bytes: Arc<AtomicUsize>,
}

impl<M: StateMachine> Clone for Inbox<M> {
    fn clone(&self) -> Inbox<M> {
        Inbox { jobs: self.jobs.clone(), bytes: self.bytes.clone() }
    }
}

impl<M: StateMachine> Jobs<M> {
    /// The next job, as soon as there is one.
    pub fn next(&self, patience: Duration) -> Result<Job<M>, RecvTimeoutError> {
        self.jobs.recv_timeout(patience).inspect(|job| self.taken(job))
    }

    /// The next job, if there is one.
    pub fn ready(&self) -> Option<Job<M>> {
        self.jobs.try_recv().ok().inspect(|job| self.taken(job))
    }

    fn taken(&self, job: &Job<M>) {
        self.bytes.fetch_sub(job.bytes(), Ordering::Relaxed);
    }
}

impl<M: StateMachine> Inbox<M> {
    /// Both ends.
    pub fn new() -> (Inbox<M>, Jobs<M>) {
        let (sender, receiver) = bounded(INBOX_MAX);
        let bytes = Arc::new(AtomicUsize::new(0));
        (Inbox { jobs: sender, bytes: bytes.clone() }, Jobs { jobs: receiver, bytes })
    }

    /// Gives the job back if there is no room or nobody to do it.
    pub fn offer(&self, job: Job<M>) -> Result<(), Job<M>> {
        let bytes = job.bytes();
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) > INBOX_BYTES_MAX {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(job);
        }
        self.jobs.try_send(job).map_err(|error| {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            match error {
                TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
            }
        })
    }

    /// Tells of something small that must not be lost; waits for room. Nothing happens if the
    /// thread has stopped.
    pub fn tell(&self, job: Job<M>) {
        self.bytes.fetch_add(job.bytes(), Ordering::Relaxed);
        let gone = self.jobs.send(job);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Job {
        Job::Message { from: NodeId(1), bytes: vec![0; bytes] }
    }

    #[test]
    fn bytes_are_bounded_and_come_back() {
        let (inbox, jobs) = Inbox::<History>::new();
        let large = INBOX_BYTES_MAX / 4;
        for _ in 0..5 {
            inbox.offer(message(large)).expect("room");
        }
        inbox.offer(message(large)).expect_err("full");
        inbox.offer(Job::Stop).expect_err("full for all alike");
        jobs.ready().expect("a job");
        inbox.offer(message(large)).expect("room again");
        while jobs.ready().is_some() {}
        assert_eq!(inbox.bytes.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn jobs_are_bounded() {
        let (inbox, _jobs) = Inbox::<History>::new();
        for _ in 0..INBOX_MAX {
            inbox.offer(message(0)).expect("room");
        }
        inbox.offer(message(0)).expect_err("full");
    }
}
