//! Inputs to the replica, its effects to the machine, answers to those who wait.

use alloc::vec::Vec;
use core::time::Duration;

use paxos::{
    Command, Config, HandOverId, Instant, NodeId, Part, Record, RefusalReason, Replica, Restored,
    Slot, SnapshotId, Value,
};

use crate::log_time::LogClock;
use crate::machine::StateMachine;
use crate::reads::{Read, ReadReply, Reads};
use crate::request::Request;
use crate::sessions::{Refused, Sessions};
use crate::snapshot::{Frozen, SnapshotError, Thawed, thaw};
use crate::waiters::Waiters;

/// Bytes applied from one snapshot to the next, unless it is told otherwise.
const SNAPSHOT_EVERY: u64 = 64 << 20;

/// After a snapshot that could not be kept, another is tried.
const CAPTURE_PAUSE: Duration = Duration::from_secs(5);

/// What a slot is counted for beside its value.
const SLOT_OVERHEAD: u64 = 32;

/// One node.
#[derive(Clone, Debug)]
pub struct Node<M: StateMachine> {
    replica: Replica,
    machine: M,
    pub(crate) sessions: Sessions<M::Output>,
    waiters: Waiters,
    /// Those who wait for what is proposed elsewhere.
    pub(crate) elsewhere: Waiters,
    log_clock: LogClock,
    reads: Reads,
    pub(crate) applied: Slot,
    snapshot_every: u64,
    /// Applied since the last snapshot, in bytes.
    since_snapshot: u64,
    /// The size of the last one.
    snapshot_bytes: u64,
    /// A snapshot below this slot was frozen, and its bytes are being made.
    capturing: Option<Slot>,
    /// The last one could not be kept; another is tried then.
    capture_again: Option<Instant>,
}

/// Names one question of the driver's; comes back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request, and who wants to know what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Append {
    /// Comes back in the answer. Not used twice.
    pub ticket: Ticket,
    /// What to append, or to do about a session. Its stamp is written when it is proposed.
    pub request: Request,
}

/// What a node reacts to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A message arrived from a peer.
    Message {
        /// The peer.
        from: NodeId,
        /// What it says.
        message: paxos::Message,
    },
    /// Clients ask. What is given together travels together.
    Append(Vec<Append>),
    /// The snapshot that [`Effects::capture`] asked for, or one that [`Effects::installed`] told
    /// of, can be read and given to others; or one that was found when this life began.
    Kept {
        /// Its name.
        snapshot: SnapshotId,
        /// Whether it is on disk.
        is_durable: bool,
    },
    /// The snapshot that [`Effects::capture`] asked for could not be kept.
    NotKept,
    /// Whether the disk has room for votes. It has, at first.
    Room(bool),
    /// Clients want to read. Each read is answered once, now or later.
    Read(Vec<Read>),
    /// Another node is to lead. What becomes of it stands in [`paxos::Effects::handed_over`].
    HandOver {
        /// Comes back with the answer.
        id: HandOverId,
        /// Who; none: whoever could.
        to: Option<NodeId>,
    },
    /// The deadline has passed.
    Tick,
}

