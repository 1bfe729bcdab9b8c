//! One node with everything that belongs to it: replica, disk, what is on its way there.
//!
//! What it sends and what it votes for are told to whoever moves it, and not kept here.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use paxos::acceptor::Acceptor;
use paxos::{
    Ballot, Effects, Envelope, Event, Input, Instant, Mark, Message, NodeId, Page, Part, ReadId,
    Record, Replica, Slot, SnapshotId, Value, Values, Write,
};

use super::scene::{Flaw, Scene};

/// A message with both ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Letter {
    pub from: NodeId,
    pub to: NodeId,
    pub message: Message,
}

/// What a node may do, or have done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Move {
    /// This letter to it arrives (again).
    Deliver(u32),
    /// Its patience ends.
    Campaign,
    /// It misses something.
    Fetch,
    /// What it has written gets on disk.
    Sync,
    /// It crashes, and starts again.
    Crash,
    /// It crashes, and all of its votes are lost with a part of its disk.
    Lose,
    /// It says that it leads.
    Heartbeat,
    /// Somebody begins to read here.
    Read,
    /// What it knows gets into snapshots.
    Keep,
}

/// What becomes of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reading {
    Begins(ReadId),
    /// It may be answered from any state that has applied every slot below.
    Answered(ReadId, Slot),
}

/// What others can notice of a move.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub letters: Vec<Letter>,
    /// Votes that are on disk now.
    pub votes: Vec<(Slot, Ballot, Value)>,
    pub reads: Vec<Reading>,
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Local {
    pub replica: Replica,
    /// What the disk holds, as a fold of its records.
    pub disk: Acceptor,
    /// Written and not yet synced, oldest first; each holds records.
    unsynced: VecDeque<Write>,
    /// Used by a learner that believes watermarks, and empty for all others.
    seen: BTreeMap<Slot, Value>,
    pub crashes: u8,
    pub losses: u8,
    campaigns: u8,
    /// The ballot of the last campaign.
    campaigned: Ballot,
    /// Whether clients have given this life its values.
    was_asked: bool,
    /// Reads begun.
    reads: u8,
    /// The last question that it has asked itself, and the ballot that it led then.
    asked: Option<(Ballot, u64)>,
    /// Used by a leader that counts old confirmations: the round under way.
    round: u64,
    /// Everything below is in snapshots.
    kept: Slot,
    /// What this node itself has noticed to be wrong.
    pub wrong: Option<String>,
}

impl Local {
    /// A node that has just been put up.
    pub fn new(scene: &Scene, place: usize) -> Local {
        let mut replica = Replica::recover(scene.config(place, 0), [], Instant(0), 0);
        replica.forget_time();
        Local {
            replica,
            disk: Acceptor::default(),
            unsynced: VecDeque::new(),
            seen: BTreeMap::new(),
            crashes: 0,
            losses: 0,
            campaigns: 0,
            campaigned: Ballot::NONE,
            was_asked: false,
            reads: 0,
            asked: None,
            round: 0,
            kept: Slot::FIRST,
            wrong: None,
        }
    }

    /// The moves that need no letter. Whether the world allows another crash or loss is not known
    /// here.
    pub fn own_moves(&self, scene: &Scene, place: usize) -> Vec<Move> {
        let mut moves = Vec::new();
        if scene.is_leader(place) {
            if self.may_campaign(scene, place) {
                moves.push(Move::Campaign);
            }
            if scene.fetches {
                moves.push(Move::Fetch);
            }
            if self.crashes < scene.leader_crashes {
                moves.push(Move::Crash);
            }
            if scene.losses > 0 && self.replica.part() == Part::Leading {
                moves.push(Move::Heartbeat);
            }
            if scene.reads.get(place).is_some_and(|reads| self.reads < *reads) {
                moves.push(Move::Read);
            }
            if scene.keeps && self.replica.chosen() > self.kept {
                moves.push(Move::Keep);
            }
        } else {
            if !self.unsynced.is_empty() {
                moves.push(Move::Sync);
            }
            if self.crashes < scene.acceptor_crashes {
                moves.push(Move::Crash);
            }
            if self.losses < scene.losses && self.disk.votes().slots() > 0 {
                moves.push(Move::Lose);
            }
        }
        moves
    }

    /// Whether another campaign is allowed.
    pub fn may_campaign(&self, scene: &Scene, place: usize) -> bool {
        self.campaigns < scene.campaigns[place]
    }

