//! The loop and its queue of what will happen, by virtual time. One generator decides everything.
//!
//! Time jumps to the next happening. A walk has two parts: things go wrong; then everything is
//! healed, and the cluster must converge. What goes wrong and when is in [`misfortune`]; how lives
//! begin and end, and what reaches the disk between, is in [`lives`]; how a lost disk is replaced
//! is in [`replacement`]; reads are in [`reads`]; the healing and after is in [`end`].

mod agenda;
mod end;
mod handing;
mod hosts;
mod lives;
mod misfortune;
mod reads;
mod replacement;
mod snapshots;

use std::collections::BTreeSet;
use std::sync::Arc;

use node::{Append, Effects, History, Input, Node, Refused, Reply, Ticket};
use paxos::wire::{WireError, decode_message, encode_message};
use paxos::{
    Ballot, Configuration, Envelope, Epoch, Event, Instant, Kind, NodeId, Restored, SnapshotId,
};

use crate::check::linearizable::Read;
use crate::check::{Checked, Checks, Wrong, progress};
use crate::fingerprint::Fingerprint;
use crate::luck::Luck;
use crate::network::Network;
use crate::readers::Readers;
use crate::recording::{Recording, What};
use crate::walk::{Options, Statistics};
use crate::workload::{Heard, Question, Workload};

use agenda::Agenda;
use handing::Wishes;
use hosts::Hosts;
use misfortune::Mend;
use reads::LastRead;

