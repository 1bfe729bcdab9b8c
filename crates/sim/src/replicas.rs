//! Replicas of any state machine under faults, for those who bring their own.
//!
//! Three nodes, a network that loses, repeats, delays and reorders, nodes that crash and come back
//! from their disks and snapshots, and a client that asks until it is answered. Smaller than a walk
//! of [`crate::walk`]: its checkers trust the protocol, and look at the machine alone. Snapshots of
//! the same slot must have the same bytes at every node; what else is to be compared is for whoever
//! brings the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use node::{Append, Effects, Input, Node, Nonce, Reply, Request, StateMachine, Ticket};
use paxos::{
    Announce, ClusterId, Config, Configuration, DiskId, Envelope, Incarnation, Instant, Limits,
    Member, Message, NodeId, PartWanted, Record, Rng, Roles, Slot, SnapshotId, Timing,
};

/// What happened in a world of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replicated {
    /// Lives that ended in a crash.
    pub crashes: u64,
    /// Snapshots that were taken.
    pub snapshots: u64,
    /// Times that a node went on from a snapshot, its own or another node's.
    pub restored: u64,
    /// Messages that arrived.
    pub delivered: u64,
    /// One past the last slot.
    pub slots: u64,
}

/// How many nodes there are.
const NODES: u32 = 3;
/// A snapshot is taken each time that so many bytes were applied: every few values.
const SNAPSHOT_EVERY: u64 = 600;
/// Of what snapshots cover, so little is kept that who crashes for a while needs one.
const RETAINED_BYTES: usize = 200;
/// Something goes wrong about so often.
const MISFORTUNE_US: u64 = 40_000;
/// The client looks again after so long.
const CLIENT_US: u64 = 15_000;
/// Values that the client has under way.
const UNDER_WAY_MAX: usize = 6;
/// In virtual time: what takes longer will not end.
const TIME_MAX_US: u64 = 600_000_000;
/// Of so many messages, one is lost, and one is repeated.
const LOST_ONE_IN: u64 = 40;

struct World<'a, M: StateMachine> {
    make: &'a mut dyn FnMut() -> M,
    configuration: Configuration,
    now: u64,
    rng: Rng,
    agenda: BTreeMap<(u64, u64), Happening>,
    planned: u64,
    hosts: BTreeMap<NodeId, Host<M>>,
    effects: Effects<M>,
    client: Client,
    /// The bytes of every snapshot, by where it ends, and who took it first.
    taken: BTreeMap<Slot, (NodeId, Vec<u8>)>,
    is_healed: bool,
    seen: Replicated,
}

struct Host<M: StateMachine> {
    node: Option<Node<M>>,
    life: u64,
    /// On disk.
    records: Vec<Record>,
    snapshots: Vec<(SnapshotId, Arc<[u8]>)>,
    /// Hears and is heard by nobody until then.
    cut_until: u64,
}

struct Client {
    values: Vec<Vec<u8>>,
    session: Option<Slot>,
    /// Sequences that are answered, beyond those below the first that is not.
    answered: BTreeSet<u64>,
    first_unanswered: u64,
    tickets: BTreeMap<Ticket, u64>,
    drawn: u64,
}

enum Happening {
    Arrive { from: NodeId, to: NodeId, message: Message },
    Synced { node: NodeId, life: u64, records: Vec<Record>, then_send: Vec<Envelope> },
    Kept { node: NodeId, life: u64, snapshot: SnapshotId, bytes: Arc<[u8]> },
    Wake { node: NodeId, life: u64 },
    Start(NodeId),
    Client,
    Misfortune,
}

/// Runs replicas of the machine that `make` makes until they have applied these values, each once,
/// and agree. Everything follows from the seed. Says what is wrong, if something is.
///
/// # Panics
/// If the machine does.
pub fn replicate<M: StateMachine>(
    seed: u64,
    make: &mut dyn FnMut() -> M,
    values: Vec<Vec<u8>>,
) -> Result<Replicated, String> {
    let roles = Roles { leader: true, acceptor: true, learner: false };
    let member = |id: u32| {
        let disk = Some(DiskId(u128::from(id).to_le_bytes()));
        (NodeId(id), Member { roles, disk })
    };
    let members = (1..=NODES).map(member).collect();
    let configuration =
        Configuration::majority(ClusterId([1; 16]), members).map_err(|why| why.to_string())?;
    let host = |id| {
        let (node, records, snapshots) = (None, Vec::new(), Vec::new());
        (NodeId(id), Host { node, life: 0, records, snapshots, cut_until: 0 })
    };
    let mut world = World {
        make,
        configuration,
        now: 0,
        rng: Rng::new(seed),
        agenda: BTreeMap::new(),
        planned: 0,
        hosts: (1..=NODES).map(host).collect(),
        effects: Effects::default(),
        client: Client {
            values,
            session: None,
            answered: BTreeSet::new(),
            first_unanswered: 1,
            tickets: BTreeMap::new(),
            drawn: 0,
        },
        taken: BTreeMap::new(),
        is_healed: false,
        seen: Replicated::default(),
    };
    for id in 1..=NODES {
        world.plan(0, Happening::Start(NodeId(id)));
    }
    world.plan(0, Happening::Client);
    world.plan(MISFORTUNE_US, Happening::Misfortune);
    world.run()
}