/// What a node wants done. Reused: clearing keeps the capacity.
#[derive(Clone, Debug)]
pub struct Effects<M: StateMachine> {
    /// Messages, writes and events. What is chosen, refused or may be read is never in here: the
    /// node has turned it into state and answers.
    pub replica: paxos::Effects,
    /// Answers, each to a ticket given earlier or just now.
    pub replies: Vec<(Ticket, Reply<M::Output>)>,
    /// Answers to reads. Those that are ready are answered from [`Node::machine`] as it is then or
    /// later: it only goes forward, and what it says at any time until the reader hears is right.
    pub reads: Vec<(Ticket, ReadReply)>,
    /// Make this snapshot's bytes, keep them, and say [`Input::Kept`] or [`Input::NotKept`]. No
    /// other is asked for before.
    pub capture: Option<Frozen<M>>,
    /// Another node's snapshot came whole. Make a state of it with [`crate::thaw`], here or
    /// elsewhere, and hand both to [`Node::install`]. If that is never done, it is fetched again.
    pub fetched: Option<Restored>,
    /// The state was restored from this snapshot of another node's: keep it, too.
    pub installed: Option<Restored>,
    /// Another node's snapshot came whole and is of no use here: somebody should know.
    pub unusable: Option<(SnapshotId, SnapshotError)>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply<O> {
    /// An append was chosen and applied, once.
    Done {
        /// Where. Also its fencing token: whoever guards a thing outside, and remembers the
        /// highest slot that it has seen, can turn away an effect that comes too late.
        slot: Slot,
        /// What the machine answered.
        output: O,
    },
    /// A session was opened.
    Opened {
        /// Its name: the slot in which it was opened.
        session: Slot,
    },
    /// A session was kept alive.
    Kept {
        /// Where.
        slot: Slot,
    },
    /// A session was closed.
    Closed {
        /// Where.
        slot: Slot,
    },
    /// Not proposed here.
    NotLeading {
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
    /// Not proposed: too much is waiting.
    Busy,
    /// Proposed, and lost from sight. Asking again with the same sequence is safe.
    Unknown {
        /// Who leads now, if that is known.
        leader: Option<NodeId>,
    },
    /// Not applied now, and never will be under this sequence. Whether it was applied earlier is
    /// known only where the reason says so.
    Refused(Refused),
    /// Not proposed: larger than a value may be.
    TooLarge {
        /// The largest size of a request, in bytes.
        bytes_max: usize,
    },
}

/// What an answer says of its question. Only answers to one copy of a request are meant: who was
/// not answered when it asked before must still count with the earlier copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// Done, once, in this slot, which is the fencing token of its effect.
    Done(Slot),
    /// This copy did nothing and never will. It may be sent again, or given up.
    NotApplied,
    /// It may have been done, by this copy or an earlier one. A request that is asked for again
    /// under the same name is still done once at most.
    Unknown,
}

impl<O> Reply<O> {
    /// What this says of the question.
    pub fn outcome(&self) -> Outcome {
        match self {
            Reply::Done { slot, .. }
            | Reply::Opened { session: slot }
            | Reply::Kept { slot }
            | Reply::Closed { slot } => Outcome::Done(*slot),
            Reply::NotLeading { .. }
            | Reply::Busy
            | Reply::TooLarge { .. }
            | Reply::Refused(Refused::Window) => Outcome::NotApplied,
            // Who is refused so is told that what came before is forgotten.
            Reply::Refused(Refused::Answered | Refused::Expired) | Reply::Unknown { .. } => {
                Outcome::Unknown
            }
        }
    }
}

impl<M: StateMachine> Default for Effects<M> {
    fn default() -> Effects<M> {
        let replica = paxos::Effects::default();
        let (replies, reads) = (Vec::new(), Vec::new());
        let (fetched, installed) = (None, None);
        Effects { replica, replies, reads, capture: None, fetched, installed, unusable: None }
    }
}

impl<M: StateMachine> Effects<M> {
    /// Empties every list and keeps its memory.
    pub fn clear(&mut self) {
        self.replica.clear();
        self.replies.clear();
        self.capture = None;
        self.fetched = None;
        self.installed = None;
        self.unusable = None;
        self.reads.clear();
    }
}

impl<M: StateMachine> Node<M> {
    /// A node as its journal left it; see [`Replica::recover`]. The machine starts empty: what was
    /// chosen is learned again from the others.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = Record>,
        machine: M,
        now: Instant,
        seed: u64,
    ) -> Node<M> {
        let reads = Reads::new(&config);
        let replica = Replica::recover(config, records, now, seed);
        let (sessions, waiters) = (Sessions::default(), Waiters::default());
        let log_clock = LogClock::default();
        Node {
            replica,
            machine,
            sessions,
            waiters,
            elsewhere: Waiters::default(),
            log_clock,
            reads,
            applied: Slot::FIRST,
            snapshot_every: SNAPSHOT_EVERY,
            since_snapshot: 0,
            snapshot_bytes: 0,
            capturing: None,
            capture_again: None,
        }
    }

    /// Asks for a snapshot each time that about so many bytes were applied.
    #[must_use]
    pub fn snapshot_every(self, bytes: u64) -> Node<M> {
        Node { snapshot_every: bytes, ..self }
    }

    /// Goes on from a snapshot, if it covers more than what is applied here.
    pub fn restore(
        &mut self,
        now: Instant,
        bytes: &[u8],
        effects: &mut Effects<M>,
    ) -> Result<SnapshotId, SnapshotError> {
        let thawed = thaw(&self.replica.config().configuration, &self.machine, bytes)?;
        let snapshot = thawed.snapshot;
        self.go_on(now, thawed, effects);
        Ok(snapshot)
    }

