//! Which partial networks a cluster makes progress on: a table without holes.
//!
//! The contract says that values are chosen while some leader reaches a phase-1 and a phase-2
//! quorum. Here every pattern of links between five acceptors and three leaders is tried; leaders
//! never reach each other. Acceptors are alike, so a pattern is a multiset of columns (which
//! leaders reach this acceptor): 792 patterns stand for all 32,768 graphs of two-way links. Links
//! may also work one way only; of those graphs there are 2^30, and only samples are tried.
//!
//! The real replicas run in virtual time, with instant disks and links that take a millisecond. A
//! client gives its value to every leader again and again, as one does that knows nothing. What
//! this does not try: loss, crashes, links that change while it looks.

use std::collections::BTreeMap;
use std::time::Duration;

use paxos::{
    Announce, ClusterId, Command, Config, Configuration, DiskId, Effects, Incarnation, Input,
    Instant, Limits, Member, Message, NodeId, Replica, Rng, Roles, Timing,
};

/// Leaders of the table, nodes 1 to 3.
pub const LEADERS: u32 = 3;
/// Acceptors of the table, nodes 4 to 8.
pub const ACCEPTORS: u32 = 5;

/// A would-be leader's patience.
pub const TIMEOUT_US: u64 = 200_000;

/// What a link takes.
const LINK_US: u64 = 1_000;
/// A client tries every leader this often.
const ASK_US: u64 = 10_000;
/// Where a situation calls for a leader, it has led for so long.
const SETTLE_US: u64 = 2_000_000;

/// Which acceptor hears which leader, and the other way round: bit `3 * acceptor + leader`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Links {
    /// Leader to acceptor.
    pub down: u16,
    /// Acceptor to leader.
    pub up: u16,
}

/// Every situation.
pub const SITUATIONS: [Situation; 4] =
    [Situation::NobodyLeads, Situation::Leads(0), Situation::Leads(1), Situation::Leads(2)];

/// How things stand when the links become what they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Situation {
    /// Every node has just started.
    NobodyLeads,
    /// All links were whole and this leader, from 0, leads.
    Leads(u32),
}

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The pattern.
    pub links: Links,
    /// How many graphs are this one with other names for acceptors.
    pub graphs: u64,
}

impl Links {
    /// Links that work both ways.
    pub fn symmetric(bits: u16) -> Links {
        Links { down: bits, up: bits }
    }

    /// Every link as the seed has it; one that works one way need not work the other way.
    pub fn directed(seed: u64) -> Links {
        let mut rng = Rng::new(seed);
        let mut bits = || {
            let bits = rng.below(1 << (LEADERS * ACCEPTORS));
            u16::try_from(bits).expect("fifteen links")
        };
        Links { down: bits(), up: bits() }
    }

    /// Every link.
    pub const WHOLE: Links = Links { down: (1 << (LEADERS * ACCEPTORS)) - 1, up: (1 << 15) - 1 };

    fn bit(leader: NodeId, acceptor: NodeId) -> u16 {
        1 << (LEADERS * (acceptor.0 - LEADERS - 1) + leader.0 - 1)
    }

    fn carries(self, from: NodeId, to: NodeId) -> bool {
        match (from.0 <= LEADERS, to.0 <= LEADERS) {
            (true, false) => self.down & Links::bit(from, to) != 0,
            (false, true) => self.up & Links::bit(to, from) != 0,
            (true, true) => from == to,
            (false, false) => false,
        }
    }

    /// Whether some leader reaches a majority of acceptors, both ways.
    pub fn has_hope(self) -> bool {
        let both = self.down & self.up;
        (0..LEADERS).any(|leader| {
            let reached = (0..ACCEPTORS).filter(|at| both >> (LEADERS * at + leader) & 1 == 1);
            reached.count() > ACCEPTORS as usize / 2
        })
    }
}

/// Every symmetric pattern once, with the number of graphs that it stands for.
pub fn patterns() -> Vec<Row> {
    let mut counts: BTreeMap<u16, u64> = BTreeMap::new();
    for bits in 0..1u16 << (LEADERS * ACCEPTORS) {
        let mut columns: Vec<u16> = (0..ACCEPTORS).map(|at| bits >> (LEADERS * at) & 7).collect();
        columns.sort_unstable();
        let sorted = columns.iter().fold(0, |all, column| all << LEADERS | column);
        *counts.entry(sorted).or_insert(0) += 1;
    }
    let row = |(bits, graphs)| Row { links: Links::symmetric(bits), graphs };
    counts.into_iter().map(row).collect()
}

