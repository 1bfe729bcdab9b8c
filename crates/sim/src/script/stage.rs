//! A cluster on a stage: production nodes, their messages as bytes, their journals, and nothing
//! that happens by itself. A command says which message arrives and when time passes.
//!
//! Two watchers look on from outside: the observer of agreement hears of every record that is on
//! a disk and of every value that a learner is handed; the monitors of the wire hear every message
//! as it leaves. What they find ends the story.

mod lives;
mod passing;
mod show;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use journal::Fault;
use node::{Append, ClientId, Effects, History, Input, Node, Reply, Request, Ticket};
use paxos::acceptor::Acceptor;
use paxos::wire::{decode_message, encode_message};
use paxos::{Announce, Configuration, Envelope, Event, Instant, Kind, Limits, Message, NodeId};
use paxos::{Record, Rng, Slot, Write};

pub use lives::Harm;

use super::notes::Notes;
use super::selector::Selector;
use super::words::{Names, slots, text, value, values};
use crate::check::Wrong;
use crate::check::agreement::Agreement;
use crate::check::durability;
use crate::check::wire::Wire;
use crate::disk::Storage;

/// Why a command cannot be played to its end.
#[derive(Debug)]
pub enum Trouble {
    /// It asks for what is not there.
    Script(String),
    /// A promise of the protocol is broken.
    Wrong(Wrong),
}

/// How a command went.
pub type Done = Result<(), Trouble>;

/// Who is asked what by a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The client's number.
    pub client: u8,
    /// Of the first value; the others follow. The client's next one if none is given.
    pub sequence: Option<u64>,
    /// The node that is asked.
    pub to: NodeId,
}

/// How much is told of what a command causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telling {
    /// Messages too.
    Everything,
    /// What is written, chosen, learned and answered.
    Outcomes,
    /// The same of a candidate, without what it repeats.
    Candidate,
    /// Who leads, and answers; with the time.
    Turns { began: Instant },
}

/// The stage.
#[derive(Debug)]
pub struct Stage {
    names: Names,
    configuration: Configuration,
    limits: Limits,
    announce: Announce,
    now: Instant,
    hosts: BTreeMap<NodeId, Host>,
    /// In flight, in the order of sending.
    flying: Vec<Flight>,
    cuts: BTreeSet<(NodeId, NodeId)>,
    holds: Vec<Selector>,
    carries_heartbeats: bool,
    observer: Agreement,
    wire: Wire,
    asked: BTreeMap<Ticket, (u8, Request)>,
    sequences: BTreeMap<u8, u64>,
    rng: Rng,
    telling: Telling,
    /// What is only counted while time passes.
    counts: BTreeMap<(NodeId, &'static str), u64>,
    notes: Notes,
}

/// One machine.
#[derive(Debug)]
struct Host {
    node: Option<Node<History>>,
    life: u32,
    /// Deaf and dumb, and alive.
    is_failed: bool,
    /// Its disk stands still.
    is_stalled: bool,
    /// Its disk is unusable, so it must not start.
    is_out: bool,
    /// What the next sync does instead of its work.
    fault: Option<Fault>,
    storage: Option<Storage>,
    waiting: VecDeque<Write>,
    durable: Acceptor,
    /// What the disk and what waits for it fold to.
    expected: Acceptor,
    looked: Slot,
}

/// A message in flight.
#[derive(Debug)]
struct Flight {
    from: NodeId,
    to: NodeId,
    message: Message,
    bytes: Vec<u8>,
    /// When it arrives if nobody says otherwise.
    at: Instant,
}

impl Stage {
    /// A cluster whose every node has just started.
    pub fn new(configuration: Configuration, limits: Limits, announce: Announce) -> Stage {
        let mut rng = Rng::new(1);
        let members = configuration.members().iter();
        let host = |(id, _): (&NodeId, _)| {
            let is_acceptor = configuration.acceptors().contains(id);
            let storage = is_acceptor.then(|| Storage::new(configuration.clone(), *id, &mut rng));
            (*id, Host::down(storage))
        };
        let hosts = members.map(host).collect();
        let mut stage = Stage {
            names: Names::new(&configuration),
            observer: Agreement::new(configuration.clone()),
            wire: Wire::default(),
            limits,
            announce,
            now: Instant(0),
            hosts,
            flying: Vec::new(),
            cuts: BTreeSet::new(),
            holds: Vec::new(),
            carries_heartbeats: false,
            asked: BTreeMap::new(),
            sequences: BTreeMap::new(),
            rng,
            telling: Telling::Everything,
            counts: BTreeMap::new(),
            notes: Notes::default(),
            configuration,
        };
        stage.begin();
        stage
    }

