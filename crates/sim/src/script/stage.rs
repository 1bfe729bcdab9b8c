//! A cluster on a stage: production nodes, their messages as bytes, their journals, and nothing
//! that happens by itself. A command says which message arrives and when time passes.
//!
//! Watchers look on from outside: the observer of agreement hears of every record that is on a disk
//! and of every value that a learner is handed; the monitors of the wire hear every message as it
//! leaves; an acceptor's memory is compared with its records, no history may hold a request twice,
//! and no two nodes other sessions. What they find ends the story.

mod clients;
mod handing;
mod lives;
mod network;
mod passing;
mod reads;
mod show;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use journal::Fault;
use node::{Consistency, Effects, History, Input, Node, Request, Ticket};
use paxos::acceptor::Acceptor;
use paxos::{Announce, Configuration, Event, Instant, Limits, NodeId};
use paxos::{Record, Rng, Slot, Write};

pub use clients::Asked;
use clients::Client;
pub use lives::Harm;
use network::Flight;

use super::notes::Notes;
use super::selector::Selector;
use super::words::{Names, slots, text, value, values};
use crate::check::Wrong;
use crate::check::agreement::Agreement;
use crate::check::durability;
use crate::check::sessions::Tables;
use crate::check::wire::Wire;
use crate::disk::Storage;
use crate::shelf::Shelf;

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

/// Zero is nobody's id; what is counted under it is nobody's doing alone.
const EVERYBODY: NodeId = NodeId(0);

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
    /// The newest, by which roles and quorums are told; they are the same in all.
    configuration: Configuration,
    /// All that there have been, by epoch.
    configurations: Vec<Configuration>,
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
    tables: Tables,
    asked: BTreeMap<Ticket, (u8, Request)>,
    clients: BTreeMap<u8, Client>,
    /// Reads under way, and what was chosen when each began.
    reads: Vec<(Consistency, Slot)>,
    snapshot_every: u64,
    rng: Rng,
    telling: Telling,
    /// What is only counted while time passes.
    counts: BTreeMap<(NodeId, &'static str), u64>,
    notes: Notes,
    /// How many operators have wanted another leader.
    wishes: u64,
}

/// One machine.
#[derive(Debug)]
struct Host {
    /// What this life was told, or the one before.
    configuration: Configuration,
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
    shelf: Shelf,
    waiting: VecDeque<Write>,
    durable: Acceptor,
    /// What the disk and what waits for it fold to.
    expected: Acceptor,
    looked: Slot,
}

impl Stage {
    /// A cluster whose every node has just started.
    pub fn new(configuration: Configuration, limits: Limits, announce: Announce) -> Stage {
        let mut rng = Rng::new(1);
        let members = configuration.members().iter();
        let host = |(id, _): (&NodeId, _)| {
            let is_acceptor = configuration.acceptors().contains(id);
            let storage = is_acceptor.then(|| Storage::new(configuration.clone(), *id, &mut rng));
            let is_keeper = configuration.keepers().any(|keeper| keeper == *id);
            (*id, Host::down(configuration.clone(), storage, is_keeper))
        };
        let hosts = members.map(host).collect();
        let mut stage = Stage {
            names: Names::new(&configuration),
            observer: Agreement::new(configuration.clone()),
            wire: Wire::default(),
            tables: Tables::default(),
            limits,
            announce,
            now: Instant(0),
            hosts,
            flying: Vec::new(),
            cuts: BTreeSet::new(),
            holds: Vec::new(),
            carries_heartbeats: false,
            asked: BTreeMap::new(),
            clients: BTreeMap::new(),
            reads: Vec::new(),
            snapshot_every: u64::MAX,
            rng,
            telling: Telling::Everything,
            counts: BTreeMap::new(),
            notes: Notes::default(),
            wishes: 0,
            configurations: vec![configuration.clone()],
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

    // ---- the nodes ----

    fn step(&mut self, id: NodeId, input: Input) -> Done {
        let mut effects = Effects::default();
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        let Some(node) = &mut host.node else { return Ok(()) };
        node.step(self.now, input, &mut effects);
        node.install_fetched(self.now, &mut effects);
        self.carry_out(id, effects)
    }

    fn carry_out(&mut self, id: NodeId, mut effects: Effects<History>) -> Done {
        for event in effects.replica.events.drain(..) {
            self.event(id, event)?;
        }
        self.learned(id)?;
        self.replies(&effects.replies);
        self.read_replies(id, &effects.reads)?;
        self.handed_over(std::mem::take(&mut effects.replica.handed_over));
        self.snapshots(id, &mut effects)?;
        self.post_all(id, effects.replica.send)?;
        self.write(id, effects.replica.write)
    }

    fn event(&mut self, id: NodeId, event: Event) -> Done {
        let who = self.names.node(id);
        if let Event::Conflict { slot } = event {
            let what = format!("{who} meets two values for slot {slot}");
            return Err(Trouble::Wrong(Wrong { promise: "agreement", what }));
        }
        if let Event::Declined { from, why } = event {
            // Nobody lies here, so nobody may be taken for a liar.
            let what = format!("{who} does not believe {}: {why:?}", self.names.node(from));
            return Err(Trouble::Wrong(Wrong { promise: "wire", what }));
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
        // Of slots that a snapshot covers, it is not told.
        let before = before.max(node.replica().forgotten());
        let learned = node.replica().read(before, usize::MAX);
        self.observer.learned(id, before, &learned).map_err(Trouble::Wrong)?;
        applied_once(self.names.node(id), node.machine()).map_err(Trouble::Wrong)?;
        self.tables.applied(id, node).map_err(Trouble::Wrong)?;
        host.looked = end;
        if before < end {
            let what = format!(": learns {} = {}", slots(before, end), values(&learned));
            self.tell(id, what, Telling::Outcomes);
        }
        Ok(())
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
                if self.tells_outcomes() {
                    self.notes.say(None, format!("chosen: slot {slot} = {value} at {ballot}"));
                } else {
                    *self.counts.entry((EVERYBODY, "slots chosen")).or_insert(0) += 1;
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
    fn down(configuration: Configuration, storage: Option<Storage>, is_keeper: bool) -> Host {
        Host {
            configuration,
            node: None,
            life: 0,
            is_failed: false,
            is_stalled: false,
            is_out: false,
            fault: None,
            storage,
            shelf: Shelf::new(is_keeper),
            waiting: VecDeque::new(),
            durable: Acceptor::default(),
            expected: Acceptor::default(),
            looked: Slot::FIRST,
        }
    }
}

/// Promise: no history holds a client's request twice.
fn applied_once(who: &str, history: &History) -> Result<(), Wrong> {
    let mut seen = BTreeSet::new();
    for entry in history.entries() {
        let (session, sequence) = entry.name();
        if !seen.insert((session, sequence)) {
            let what = format!("{who} applies {} #{sequence} twice", text(&entry.request));
            return Err(Wrong { promise: "once", what });
        }
    }
    Ok(())
}