impl<M: StateMachine> World<'_, M> {
    fn run(mut self) -> Result<Replicated, String> {
        while let Some(((at, _), happening)) = self.agenda.pop_first() {
            self.now = at;
            if at > TIME_MAX_US {
                break;
            }
            self.happen(happening)?;
            if self.is_done() {
                return self.compared();
            }
        }
        Err("the replicas did not come to rest".into())
    }

    fn plan(&mut self, after_us: u64, happening: Happening) {
        self.planned += 1;
        self.agenda.insert((self.now + after_us, self.planned), happening);
    }

    fn happen(&mut self, happening: Happening) -> Result<(), String> {
        match happening {
            Happening::Arrive { from, to, message } => {
                let is_cut = self.hosts[&to].cut_until > self.now && from != to;
                if !is_cut && self.hosts[&to].node.is_some() {
                    self.seen.delivered += 1;
                    self.step(to, Input::Message { from, message })?;
                }
            }
            Happening::Synced { node, life, records, then_send } => {
                let host = self.host(node);
                if host.life == life && host.node.is_some() {
                    host.records.extend(records);
                    self.send(node, then_send);
                }
            }
            Happening::Kept { node, life, snapshot, bytes } => {
                let host = self.host(node);
                if host.life == life && host.node.is_some() {
                    host.snapshots.push((snapshot, bytes));
                    if host.snapshots.len() > 2 {
                        host.snapshots.remove(0);
                    }
                    self.step(node, Input::Kept { snapshot, is_durable: true })?;
                }
            }
            Happening::Wake { node, life } => {
                let now = Instant(self.now);
                let host = self.host(node);
                let is_due = host.life == life
                    && host.node.as_ref().and_then(Node::deadline).is_some_and(|at| at <= now);
                if is_due {
                    self.step(node, Input::Tick)?;
                }
            }
            Happening::Start(node) => self.start(node)?,
            Happening::Client => self.ask()?,
            Happening::Misfortune => self.misfortune(),
        }
        Ok(())
    }

    fn host(&mut self, node: NodeId) -> &mut Host<M> {
        self.hosts.get_mut(&node).expect("a member")
    }

    fn start(&mut self, id: NodeId) -> Result<(), String> {
        let config = Config {
            node: id,
            incarnation: Incarnation(self.rng.draw()),
            configuration: self.configuration.clone(),
            timing: Timing::default(),
            limits: Limits { retained_bytes_max: RETAINED_BYTES, ..Limits::default() },
            announce: Announce::default(),
        };
        let (now, seed, machine) = (Instant(self.now), self.rng.draw(), (self.make)());
        let host = self.host(id);
        host.life += 1;
        let mut node = Node::recover(config, host.records.clone(), machine, now, seed)
            .snapshot_every(SNAPSHOT_EVERY);
        let kept = host.snapshots.last().cloned();
        let mut effects = Effects::default();
        if let Some((snapshot, bytes)) = kept {
            let restored = node.restore(now, &bytes, &mut effects);
            if restored != Ok(snapshot) {
                return Err(format!("node {id} cannot go on from its own snapshot: {restored:?}"));
            }
            node.step(now, Input::Kept { snapshot, is_durable: true }, &mut effects);
            self.seen.restored += 1;
        }
        self.host(id).node = Some(node);
        self.effects = effects;
        self.act(id)?;
        self.step(id, Input::Tick)
    }

    fn step(&mut self, id: NodeId, input: Input) -> Result<(), String> {
        let now = Instant(self.now);
        let host = self.hosts.get_mut(&id).expect("a member");
        let Some(node) = &mut host.node else { return Ok(()) };
        node.step(now, input, &mut self.effects);
        if self.effects.fetched.is_some() {
            node.install_fetched(now, &mut self.effects);
        }
        self.act(id)
    }

    /// Does what a node wants done.
    fn act(&mut self, id: NodeId) -> Result<(), String> {
        let mut effects = std::mem::take(&mut self.effects);
        let life = self.hosts[&id].life;
        if let Some((snapshot, why)) = effects.unusable.take() {
            return Err(format!("node {id} cannot go on from snapshot {snapshot:?}: {why}"));
        }
        for (ticket, reply) in effects.replies.drain(..) {
            self.client.hear(ticket, &reply);
        }
        self.send(id, effects.replica.send.drain(..).collect());
        let write = std::mem::take(&mut effects.replica.write);
        if !write.is_empty() {
            let after = 50 + self.rng.below(400);
            let (records, then_send) = (write.records, write.then_send);
            self.plan_in_order(id, after, Happening::Synced { node: id, life, records, then_send });
        }
        if let Some(frozen) = effects.capture.take() {
            self.seen.snapshots += 1;
            let (snapshot, bytes) = frozen.encode();
            self.compare(id, snapshot.below, &bytes)?;
            let after = 100 + self.rng.below(2_000);
            let bytes = bytes.into();
            self.plan(after, Happening::Kept { node: id, life, snapshot, bytes });
        }
        if let Some(restored) = effects.installed.take() {
            self.seen.restored += 1;
            self.compare(id, restored.snapshot.below, &restored.bytes)?;
            let (snapshot, bytes) = (restored.snapshot, restored.bytes.into());
            self.plan(100, Happening::Kept { node: id, life, snapshot, bytes });
        }
        for part in std::mem::take(&mut effects.replica.parts) {
            self.give(id, &part);
        }
        effects.clear();
        self.effects = effects;
        let deadline = self.hosts[&id].node.as_ref().and_then(Node::deadline);
        if let Some(deadline) = deadline {
            let after = deadline.0.saturating_sub(self.now);
            self.plan(after, Happening::Wake { node: id, life });
        }
        Ok(())
    }

    /// A disk syncs one batch after the other.
    fn plan_in_order(&mut self, id: NodeId, after_us: u64, happening: Happening) {
        let is_its = |it: &Happening| matches!(it, Happening::Synced { node, .. } if *node == id);
        let last = self.agenda.iter().rev().find(|(_, it)| is_its(it)).map(|((at, _), _)| *at);
        let after = last.map_or(after_us, |last| after_us.max((last + 1).saturating_sub(self.now)));
        self.plan(after, happening);
    }

    fn give(&mut self, id: NodeId, part: &PartWanted) {
        let PartWanted { to, snapshot, offset, bytes } = *part;
        let kept = self.hosts[&id].snapshots.iter().find(|(name, _)| *name == snapshot);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let bytes = kept.and_then(|(_, all)| all.get(from..from.checked_add(bytes)?));
        if let Some(bytes) = bytes {
            let message = Message::Part { snapshot, offset, bytes: bytes.into() };
            self.send(id, vec![Envelope { to, message }]);
        }
    }

    fn send(&mut self, from: NodeId, envelopes: Vec<Envelope>) {
        for Envelope { to, message } in envelopes {
            if to == from {
                self.plan(5, Happening::Arrive { from, to, message });
                continue;
            }
            let is_cut = self.hosts[&from].cut_until > self.now;
            let is_lost = !self.is_healed && self.rng.below(LOST_ONE_IN) == 0;
            if is_cut || is_lost {
                continue;
            }
            if !self.is_healed && self.rng.below(LOST_ONE_IN) == 0 {
                let (after, message) = (self.delay_us(), message.clone());
                self.plan(after, Happening::Arrive { from, to, message });
            }
            let after = self.delay_us();
            self.plan(after, Happening::Arrive { from, to, message });
        }
    }

    fn delay_us(&mut self) -> u64 {
        let is_slow = self.rng.below(10) == 0;
        100 + self.rng.below(if is_slow { 8_000 } else { 900 })
    }

    fn misfortune(&mut self) {
        if self.is_healed {
            return;
        }
        let node = NodeId(1 + u32::try_from(self.rng.below(NODES.into())).expect("a few"));
        let lasts = 10_000 + self.rng.below(400_000);
        let is_up = self.hosts[&node].node.is_some();
        if is_up && self.rng.below(2) == 0 {
            let host = self.host(node);
            host.node = None;
            self.seen.crashes += 1;
            self.plan(lasts, Happening::Start(node));
        } else if is_up {
            let until = self.now + lasts;
            self.host(node).cut_until = until;
        }
        let next = MISFORTUNE_US + self.rng.below(4 * MISFORTUNE_US);
        self.plan(next, Happening::Misfortune);
    }

    // ---- the client ----

    fn ask(&mut self) -> Result<(), String> {
        let node = NodeId(1 + u32::try_from(self.rng.below(NODES.into())).expect("a few"));
        let requests = self.client.requests(&mut self.rng);
        self.is_healed |= requests.is_empty();
        if !requests.is_empty() && self.hosts[&node].node.is_some() {
            let appends: Vec<Append> = requests
                .into_iter()
                .map(|(sequence, request)| {
                    self.client.drawn += 1;
                    let ticket = Ticket(self.client.drawn);
                    self.client.tickets.insert(ticket, sequence);
                    Append { ticket, request }
                })
                .collect();
            self.step(node, Input::Append(appends))?;
        }
        let after = self.rng.below(CLIENT_US);
        self.plan(after, Happening::Client);
        Ok(())
    }

    // ---- the end ----

    fn is_done(&self) -> bool {
        let applied: Option<BTreeSet<Slot>> =
            self.hosts.values().map(|host| Some(host.node.as_ref()?.applied())).collect();
        // Once everything is answered, and chosen and applied everywhere.
        self.is_healed && applied.is_some_and(|applied| applied.len() == 1)
    }

    fn compared(mut self) -> Result<Replicated, String> {
        let ends: Vec<(NodeId, Slot, Vec<u8>)> = self
            .hosts
            .iter()
            .filter_map(|(id, host)| {
                let node = host.node.as_ref()?;
                let mut bytes = Vec::new();
                M::encode(&node.machine().freeze(), &mut bytes);
                Some((*id, node.applied(), bytes))
            })
            .collect();
        let (first, slot, state) = ends[0].clone();
        for (id, _, bytes) in &ends[1..] {
            if *bytes != state {
                return Err(differ(first, *id, slot));
            }
        }
        self.seen.slots = slot.0;
        Ok(self.seen)
    }

    fn compare(&mut self, id: NodeId, below: Slot, bytes: &[u8]) -> Result<(), String> {
        match self.taken.get(&below) {
            Some((first, known)) if known != bytes => Err(differ(*first, id, below)),
            Some(_) => Ok(()),
            None => {
                self.taken.insert(below, (id, bytes.to_vec()));
                Ok(())
            }
        }
    }
}