    /// The names of this cluster.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// What was noted since it was last taken.
    pub fn notes(&mut self) -> Vec<String> {
        self.notes.take()
    }

    // ---- the network ----

    /// Delivers what is meant, in the order of sending or against it. A copy stays in flight if
    /// the network is to repeat it.
    pub fn deliver(&mut self, which: &Selector, reversed: bool, repeats: bool) -> Done {
        let mut meant = self.take(which, repeats);
        if meant.is_empty() {
            self.notes.say(None, "nothing like that is in flight".into());
        }
        if reversed {
            meant.reverse();
        }
        meant.into_iter().try_for_each(|flight| self.arrive(&flight))
    }

    /// The network loses what is meant.
    pub fn drop(&mut self, which: &Selector) {
        let count = self.take(which, false).len();
        let messages = if count == 1 { "message is" } else { "messages are" };
        self.notes.say(None, format!("{count} {messages} lost"));
    }

    /// What is meant, now and later, waits until it is delivered by name or released.
    pub fn hold(&mut self, which: Selector) {
        self.holds.push(which);
    }

    /// Nothing is held any more.
    pub fn release(&mut self) {
        self.holds.clear();
    }

    /// Links carry nothing, from the first to the second and perhaps back; or they do again.
    pub fn link(&mut self, from: &[NodeId], to: &[NodeId], both_ways: bool, carries: bool) {
        let pairs = from.iter().flat_map(|from| to.iter().map(move |to| (*from, *to)));
        for (one, other) in pairs {
            for link in [(one, other), (other, one)].into_iter().take(1 + usize::from(both_ways)) {
                if carries {
                    self.cuts.remove(&link);
                } else {
                    self.cuts.insert(link);
                }
            }
        }
    }

    /// Every link carries again.
    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    /// Whether heartbeats and probes travel while messages are delivered one by one. They always
    /// do while time passes.
    pub fn carry_heartbeats(&mut self, carries: bool) {
        self.carries_heartbeats = carries;
    }

    fn take(&mut self, which: &Selector, keeps: bool) -> Vec<Flight> {
        let names = &self.names;
        let is_meant = |it: &Flight| which.is_about(names, it.from, it.to, &it.message);
        let (meant, others): (Vec<Flight>, Vec<Flight>) =
            std::mem::take(&mut self.flying).into_iter().partition(is_meant);
        self.flying = others;
        if keeps {
            let copy = |it: &Flight| Flight {
                bytes: it.bytes.clone(),
                message: it.message.clone(),
                ..*it
            };
            self.flying.extend(meant.iter().map(copy));
        }
        meant
    }

    fn is_held(&self, it: &Flight) -> bool {
        self.holds.iter().any(|which| which.is_about(&self.names, it.from, it.to, &it.message))
    }

    fn arrive(&mut self, flight: &Flight) -> Done {
        let host = &self.hosts[&flight.to];
        if host.node.is_none() || host.is_failed {
            let what = format!(": does not hear {}", self.names.message(&flight.message));
            self.tell(flight.to, what, Telling::Everything);
            return Ok(());
        }
        let decoded = decode_message(&self.configuration, flight.to, &flight.bytes);
        let (from, message) = decoded.map_err(|error| {
            let what = format!("{} cannot read a message: {error}", self.names.node(flight.to));
            Trouble::Wrong(Wrong { promise: "wire", what })
        })?;
        self.step(flight.to, Input::Message { from, message })
    }

    /// A message leaves; it is in flight afterwards, unless its link carries nothing.
    fn post(&mut self, from: NodeId, envelope: Envelope, sent: &mut Vec<Sent>) -> Done {
        let Envelope { to, message } = envelope;
        let host = &self.hosts[&from];
        self.wire.leaves(from, host.life, &message, &host.durable).map_err(Trouble::Wrong)?;
        let time_passes = !self.tells_outcomes();
        if is_about_time(&message) && !time_passes && !self.carries_heartbeats {
            return Ok(());
        }
        let arrives = !host.is_failed && !self.cuts.contains(&(from, to));
        let same = |it: &&mut Sent| it.arrives == arrives && it.message == message;
        match sent.iter_mut().find(same) {
            Some(known) if known.to.contains(&to) => {}
            Some(known) => known.to.push(to),
            None => sent.push(Sent { to: vec![to], arrives, message: message.clone() }),
        }
        if arrives {
            let mut bytes = Vec::new();
            encode_message(&self.configuration, from, to, &message, &mut bytes);
            let at = if from == to { self.now } else { self.now.plus(passing::LATENCY) };
            self.flying.push(Flight { from, to, message, bytes, at });
        }
        Ok(())
    }