    /// A letter arrives.
    pub fn deliver(&mut self, scene: &Scene, letter: &Letter, output: &mut Output) {
        if let Message::Accepted { ballot, .. } = letter.message
            && !scene.values_spread()
            && (self.replica.part(), self.replica.ballot()) != (Part::Leading, Some(ballot))
        {
            // Lost. Only a learner counts votes at a ballot that it does not lead, and it will
            // never see what they are for.
            return;
        }
        let before = self.replica.clone();
        let mut effects = Effects::default();
        let Letter { from, message, .. } = letter.clone();
        match message {
            Message::ReadIndex { id } => {
                // A question that it asks itself arrives once, while it leads: another answer to
                // it would be of another round, and there would be rounds without end.
                let leading = Some(self.replica.part()).filter(|part| *part == Part::Leading);
                let asks = leading.and(self.replica.ballot()).map(|ballot| (ballot, id));
                if asks <= self.asked {
                    return;
                }
                self.asked = asks;
                self.step(Input::Message { from, message }, &mut effects);
            }
            Message::Confirmed { ballot, .. }
                if scene.flaw == Some(Flaw::CountsOldConfirmations) =>
            {
                let message = Message::Confirmed { ballot, round: self.round };
                self.step(Input::Message { from, message }, &mut effects);
            }
            Message::Kept { below } => {
                if below <= self.disk.truncated() {
                    return;
                }
                // Both keepers have it.
                for from in scene.keepers() {
                    let message = Message::Kept { below };
                    self.step(Input::Message { from, message }, &mut effects);
                }
            }
            Message::Part { snapshot: SnapshotId { below, digest, .. }, .. } => {
                self.step(Input::Restored(Mark { below, digest }), &mut effects);
            }
            message => self.step(Input::Message { from, message }, &mut effects),
        }
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
        self.absorb(scene, effects, output);
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
    pub fn act(&mut self, scene: &Scene, place: usize, act: Move, output: &mut Output) {
        let mut effects = Effects::default();
        match act {
            Move::Deliver(_) => unreachable!("a delivery has a letter"),
            Move::Campaign => self.campaign(scene, place, &mut effects),
            Move::Fetch => self.replica.fetch_without_time(&mut effects),
            Move::Sync => self.sync(scene, output),
            Move::Crash => self.crash(scene, place),
            Move::Lose => self.lose(scene, place, &mut effects),
            Move::Heartbeat => self.replica.heartbeat_without_time(&mut effects),
            Move::Read => {
                self.reads += 1;
                let read = ReadId(self.reads.into());
                output.reads.push(Reading::Begins(read));
                self.step(Input::Read(vec![read]), &mut effects);
            }
            Move::Keep => self.keep(scene, &mut effects, output),
        }
        self.absorb(scene, effects, output);
    }

    /// Everything below its prefix is in snapshots: it lets go of it, acceptors hear that keepers
    /// have it, and a leader that lacks it may restore one. A snapshot is its mark here.
    fn keep(&mut self, scene: &Scene, effects: &mut Effects, output: &mut Output) {
        self.kept = self.replica.chosen();
        let mut mark = self.replica.mark();
        if scene.flaw == Some(Flaw::KeepsProposals) {
            mark = mark.extended(&Value::Noop);
        }
        let snapshot = SnapshotId { below: mark.below, bytes: 1, digest: mark.digest };
        self.step(Input::Kept { snapshot, is_durable: true }, effects);
        let part = Message::Part { snapshot, offset: 0, bytes: [0].into() };
        let kept = Message::Kept { below: self.kept };
        let to = |place| if scene.is_leader(place) { part.clone() } else { kept.clone() };
        let me = self.replica.config().node;
        let others = (0..scene.places()).filter(|place| Scene::node(*place) != me);
        let envelopes = others.map(|place| Envelope { to: Scene::node(place), message: to(place) });
        self.send(scene, envelopes.collect(), output);
    }

    fn campaign(&mut self, scene: &Scene, place: usize, effects: &mut Effects) {
        self.replica.campaign_without_time(effects);
        self.campaigns += 1;
        let ballot = self.replica.ballot().unwrap_or(Ballot::NONE);
        if ballot <= self.campaigned && scene.flaw.is_none() {
            let me = self.replica.config().node;
            self.wrong = Some(format!("leader {me} campaigns with a ballot that it has used"));
        }
        self.campaigned = ballot;
        let is_first = !mem::replace(&mut self.was_asked, true);
        let commands = if is_first { scene.commands(place, self.crashes) } else { Vec::new() };
        // A step looks after what a campaign ends, whether there are values or not.
        self.step(Input::Propose(commands), effects);
    }

    fn step(&mut self, input: Input, effects: &mut Effects) {
        self.replica.step(Instant(0), input, effects);
    }

    fn absorb(&mut self, scene: &Scene, effects: Effects, output: &mut Output) {
        let mut effects = effects;
        self.twist(scene, &mut effects);
        self.replica.forget_time();
        let me = self.replica.config().node;
        for event in &effects.events {
            let is_wrong = match event {
                Event::Conflict { .. } => true,
                // An acceptor that has voted notices a ballot's second value; others do not.
                Event::Declined { .. } => scene.flaw != Some(Flaw::RepeatsIncarnation),
                _ => false,
            };
            if is_wrong {
                self.wrong = Some(format!("node {me} has noticed {event:?}"));
            }
        }
        let answers = effects.readable.iter();
        output.reads.extend(answers.map(|(read, index)| Reading::Answered(*read, *index)));
        let said = output.letters.len();
        self.send(scene, effects.send, output);
        let mut write = effects.write;
        if scene.flaw == Some(Flaw::SendsBeforeSync) {
            self.send(scene, mem::take(&mut write.then_send), output);
        }
        let leaves_early = scene.rejects || output.letters.len() > said;
        self.write(scene, write, output);
        // Where nothing leaves before a sync (but questions, which commit to nothing), a write that
        // a crash loses is a letter that has not arrived.
        if !scene.disks_lag() || !leaves_early {
            self.sync(scene, output);
        }
    }

    /// A leader that breaks a rule of reads.
    fn twist(&mut self, scene: &Scene, effects: &mut Effects) {
        let said = effects.send.len();
        for at in 0..said {
            let known = self.replica.chosen();
            match (scene.flaw, &mut effects.send[at].message) {
                (Some(Flaw::ReadsUnconfirmed), Message::Confirm { ballot, round }) => {
                    let message = Message::Confirmed { ballot: *ballot, round: *round };
                    let from = effects.send[at].to;
                    self.step(Input::Message { from, message }, effects);
                }
                (Some(Flaw::CountsOldConfirmations), Message::Confirm { round, .. }) => {
                    self.round = *round;
                }
                (Some(Flaw::ReadsWhatIsKnown), Message::ReadIndexReply { index, .. }) => {
                    *index = index.map(|_| known);
                }
                _ => {}
            }
        }
    }

    /// Puts a write into the queue. One without records goes with the one before: it may leave
    /// when that is on disk, and can be delivered as late as one likes.
    fn write(&mut self, scene: &Scene, write: Write, output: &mut Output) {
        if !write.records.is_empty() {
            self.unsynced.push_back(write);
        } else if let Some(last) = self.unsynced.back_mut() {
            for envelope in write.then_send {
                if !last.then_send.contains(&envelope) {
                    last.then_send.push(envelope);
                }
            }
        } else {
            self.send(scene, write.then_send, output);
        }
    }

    fn send(&self, scene: &Scene, envelopes: Vec<Envelope>, output: &mut Output) {
        let from = self.replica.config().node;
        for Envelope { to, mut message } in envelopes {
            if let Message::Promise { page, .. } = &mut message {
                let truncated = Slot::FIRST;
                match scene.flaw {
                    Some(Flaw::HidesVotes) => *page = Page { votes: Vec::new(), ..page.clone() },
                    Some(Flaw::HidesCut) => *page = Page { truncated, ..page.clone() },
                    _ => {}
                }
            }
            // Whom an acceptor asks is patience, so it asks every leader.
            let asks = matches!(message, Message::Fetch { .. });
            let asks_all = asks && !scene.is_leader(Scene::place(from));
            let to =
                if asks_all { 0..scene.leaders } else { Scene::place(to)..Scene::place(to) + 1 };
            for place in to.filter(|place| scene.carries(&message, *place)) {
                let (to, message) = (Scene::node(place), message.clone());
                output.letters.push(Letter { from, to, message });
            }
        }
    }

    /// All that was written gets on disk. That a part of it does is no other case: a sync changes
    /// nothing that the deliveries after it look at, so it could as well have come before them.
    fn sync(&mut self, scene: &Scene, output: &mut Output) {
        for write in mem::take(&mut self.unsynced) {
            for record in &write.records {
                self.disk.apply(record);
                if let Record::Accepted(run) = record {
                    let slots = (run.first.0..).map(Slot);
                    let votes = slots.zip(run.values.iter());
                    let votes = votes.map(|(slot, value)| (slot, run.ballot, value.clone()));
                    output.votes.extend(votes);
                }
            }
            self.send(scene, write.then_send, output);
        }
        self.check_disk(scene);
    }

    fn crash(&mut self, scene: &Scene, place: usize) {
        self.crashes += 1;
        self.was_asked = false;
        self.unsynced.clear();
        if scene.flaw == Some(Flaw::ForgetsDisk) {
            self.disk = Acceptor::default();
        }
        assert_eq!(self.disk.doubt(), None, "what was in doubt is not written down here");
        // The disk is a fold of its records, so these, which fold to the same, are as good.
        let votes = self.disk.votes().iter().cloned().map(Record::Accepted);
        let promised = Record::Promised(self.disk.promised());
        let truncated = Record::Truncated(self.disk.truncated());
        self.recover(scene, place, votes.chain([promised, truncated]).collect());
    }

    /// Every vote is lost, and the promise is not: a record that can be read after the hole repeats
    /// it. What has been lost is on disk before anything else happens.
    fn lose(&mut self, scene: &Scene, place: usize, effects: &mut Effects) {
        self.losses += 1;
        self.unsynced.clear();
        let promised = Record::Promised(self.disk.promised());
        let truncated = Record::Truncated(self.disk.truncated());
        let records = match scene.flaw {
            Some(Flaw::HidesLoss) => vec![promised, truncated],
            Some(Flaw::SettlesTooEarly) => {
                vec![Record::Suspect, Record::Promised(Ballot::NONE), promised, truncated]
            }
            _ => vec![promised, truncated, Record::Suspect],
        };
        self.disk = Acceptor::default();
        for record in &records {
            self.disk.apply(record);
        }
        self.recover(scene, place, records);
        self.step(Input::Room(true), effects);
    }

    fn recover(&mut self, scene: &Scene, place: usize, records: Vec<Record>) {
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
