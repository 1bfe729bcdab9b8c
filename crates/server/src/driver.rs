//! The protocol thread: the only place where a node meets time.
//!
//! Each turn: step all that is ready, hand one write to the journal thread, send once a peer,
//! answer. It decides nothing about consensus.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender};
use node::{Append, Effects, Input, Node, ReadReply, StateMachine, Ticket};
use paxos::acceptor::Acceptor;
use paxos::wire::{WireError, decode_message};
use paxos::{
    Ballot, Configuration, Digest, Event, HandOverId, HandOverRefusal, NodeId, Slot, Write,
};
use tokio::sync::{broadcast, oneshot, watch};

use crate::counters::Counters;
use crate::hosted::{Hosted, Read, State, Unreadable};
use crate::inbox::{Answer, Job, Jobs, Replied, ReplyTo, Status, Storage};
use crate::metrics::{Figures, Method, Outcome};
use crate::post::Post;
use crate::sight::Window;
use crate::snapshotter::Orders;

/// Jobs of one turn, at most, so that nothing waits too long for a sync or a send.
const TURN_JOBS_MAX: usize = 4096;

/// The longest sleep. Bounds how late a killed node notices.
const SLEEP_MAX: Duration = Duration::from_millis(50);

/// So long after a message of another epoch its sender is taken to run that epoch. Who leads or
/// wants to speaks more often.
const OTHER_EPOCH_LASTS: Duration = Duration::from_secs(3);

/// Entries in all pages of one turn: reads that waited together are ready together. Who finds no
/// room is given an empty page, and asks for the next one.
const TURN_ENTRIES_MAX: usize = 1 << 16;

const NOT_LEARNING: Unreadable = Unreadable::NotLearning;

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
pub struct Driver<M: Hosted> {
    /// The node.
    pub node: Node<M>,
    /// The members.
    pub configuration: Arc<Configuration>,
    /// Who it is.
    pub me: NodeId,
    /// What it is asked.
    pub jobs: Jobs<M>,
    /// Its journal thread; none for nodes without a disk.
    pub writes: Option<Sender<Write>>,
    /// Its snapshot thread.
    pub orders: Orders<M>,
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
    pub post: Post<M>,
    /// Where it tells what happens, if anybody may want to know.
    pub events: Option<broadcast::Sender<Event>>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// The origin of its time.
    pub origin: Instant,
    /// Where it shows itself.
    pub window: Window,
    /// Where it tells how much is applied.
    pub applied: watch::Sender<u64>,
    /// Set to end it at once, as a crash would.
    pub killed: Arc<AtomicBool>,
    /// Set while it is to hear nothing.
    pub deaf: Arc<AtomicBool>,
}

