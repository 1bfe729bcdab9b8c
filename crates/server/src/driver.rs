//! The protocol thread: the only place where a node meets time.
//!
//! Each turn: step all that is ready, hand one write to the journal thread, send once a peer,
//! answer. It decides nothing about consensus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender};
use node::{Append, Effects, History, Input, Node, ReadReply, Ticket};
use paxos::acceptor::Acceptor;
use paxos::wire::{WireError, decode_message};
use paxos::{Configuration, Digest, Event, NodeId, Slot, Write};
use tokio::sync::watch;

use crate::counters::Counters;
use crate::inbox::{Answer, Job, Jobs, Page, Read, Replied, ReplyTo, Status, Storage, Unreadable};
use crate::post::Post;
use crate::snapshotter::Orders;

/// Jobs of one turn, at most, so that nothing waits too long for a sync or a send.
const TURN_JOBS_MAX: usize = 4096;

/// The longest sleep. Bounds how late a killed node notices.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// Bytes of values in one page of the history, about.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// So long after a message of another epoch its sender is taken to run that epoch. Who leads or
/// wants to speaks more often.
const OTHER_EPOCH_LASTS: Duration = Duration::from_secs(3);

/// Entries in all pages of one turn: reads that waited together are ready together. Who finds no
/// room is given an empty page, and asks for the next one.
const TURN_ENTRIES_MAX: usize = 1 << 16;

/// Why a protocol thread ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to stop, or killed.
    Stopped,
    /// The journal thread is gone.
    Disk,
    /// Two values claim one slot. Going on would spread it.
    Conflict(Slot),
    /// Another node holds another history. Going on would hide which is right.
    Diverged {
        /// Who.
        from: NodeId,
        /// Both histories end before this slot.
        below: Slot,
        /// The digest of ours.
        ours: Digest,
        /// The digest of the other.
        theirs: Digest,
    },
}

/// A node, and everything through which it acts.
pub struct Driver {
    /// The node.
    pub node: Node<History>,
    /// The members.
    pub configuration: Arc<Configuration>,
    /// Who it is.
    pub me: NodeId,
    /// What it is asked.
    pub jobs: Jobs,
    /// Its journal thread; none for nodes without a disk.
    pub writes: Option<Sender<Write>>,
    /// Its snapshot thread.
    pub orders: Orders,
    /// One past the last slot of its newest snapshot.
    pub snapshot: Slot,
    /// The size of its journal's files, kept by the disk.
    pub journal_bytes: Arc<AtomicU64>,
    /// The size of its snapshots' files, kept by the disk.
    pub snapshot_bytes: Arc<AtomicU64>,
    /// Whether the journal's disk has room.
    pub has_room: bool,
    /// An epoch that is not ours, and when a peer spoke in it last.
    pub other_epoch: Option<(u64, paxos::Instant)>,
    /// The way to its peers.
    pub post: Post,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// The origin of its time.
    pub origin: Instant,
    /// Where it tells how much is applied.
    pub applied: watch::Sender<u64>,
    /// Set to end it at once, as a crash would.
    pub killed: Arc<AtomicBool>,
    /// Set while it is to hear nothing.
    pub deaf: Arc<AtomicBool>,
}

