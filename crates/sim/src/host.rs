//! One machine: a node in memory, its disk, and the writes between them.
//!
//! A crash takes the memory and any suffix of what is not synced. What is synced survives always:
//! an acceptor that loses it is not an acceptor any more, and no protocol is asked to bear that.

use std::collections::VecDeque;

use node::{History, Node};
use paxos::acceptor::Acceptor;
use paxos::{Config, Configuration, Envelope, Incarnation, Instant, NodeId, Record, Rng, Write};

/// One machine.
#[derive(Debug)]
pub struct Host {
    /// The node of this life; none while it is down.
    pub node: Option<Node<History>>,
    /// Counts lives.
    pub life: u32,
    /// Hears and says nothing, and lives on.
    pub is_silent: bool,
    /// Stands still until then.
    pub paused_until: Instant,
    /// The earliest tick that is planned.
    pub wake: Option<Instant>,
    /// What this life is to be told at birth; its incarnation is drawn each time.
    config: Config,
    records: Vec<Record>,
    in_flight: VecDeque<Write>,
    last_write_done: Instant,
    /// What the disk folds to; what disk and queue together fold to.
    durable: Acceptor,
    expected: Acceptor,
}

impl Host {
    /// A machine that is down, with an empty disk.
    pub fn new(config: Config) -> Host {
        Host {
            node: None,
            life: 0,
            is_silent: false,
            paused_until: Instant(0),
            wake: None,
            config,
            records: Vec::new(),
            in_flight: VecDeque::new(),
            last_write_done: Instant(0),
            durable: Acceptor::default(),
            expected: Acceptor::default(),
        }
    }

    pub fn id(&self) -> NodeId {
        self.config.node
    }

    pub fn configuration(&self) -> &Configuration {
        &self.config.configuration
    }

    /// What the disk folds to.
    pub fn durable(&self) -> &Acceptor {
        &self.durable
    }

    /// What the disk and the writes in flight fold to.
    pub fn expected(&self) -> &Acceptor {
        &self.expected
    }

    pub fn writes_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Begins a life. `same_bits` breaks the rule that every life draws its own.
    pub fn start(&mut self, now: Instant, same_bits: bool, rng: &mut Rng) {
        let (bits, seed) = (rng.draw(), rng.draw());
        let (bits, seed) = if same_bits { (u64::from(self.id().0), 1) } else { (bits, seed) };
        self.life += 1;
        let config = Config { incarnation: Incarnation(bits), ..self.config.clone() };
        let records = self.records.iter().cloned();
        self.node = Some(Node::recover(config, records, History::default(), now, seed));
        self.wake = None;
        self.last_write_done = now;
    }

    /// Ends a life. Gives back the records that made it to the disk in the last moment.
    pub fn crash(&mut self, rng: &mut Rng) -> Vec<Record> {
        self.node = None;
        let unsynced: Vec<Record> =
            self.in_flight.drain(..).flat_map(|write| write.records).collect();
        let survive = if unsynced.is_empty() { 0 } else { rng.index(unsynced.len() + 1) };
        let survivors: Vec<Record> = unsynced.into_iter().take(survive).collect();
        self.keep(&survivors);
        self.expected = self.durable.clone();
        survivors
    }

    /// Damages the disk: keeps the first `keep` records. No walk over a sound world does this.
    pub fn damage(&mut self, keep: usize) {
        self.records.truncate(keep);
        self.durable = Acceptor::default();
        for record in &self.records {
            self.durable.apply(record);
        }
        self.expected = self.durable.clone();
    }

    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Queues a write behind the others; tells when it will be done if it takes so long by itself.
    pub fn write(&mut self, now: Instant, write: Write, takes_us: u64) -> Instant {
        for record in &write.records {
            self.expected.apply(record);
        }
        self.in_flight.push_back(write);
        self.last_write_done = Instant(self.last_write_done.max(now).0 + takes_us);
        self.last_write_done
    }

    /// The oldest write is on disk: its records, and what may leave now.
    pub fn synced(&mut self) -> Option<(Vec<Record>, Vec<Envelope>)> {
        let write = self.in_flight.pop_front()?;
        self.keep(&write.records);
        Some((write.records, write.then_send))
    }

    fn keep(&mut self, records: &[Record]) {
        for record in records {
            self.durable.apply(record);
            self.records.push(record.clone());
        }
    }
}
