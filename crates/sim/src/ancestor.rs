//! The schedule that broke the ancestor: two leaders who both want to lead, and all messages in
//! flight delivered in uniformly random order.
//!
//! There is no network with delays here and no crash: one message at a time is drawn from the
//! pool. Patience is shorter than the pause between heartbeats, so both leaders depose each
//! other again and again. The ancestor's logic chose two values in 49 of 100 such runs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use node::{Append, Effects, History, Input, Node, Nonce, Request, Ticket};
use paxos::{
    Announce, Config, Envelope, Event, Incarnation, Instant, Limits, Message, NodeId, Rng, Slot,
    Timing,
};

use crate::check::agreement::Agreement;
use crate::shape::Shape;

/// One row of the table: how many of the runs went wrong, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AncestorRow {
    /// What the network does beside reordering.
    pub network: &'static str,
    /// How many runs were made.
    pub runs: u64,
    /// Runs in which two values were chosen for one slot.
    pub two_values: u64,
    /// Runs in which a learner was handed something else than was chosen, or two differ.
    pub learners_disagree: u64,
    /// Runs in which a node died of an assertion.
    pub dead_nodes: u64,
    /// Ballots that won a phase 1, over all runs: a table of zeros by idle nodes proves nothing.
    pub elections: u64,
    /// Slots handed to learners, over all runs.
    pub learned: u64,
}

/// Messages delivered in one run.
const DELIVERIES: u64 = 3_000;

/// Runs the schedule for `seeds` seeds with reordering, with a tenth of the messages lost, and
/// with another tenth repeated.
pub fn ancestor_table(seeds: u64) -> Vec<AncestorRow> {
    let rows = [("reorder", 0, 0), ("+ 10 % loss", 100, 0), ("+ 10 % repeats", 100, 100)];
    let row = |(network, loss, repeats)| {
        let mut row = AncestorRow {
            network,
            runs: seeds,
            two_values: 0,
            learners_disagree: 0,
            dead_nodes: 0,
            elections: 0,
            learned: 0,
        };
        for seed in 0..seeds {
            let mut run = Run::new(seed, loss, repeats);
            if catch_unwind(AssertUnwindSafe(|| run.play())).is_err() {
                row.dead_nodes += 1;
            }
            row.two_values += u64::from(run.two_values);
            row.learners_disagree += u64::from(run.disagree);
            row.elections += run.elections;
            row.learned += run.learned.values().map(|slot| slot.0).sum::<u64>();
        }
        row
    };
    rows.into_iter().map(row).collect()
}

struct Run {
    rng: Rng,
    loss_permille: u64,
    repeat_permille: u64,
    now: Instant,
    nodes: BTreeMap<NodeId, Node<History>>,
    pool: Vec<(NodeId, Envelope)>,
    observer: Agreement,
    learned: BTreeMap<NodeId, Slot>,
    asked: u64,
    elections: u64,
    two_values: bool,
    disagree: bool,
}

impl Run {
    fn new(seed: u64, loss_permille: u64, repeat_permille: u64) -> Run {
        let shape = Shape::all().swap_remove(0);
        let configuration = shape.configuration().expect("the ancestor's cluster is valid");
        let mut rng = Rng::new(seed);
        // A delivery is a millisecond. Patience is shorter than the pause between heartbeats, so
        // that no leader is ever believed for long.
        let timing = Timing {
            heartbeat: Duration::from_millis(400),
            election_timeout: Duration::from_millis(60),
            resend_min: Duration::from_millis(100),
            resend_max: Duration::from_millis(800),
            fetch_delay: Duration::from_millis(40),
            ..Timing::default()
        };
        let config = |id: NodeId, bits: u64| Config {
            node: id,
            incarnation: Incarnation(bits),
            configuration: configuration.clone(),
            timing,
            limits: Limits::default(),
            announce: Announce::default(),
        };
        let recover = |id: &NodeId| {
            let (bits, seed) = (rng.draw(), rng.draw());
            (*id, Node::recover(config(*id, bits), [], History::default(), Instant(0), seed))
        };
        let nodes = configuration.members().keys().map(recover).collect();
        Run {
            rng,
            loss_permille,
            repeat_permille,
            now: Instant(0),
            nodes,
            pool: Vec::new(),
            learned: configuration.learners().map(|id| (id, Slot::FIRST)).collect(),
            observer: Agreement::new(configuration),
            asked: 0,
            elections: 0,
            two_values: false,
            disagree: false,
        }
    }

    fn play(&mut self) {
        let leaders: Vec<NodeId> = self.learned.keys().copied().collect();
        for _ in 0..DELIVERIES {
            self.now = self.now.plus(Duration::from_millis(1));
            for leader in &leaders {
                if self.nodes[leader].deadline().is_some_and(|deadline| deadline <= self.now) {
                    self.step(*leader, Input::Tick);
                }
                if self.rng.below(120) == 0 {
                    self.append(*leader);
                }
            }
            if self.pool.is_empty() {
                continue;
            }
            let drawn = self.rng.index(self.pool.len());
            let (from, envelope) = self.pool.swap_remove(drawn);
            if self.rng.below(1000) < self.loss_permille {
                continue;
            }
            if self.rng.below(1000) < self.repeat_permille {
                self.pool.push((from, envelope.clone()));
            }
            // Leaders rarely hear of each other, so both keep wanting to lead.
            if !matches!(envelope.message, Message::Heartbeat { .. }) || self.rng.below(4) == 0 {
                let input = Input::Message { from, message: envelope.message };
                self.step(envelope.to, input);
            }
        }
    }

    fn append(&mut self, to: NodeId) {
        self.asked += 1;
        // Any request will do, as long as no two are the same.
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.asked.to_le_bytes());
        let request = Request::open(Nonce(nonce), 0);
        self.step(to, Input::Append(vec![Append { ticket: Ticket(self.asked), request }]));
    }

    fn step(&mut self, id: NodeId, input: Input) {
        let mut effects = Effects::default();
        let node = self.nodes.get_mut(&id).expect("messages go to members");
        node.step(self.now, input, &mut effects);
        // The disk is instant here.
        for record in &effects.replica.write.records {
            self.two_values |= self.observer.durable(id, record).is_err();
        }
        let elected = |event: &&Event| matches!(event, Event::Elected { .. });
        self.elections += effects.replica.events.iter().filter(elected).count() as u64;
        let conflict = |event: &Event| matches!(event, Event::Conflict { .. });
        self.disagree |= effects.replica.events.iter().any(conflict);
        if let Some(before) = self.learned.get_mut(&id) {
            let values = node.replica().read(*before, usize::MAX);
            self.disagree |= self.observer.learned(id, *before, &values).is_err();
            *before = before.plus(values.count());
        }
        let sent = effects.replica.send.into_iter().chain(effects.replica.write.then_send);
        self.pool.extend(sent.map(|envelope| (id, envelope)));
    }
}