    fn post_all(&mut self, from: NodeId, all: Vec<Envelope>) -> Done {
        let mut sent = Vec::new();
        for envelope in all {
            self.post(from, envelope, &mut sent)?;
        }
        for Sent { to, arrives, message } in sent {
            let arrow = if arrives { "->" } else { "-x" };
            let (to, what) = (self.names.nodes(&to), self.names.message(&message));
            self.tell(from, format!(" {arrow} {to}: {what}"), Telling::Everything);
        }
        Ok(())
    }

    // ---- the nodes ----

    /// A client asks a node to append values; they travel together.
    pub fn append(&mut self, asked: Asked, texts: &[String]) -> Done {
        let next = self.sequences.entry(asked.client).or_insert(1);
        let first = asked.sequence.unwrap_or(*next);
        *next = (*next).max(first + texts.len() as u64);
        let mut appends = Vec::new();
        for (sequence, text) in (first..).zip(texts) {
            let client = ClientId([asked.client; 16]);
            let request = Request::new(client, sequence, 1, text.as_bytes());
            let request = request.map_err(|error| Trouble::Script(error.to_string()))?;
            let ticket = Ticket(self.asked.len() as u64);
            self.asked.insert(ticket, (asked.client, request.clone()));
            appends.push(Append { ticket, request });
        }
        if self.hosts[&asked.to].node.is_none() {
            return Err(Trouble::Script(format!("{} is down", self.names.node(asked.to))));
        }
        self.step(asked.to, Input::Append(appends))
    }

    fn step(&mut self, id: NodeId, input: Input) -> Done {
        let mut effects = Effects::default();
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        let Some(node) = &mut host.node else { return Ok(()) };
        node.step(self.now, input, &mut effects);
        for event in effects.replica.events.drain(..) {
            self.event(id, event)?;
        }
        self.learned(id)?;
        for (ticket, reply) in effects.replies.drain(..) {
            self.reply(ticket, &reply);
        }
        self.post_all(id, effects.replica.send)?;
        self.write(id, effects.replica.write)
    }

    fn event(&mut self, id: NodeId, event: Event) -> Done {
        if let Event::Conflict { slot } = event {
            let what = format!("{} meets two values for slot {slot}", self.names.node(id));
            return Err(Trouble::Wrong(Wrong { promise: "agreement", what }));
        }
        let is_counted = matches!(
            event,
            Event::Probed
                | Event::CampaignSpared { .. }
                | Event::SentAgain { .. }
                | Event::Fetched { .. }
                | Event::Rejected { .. }
                | Event::Contested { .. }
        );
        if is_counted && self.telling == Telling::Candidate {
            // What it repeats while it waits is lost.
        } else if is_counted && !self.tells_outcomes() {
            *self.counts.entry((id, event.name())).or_insert(0) += 1;
        } else if let Some(what) = self.names.event(event) {
            self.tell(id, format!(": {what}"), Telling::Turns { began: self.now });
        }
        Ok(())
    }

    fn learned(&mut self, id: NodeId) -> Done {
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        let Some(node) = &host.node else { return Ok(()) };
        let (before, end) = (host.looked, node.replica().chosen());
        if end <= before {
            return Ok(());
        }
        let learned = node.replica().read(before, usize::MAX);
        self.observer.learned(id, before, &learned).map_err(Trouble::Wrong)?;
        applied_once(self.names.node(id), node.machine()).map_err(Trouble::Wrong)?;
        host.looked = end;
        let what = format!(": learns {} = {}", slots(before, end), values(&learned));
        self.tell(id, what, Telling::Outcomes);
        Ok(())
    }

    fn reply(&mut self, ticket: Ticket, reply: &Reply<()>) {
        let Some((client, request)) = self.asked.get(&ticket) else { return };
        let leads = |leader: &Option<NodeId>| match leader {
            Some(leader) => format!("{} leads", self.names.node(*leader)),
            None => "nobody is known to lead".into(),
        };
        let said = match reply {
            Reply::Done { slot, .. } => format!("is done in slot {slot}"),
            Reply::NotLeading { leader } => format!("is not taken, {}", leads(leader)),
            Reply::Busy => "is not taken, too much is waiting".into(),
            Reply::Unknown { leader } => format!("is lost from sight, {}", leads(leader)),
            Reply::Refused(why) => format!("is refused for good: {why:?}"),
            Reply::TooLarge { bytes_max } => format!("is larger than {bytes_max} bytes"),
        };
        let what = format!(" hears: {} #{} {said}", text(request), request.sequence);
        let at = self.at();
        self.notes.add(at, &format!("c{client}"), what);
    }

    // ---- the disks ----

