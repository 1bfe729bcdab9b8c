//! The snapshot thread: makes the bytes of a frozen state and keeps them, makes a state of another
//! node's, and gives parts to those who ask. It takes as long as it takes; nobody waits for it. Yet
//! it gets its share of the cores: acceptors let go of what it has kept, and of nothing else.
//!
//! A snapshot that cannot be kept is no reason to stop: the one before it still counts, and the
//! next one is tried in its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, select_biased};
use journal::SnapshotError;
use node::{Frozen, StateMachine};
use paxos::{Configuration, Envelope, Message, NodeId, PartWanted, Restored, SnapshotId};

use crate::counters::Counters;
use crate::inbox::{Inbox, Job};
use crate::post::Post;
use crate::shelf::Shelf;

/// Parts that wait to be read and sent, at most. What is too many is asked for again.
const PARTS_MAX: usize = 256;

/// Bytes that are written between two looks at the parts that wait.
const CHUNK: usize = 128 << 10;

/// What the protocol thread asks for.
#[derive(Debug)]
pub struct Orders<M: StateMachine> {
    captures: Sender<Frozen<M>>,
    fetched: Sender<Restored>,
    installs: Sender<Restored>,
    parts: Sender<PartWanted>,
}

/// What the snapshot thread is asked for.
#[derive(Debug)]
pub struct Ordered<M: StateMachine> {
    captures: Receiver<Frozen<M>>,
    fetched: Receiver<Restored>,
    installs: Receiver<Restored>,
    parts: Receiver<PartWanted>,
}

/// One node's way to its snapshots.
pub struct Snapshotter<M: StateMachine> {
    me: NodeId,
    configuration: Arc<Configuration>,
    /// Made as the node's own is, and empty.
    like: M,
    shelf: Shelf,
    post: Post<M>,
    inbox: Inbox<M>,
    counters: Arc<Counters>,
    killed: Arc<AtomicBool>,
}

impl<M: StateMachine> Orders<M> {
    /// Both ends.
    pub fn new() -> (Orders<M>, Ordered<M>) {
        // A node asks for no second capture before it has heard of the first.
        let (captures, captures_asked) = bounded(1);
        let (fetched, fetched_asked) = bounded(1);
        let (installs, installs_asked) = bounded(1);
        let (parts, parts_asked) = bounded(PARTS_MAX);
        let ordered = Ordered {
            captures: captures_asked,
            fetched: fetched_asked,
            installs: installs_asked,
            parts: parts_asked,
        };
        (Orders { captures, fetched, installs, parts }, ordered)
    }

    /// Makes and keeps this. False if the thread is gone.
    pub fn capture(&self, frozen: Frozen<M>) -> bool {
        self.captures.try_send(frozen).is_ok()
    }

    /// Makes a state of this. False if there is no room: it will be fetched again.
    pub fn thaw(&self, fetched: Restored) -> bool {
        self.fetched.try_send(fetched).is_ok()
    }

    /// Keeps this, too. False if there is no room: the next capture will do.
    pub fn install(&self, restored: Restored) -> bool {
        self.installs.try_send(restored).is_ok()
    }

    /// Reads and sends this. False if there is no room: it will be asked for again.
    pub fn part(&self, part: PartWanted) -> bool {
        self.parts.try_send(part).is_ok()
    }
}

impl<M: StateMachine> Snapshotter<M> {
    /// Keeps snapshots on `shelf`, makes states `like` the node's own, sends with `post`, tells
    /// `inbox`.
    pub fn new(
        (me, configuration): (NodeId, Arc<Configuration>),
        like: M,
        shelf: Shelf,
        (post, inbox): (Post<M>, Inbox<M>),
        counters: Arc<Counters>,
        killed: Arc<AtomicBool>,
    ) -> Snapshotter<M> {
        Snapshotter { me, configuration, like, shelf, post, inbox, counters, killed }
    }

    /// Runs until the protocol thread is gone.
    pub fn run(mut self, ordered: &Ordered<M>) {
        loop {
            // Somebody waits for a part; nobody waits for a snapshot.
            select_biased! {
                recv(ordered.parts) -> part => match part {
                    Ok(part) => self.give(&part),
                    Err(_) => return,
                },
                recv(ordered.fetched) -> fetched => match fetched {
                    Ok(fetched) => self.thaw(fetched),
                    Err(_) => return,
                },
                recv(ordered.captures) -> frozen => match frozen {
                    Ok(frozen) => {
                        let (snapshot, bytes) = frozen.encode();
                        if !self.keep(snapshot, bytes, ordered) {
                            self.inbox.tell(Job::NotKept);
                        }
                    }
                    Err(_) => return,
                },
                recv(ordered.installs) -> restored => match restored {
                    Ok(Restored { snapshot, bytes }) => {
                        self.keep(snapshot, bytes, ordered);
                    }
                    Err(_) => return,
                },
            }
            if self.killed.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn keep(&mut self, snapshot: SnapshotId, bytes: Vec<u8>, ordered: &Ordered<M>) -> bool {
        let start = Instant::now();
        match self.write(snapshot, bytes, ordered) {
            Ok(true) => {
                let SnapshotId { below, bytes, .. } = snapshot;
                let took = start.elapsed();
                self.counters.figures.snapshot.observe(took);
                tracing::info!(node = self.me.0, %below, bytes, ?took, "a snapshot is kept");
                self.counters.count("snapshots_kept");
                let is_durable = self.shelf.is_durable();
                self.inbox.tell(Job::Kept { snapshot, is_durable });
                true
            }
            Ok(false) => false,
            Err(why) => {
                tracing::warn!(node = self.me.0, below = %snapshot.below, %why, "no snapshot");
                self.counters.count("snapshots_failed");
                false
            }
        }
    }

    /// False if the node was killed or stopped meanwhile.
    fn write(
        &mut self,
        snapshot: SnapshotId,
        bytes: Vec<u8>,
        ordered: &Ordered<M>,
    ) -> Result<bool, SnapshotError> {
        self.shelf.begin(snapshot)?;
        for chunk in bytes.chunks(CHUNK) {
            if self.killed.load(Ordering::Relaxed) {
                return Ok(false);
            }
            self.shelf.write(chunk)?;
            loop {
                match ordered.parts.try_recv() {
                    Ok(part) => self.give(&part),
                    Err(TryRecvError::Empty) => break,
                    // Nobody waits for the rest, and whoever stops the node waits for us.
                    Err(TryRecvError::Disconnected) => return Ok(false),
                }
            }
            if let Ok(fetched) = ordered.fetched.try_recv() {
                self.thaw(fetched);
            }
        }
        self.shelf.finish(snapshot, bytes)?;
        Ok(true)
    }

    fn thaw(&self, fetched: Restored) {
        let thawed = node::thaw(&self.configuration, &self.like, &fetched.bytes);
        self.inbox.tell(Job::Thawed(fetched, thawed.map(Box::new)));
    }

    fn give(&mut self, part: &PartWanted) {
        let Some(bytes) = self.shelf.part(part) else {
            self.counters.count("snapshot_parts_missing");
            return;
        };
        let PartWanted { to, snapshot, offset, .. } = *part;
        let message = Message::Part { snapshot, offset, bytes };
        self.post.send([Envelope { to, message }].into_iter());
    }
}