impl<M: Hosted> Driver<M> {
    /// Runs until it is stopped, killed or unable to go on. `effects` are those of the node's
    /// recovery.
    pub fn run(mut self, mut effects: Effects<M>) -> Ended {
        let mut waiting = Waiting::new();
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
            let (begun, applied) = (Instant::now(), self.node.applied());
            let stop = self.turn(first, &mut effects, &mut waiting);
            if self.node.applied() > applied {
                self.counters.figures.apply.observe(begun.elapsed());
            }
            if let Some(ended) = self.act(&mut effects, &mut waiting) {
                return ended;
            }
            if stop || waiting.may_leave() {
                return Ended::Stopped;
            }
            if self.window.is_due(begun) {
                let status = self.status();
                self.window.show(begun, status);
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
        first: Option<Job<M>>,
        effects: &mut Effects<M>,
        waiting: &mut Waiting<M>,
    ) -> bool {
        let (mut appends, mut reads) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        let mut stop = false;
        let mut next = first;
        for _ in 0..TURN_JOBS_MAX {
            let Some(job) = next.take().or_else(|| self.jobs.ready()) else {
                break;
            };
            match job {
                Job::Message { from, bytes } => self.message(from, &bytes, effects),
                Job::Append(_, to) if waiting.leaves.is_some() => {
                    let leader = self.node.replica().leader(self.now());
                    let leader = leader.filter(|leader| *leader != self.me);
                    say(to, node::Reply::NotLeading { leader });
                }
                Job::Append(request, to) => {
                    let ticket = waiting.register(to, begun);
                    appends.push(Append { ticket, request });
                }
                Job::Expect(request, to) => {
                    let ticket = waiting.register(to, begun);
                    self.node.expect(Append { ticket, request }, effects);
                }
                Job::Forget(request) => {
                    if let Some(ticket) = self.node.forget(&request) {
                        waiting.by_ticket.remove(&ticket);
                    }
                }
                Job::Read(read) if read.question.is_closed() => {} // The reader has gone.
                Job::Read(_) if waiting.leaves.is_some() => {} // It is told that the node stops.
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
                Job::HandOver { to, answer } => {
                    let id = HandOverId(waiting.ticket().0);
                    waiting.wishes.insert(id, answer);
                    let now = self.now();
                    self.node.step(now, Input::HandOver { id, to }, effects);
                }
                Job::Leave { until } => waiting.leaves = Some(until),
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

    fn message(&mut self, from: NodeId, bytes: &[u8], effects: &mut Effects<M>) {
        if self.deaf.load(Ordering::Relaxed) && from != self.me {
            return;
        }
        match decode_message(&self.configuration, self.me, bytes) {
            Ok((sender, message)) if sender == from => {
                self.counters.received(message.kind());
                let (now, figures) = (self.now(), &self.counters.figures);
                figures.bytes_received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                figures.on_message(from, &message, self.node.replica().part(), now);
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
    fn act(&mut self, effects: &mut Effects<M>, waiting: &mut Waiting<M>) -> Option<Ended> {
        let mut ended = None;
        for event in effects.replica.events.drain(..) {
            self.counters.count(event.name());
            self.counters.figures.on_event(&event);
            match event {
                Event::Conflict { slot } => ended = Some(Ended::Conflict(slot)),
                Event::Diverged { from, below, ours, theirs } => {
                    ended = Some(Ended::Diverged { from, below, ours, theirs });
                }
                _ => {}
            }
            tell(self.me, &event);
            if let Some(events) = &self.events {
                // Nobody need listen.
                events.send(event).ok();
            }
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
        let now = Instant::now();
        for (ticket, reply) in effects.replies.drain(..) {
            waiting.answer(ticket, reply, now, &self.counters.figures);
        }
        for (id, outcome) in effects.replica.handed_over.drain(..) {
            if let Some(answer) = waiting.wishes.remove(&id) {
                // If the operator is gone, leadership has passed all the same.
                answer.send(outcome).ok();
            }
        }
        self.answer_reads(effects, waiting);
        self.order(effects);
        let applied = self.node.applied().0;
        self.applied.send_if_modified(|known| std::mem::replace(known, applied) != applied);
        effects.clear();
        None
    }

    /// Passes on what is the snapshot thread's. What it has no room for comes again.
    fn order(&self, effects: &mut Effects<M>) {
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

    /// Answers the reads that are ready from the state as it is after the turn. It holds what it
    /// held when they became ready, and perhaps more: no reader minds.
    fn answer_reads(&self, effects: &mut Effects<M>, waiting: &mut Waiting<M>) {
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
            read.question.answer(Err(unreadable), &mut 0);
        }
        let mut room = TURN_ENTRIES_MAX;
        let learns = self.configuration.roles(self.me).learns();
        for read in waiting.pages.drain(..).filter(|read| !read.question.is_closed()) {
            let (machine, applied) = (self.node.machine(), self.node.applied());
            let state = if learns { Ok(State { machine, applied }) } else { Err(NOT_LEARNING) };
            read.question.answer(state, &mut room);
        }
        let is_in_step = waiting.reads.len() == self.node.reads_waiting();
        assert!(is_in_step, "a read waits here as long as it waits in the node");
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
            values: self.node.machine().values(),
            in_flight: replica.slots_in_flight(),
            gaps: replica.gaps(),
            sessions: self.node.sessions().count(),
            promised: replica.acceptor().map(Acceptor::promised),
            acceptors_reachable: replica.acceptors_reachable(now),
            is_suspect: replica.acceptor().is_some_and(|it| it.suspect() > Slot::FIRST),
            other_epoch: self.other_epoch_lately(),
            storage: Storage {
                first_held: self.node.machine().first_held(self.node.applied()),
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
struct Waiting<M: StateMachine> {
    next: u64,
    by_ticket: HashMap<Ticket, (ReplyTo<M::Output>, Instant)>,
    /// A reader that has gone is forgotten with the node's answer, which comes within its patience.
    reads: HashMap<Ticket, Read<M>>,
    /// Those that are answered at the end of the turn.
    pages: Vec<Read<M>>,
    /// Operators who want another leader: one whose wish is under way, the others are told so at
    /// the end of the turn.
    wishes: HashMap<HandOverId, oneshot::Sender<Result<Ballot, HandOverRefusal>>>,
    /// Set once the node takes no new requests: when it waits no longer.
    leaves: Option<Instant>,
}

impl<M: StateMachine> Waiting<M> {
    fn new() -> Waiting<M> {
        let (by_ticket, reads) = (HashMap::new(), HashMap::new());
        let (pages, wishes) = (Vec::new(), HashMap::new());
        Waiting { next: 0, by_ticket, reads, pages, wishes, leaves: None }
    }

    /// Whether it is leaving, and nobody waits for an answer or will be waited for any longer.
    fn may_leave(&self) -> bool {
        let is_over = |until| until <= Instant::now();
        let waits = !self.by_ticket.is_empty() || !self.reads.is_empty();
        self.leaves.is_some_and(|until| !waits || is_over(until))
    }

    fn register(&mut self, to: ReplyTo<M::Output>, now: Instant) -> Ticket {
        let ticket = self.ticket();
        self.by_ticket.insert(ticket, (to, now));
        ticket
    }

    fn register_read(&mut self, read: Read<M>) -> Ticket {
        let ticket = self.ticket();
        self.reads.insert(ticket, read);
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    fn answer(
        &mut self,
        ticket: Ticket,
        reply: node::Reply<M::Output>,
        now: Instant,
        figures: &Figures,
    ) {
        if let Some((to, since)) = self.by_ticket.remove(&ticket) {
            figures.on_reply(&reply, now.saturating_duration_since(since));
            let took = now.saturating_duration_since(to.asked);
            figures.on_request(Method::Append, Outcome::from(&reply), took);
            say(to, reply);
        }
    }
}

/// If the client is gone, so is its wish to know.
fn say<O>(to: ReplyTo<O>, reply: node::Reply<O>) {
    let ReplyTo { replies, sequence, .. } = to;
    let gone = replies.send(Replied { sequence, answer: Answer::Node(reply) });
    drop(gone);
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
        Event::HandsOver { to } => tracing::info!(node = me.0, to = to.0, "hands over"),
        Event::KeepsLeading { ballot } => {
            tracing::warn!(node = me.0, %ballot, "nobody took over; goes on to lead");
        }
        Event::TakesOver { from } => tracing::info!(node = me.0, %from, "takes over"),
        Event::Declined { from, why } => {
            tracing::debug!(node = me.0, from = from.0, ?why, "declined a message");
        }
        other => tracing::trace!(node = me.0, event = ?other),
    }
}
