//! All of one node's roles behind one door. The only file that knows every role: it takes a
//! message apart, asks the role that it is for, and turns the answer into effects. The rules are
//! with the roles; the roles never call each other.

mod due;
mod handing;
mod keep;
mod mending;
mod reading;
mod remember;
mod timeless;

use alloc::vec::Vec;

use crate::acceptor::Acceptor;
use crate::admit::admit;
use crate::ballot::{Ballot, NodeId, Slot};
use crate::catchup::Catchup;
use crate::config::{Announce, Config, Limits};
use crate::digest::Mark;
use crate::effects::{Effects, Input, Refusal, RefusalReason};
use crate::election::Election;
use crate::event::{Decline, Event};
use crate::handover::{Handover, Standby};
use crate::invariants;
use crate::keeping::{Kept, Reports};
use crate::learner::{Contradiction, Learner};
use crate::mend::Mend;
use crate::message::{Message, Page};
use crate::pace::Pace;
use crate::proposer::{Promised, Proposer, Rejected};
use crate::quorum::Roles;
use crate::read::{Indexer, Reader};
use crate::record::Record;
use crate::resend::{Asked, Resend};
use crate::rng::Rng;
use crate::support::{Contact, Witness};
use crate::time::Instant;
use crate::transfer::Transfer;
use crate::value::{Command, Values};

/// One node of the protocol, whatever its roles. Pure: the same inputs give the same effects, to
/// the byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Replica {
    config: Config,
    roles: Roles,
    rng: Rng,
    acceptor: Acceptor,
    witness: Witness,
    proposer: Proposer,
    election: Election,
    contact: Contact,
    pace: Pace,
    resend: Resend,
    learner: Learner,
    catchup: Catchup,
    mend: Mend,
    kept: Kept,
    reports: Reports,
    transfer: Transfer,
    has_room: bool,
    indexer: Indexer,
    reader: Reader,
    handover: Handover,
    standby: Standby,
}

/// What a replica thinks its part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Proposes.
    Leading,
    /// Asks for promises.
    Preparing,
    /// Neither.
    Following,
}

