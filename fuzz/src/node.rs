//! A whole node in a true cluster where somebody also lies: it hears what the others really say,
//! and anything else that can stand on the wire, with requests and ticks in between, after any
//! records. Nothing of it makes it panic, forget an answer or grow past its bounds.
//!
//! As others lie freely, nothing is demanded of what is chosen.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use node::{Append, Effects, History, Input, Node, Ticket};
use paxos::acceptor::Acceptor;
use paxos::wire::{decode_message, encode_message};
use paxos::{
    Announce, Ballot, Config, Configuration, Incarnation, Instant, Limits, Message, NodeId,
    Replica, Timing,
};

use crate::cursor::Cursor;
use crate::lies::{Present, record, request};
use crate::members::configuration;

/// Small, so that an input of a few kilobytes reaches every bound.
const LIMITS: Limits = Limits {
    value_bytes_max: 100,
    run_bytes_max: 200,
    run_slots_max: 4,
    slots_in_flight_max: 8,
    bytes_in_flight_max: 400,
    queue_values_max: 8,
    queue_bytes_max: 500,
    ahead_slots_max: 16,
    ahead_bytes_max: 600,
    retained_bytes_max: 300,
    votes_bytes_max: 5_000,
    snapshot_bytes_max: 10_000,
    part_bytes_max: 100,
    parts_in_flight_max: 4,
    reads_max: 4,
};

/// Messages of one step: a window of runs, or all repeats, to each of seven.
const SENT_MAX: usize = 64 * 7;
/// Messages under way. The oldest are lost.
const MAIL_MAX: usize = 256;

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let mut stage = Stage::start(&mut cursor);
    while !cursor.is_empty() {
        stage.act(&mut cursor);
    }
}

struct Letter {
    from: NodeId,
    to: NodeId,
    message: Message,
}

/// One node, what it was told, and the others.
struct Stage {
    node: Node<History>,
    me: NodeId,
    configuration: Configuration,
    now: Instant,
    /// What its records say.
    folded: Acceptor,
    others: BTreeMap<NodeId, Replica>,
    mail: VecDeque<Letter>,
    /// Tickets without an answer.
    asked: BTreeSet<Ticket>,
    next_ticket: u64,
}

impl Stage {
    fn start(cursor: &mut Cursor<'_>) -> Stage {
        let configuration = configuration();
        // A leader, an acceptor, a learner, and one that is everything.
        let me = cursor.pick(&[NodeId(7), NodeId(1), NodeId(3), NodeId(6)]);
        let announce = cursor.pick(&[Announce::EveryLearner, Announce::LeaderOnly]);
        let config = |node| Config {
            node,
            incarnation: Incarnation(1),
            configuration: configuration.clone(),
            timing: Timing::default(),
            limits: LIMITS,
            announce,
        };
        let mut folded = Acceptor::default();
        let mut records = Vec::new();
        if configuration.roles(me).acceptor {
            for _ in 0..cursor.below(4) {
                records.extend(record(cursor, &configuration));
            }
        }
        for record in &records {
            folded.apply(record);
        }
        let now = Instant(0);
        let seed = u64::from(cursor.byte());
        let node = Node::recover(config(me), records, History::default(), now, seed);
        let others = configuration.members().keys().filter(|id| **id != me);
        let others = others.map(|id| (*id, Replica::recover(config(*id), [], now, seed)));
        let others = others.collect();
        let (mail, asked) = (VecDeque::new(), BTreeSet::new());
        Stage { node, me, configuration, now, folded, others, mail, asked, next_ticket: 0 }
    }

    fn act(&mut self, cursor: &mut Cursor<'_>) {
        match cursor.below(16) {
            0..=3 => self.lie(cursor),
            4..=7 => {
                for _ in 0..=cursor.below(64) {
                    self.deliver(0);
                }
            }
            8 => self.deliver(cursor.below(16)),
            9 => drop(self.mail.remove(cursor.below(16))),
            10 => {
                let some = NodeId(1 + u32::from(cursor.byte() % 7));
                self.other(some, paxos::Input::Tick);
            }
            11 => {
                if let Some(at) = self.node.deadline() {
                    self.now = self.now.max(at);
                }
                self.tick();
            }
            12 => {
                self.now = self.now.plus(Duration::from_micros(u64::from(cursor.u32())));
                self.tick();
            }
            _ => {
                let appends = (0..cursor.below(6)).map(|_| self.append(cursor)).collect();
                self.step(Input::Append(appends));
            }
        }
    }

