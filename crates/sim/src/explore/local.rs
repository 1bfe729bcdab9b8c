//! One node with everything that belongs to it: replica, disk, and all that it has ever sent.
//!
//! The state of a world is nothing but these, so what a node has sent is kept with the sender, and
//! what it has voted for with the voter, for ever: the observer judges by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use paxos::acceptor::Acceptor;
use paxos::{
    Ballot, Effects, Envelope, Event, Input, Instant, Message, NodeId, Page, Part, Record, Replica,
    Slot, Value, Values, Write,
};

use super::scene::{Flaw, Scene};

/// A message with both ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Letter {
    pub from: NodeId,
    pub to: NodeId,
    pub message: Message,
}

/// A sent message, by the place of its receiver and its number among the letters to it.
pub type Sent = (usize, u32);

/// What a node may do, or have done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// This letter to it arrives (again).
    Deliver(u32),
    /// Its patience ends.
    Campaign,
    /// It misses something.
    Fetch,
    /// The oldest write that is not yet on disk gets there.
    Sync,
    /// It crashes, and starts again.
    Crash,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    pub replica: Replica,
    /// What the disk holds, as a fold of its records.
    disk: Acceptor,
    /// Written and not yet synced, oldest first.
    unsynced: VecDeque<Write>,
    pub sent: BTreeSet<Sent>,
    /// Every vote that was ever on this disk, in the order of slots and ballots.
    pub voted: BTreeMap<(Slot, Ballot), Vec<Value>>,
    /// Used by a learner that believes watermarks, and empty for all others.
    seen: BTreeMap<Slot, Value>,
    pub crashes: u8,
    campaigns: u8,
    /// Whether clients have given this life its values.
    was_asked: bool,
    /// What this node itself has noticed to be wrong.
    pub wrong: Option<String>,
}

impl Local {
    /// A node at the start of the world.
    pub fn new(scene: &Scene, place: usize) -> Local {
        let mut replica = Replica::recover(scene.config(place, 0), [], Instant(0), 0);
        replica.forget_time();
        Local {
            replica,
            disk: Acceptor::default(),
            unsynced: VecDeque::new(),
            sent: BTreeSet::new(),
            voted: BTreeMap::new(),
            seen: BTreeMap::new(),
            crashes: 0,
            campaigns: 0,
            was_asked: false,
            wrong: None,
        }
    }

    /// The moves that need no letter. Whether the world allows another crash is not known here.
    pub fn own_moves(&self, scene: &Scene, place: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        if scene.is_leader(place) {
            if self.campaigns < scene.campaigns[place] && self.replica.part() != Part::Leading {
                moves.push(Move::Campaign);
            }
            if scene.fetches {
                moves.push(Move::Fetch);
            }
            if self.crashes < scene.leader_crashes {
                moves.push(Move::Crash);
            }
        } else {
            if !self.unsynced.is_empty() {
                moves.push(Move::Sync);
            }
            if self.crashes < scene.acceptor_crashes {
                moves.push(Move::Crash);
            }
        }
        moves
    }

    /// A letter arrives.
    pub fn deliver(
        &mut self,
        scene: &Scene,
        letter: &Letter,
        post: &mut dyn FnMut(Letter) -> Sent,
    ) {
        let before = self.replica.clone();
        let mut effects = Effects::default();
        let Letter { from, message, .. } = letter.clone();
        self.step(Input::Message { from, message }, &mut effects);
        match (scene.flaw, &letter.message) {
            (Some(Flaw::ForgetsPromise), Message::Prepare { .. }) => {
                self.replica = before;
                effects.write.records.clear();
            }
            (Some(Flaw::BelievesWatermark), Message::Accept { run, chosen })
                if scene.is_leader(Scene::place(letter.to)) =>
            {
                self.seen.extend((run.first.0..).map(Slot).zip(run.values.iter().cloned()));
                self.believe(letter.from, *chosen, &mut effects);
            }
            (Some(Flaw::BelievesWatermark), Message::Chosen { chosen, .. }) => {
                self.believe(letter.from, *chosen, &mut effects);
            }
            _ => {}
        }
        self.absorb(scene, effects, post);
    }

    fn believe(&mut self, from: NodeId, chosen: Slot, effects: &mut Effects) {
        for (slot, value) in self.seen.clone() {
            if slot < chosen && slot >= self.replica.chosen() {
                let (values, truncated) = (Values::from(vec![value]), Slot::FIRST);
                let message = Message::Learned { first: slot, values, chosen, truncated };
                self.step(Input::Message { from, message }, effects);
            }
        }
    }