/// A whole cluster and its surroundings.
#[derive(Debug)]
pub struct World {
    options: Options,
    /// The first one. Roles and quorums are the same in all.
    configuration: Configuration,
    /// All that there have been, by epoch.
    configurations: Vec<Configuration>,
    never_starting: BTreeSet<NodeId>,
    now: Instant,
    luck: Luck,
    agenda: Agenda<Happening>,
    hosts: Hosts,
    network: Network,
    workload: Workload,
    readers: Readers,
    /// When everything was healed.
    healed: Option<Instant>,
    /// Once it has converged: the learners that have not answered their last read.
    last_reads: Option<Vec<LastRead>>,
    /// In a broken world: who has confirmed which ballot once.
    confirmed: BTreeSet<(NodeId, Ballot)>,
    /// How many misfortunes were due, those that were spared included.
    misfortunes: u64,
    wishes: Wishes,
    checks: Checks,
    fingerprint: Fingerprint,
    recording: Recording,
    /// How many messages were sent.
    sent: u64,
    /// The message that is being reacted to.
    cause: Option<u64>,
    statistics: Statistics,
    /// Messages sent, by the number of their kind.
    kinds: [u64; Kind::ALL.len() + 1],
    /// Used again and again.
    effects: Effects<History>,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum Happening {
    Arrive { to: NodeId, number: u64, epoch: Epoch, bytes: Box<[u8]> },
    Synced { node: NodeId, life: u32 },
    Wake { node: NodeId, life: u32 },
    Kept { node: NodeId, life: u32, snapshot: SnapshotId, bytes: Arc<[u8]> },
    Fetched { node: NodeId, life: u32, snapshot: Restored },
    Ask { to: NodeId, appends: Vec<Append> },
    Answer { ticket: Ticket, reply: Reply<()> },
    AskToRead { node: NodeId, read: node::Read },
    Read { node: NodeId },
    Shown { client: Option<usize>, read: Read, kind: &'static str },
    Client(usize),
    Misfortune,
    Mend(Mend),
    Begin,
    Heal,
    Look,
}

/// How often a healed cluster is asked whether it has converged.
const LOOK_US: u64 = 20_000;
/// What a node sends to itself takes so long.
const SELF_US: u64 = 5;
/// A client that is waiting for nothing looks again after so long.
const CLIENT_US: u64 = 50_000;
/// Of so many steps, one compares the whole memory of an acceptor with its records.
const THOROUGH_ONE_IN: u64 = 16;

impl World {
    /// A world at its first moment.
    ///
    /// # Panics
    /// If the shape is no valid configuration.
    pub fn new(seed: u64, options: Options) -> World {
        let configuration = options.shape.configuration().expect("the shape is a valid cluster");
        let mut luck = Luck::new(seed);
        let leaders: Vec<NodeId> = configuration.leaders().collect();
        let workload = Workload::new(options.clients, options.requests, leaders, &mut luck.clients);
        let readers = Readers::new(options.clients);
        let mut world = World {
            never_starting: options.shape.never_starting(&configuration),
            network: Network::new(options.faults.weather.clone()),
            checks: Checks::new(&configuration),
            hosts: Hosts::of(&options, &configuration, &mut luck.nodes),
            options,
            configurations: vec![configuration.clone()],
            configuration,
            now: Instant(0),
            luck,
            misfortunes: 0,
            wishes: Wishes::default(),
            agenda: Agenda::new(),
            workload,
            readers,
            healed: None,
            last_reads: None,
            confirmed: BTreeSet::new(),
            fingerprint: Fingerprint::default(),
            recording: Recording::default(),
            sent: 0,
            cause: None,
            statistics: Statistics::default(),
            kinds: [0; Kind::ALL.len() + 1],
            effects: Effects::default(),
            bytes: Vec::new(),
        };
        world.after(0, Happening::Begin);
        for client in 0..world.workload.clients() {
            world.after(0, Happening::Client(client));
        }
        world.after(0, Happening::Misfortune);
        world.after(world.options.faults.lasts_us, Happening::Heal);
        world
    }

    /// Until the cluster has converged, or something is wrong.
    pub fn run(&mut self) -> Checked {
        while let Some((at, happening)) = self.agenda.next() {
            self.now = at;
            self.statistics.happenings += 1;
            if self.statistics.happenings > progress::HAPPENINGS_MAX {
                return Err(progress::late("too much happens in too little time".into()));
            }
            if self.happen(happening)? {
                return Ok(());
            }
        }
        unreachable!("a walk looks at itself until it ends");
    }

    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn recording(&mut self) -> &mut Recording {
        &mut self.recording
    }

    pub fn fingerprint(&self) -> u64 {
        self.fingerprint.value()
    }

    pub fn into_statistics(mut self) -> Statistics {
        self.statistics.slots = self.checks.agreement.slots();
        self.statistics.due = self.misfortunes;
        self.statistics.sent = self.sent;
        let sent = Kind::ALL.map(|kind| (kind.name(), self.kinds[usize::from(kind as u8)]));
        self.statistics.kinds = sent.into_iter().filter(|(_, sent)| *sent > 0).collect();
        self.statistics
    }

    fn after(&mut self, span_us: u64, happening: Happening) {
        self.at(Instant(self.now.0 + span_us), happening);
    }

    fn at(&mut self, at: Instant, happening: Happening) {
        self.agenda.plan(at.max(self.now), happening);
    }

    /// Tells whether the walk is over.
    fn happen(&mut self, happening: Happening) -> Result<bool, Wrong> {
        if let Some(until) = self.stands_still(&happening) {
            self.at(until, happening);
            return Ok(false);
        }
        match happening {
            Happening::Arrive { to, number, epoch, bytes } => {
                self.arrive(to, number, epoch, &bytes)?;
            }
            Happening::Synced { node, life } => self.synced(node, life)?,
            Happening::Wake { node, life } => self.wake(node, life)?,
            Happening::Kept { node, life, snapshot, bytes } => {
                self.kept(node, life, snapshot, bytes)?;
            }
            Happening::Fetched { node, life, snapshot } => self.fetched(node, life, snapshot)?,
            Happening::Ask { to, appends } => self.ask(to, appends)?,
            Happening::Answer { ticket, reply } => self.answer(ticket, &reply)?,
            Happening::AskToRead { node, read } => self.begin_to_read(node, read)?,
            Happening::Read { node } => self.read(node),
            Happening::Shown { client, read, kind } => self.shown(client, read, kind),
            Happening::Client(client) => self.client(client),
            Happening::Misfortune => self.misfortune()?,
            Happening::Mend(mend) => self.mend(mend)?,
            Happening::Begin => self.begin()?,
            Happening::Heal => self.heal()?,
            Happening::Look => return self.look(),
        }
        Ok(false)
    }

    fn stands_still(&self, happening: &Happening) -> Option<Instant> {
        let node = match happening {
            Happening::Arrive { to, .. } | Happening::Ask { to, .. } => to,
            Happening::Read { node } | Happening::AskToRead { node, .. } => node,
            Happening::Synced { node, .. }
            | Happening::Wake { node, .. }
            | Happening::Kept { node, .. }
            | Happening::Fetched { node, .. } => node,
            _ => return None,
        };
        let until = self.hosts[*node].paused_until;
        (until > self.now).then_some(until)
    }

    // ---- nodes ----

    fn plan_wake(&mut self, id: NodeId) {
        let host = &mut self.hosts[id];
        let Some(deadline) = host.deadline() else {
            return;
        };
        if host.wake.is_none_or(|planned| deadline < planned) {
            host.wake = Some(deadline);
            let life = host.life;
            self.at(deadline, Happening::Wake { node: id, life });
        }
    }

    fn wake(&mut self, id: NodeId, life: u32) -> Checked {
        let host = &mut self.hosts[id];
        if host.life != life || host.wake.is_none_or(|planned| planned > self.now) {
            return Ok(());
        }
        host.wake = None;
        if host.deadline().is_some_and(|deadline| deadline <= self.now) {
            self.step(id, Input::Tick)
        } else {
            self.plan_wake(id);
            Ok(())
        }
    }

    /// A message arrives that was said in this epoch.
    fn arrive(&mut self, to: NodeId, number: u64, epoch: Epoch, bytes: &[u8]) -> Checked {
        let host = &self.hosts[to];
        if host.node.is_none() || host.is_silent {
            return Ok(());
        }
        let decoded = decode_message(host.configuration(), to, bytes);
        let own = host.configuration().epoch();
        match &decoded {
            Err(WireError::Epoch(_)) if epoch != own => {
                self.statistics.epochs_unheard += 1;
                return Ok(());
            }
            Ok((from, _)) if epoch != own => {
                let what = format!("{to} hears {from} of epoch {}, and is in {}", epoch.0, own.0);
                return Err(Wrong { promise: "wire", what });
            }
            _ => {}
        }
        let (from, message) = decoded.map_err(|error| Wrong {
            promise: "wire",
            what: format!("{to} cannot read what a correct node sent: {error}"),
        })?;
        self.fingerprint.note(self.now, bytes);
        self.statistics.delivered += 1;
        let arrived = || What::Arrived { number, from, to, message: message.clone() };
        self.recording.note(self.now, arrived);
        self.cause = Some(number);
        let checked = self.step(to, Input::Message { from, message });
        self.cause = None;
        checked
    }

    fn ask(&mut self, to: NodeId, appends: Vec<Append>) -> Checked {
        let host = &self.hosts[to];
        if host.node.is_none() || host.is_silent {
            return Ok(());
        }
        for append in &appends {
            self.fingerprint.note(self.now, append.request.command());
            if let Some((client, question)) = self.workload.whose(append.ticket) {
                self.recording.note(self.now, || What::Asked { node: to, client, question });
            }
        }
        self.step(to, Input::Append(appends))
    }

    fn step(&mut self, id: NodeId, input: Input) -> Checked {
        self.act(id, |node, now, effects| node.step(now, input, effects))
    }

    /// Lets a node do something, and does what it wants done.
    fn act(
        &mut self,
        id: NodeId,
        what: impl FnOnce(&mut Node<History>, Instant, &mut Effects<History>),
    ) -> Checked {
        let mut effects = std::mem::take(&mut self.effects);
        effects.clear();
        let host = &mut self.hosts[id];
        let writes = host.writes_in_flight();
        let node = host.node.as_mut().expect("only a living node steps");
        what(node, host.clock.shows(self.now), &mut effects);
        let limits = &self.options.limits;
        progress::bounded(id, node, &effects, writes, limits)?;
        self.learned(id)?;
        for event in effects.replica.events.drain(..) {
            self.event(id, event)?;
        }
        for (ticket, reply) in effects.replies.drain(..) {
            self.reply(id, ticket, reply)?;
        }
        for (ticket, reply) in effects.reads.drain(..) {
            self.read_reply(id, ticket, reply)?;
        }
        for (wish, outcome) in effects.replica.handed_over.drain(..) {
            self.handed_over(id, wish, outcome)?;
        }
        for envelope in effects.replica.send.drain(..) {
            self.post(id, self.cause, envelope)?;
        }
        self.write(id, &mut effects)?;
        self.snapshots(id, &mut effects)?;
        self.plan_wake(id);
        self.effects = effects;
        Ok(())
    }

    /// What a node has newly learned and applied, as seen from outside.
    fn learned(&mut self, id: NodeId) -> Checked {
        let host = &self.hosts[id];
        let node = host.node.as_ref().expect("only a living node learns");
        let before = host.looked;
        // A snapshot tells nothing of the slots below; its digest must be theirs.
        let mut at = before.max(node.replica().forgotten());
        while at < node.replica().chosen() {
            let values = node.replica().read(at, usize::MAX);
            if values.is_empty() {
                return Err(Wrong {
                    promise: "agreement",
                    what: format!("{id} says that slot {at} is chosen and does not know what"),
                });
            }
            let (first, cause) = (at, self.cause);
            let learned = || What::Learned { node: id, first, values: values.clone(), cause };
            self.recording.note(self.now, learned);
            self.checks.agreement.learned(id, at, &values)?;
            at = at.plus(values.count());
        }
        if at > before {
            self.checks.agreement.goes_on(id, node.replica().mark())?;
            let fresh = node.machine().from(before);
            self.checks.once.applied(id, fresh, &self.checks.agreement, &self.workload)?;
            self.checks.sessions.applied(id, node)?;
            self.hosts[id].looked = at;
        }
        Ok(())
    }

    fn event(&mut self, node: NodeId, event: Event) -> Checked {
        *self.statistics.events.entry(event.name()).or_insert(0) += 1;
        self.fingerprint.note(self.now, event.name().as_bytes());
        self.recording.note(self.now, || What::Event { node, cause: self.cause, event });
        match event {
            Event::Conflict { slot } => Err(Wrong {
                promise: "agreement",
                what: format!("{node} has met two values for slot {slot}"),
            }),
            Event::Diverged { from, below, .. } => Err(Wrong {
                promise: "agreement",
                what: format!("below slot {below}, {node} and {from} hold different histories"),
            }),
            // Nobody lies here, so nobody may be taken for a liar.
            Event::Declined { from, why } if self.options.broken.is_none() => Err(Wrong {
                promise: "wire",
                what: format!("{node} declines what {from} said: {why:?}"),
            }),
            // No budget is so small here that votes could fill it.
            Event::NoRoom { .. } if !self.hosts[node].is_full => Err(Wrong {
                promise: "progress",
                what: format!("{node} has room on its disk and does not vote for want of it"),
            }),
            _ => Ok(()),
        }
    }

    // ---- messages ----

    fn post(&mut self, from: NodeId, cause: Option<u64>, envelope: Envelope) -> Checked {
        let host = &self.hosts[from];
        if host.is_silent {
            return Ok(());
        }
        let Envelope { to, mut message } = envelope;
        self.sent += 1;
        let number = self.sent;
        // Judged by what it says; recorded all the same, so that a violation's last line shows it.
        let epoch = host.configuration().epoch();
        let judged = self.checks.wire.leaves(from, host.life, epoch, &message, host.durable());
        self.kinds[usize::from(message.kind() as u8)] += 1;
        let twisted = self.options.broken.and_then(|broken| {
            broken.twist(&self.configuration, from, &mut message, &mut self.luck.broken)
        });
        let forged =
            if self.options.broken.is_some() { self.forge(from, to, &mut message) } else { None };
        let (from, to) = forged.map_or((from, to), |speaker| (speaker, from));
        for speaker in [Some(from), twisted].into_iter().flatten() {
            let mut bytes = std::mem::take(&mut self.bytes);
            bytes.clear();
            let speaks_in = self.hosts[speaker].configuration();
            let epoch = speaks_in.epoch();
            encode_message(speaks_in, speaker, to, &message, &mut bytes);
            let arrives = if from == to || forged.is_some() {
                [Some(Instant(self.now.0 + SELF_US)), None]
            } else {
                self.network.carry(self.now, from, to, &mut self.luck.network)
            };
            for at in arrives.into_iter().flatten() {
                let bytes = bytes.as_slice().into();
                self.at(at, Happening::Arrive { to, number, epoch, bytes });
            }
            self.bytes = bytes;
            self.recording.note(self.now, || {
                let arrives = arrives.into_iter().flatten().collect();
                let envelope = Envelope { to, message: message.clone() };
                What::Sent { number, cause, from: speaker, envelope, arrives }
            });
        }
        judged
    }

    // ---- clients ----

    fn client(&mut self, client: usize) {
        if self.luck.clients.below(1000) < self.options.reads_permille {
            self.ask_to_read(client);
        }
        let (to, appends, next) = self.workload.look(self.now, client, &mut self.luck.clients);
        for Append { ticket, .. } in &appends {
            if let Some((client, Question::Value(value))) = self.workload.whose(*ticket) {
                self.checks.linearizable.asks(client, value, self.now);
            }
        }
        if !appends.is_empty()
            && let Some(at) = self.network.carry_client(self.now, &mut self.luck.network)
        {
            self.at(at, Happening::Ask { to, appends });
        }
        let next = next.unwrap_or(Instant(self.now.0 + CLIENT_US));
        self.at(next.min(Instant(self.now.0 + CLIENT_US)), Happening::Client(client));
    }

    fn reply(&mut self, id: NodeId, ticket: Ticket, reply: Reply<()>) -> Checked {
        if let (Reply::Refused(Refused::Expired), Some((client, Question::Value(value)))) =
            (&reply, self.workload.whose(ticket))
        {
            let node = self.hosts[id].node.as_ref().expect("only a living node replies");
            self.checks.once.refused(client, value, node.applied())?;
        }
        if self.hosts[id].is_silent {
            return Ok(());
        }
        if let Some(at) = self.network.carry_client(self.now, &mut self.luck.network) {
            self.at(at, Happening::Answer { ticket, reply });
        }
        Ok(())
    }

    fn answer(&mut self, ticket: Ticket, reply: &Reply<()>) -> Checked {
        if let Some((client, question)) = self.workload.whose(ticket) {
            self.fingerprint.note(self.now, reply_name(reply).as_bytes());
            let answered = || What::Answered { client, question, reply: reply.clone() };
            self.recording.note(self.now, answered);
        }
        *self.statistics.replies.entry(reply_name(reply)).or_insert(0) += 1;
        match self.workload.hear(self.now, ticket, reply, &mut self.luck.clients) {
            Heard::Late | Heard::Again | Heard::Session => Ok(()),
            Heard::Done(client, value, slot) => {
                self.statistics.acknowledged += 1;
                self.checks.linearizable.hears(client, value, self.now);
                self.readers.knows(usize::from(client) - 1, slot.plus(1));
                self.checks.once.acknowledged(client, value, slot)
            }
            Heard::Wrong(what) => Err(Wrong { promise: "once", what }),
        }
    }
}

fn reply_name(reply: &Reply<()>) -> &'static str {
    match reply {
        Reply::Done { .. } => "done",
        Reply::Opened { .. } => "opened",
        Reply::Kept { .. } => "kept",
        Reply::Closed { .. } => "closed",
        Reply::NotLeading { .. } => "not_leading",
        Reply::Busy => "busy",
        Reply::Unknown { .. } => "unknown",
        Reply::Refused(Refused::Expired) => "expired",
        Reply::Refused(_) => "refused",
        Reply::TooLarge { .. } => "too_large",
    }
}

#[cfg(test)]
mod tests;