    /// Somebody says what no correct node would.
    fn lie(&mut self, cursor: &mut Cursor<'_>) {
        let from = NodeId(1 + u32::from(cursor.byte() % 7));
        let replica = self.node.replica();
        let present = Present {
            ballot: replica.ballot().unwrap_or(Ballot::NONE),
            promised: self.folded.promised(),
            chosen: replica.chosen(),
        };
        let message = present.message(cursor);
        // Only what can stand on the wire can arrive, and nobody else is this node.
        let carried = carried(&self.configuration, from, self.me, &message);
        if let Some(message) = carried.filter(|_| from != self.me) {
            self.step(Input::Message { from, message });
        }
    }

    fn deliver(&mut self, at: usize) {
        let Some(Letter { from, to, message }) = self.mail.remove(at) else {
            return;
        };
        if to == self.me {
            self.step(Input::Message { from, message });
        } else {
            self.other(to, paxos::Input::Message { from, message });
        }
    }

    fn other(&mut self, id: NodeId, input: paxos::Input) {
        if let Some(replica) = self.others.get_mut(&id) {
            let mut effects = paxos::Effects::default();
            replica.step(self.now, input, &mut effects);
            self.post(id, &mut effects);
        }
    }

    fn append(&mut self, cursor: &mut Cursor<'_>) -> Append {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.asked.insert(ticket);
        Append { ticket, request: request(cursor) }
    }

    fn tick(&mut self) {
        self.step(Input::Tick);
        let due = self.node.deadline().is_some_and(|at| at <= self.now);
        assert!(!due, "what was due is still due: a driver would not rest");
    }

    fn step(&mut self, input: Input) {
        let mut effects = Effects::default();
        self.node.step(self.now, input, &mut effects);
        self.node.install_fetched(self.now, &mut effects);
        for record in &effects.replica.write.records {
            self.folded.apply(record);
        }
        for (ticket, _) in effects.replies {
            assert!(self.asked.remove(&ticket), "each question is answered once");
        }
        assert!(effects.replica.chosen.is_empty());
        assert!(effects.replica.refused.is_empty());
        self.post(self.me, &mut effects.replica);
        self.check();
    }

    /// What is said can stand on the wire, and is on its way.
    fn post(&mut self, from: NodeId, effects: &mut paxos::Effects) {
        let sent = effects.send.drain(..).chain(effects.write.then_send.drain(..));
        for (count, envelope) in (1..).zip(sent) {
            assert!(count <= SENT_MAX);
            let carried = carried(&self.configuration, from, envelope.to, &envelope.message);
            let message = carried.expect("a node says what others can read");
            self.mail.push_back(Letter { from, to: envelope.to, message });
        }
        while self.mail.len() > MAIL_MAX {
            self.mail.pop_front();
        }
    }

    fn check(&self) {
        let replica = self.node.replica();
        let acceptor = replica.acceptor();
        assert!(acceptor.is_none_or(|acceptor| *acceptor == self.folded), "state is its records");
        assert_eq!(self.node.applied(), replica.chosen());
        assert!(replica.slots_in_flight() <= LIMITS.slots_in_flight_max);
        let known = LIMITS.queue_values_max as u64 + LIMITS.slots_in_flight_max;
        assert!(self.node.waiting() as u64 <= known, "everyone who waits has a value under way");
        assert_eq!(self.node.waiting(), self.asked.len(), "who waits is who was not answered");
        assert!(self.node.machine().total() <= self.node.applied().0);
    }
}

/// The message as it arrives, if there is such a message.
fn carried(
    configuration: &Configuration,
    from: NodeId,
    to: NodeId,
    message: &Message,
) -> Option<Message> {
    let mut bytes = Vec::new();
    encode_message(configuration, from, to, message, &mut bytes);
    let (sender, carried) = decode_message(configuration, to, &bytes).ok()?;
    assert_eq!(sender, from);
    assert_eq!(carried, *message, "what arrives was sent");
    Some(carried)
}