fn differ(one: NodeId, other: NodeId, below: Slot) -> String {
    format!(
        "nodes {one} and {other} have applied the same below slot {below}, and the bytes of \
             their snapshots differ"
    )
}

impl Client {
    /// What to ask for now; nothing once everything is answered.
    fn requests(&self, rng: &mut Rng) -> Vec<(u64, Request)> {
        let Some(session) = self.session else {
            let nonce = Nonce(u128::from(rng.draw()).to_le_bytes());
            return vec![(0, Request::open(nonce, 3_600_000_000))];
        };
        let last = self.values.len() as u64;
        let open = (self.first_unanswered..=last).filter(|it| !self.answered.contains(it));
        let request = |sequence: u64| {
            let at = usize::try_from(sequence - 1).expect("an index");
            let first = self.first_unanswered;
            let request = Request::append(session, sequence, first, &self.values[at]);
            (sequence, request.expect("first_unanswered <= sequence"))
        };
        open.take(1 + rng.index(UNDER_WAY_MAX)).map(request).collect()
    }

    fn hear<O>(&mut self, ticket: Ticket, reply: &Reply<O>) {
        let Some(sequence) = self.tickets.remove(&ticket) else { return };
        match reply {
            Reply::Opened { session } => {
                self.session.get_or_insert(*session);
            }
            Reply::Done { .. } => {
                self.answered.insert(sequence);
                while self.answered.remove(&self.first_unanswered) {
                    self.first_unanswered += 1;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use node::History;

    use super::*;

    #[test]
    fn replicas_crash_restore_and_agree() {
        let mut all = Replicated::default();
        for seed in 0..30 {
            let values = (0..60u8).map(|at| vec![at; 20]).collect();
            let seen = replicate(seed, &mut History::default, values);
            let seen = seen.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
            assert!(seen.slots >= 60);
            all.crashes += seen.crashes;
            all.restored += seen.restored;
        }
        assert!(all.crashes > 20 && all.restored > 20, "{all:?}");
    }

    #[test]
    fn one_seed_is_one_world() {
        let run = || replicate(7, &mut History::default, vec![vec![1]; 40]);
        assert_eq!(run(), run());
    }
}