    /// Anything but a delivery.
    pub fn act(
        &mut self,
        scene: &Scene,
        place: usize,
        act: Move,
        post: &mut dyn FnMut(Letter) -> Sent,
    ) {
        let mut effects = Effects::default();
        match act {
            Move::Deliver(_) => unreachable!("a delivery has a letter"),
            Move::Campaign => {
                self.replica.campaign_without_time(&mut effects);
                self.campaigns += 1;
                if !self.was_asked {
                    self.was_asked = true;
                    let commands = scene.commands(place, self.crashes);
                    self.step(Input::Propose(commands), &mut effects);
                }
            }
            Move::Fetch => self.replica.fetch_without_time(&mut effects),
            Move::Sync => self.sync(scene, post),
            Move::Crash => self.crash(scene, place),
        }
        self.absorb(scene, effects, post);
    }
    /// Whether anybody but the node itself can tell, now or after a crash.
    pub fn differs_outside(&self, before: &Local) -> bool {
        self.sent != before.sent
            || self.disk != before.disk
            || self.voted != before.voted
            || self.crashes != before.crashes
            || self.wrong != before.wrong
    }

    fn step(&mut self, input: Input, effects: &mut Effects) {
        self.replica.step(Instant(0), input, effects);
    }

    fn absorb(&mut self, scene: &Scene, effects: Effects, post: &mut dyn FnMut(Letter) -> Sent) {
        self.replica.forget_time();
        let me = self.replica.config().node;
        for event in &effects.events {
            if let Event::Conflict { .. } | Event::Declined { .. } = event {
                self.wrong = Some(format!("node {me} has noticed {event:?}"));
            }
        }
        self.send(scene, effects.send, post);
        let mut write = effects.write;
        if scene.flaw == Some(Flaw::SendsBeforeSync) {
            self.send(scene, std::mem::take(&mut write.then_send), post);
        }
        if !write.is_empty() {
            self.unsynced.push_back(write);
        }
        if !scene.disks_lag() {
            self.sync(scene, post);
        }
    }

    fn send(
        &mut self,
        scene: &Scene,
        envelopes: Vec<Envelope>,
        post: &mut dyn FnMut(Letter) -> Sent,
    ) {
        let from = self.replica.config().node;
        for Envelope { to, mut message } in envelopes {
            let carried = scene.carries(message.kind(), Scene::place(to));
            if let (Some(Flaw::HidesVotes), Message::Promise { page, .. }) =
                (scene.flaw, &mut message)
            {
                *page = Page { votes: Vec::new(), ..page.clone() };
            }
            if carried {
                self.sent.insert(post(Letter { from, to, message }));
            }
        }
    }

    fn sync(&mut self, scene: &Scene, post: &mut dyn FnMut(Letter) -> Sent) {
        let Some(write) = self.unsynced.pop_front() else {
            return;
        };
        for record in &write.records {
            self.disk.apply(record);
            if let Record::Accepted(run) = record {
                for (slot, value) in (run.first.0..).map(Slot).zip(run.values.iter()) {
                    let voted = self.voted.entry((slot, run.ballot)).or_default();
                    if !voted.contains(value) {
                        voted.push(value.clone());
                    }
                }
            }
        }
        self.send(scene, write.then_send, post);
        self.check_disk(scene);
    }

    fn crash(&mut self, scene: &Scene, place: usize) {
        self.crashes += 1;
        self.was_asked = false;
        self.unsynced.clear();
        if scene.flaw == Some(Flaw::ForgetsDisk) {
            self.disk = Acceptor::default();
        }
        // The disk is a fold of its records, so these, which fold to the same, are as good.
        let votes = self.disk.votes().iter().cloned().map(Record::Accepted);
        let promised = Record::Promised(self.disk.promised());
        let records: Vec<Record> = votes.chain([promised]).collect();
        let config = scene.config(place, self.crashes);
        self.replica = Replica::recover(config, records, Instant(0), 0);
    }

    /// No vote lies above the promise, and memory is never behind the disk.
    fn check_disk(&mut self, scene: &Scene) {
        let Some(memory) = self.replica.acceptor() else {
            return;
        };
        let promised = self.disk.promised();
        let above = self.disk.votes().iter().any(|run| run.ballot > promised);
        let behind = memory.promised() < promised && scene.flaw.is_none();
        if above || behind {
            let me = self.replica.config().node;
            self.wrong = Some(format!("acceptor {me} has voted above its promise, or forgot it"));
        }
    }
}