impl Replica {
    /// A replica as its journal left it. An acceptor's records must be all that it ever wrote, in
    /// order; other roles have none.
    ///
    /// # Panics
    /// If `config.node` is not a member of `config.configuration`, or if the limits contradict each
    /// other: more slots in flight than a learner keeps ahead of its prefix, empty parts, or more
    /// retained than half of an acceptor's budget.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = Record>,
        now: Instant,
        seed: u64,
    ) -> Replica {
        let roles = config.configuration.roles(config.node);
        assert!(roles.acceptor || roles.learns(), "a replica is a member of its configuration");
        assert!(
            config.limits.slots_in_flight_max <= config.limits.ahead_slots_max,
            "a leader keeps what it has proposed"
        );
        assert!(config.limits.part_bytes_max > 0, "a part of a snapshot holds something");
        assert!(
            config.limits.votes_bytes_max / 2 >= config.limits.retained_bytes_max,
            "what is kept below a cut leaves room for votes"
        );
        let is_keeper = config.configuration.keepers().any(|id| id == config.node);
        let mut acceptor = Acceptor::default();
        for record in records {
            acceptor.apply(&record);
        }
        let mut rng = Rng::new(seed);
        let rank = config.configuration.leaders().take_while(|id| *id < config.node).count();
        let rank = u32::try_from(rank).expect("at most 64 members");
        let mut proposer = Proposer::new(config.node, config.incarnation);
        proposer.saw(acceptor.promised());
        Replica {
            roles,
            acceptor,
            witness: Witness::default(),
            proposer,
            election: Election::new(config.timing, config.node, rank, now, &mut rng),
            contact: Contact::default(),
            pace: Pace::default(),
            resend: Resend::new(&config.timing),
            learner: Learner::new(&config.limits),
            catchup: Catchup::new(&config.timing),
            mend: Mend::new(&config.timing),
            kept: Kept::new(config.timing.resend_max, is_keeper, now),
            reports: Reports::default(),
            transfer: Transfer::new(&config.timing, &config.limits),
            has_room: true,
            indexer: Indexer::default(),
            reader: Reader::new(&config.timing, &config.limits, config.incarnation),
            handover: Handover::new(&config.timing),
            standby: Standby::default(),
            rng,
            config,
        }
    }

    /// Reacts to one input. Cannot fail: what is wrong outside is declined by value.
    pub fn step(&mut self, now: Instant, input: Input, effects: &mut Effects) {
        self.mark_loss(effects);
        match input {
            Input::Message { from, message } => self.on_message(now, from, message, effects),
            Input::Propose(commands) => self.on_propose(now, commands, effects),
            Input::Kept { snapshot, is_durable } => {
                self.on_snapshot(now, snapshot, is_durable);
            }
            Input::Unusable(snapshot) => self.transfer.refuse(now, snapshot),
            Input::Restored(mark) => self.on_restored(now, mark, effects),
            Input::Room(has_room) => self.has_room = has_room,
            Input::Read(reads) => self.on_read(now, reads, effects),
            Input::HandOver { id, to } => self.on_hand_over(now, id, to, effects),
            Input::Tick => self.on_tick(now, effects),
        }
        self.deliver(now, effects);
        self.look_after_reads(now, effects);
        self.look_after_handover(now, effects);
        self.propose_more(now, effects);
        self.look_for_gaps(now, effects);
        invariants::check(&self.acceptor, &self.proposer, &self.learner);
    }

    /// When to step with [`Input::Tick`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        let leads = self.roles.leader.then(|| self.election.deadline());
        let roles = [leads, self.resend.deadline(), self.catchup.deadline(), self.mend.deadline()];
        let others = [self.reader.deadline(), self.kept.deadline(), self.transfer.deadline()];
        roles.into_iter().chain(others).chain([self.handover.deadline()]).flatten().min()
    }

    /// What this node was told at birth.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it does at the moment.
    pub fn part(&self) -> Part {
        if self.proposer.leading().is_some() {
            Part::Leading
        } else if self.proposer.is_preparing() {
            Part::Preparing
        } else {
            Part::Following
        }
    }

    /// The ballot that it leads, prepares or follows.
    pub fn ballot(&self) -> Option<Ballot> {
        self.proposer.ballot().or(self.election.followed())
    }

    /// Who leads, as far as this node knows.
    pub fn leader(&self, now: Instant) -> Option<NodeId> {
        match self.proposer.leading() {
            Some(_) => Some(self.config.node),
            // It may have been this node a moment ago.
            None => self.election.leader(now).filter(|leader| *leader != self.config.node),
        }
    }

    /// One past the last slot of the contiguous chosen prefix.
    pub fn chosen(&self) -> Slot {
        self.learner.prefix()
    }

    /// Below this slot chosen values are only in snapshots.
    pub fn forgotten(&self) -> Slot {
        self.learner.forgotten()
    }

    /// The digest of everything chosen below [`Replica::chosen`].
    pub fn mark(&self) -> Mark {
        self.learner.marks().now()
    }

    /// Slots proposed here and not yet chosen.
    pub fn slots_in_flight(&self) -> u64 {
        self.proposer.slots_in_flight()
    }

    /// How many acceptors have confirmed this leader lately.
    pub fn acceptors_reachable(&self, now: Instant) -> usize {
        self.contact.reachable(now, self.config.timing.election_timeout)
    }

    /// The acceptor's durable state, where this node is one.
    pub fn acceptor(&self) -> Option<&Acceptor> {
        self.roles.acceptor.then_some(&self.acceptor)
    }

    /// Chosen values from a slot on, up to the prefix, at most about `bytes_max`; at least one if
    /// there is any.
    pub fn read(&self, from: Slot, bytes_max: usize) -> Values {
        self.learner.read(from, bytes_max)
    }

    fn on_message(&mut self, now: Instant, from: NodeId, message: Message, effects: &mut Effects) {
        let round_seen = self.proposer.round_seen();
        let configuration = &self.config.configuration;
        if let Err(why) = admit(configuration, from, self.config.node, &message, round_seen) {
            effects.events.push(Event::Declined { from, why });
            return;
        }
        match message {
            Message::Prepare { ballot, from: slot } => {
                self.on_prepare(now, from, ballot, slot, effects);
            }
            Message::Promise { ballot, page } => self.on_promise(now, from, ballot, page, effects),
            Message::Reject { ballot, promised, truncated } => {
                self.on_reject(now, from, ballot, promised, truncated, effects);
            }
            Message::Accept { run, chosen } => self.on_accept(now, from, &run, chosen, effects),
            Message::Accepted { ballot, first, end } => {
                self.on_accepted(from, ballot, first, end, effects);
            }
            Message::Chosen { ballot, chosen } => self.on_chosen(from, ballot, chosen, effects),
            Message::Heartbeat { ballot, sent, proof_age, chosen, start, mark } => {
                self.on_heartbeat(now, from, ballot, proof_age, chosen, effects);
                self.settle_doubt(ballot, start, chosen, effects);
                // Of what it does not know to be chosen, nobody has a digest.
                if self.roles.learns() && from != self.config.node && mark.below <= chosen {
                    Self::diverged(self.learner.compare(from, mark), effects);
                }
                self.witness_lead(now, ballot, chosen);
                self.answer_heartbeat(now, from, ballot, sent, proof_age, effects);
            }
            Message::HeartbeatReply { ballot, sent, is_suspect } => {
                if self.proposer.leading() == Some(ballot) {
                    self.contact.confirm(from, sent, now);
                    if is_suspect {
                        self.contact.suspect(from);
                        self.help_suspects(now);
                    }
                }
            }
            Message::Probe { id } => self.on_probe(now, from, id, effects),
            Message::ProbeReply { id, promised, progress_age } => {
                self.proposer.saw(promised);
                if self.election.is_supported(progress_age) && promised.leader != self.config.node {
                    self.let_go(promised.leader, effects);
                }
                let configuration = &self.config.configuration;
                if self.election.probed(configuration, from, id, progress_age, now) {
                    self.prepare(now, effects);
                }
                self.on_reached(now, from, id, effects);
            }
            Message::Fetch { from: slot } => self.on_fetch(from, slot, effects),
            Message::Learned { first, values, chosen, truncated } => {
                self.mend(from, first, values.clone(), effects);
                // An acceptor alone asks, too, and makes nothing more of it.
                if self.roles.learns() {
                    self.catchup.heard(chosen);
                    self.catchup.answered(first);
                    self.want_snapshot(now, from, truncated, effects);
                    let learned = self.learner.learn(first, values);
                    note(from, learned, effects);
                }
            }
            Message::Votes { page } => self.on_votes(from, page, effects),
            Message::Confirm { ballot, round } => self.on_confirm(from, ballot, round, effects),
            Message::Confirmed { ballot, round } => self.on_confirmed(from, ballot, round, effects),
            Message::ReadIndex { id } => self.indexer.ask(from, id),
            Message::ReadIndexReply { id, index } => self.on_read_index_reply(now, id, index),
            Message::Kept { below } => self.on_kept(from, below, effects),
            Message::FetchPart { snapshot, offset } => {
                self.on_fetch_part(from, snapshot, offset, effects);
            }
            Message::Part { snapshot, offset, bytes } => {
                self.on_part(now, from, snapshot, offset, bytes, effects);
            }
            Message::Offer { ballot, number } => self.on_offer(ballot, number, effects),
            Message::Willing { ballot, number, chosen } => {
                self.on_willing(from, ballot, number, chosen);
            }
            Message::HandOver { ballot, number } => self.on_told(now, ballot, number, effects),
        }
    }

    // ---- proposer ----

    fn prepare(&mut self, now: Instant, effects: &mut Effects) {
        let learner = &self.learner;
        let chosen = |slot| learner.get(slot);
        let ballot = self.proposer.prepare(&self.config.configuration, learner.prefix(), chosen);
        self.election.preparing(now, &mut self.rng);
        self.contact.clear();
        self.pace = Pace::default();
        effects.events.push(Event::Prepared { ballot });
        for (acceptor, from) in self.proposer.unpromised() {
            effects.send(acceptor, Message::Prepare { ballot, from });
        }
        self.resend.answered(Asked::Prepare);
        self.resend.asked(now);
    }

    fn on_promise(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
        page: Page,
        effects: &mut Effects,
    ) {
        match self.proposer.promise(&self.config.configuration, from, ballot, page) {
            Promised::Stale | Promised::Suspect => {}
            Promised::Counted => self.election.preparing(now, &mut self.rng),
            Promised::More(next) => {
                self.election.preparing(now, &mut self.rng);
                self.resend.answered(Asked::Prepare);
                effects.send(from, Message::Prepare { ballot, from: next });
            }
            Promised::Elected { adopted, noops } => {
                self.election.elected(ballot, now);
                effects.events.push(Event::Elected { ballot, adopted, noops });
                // The prefix may have moved since the Prepare.
                self.settle(now, effects);
                self.heartbeat(now, effects);
            }
            Promised::Behind(truncated) => {
                self.election.deposed(now, &mut self.rng);
                self.catchup.heard(truncated);
                effects.events.push(Event::Behind { truncated });
            }
        }
    }

    fn on_reject(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
        promised: Ballot,
        truncated: Slot,
        effects: &mut Effects,
    ) {
        self.catchup.heard(truncated);
        self.proposer.saw(promised);
        if truncated > self.learner.prefix() && self.proposer.ballot() == Some(ballot) {
            // What we wait for is decided, and its votes are cut: nobody will accept it again.
            effects.events.push(Event::Behind { truncated });
            self.give_up(now);
            return;
        }
        match self.proposer.rejected(&self.config.configuration, from, ballot, promised) {
            Rejected::Stale => {}
            Rejected::Contested => {
                effects.events.push(Event::Contested { by: promised });
                // It may be the one that we have told to lead: no duel.
                if !self.handover.holds_back() {
                    self.election.contested(now, &mut self.rng);
                }
            }
            Rejected::Deposed => {
                effects.events.push(Event::Deposed { by: promised });
                self.election.deposed(now, &mut self.rng);
            }
        }
    }

    fn on_propose(&mut self, now: Instant, mut commands: Vec<Command>, effects: &mut Effects) {
        let bytes_max = self.config.limits.value_bytes_max;
        let too_large = commands.extract_if(.., |command| command.len() > bytes_max);
        let too_large: Vec<Command> = too_large.collect();
        refuse(too_large, RefusalReason::TooLarge { bytes_max }, effects);
        if self.proposer.ballot().is_none() {
            let leader = self.leader(now);
            refuse(commands, RefusalReason::NotLeading { leader }, effects);
            return;
        }
        let rest = self.proposer.propose(commands, &self.config.limits);
        refuse(rest, RefusalReason::WindowFull, effects);
    }

    fn propose_more(&mut self, now: Instant, effects: &mut Effects) {
        if self.handover.holds_back() {
            return;
        }
        let chosen = self.learner.prefix();
        let bytes_in_flight_max = self.pace.bytes().min(self.config.limits.bytes_in_flight_max);
        let limits = Limits { bytes_in_flight_max, ..self.config.limits };
        while let Some(run) = self.proposer.next_run(&limits) {
            let accept = Message::Accept { run, chosen };
            effects.send_all(self.accept_to(), &accept);
            self.resend.asked(now);
        }
        if self.proposer.bytes_in_flight() >= bytes_in_flight_max {
            self.pace.filled();
        }
    }

    /// Acceptors vote on it; learners need the values. A learner that is this node has them.
    fn accept_to(&self) -> impl Iterator<Item = NodeId> {
        let me = self.config.node;
        let members = self.config.configuration.members().iter();
        let wanted = members.filter(move |(id, member)| {
            member.roles.acceptor || (member.roles.learns() && **id != me)
        });
        wanted.map(|(id, _)| *id)
    }

    fn on_accepted(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        first: Slot,
        end: Slot,
        effects: &mut Effects,
    ) {
        let configuration = &self.config.configuration;
        if self.proposer.leading() == Some(ballot) {
            for run in self.proposer.accepted(configuration, from, ballot, first, end) {
                let learned = self.learner.learn(run.first, run.values);
                note(from, learned, effects);
            }
        } else {
            let counted = self.learner.count(configuration, from, ballot, first, end);
            // Chosen, whatever it is: a learner that does not hear the leader must ask.
            let known = self.learner.accepted_end(configuration, first, end);
            self.catchup.heard(known.unwrap_or(Slot::FIRST));
            if !self.learner.keeps(end) {
                self.catchup.heard(self.far_below(end));
            }
            note(from, counted, effects);
        }
    }

    /// A leader has only so many slots open: whatever it proposes, all further below is chosen. It
    /// is how a learner knows that it is behind when votes are for slots that it does not keep. A
    /// leader with a larger window than ours makes us ask a little too early, and no more.
    fn far_below(&self, end: Slot) -> Slot {
        Slot(end.0.saturating_sub(self.config.limits.slots_in_flight_max))
    }

    // ---- learner ----

    fn on_chosen(&mut self, from: NodeId, ballot: Ballot, chosen: Slot, effects: &mut Effects) {
        self.catchup.heard(chosen);
        let announced = self.learner.announced(ballot, chosen);
        note(from, announced, effects);
    }

    fn on_fetch(&mut self, from: NodeId, slot: Slot, effects: &mut Effects) {
        let bytes_max = self.config.limits.run_bytes_max;
        let knows_more = self.roles.learns() && self.learner.prefix() > slot;
        // An acceptor that asks makes nothing of votes; it wants what was decided.
        let counts_votes = self.config.configuration.roles(from).learns();
        if knows_more || !self.roles.acceptor || !counts_votes {
            let values = self.learner.read(slot, bytes_max);
            let chosen = self.learner.prefix();
            let truncated = self.learner.forgotten();
            effects.send(from, Message::Learned { first: slot, values, chosen, truncated });
        } else {
            let page = self.acceptor.page(slot, bytes_max);
            effects.send(from, Message::Votes { page });
        }
    }

    fn on_votes(&mut self, from: NodeId, page: Page, effects: &mut Effects) {
        self.catchup.heard(page.truncated);
        self.catchup.answered(page.from);
        for run in page.votes {
            let configuration = &self.config.configuration;
            let seen = self.learner.see(configuration, &run);
            note(from, seen, effects);
            let end = run.end();
            let counted = self.learner.count(configuration, from, run.ballot, run.first, end);
            note(from, counted, effects);
        }
    }

    /// Hands out what has become chosen without a hole, and tells those who wait for it.
    fn deliver(&mut self, now: Instant, effects: &mut Effects) {
        let before = self.learner.prefix();
        let differs = self.learner.advance(&mut effects.chosen);
        Self::diverged(differs, effects);
        let prefix = self.learner.prefix();
        if prefix > before {
            self.transfer.reached(prefix);
            self.settle(now, effects);
            if let Some(target) = self.catchup.progressed(now, prefix) {
                self.fetch(target, effects);
            }
            if let (Announce::LeaderOnly, Some(ballot)) =
                (self.config.announce, self.proposer.leading())
            {
                let me = self.config.node;
                let others = self.config.configuration.learners().filter(|id| *id != me);
                effects.send_all(others, &Message::Chosen { ballot, chosen: prefix });
            }
        }
        // A leader's holes are its own proposals in flight; they close by resending.
        if self.roles.learns() && self.proposer.leading().is_none() {
            self.catchup.look(now, prefix, self.learner.has_hole());
        } else {
            self.catchup.rest();
        }
    }

    /// Tells the proposer what is chosen; it may find that it leads no more.
    fn settle(&mut self, now: Instant, effects: &mut Effects) {
        let learner = &self.learner;
        if let Some(slot) = self.proposer.settled(learner.prefix(), |slot| learner.get(slot)) {
            self.give_up(now);
            effects.events.push(Event::Overtaken { slot });
        }
    }

    // ---- time ----

    /// An acceptor may have lost votes at our ballot, and only a higher one can tell which of them
    /// matter. So we move above it soon, if a phase-1 quorum can do without such acceptors.
    fn help_suspects(&mut self, now: Instant) {
        let patience = self.config.timing.election_timeout;
        if self.contact.can_do_without_suspects(&self.config.configuration, now, patience) {
            self.election.contested(now, &mut self.rng);
        }
    }

    /// Becomes idle, keeps its values, and looks around again after a pause.
    fn give_up(&mut self, now: Instant) {
        self.proposer.give_up();
        self.election.deposed(now, &mut self.rng);
    }
}

fn refuse(commands: Vec<Command>, reason: RefusalReason, effects: &mut Effects) {
    let refusals = commands.into_iter().map(|command| Refusal { command, reason });
    effects.refused.extend(refusals);
}

fn note(from: NodeId, learned: Result<(), Contradiction>, effects: &mut Effects) {
    match learned {
        Ok(()) => {}
        Err(Contradiction::Proposed) => {
            effects.events.push(Event::Declined { from, why: Decline::Contradiction });
        }
        Err(Contradiction::Chosen(slot)) => effects.events.push(Event::Conflict { slot }),
    }
}

#[cfg(test)]
mod tests;