    fn write(&mut self, id: NodeId, write: Write) -> Done {
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        if write.is_empty() {
            return Ok(());
        }
        for record in &write.records {
            host.expected.apply(record);
        }
        let is_stalled = host.is_stalled;
        if is_stalled {
            for record in &write.records {
                let what = format!(" waiting for the disk: {}", self.names.record(record));
                self.tell(id, what, Telling::Outcomes);
            }
        }
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        host.waiting.push_back(write);
        let memory = host.node.as_ref().and_then(|node| node.replica().acceptor());
        durability::fold(id, &host.expected, memory, true).map_err(Trouble::Wrong)?;
        if is_stalled { Ok(()) } else { self.sync(id) }
    }

    /// All that waits becomes durable in one batch, and then what waited for it leaves.
    fn sync(&mut self, id: NodeId) -> Done {
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        let writes: Vec<Write> = host.waiting.drain(..).collect();
        let records: Vec<Record> =
            writes.iter().flat_map(|write| write.records.iter().cloned()).collect();
        let fault = if records.is_empty() { None } else { host.fault.take() };
        if let Some(storage) = host.storage.as_mut().filter(|_| !records.is_empty()) {
            let synced = storage.append(&records).and_then(|()| storage.sync(fault));
            if synced.is_err() {
                self.disk_fails(id);
                return Ok(());
            }
        }
        self.on_disk(id, &records)?;
        let then_send = writes.into_iter().flat_map(|write| write.then_send).collect();
        self.post_all(id, then_send)
    }

    /// The observer hears of it, and the first one who makes a quorum has a value chosen.
    fn on_disk(&mut self, id: NodeId, records: &[Record]) -> Done {
        for record in records {
            let host = self.hosts.get_mut(&id).expect("a member has a host");
            host.durable.apply(record);
            self.tell(id, format!(" on disk: {}", self.names.record(record)), Telling::Outcomes);
            let Record::Accepted(run) = record else { continue };
            let open: Vec<bool> = (run.first.0..run.end().0)
                .map(|slot| self.observer.chosen(Slot(slot)).is_none())
                .collect();
            self.observer.durable(id, record).map_err(Trouble::Wrong)?;
            for (slot, was_open) in (run.first.0..).map(Slot).zip(open) {
                let Some(chosen) = self.observer.chosen(slot).filter(|_| was_open) else {
                    continue;
                };
                let (value, ballot) = (value(chosen), self.names.ballot(run.ballot));
                if !self.tells_outcomes() {
                    *self.counts.entry((NodeId(0), "slots chosen")).or_insert(0) += 1;
                } else {
                    self.notes.say(None, format!("chosen: slot {slot} = {value} at {ballot}"));
                }
            }
        }
        Ok(())
    }

    // ---- telling ----

    fn at(&self) -> Option<u64> {
        match self.telling {
            Telling::Turns { began } => Some((self.now.0 - began.0) / 1000),
            Telling::Everything | Telling::Outcomes | Telling::Candidate => None,
        }
    }

    fn tells_outcomes(&self) -> bool {
        !matches!(self.telling, Telling::Turns { .. })
    }

    /// Notes a line, if lines of its kind are told.
    fn tell(&mut self, who: NodeId, what: String, kind: Telling) {
        let is_told = match kind {
            Telling::Everything => self.telling == Telling::Everything,
            Telling::Outcomes | Telling::Candidate => self.tells_outcomes(),
            Telling::Turns { .. } => true,
        };
        if is_told {
            let at = self.at();
            self.notes.add(at, self.names.node(who), what);
        }
    }
}

impl Host {
    fn down(storage: Option<Storage>) -> Host {
        Host {
            node: None,
            life: 0,
            is_failed: false,
            is_stalled: false,
            is_out: false,
            fault: None,
            storage,
            waiting: VecDeque::new(),
            durable: Acceptor::default(),
            expected: Acceptor::default(),
            looked: Slot::FIRST,
        }
    }
}

/// The same message to one or more.
struct Sent {
    to: Vec<NodeId>,
    arrives: bool,
    message: Message,
}

fn is_about_time(message: &Message) -> bool {
    matches!(
        message.kind(),
        Kind::Heartbeat | Kind::HeartbeatReply | Kind::Probe | Kind::ProbeReply
    )
}

/// Promise: no history holds a client's request twice.
fn applied_once(who: &str, history: &History) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    for entry in history.entries() {
        let Request { client, sequence, .. } = &entry.request;
        if !seen.insert((*client, *sequence)) {
            let what = format!("{who} applies {} #{sequence} twice", text(&entry.request));
            return Err(Wrong { promise: "once", what });
        }
    }
    Ok(())
}