impl Driver {
    /// Runs until it is stopped, killed or unable to go on. `effects` are those of the node's
    /// recovery.
    pub fn run(mut self, mut effects: Effects<History>) -> Ended {
        let mut waiting = Waiting::default();
        if let Some(ended) = self.act(&mut effects, &mut waiting) {
            return ended;
        }
        loop {
            let first = match self.jobs.next(self.sleep()) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ended::Stopped,
            };
            if self.killed.load(Ordering::Relaxed) {
                return Ended::Stopped;
            }
            let stop = self.turn(first, &mut effects, &mut waiting);
            if let Some(ended) = self.act(&mut effects, &mut waiting) {
                return ended;
            }
            if stop {
                return Ended::Stopped;
            }
        }
    }

    fn now(&self) -> paxos::Instant {
        paxos::Instant(0).plus(self.origin.elapsed())
    }

    fn sleep(&self) -> Duration {
        let until = self.node.deadline();
        until.map_or(SLEEP_MAX, |at| at.since(self.now()).min(SLEEP_MAX))
    }

    /// Steps everything that is ready. True if the node is to stop.
    fn turn(
        &mut self,
        first: Option<Job>,
        effects: &mut Effects<History>,
        waiting: &mut Waiting,
    ) -> bool {
        let (mut appends, mut reads) = (Vec::new(), Vec::new());
        let mut stop = false;
        let mut next = first;
        for _ in 0..TURN_JOBS_MAX {
            let Some(job) = next.take().or_else(|| self.jobs.ready()) else {
                break;
            };
            match job {
                Job::Message { from, bytes } => self.message(from, &bytes, effects),
                Job::Append(request, to) => {
                    let ticket = waiting.register(to);
                    appends.push(Append { ticket, request });
                }
                Job::Read(read) if read.answer.is_closed() => {} // The reader has gone.
                Job::Read(read) => match read.consistency {
                    None => waiting.pages.push(read),
                    Some(consistency) => {
                        let ticket = waiting.register_read(read);
                        reads.push(node::Read { ticket, consistency });
                    }
                },
                Job::Status(answer) => {
                    let gone = answer.send(self.status());
                    drop(gone);
                }
                Job::Freeze(answer) => {
                    let gone = answer.send(self.node.freeze());
                    drop(gone);
                }
                Job::Kept { snapshot, is_durable } => {
                    self.snapshot = self.snapshot.max(snapshot.below);
                    let now = self.now();
                    self.node.step(now, Input::Kept { snapshot, is_durable }, effects);
                }
                Job::Thawed(fetched, thawed) => {
                    let (now, thawed) = (self.now(), thawed.map(|thawed| *thawed));
                    self.node.install(now, fetched, thawed, effects);
                }
                Job::NotKept => {
                    let now = self.now();
                    self.node.step(now, Input::NotKept, effects);
                }
                Job::Room(has_room) => {
                    self.has_room = has_room;
                    let now = self.now();
                    self.node.step(now, Input::Room(has_room), effects);
                }
                Job::Stop => stop = true,
            }
        }
        if !appends.is_empty() {
            // Together, so that they travel together.
            let now = self.now();
            self.node.step(now, Input::Append(appends), effects);
        }
        if !reads.is_empty() {
            // Together, so that one question is asked for all of them.
            let now = self.now();
            self.node.step(now, Input::Read(reads), effects);
        }
        let now = self.now();
        if self.node.deadline().is_some_and(|deadline| deadline <= now) {
            self.node.step(now, Input::Tick, effects);
        }
        stop
    }

    fn message(&mut self, from: NodeId, bytes: &[u8], effects: &mut Effects<History>) {
        if self.deaf.load(Ordering::Relaxed) && from != self.me {
            return;
        }
        match decode_message(&self.configuration, self.me, bytes) {
            Ok((sender, message)) if sender == from => {
                self.counters.received(message.kind());
                let now = self.now();
                self.node.step(now, Input::Message { from, message }, effects);
            }
            Ok(_) => self.counters.count("refused_message_sender"),
            Err(error) => {
                if let WireError::Epoch(epoch) = error {
                    self.hear_of(epoch, from);
                }
                self.counters.count(refused(error));
            }
        }
    }

    /// A peer runs another epoch: a configuration was changed here or there, and not at both.
    fn hear_of(&mut self, epoch: u64, from: NodeId) {
        if self.other_epoch_lately() != Some(epoch) {
            let ours = self.configuration.epoch().0;
            tracing::warn!(
                node = self.me.0,
                from = from.0,
                epoch,
                ours,
                "a peer runs another epoch: they do not hear each other"
            );
        }
        self.other_epoch = Some((epoch, self.now()));
    }

    fn other_epoch_lately(&self) -> Option<u64> {
        let now = self.now();
        let heard = self.other_epoch.filter(|(_, at)| now.since(*at) <= OTHER_EPOCH_LASTS);
        heard.map(|(epoch, _)| epoch)
    }

    /// Does what the node wants done.
    fn act(&mut self, effects: &mut Effects<History>, waiting: &mut Waiting) -> Option<Ended> {
        let mut ended = None;
        for event in effects.replica.events.drain(..) {
            self.counters.count(event.name());
            match event {
                Event::Conflict { slot } => ended = Some(Ended::Conflict(slot)),
                Event::Diverged { from, below, ours, theirs } => {
                    ended = Some(Ended::Diverged { from, below, ours, theirs });
                }
                _ => {}
            }
            tell(self.me, &event);
        }
        if ended.is_some() {
            // Nothing of this turn may leave: it rests on something that is false.
            return ended;
        }
        let write = &mut effects.replica.write;
        if !write.is_empty() {
            let write = std::mem::take(write);
            if let Some(writes) = &self.writes {
                // What only waits for a full disk may be lost, as in a network: this thread has
                // others to answer.
                if !self.has_room && write.records.is_empty() && writes.is_full() {
                    self.counters.count("unsent_disk_full");
                } else if writes.send(write).is_err() {
                    return Some(Ended::Disk);
                }
            } else {
                assert!(write.records.is_empty(), "a node without a disk has nothing to keep");
                self.post.send(write.then_send.into_iter());
            }
        }
        self.post.send(effects.replica.send.drain(..));
        for (ticket, reply) in effects.replies.drain(..) {
            waiting.answer(ticket, reply);
        }
        self.answer_reads(effects, waiting);
        self.order(effects);
        let applied = self.node.applied().0;
        self.applied.send_if_modified(|known| std::mem::replace(known, applied) != applied);
        effects.clear();
        None
    }

    /// Passes on what is the snapshot thread's. What it has no room for comes again.
    fn order(&self, effects: &mut Effects<History>) {
        if let Some(frozen) = effects.capture.take()
            && !self.orders.capture(frozen)
        {
            self.counters.count("snapshots_not_begun");
        }
        if let Some(fetched) = effects.fetched.take()
            && !self.orders.thaw(fetched)
        {
            self.counters.count("snapshots_not_thawed");
        }
        if let Some(restored) = effects.installed.take()
            && !self.orders.install(restored)
        {
            self.counters.count("snapshots_not_installed");
        }
        if let Some((snapshot, why)) = effects.unusable.take() {
            let (node, below) = (self.me.0, snapshot.below.0);
            tracing::error!(node, below, %why, "cannot go on from a snapshot of another node");
            self.counters.count("snapshots_unusable");
        }
        for part in effects.replica.parts.drain(..) {
            if !self.orders.part(part) {
                self.counters.count("snapshot_parts_dropped");
            }
        }
    }

    /// The history below this slot was let go.
    fn first_held(&self) -> Slot {
        let history = self.node.machine();
        if history.total() == history.held() {
            return Slot::FIRST;
        }
        history.first().unwrap_or(self.node.applied())
    }

    /// Answers the reads that are ready from the state as it is after the turn. It holds what it
    /// held when they became ready, and perhaps more: no reader minds.
    fn answer_reads(&self, effects: &mut Effects<History>, waiting: &mut Waiting) {
        for (ticket, reply) in effects.reads.drain(..) {
            let Some(read) = waiting.reads.remove(&ticket) else {
                continue;
            };
            let unreadable = match reply {
                ReadReply::Ready { applied } => {
                    assert!(applied <= self.node.applied(), "the state only goes forward");
                    waiting.pages.push(read);
                    continue;
                }
                ReadReply::NotLearning => Unreadable::NotLearning,
                ReadReply::Busy => Unreadable::Busy,
                ReadReply::TimedOut { leader } => Unreadable::TimedOut { leader },
            };
            let gone = read.answer.send(Err(unreadable));
            drop(gone);
        }
        let mut room = TURN_ENTRIES_MAX;
        for read in waiting.pages.drain(..).filter(|read| !read.answer.is_closed()) {
            let page = self.page(read.first, read.end, read.limit.min(room));
            room -= page.as_ref().map_or(0, |page| page.entries.len());
            let gone = read.answer.send(page);
            drop(gone);
        }
        let is_in_step = waiting.reads.len() == self.node.reads_waiting();
        assert!(is_in_step, "a read waits here as long as it waits in the node");
    }

    fn page(&self, first: Slot, end: Slot, limit: usize) -> Result<Page, Unreadable> {
        if !self.configuration.roles(self.me).learns() {
            return Err(Unreadable::NotLearning);
        }
        let first_held = self.first_held();
        if first < first_held {
            return Err(Unreadable::Gone { first_held });
        }
        let applied = self.node.applied();
        let end = end.min(applied);
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = end;
        for entry in self.node.machine().from(first) {
            if entry.slot >= end {
                break;
            }
            let full = entries.len() == limit || bytes >= PAGE_BYTES_MAX;
            if full {
                next = entry.slot;
                break;
            }
            bytes += entry.request.value().len();
            entries.push(entry.clone());
        }
        let next = next.max(first);
        Ok(Page { entries, next, is_last: next >= end, applied })
    }

    fn status(&self) -> Status {
        let replica = self.node.replica();
        let now = self.now();
        Status {
            part: replica.part(),
            ballot: replica.ballot(),
            leader: replica.leader(now),
            chosen: replica.chosen(),
            applied: self.node.applied(),
            values: self.node.machine().total(),
            in_flight: replica.slots_in_flight(),
            promised: replica.acceptor().map(Acceptor::promised),
            acceptors_reachable: replica.acceptors_reachable(now),
            is_suspect: replica.acceptor().is_some_and(|it| it.suspect() > Slot::FIRST),
            other_epoch: self.other_epoch_lately(),
            storage: Storage {
                first_held: self.first_held(),
                snapshot: self.snapshot,
                truncated: replica.acceptor().map_or(Slot::FIRST, Acceptor::truncated),
                journal_bytes: self.journal_bytes.load(Ordering::Relaxed),
                snapshot_bytes: self.snapshot_bytes.load(Ordering::Relaxed),
                has_room: self.has_room,
            },
        }
    }
}