/// How long until a client's value is chosen, in microseconds from the moment at which the links
/// become what they are; none if it is not by `patience_us`.
///
/// # Panics
/// If an invariant of the core breaks, or two nodes learn two values for a slot.
pub fn time_to_choose(
    links: Links,
    situation: Situation,
    seed: u64,
    patience_us: u64,
) -> Option<u64> {
    let mut world = World::new(seed);
    let mut since = 0;
    if let Situation::Leads(leader) = situation {
        // The others cannot campaign while they reach nobody.
        let alone =
            Links::WHOLE.down & (0..ACCEPTORS).fold(0, |all, at| all | 1 << (3 * at + leader));
        world.links = Links::symmetric(alone);
        world.run(SETTLE_US);
        world.links = Links::WHOLE;
        since = 2 * SETTLE_US;
        world.run(since);
    }
    world.links = links;
    world.watched = Some(Command::from(*b"value"));
    world.run(since + patience_us);
    world.chosen_at.map(|at| at - since)
}

struct World {
    now: u64,
    links: Links,
    nodes: BTreeMap<NodeId, Replica>,
    /// By time of arrival, then in the order of sending.
    flying: BTreeMap<(u64, u64), (NodeId, NodeId, Message)>,
    sent: u64,
    ask_at: u64,
    watched: Option<Command>,
    chosen_at: Option<u64>,
}

impl World {
    fn new(seed: u64) -> World {
        let member = |id: u32| {
            let roles = Roles { leader: id <= LEADERS, acceptor: id > LEADERS, learner: false };
            (NodeId(id), Member { roles, disk: roles.acceptor.then(DiskId::default) })
        };
        let members = (1..=LEADERS + ACCEPTORS).map(member).collect();
        let configuration =
            Configuration::majority(ClusterId::default(), members).expect("a valid cluster");
        let timing = Timing::default();
        let patience = Duration::from_micros(TIMEOUT_US);
        assert_eq!(timing.election_timeout, patience, "times are told in this measure");
        let node = |id: u32| {
            let config = Config {
                node: NodeId(id),
                incarnation: Incarnation(seed),
                configuration: configuration.clone(),
                timing,
                limits: Limits::default(),
                announce: Announce::default(),
            };
            let seed = seed.wrapping_mul(64).wrapping_add(id.into());
            (NodeId(id), Replica::recover(config, [], Instant(0), seed))
        };
        World {
            now: 0,
            links: Links::WHOLE,
            nodes: (1..=LEADERS + ACCEPTORS).map(node).collect(),
            flying: BTreeMap::new(),
            sent: 0,
            ask_at: 0,
            watched: None,
            chosen_at: None,
        }
    }

    /// Until then, or until the watched value is chosen.
    fn run(&mut self, until: u64) {
        self.ask_at = self.ask_at.max(self.now);
        while self.chosen_at.is_none() {
            let due = |(id, node): (&NodeId, &Replica)| Some((node.deadline()?.0, *id));
            let tick = self.nodes.iter().filter_map(due).min();
            let arrival = self.flying.first_key_value().map(|(key, _)| key.0);
            let ask = self.watched.is_some().then_some(self.ask_at);
            let next = [tick.map(|(at, _)| at), arrival, ask].into_iter().flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else {
                break;
            };
            self.now = self.now.max(at);
            if arrival == Some(at) {
                let (_, (from, to, message)) =
                    self.flying.pop_first().expect("its key was just seen");
                // Links are looked at on arrival: what flew when they broke is lost, too.
                if self.links.carries(from, to) {
                    self.step(to, Input::Message { from, message });
                }
            } else if ask == Some(at) {
                self.ask_at += ASK_US;
                for leader in (1..=LEADERS).map(NodeId) {
                    let value = self.watched.clone().expect("asking for it");
                    self.step(leader, Input::Propose(vec![value]));
                }
            } else if let Some((_, node)) = tick {
                self.step(node, Input::Tick);
            }
        }
        self.now = self.now.max(until);
    }

    fn step(&mut self, id: NodeId, input: Input) {
        let mut effects = Effects::default();
        let node = self.nodes.get_mut(&id).expect("a member");
        node.step(Instant(self.now), input, &mut effects);
        let chosen =
            effects.chosen.iter().any(|(_, value)| value.command() == self.watched.as_ref());
        if chosen && self.watched.is_some() {
            self.chosen_at = Some(self.now);
        }
        // A disk without delay.
        for envelope in effects.send.into_iter().chain(effects.write.then_send) {
            self.sent += 1;
            let at = self.now + LINK_US;
            self.flying.insert((at, self.sent), (id, envelope.to, envelope.message));
        }
    }
}