    /// Goes on from another node's snapshot, which [`Effects::fetched`] handed out, if it is what
    /// its name says and covers more than what is applied here by now. `thawed` is what
    /// [`crate::thaw`] made of it.
    pub fn install(
        &mut self,
        now: Instant,
        fetched: Restored,
        thawed: Result<Thawed<M>, SnapshotError>,
        effects: &mut Effects<M>,
    ) {
        let snapshot = fetched.snapshot;
        let (thawed, why) = match thawed {
            Ok(thawed) => (Some(thawed).filter(|it| it.snapshot == snapshot), None),
            Err(why) => (None, Some((snapshot, why))),
        };
        effects.unusable = why;
        if thawed.is_some_and(|thawed| self.go_on(now, thawed, effects)) {
            effects.installed = Some(fetched);
        } else {
            self.replica.step(now, paxos::Input::Unusable(snapshot), &mut effects.replica);
        }
        self.settle(now, effects);
    }

    /// Does at once, here, what [`Effects::fetched`] asks for, if it asks.
    pub fn install_fetched(&mut self, now: Instant, effects: &mut Effects<M>) {
        let Some(fetched) = effects.fetched.take() else { return };
        let configuration = &self.replica.config().configuration;
        let thawed = thaw(configuration, &self.machine, &fetched.bytes);
        self.install(now, fetched, thawed, effects);
    }

    /// False if it covers nothing new.
    fn go_on(&mut self, now: Instant, thawed: Thawed<M>, effects: &mut Effects<M>) -> bool {
        let Thawed { mark, sessions, machine, .. } = thawed;
        if mark.below <= self.applied {
            return false;
        }
        (self.sessions, self.machine, self.applied) = (sessions, machine, mark.below);
        self.since_snapshot = 0;
        // Where their requests stand, if anywhere, was not seen.
        let leader = self.replica.leader(now);
        let waiters = self.waiters.take_all().chain(self.elsewhere.take_all());
        let unknown = waiters.map(|it| (it, Reply::Unknown { leader }));
        effects.replies.extend(unknown);
        self.replica.step(now, paxos::Input::Restored(mark), &mut effects.replica);
        self.answer_refused(now, effects);
        self.apply_chosen(now, effects);
        true
    }

    /// Reacts to one input.
    pub fn step(&mut self, now: Instant, input: Input, effects: &mut Effects<M>) {
        let input = match input {
            Input::Message { from, message } => paxos::Input::Message { from, message },
            Input::Append(appends) => paxos::Input::Propose(self.register(now, appends, effects)),
            Input::Kept { snapshot, is_durable } => {
                self.snapshot_bytes = snapshot.bytes;
                // It may be another one: a snapshot of another node's.
                self.capturing = self.capturing.filter(|below| *below != snapshot.below);
                paxos::Input::Kept { snapshot, is_durable }
            }
            Input::NotKept => {
                self.capturing = None;
                self.capture_again = Some(now.plus(CAPTURE_PAUSE));
                return;
            }
            Input::Room(has_room) => paxos::Input::Room(has_room),
            Input::Read(reads) => {
                let begun = self.reads.begin(now, self.applied, reads, &mut effects.reads);
                paxos::Input::Read(begun)
            }
            Input::HandOver { id, to } => paxos::Input::HandOver { id, to },
            Input::Tick => paxos::Input::Tick,
        };
        self.replica.step(now, input, &mut effects.replica);
        if self.replica.part() != Part::Leading {
            self.log_clock.stop();
        }
        self.answer_refused(now, effects);
        self.apply_chosen(now, effects);
        if let Some(fetched) = effects.replica.restored.take() {
            effects.fetched = Some(fetched);
        }
        self.settle(now, effects);
    }

    /// What every change of the state is followed by.
    fn settle(&mut self, now: Instant, effects: &mut Effects<M>) {
        self.reads.answer(now, self.applied, self.replica.leader(now), effects);
        self.capture(now, effects);
    }