/// Who waits for which ticket. As many as the node has waiters and reads, which it bounds.
#[derive(Default)]
struct Waiting {
    next: u64,
    by_ticket: HashMap<Ticket, ReplyTo>,
    /// A reader that has gone is forgotten with the node's answer, which comes within its patience.
    reads: HashMap<Ticket, Read>,
    /// Those that are answered at the end of the turn.
    pages: Vec<Read>,
}

impl Waiting {
    fn register(&mut self, to: ReplyTo) -> Ticket {
        let ticket = self.ticket();
        self.by_ticket.insert(ticket, to);
        ticket
    }

    fn register_read(&mut self, read: Read) -> Ticket {
        let ticket = self.ticket();
        self.reads.insert(ticket, read);
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    fn answer(&mut self, ticket: Ticket, reply: node::Reply<()>) {
        if let Some(ReplyTo { replies, sequence }) = self.by_ticket.remove(&ticket) {
            // If the client is gone, so is its wish to know.
            let gone = replies.send(Replied { sequence, answer: Answer::Node(reply) });
            drop(gone);
        }
    }
}

fn refused(error: WireError) -> &'static str {
    match error {
        WireError::Short => "refused_message_short",
        WireError::Long => "refused_message_long",
        WireError::Version(_) => "refused_message_version",
        WireError::Kind(_) => "refused_message_kind",
        WireError::Cluster => "refused_message_cluster",
        WireError::Epoch(_) => "refused_message_epoch",
        WireError::Receiver(_) => "refused_message_receiver",
        WireError::Sender(_) => "refused_message_sender",
        WireError::Slots => "refused_message_slots",
        WireError::Round(_) => "refused_message_round",
        WireError::Part => "refused_message_part",
    }
}

/// Says in the log what an operator wants to know.
fn tell(me: NodeId, event: &Event) {
    match event {
        Event::Elected { ballot, adopted, noops } => {
            tracing::info!(node = me.0, %ballot, adopted, noops, "leads");
        }
        Event::Following { ballot } => tracing::info!(node = me.0, %ballot, "follows"),
        Event::Deposed { by } => tracing::info!(node = me.0, %by, "was deposed"),
        Event::Behind { truncated } => {
            tracing::warn!(node = me.0, %truncated, "is behind and needs a snapshot");
        }
        Event::Conflict { slot } => {
            tracing::error!(node = me.0, %slot, "two values claim one slot; stopping");
        }
        Event::Diverged { from, below, ours, theirs } => {
            tracing::error!(node = me.0, from = from.0, %below, %ours, %theirs,
                "another node holds another history; stopping");
        }
        Event::Restored { below } => {
            tracing::info!(node = me.0, %below, "goes on from a snapshot");
        }
        Event::Declined { from, why } => {
            tracing::debug!(node = me.0, from = from.0, ?why, "declined a message");
        }
        other => tracing::trace!(node = me.0, event = ?other),
    }
}