    /// Asks for a snapshot, if it is time, or if somebody needs one and there is none. A large
    /// state is written less often, or nobody could fetch it before the next one.
    fn capture(&mut self, now: Instant, effects: &mut Effects<M>) {
        let is_due = self.since_snapshot >= self.snapshot_every.max(self.snapshot_bytes);
        let is_wanted = effects.replica.snapshot_wanted && self.applied > Slot::FIRST;
        let again = self.capture_again.filter(|again| *again <= now);
        let waits = self.capturing.is_some() || (self.capture_again.is_some() && again.is_none());
        if waits || !(is_due || is_wanted || again.is_some()) {
            return;
        }
        self.capture_again = None;
        let frozen = self.freeze();
        (self.since_snapshot, self.capturing) = (0, Some(frozen.below()));
        effects.capture = Some(frozen);
    }

    /// The state as it is now, for whoever wants it outside of the cluster.
    pub fn freeze(&self) -> Frozen<M> {
        let mark = self.replica.mark();
        assert!(mark.below == self.applied, "what is chosen here is applied in the same step");
        let configuration = &self.replica.config().configuration;
        Frozen::new(configuration, mark, &self.sessions, &self.machine)
    }

    /// When to step with [`Input::Tick`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let own = [self.reads.deadline(), self.capture_again];
        self.replica.deadline().into_iter().chain(own.into_iter().flatten()).min()
    }

    /// The protocol's part.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The replicated state, as far as it is applied here.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The sessions, as far as they are applied here.
    pub fn sessions(&self) -> &Sessions<M::Output> {
        &self.sessions
    }

    /// One past the last slot that the machine has applied.
    pub fn applied(&self) -> Slot {
        self.applied
    }

    /// How many requests wait for an answer here.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// How many reads wait here.
    pub fn reads_waiting(&self) -> usize {
        self.reads.len()
    }

    /// Notes who waits, before anything is proposed: an answer must always find its waiter.
    fn register(
        &mut self,
        now: Instant,
        appends: Vec<Append>,
        effects: &mut Effects<M>,
    ) -> Vec<Command> {
        let stamp_us = self.log_clock.stamp(self.sessions.time_us(), now);
        let mut commands = Vec::with_capacity(appends.len());
        for Append { ticket, request } in appends {
            if let Some(reply) = self.sessions.look(&request, self.applied) {
                effects.replies.push((ticket, reply));
                continue;
            }
            self.asked_here(&request, &mut effects.replies);
            match self.waiters.wait(&request, ticket) {
                None => commands.push(request.stamped(stamp_us).into_command()),
                // It is on its way already. Who asked before has asked again since.
                Some(earlier) => {
                    effects.replies.push((earlier, Reply::Unknown { leader: None }));
                }
            }
        }
        commands
    }

    fn answer_refused(&mut self, now: Instant, effects: &mut Effects<M>) {
        for refusal in effects.replica.refused.drain(..) {
            let Ok(request) = Request::decode(&refusal.command) else {
                continue;
            };
            let Some(ticket) = self.waiters.take(&request) else {
                continue;
            };
            let reply = match refusal.reason {
                RefusalReason::NotLeading { leader } => Reply::NotLeading { leader },
                RefusalReason::WindowFull => Reply::Busy,
                RefusalReason::TooLarge { bytes_max } => Reply::TooLarge { bytes_max },
                RefusalReason::Deposed { .. } => {
                    Reply::Unknown { leader: self.replica.leader(now) }
                }
            };
            effects.replies.push((ticket, reply));
        }
    }

    fn apply_chosen(&mut self, now: Instant, effects: &mut Effects<M>) {
        for (slot, value) in effects.replica.chosen.drain(..) {
            assert!(slot == self.applied, "slots are applied in order, each once");
            self.applied = slot.plus(1);
            self.since_snapshot += SLOT_OVERHEAD + value.len() as u64;
            let command = match value {
                Value::Command(command) => command,
                Value::LeaderStart if self.replica.part() == Part::Leading => {
                    self.log_clock.start(self.sessions.time_us(), now);
                    continue;
                }
                Value::LeaderStart | Value::Noop => continue,
            };
            // Whoever proposed it, these bytes were chosen. Bytes that are no request change
            // nothing, on every node alike.
            let Ok(request) = Request::decode(&command) else {
                continue;
            };
            let machine = &mut self.machine;
            let reply = self.sessions.apply(slot, &request, || machine.apply(slot, &request));
            self.answer_expected(&request, &reply, &mut effects.replies);
            if let Some(ticket) = self.waiters.take(&request) {
                effects.replies.push((ticket, reply));
            }
        }
    }
}

#[cfg(test)]
mod tests;
