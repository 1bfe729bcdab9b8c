//! One machine: a node in memory, its disk, and the writes between them.
//!
//! Writes are made durable as the server's journal thread does it: all that waits goes into one
//! batch, one sync, and then everything leaves that waited for it. What a life's end leaves on the
//! disk is decided in `disk.rs`.

use std::collections::VecDeque;

use journal::{DiskError, Fault};
use node::{History, Node};
use paxos::acceptor::Acceptor;
use paxos::{
    Config, Configuration, Envelope, Incarnation, Instant, NodeId, Record, Rng, Slot, Write,
};

use crate::broken::Broken;
use crate::clock::Clock;
use crate::disk::{Ending, Found, Storage};
use crate::shelf::Shelf;

/// Writes that one sync makes durable.
#[derive(Debug, Default)]
struct Batch {
    records: usize,
    then_send: Vec<Caused>,
}

/// A message, and the number of the one that it answers.
pub type Caused = (Option<u64>, Envelope);

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
    /// Its disk is slow until then.
    pub slow_until: Instant,
    /// Its disk has no room for votes.
    pub is_full: bool,
    /// Its own time.
    pub clock: Clock,
    /// What has become of its disk.
    pub disk: Fate,
    /// How much of this life's history was looked at.
    pub looked: Slot,
    /// The earliest tick that is planned, in the world's time.
    pub wake: Option<Instant>,
    /// What this life is to be told at birth; its incarnation is drawn each time.
    config: Config,
    /// An acceptor's; nobody else has one.
    pub storage: Option<Storage>,
    /// Its snapshots.
    pub shelf: Shelf,
    snapshot_every_bytes: u64,
    /// Writes that wait for the batch before them.
    waiting: VecDeque<(Write, Option<u64>)>,
    /// The batch under way: what leaves once it is on disk.
    batch: Option<Batch>,
    /// What the disk folds to; what disk and queue together fold to.
    durable: Acceptor,
    expected: Acceptor,
}

/// What has become of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is there, with all that it must hold, or its acceptor will mend what it misses.
    Sound,
    /// It is damaged, and its node must never start again.
    Damaged,
    /// It is gone for good, and no other has taken its place yet.
    Lost,
}

impl Host {
    /// A machine that is down; an acceptor's disk is formatted and empty.
    pub fn new(config: Config, snapshot_every_bytes: u64, rng: &mut Rng) -> Host {
        let is_keeper = config.configuration.keepers().any(|id| id == config.node);
        let is_acceptor = config.configuration.acceptors().contains(&config.node);
        let storage =
            is_acceptor.then(|| Storage::new(config.configuration.clone(), config.node, rng));
        Host {
            node: None,
            life: 0,
            is_silent: false,
            paused_until: Instant(0),
            slow_until: Instant(0),
            is_full: false,
            clock: Clock::new(),
            disk: Fate::Sound,
            looked: Slot::FIRST,
            wake: None,
            config,
            storage,
            shelf: Shelf::new(is_keeper),
            snapshot_every_bytes,
            waiting: VecDeque::new(),
            batch: None,
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
        self.waiting.len() + usize::from(self.batch.is_some())
    }

    /// Begins a life with what the disk holds, if that can be relied on. In a broken world a life
    /// does not draw its own bits, or takes what was lost for lost at the beginning.
    ///
    /// Gives back the records that made it to the disk in the last life's last moment.
    pub fn start(
        &mut self,
        now: Instant,
        broken: Option<Broken>,
        rng: &mut Rng,
    ) -> Result<Vec<Record>, Found> {
        let (mut records, late) = match self.storage.as_mut().map(Storage::open) {
            None => (Vec::new(), Vec::new()),
            Some(Found::Whole { records, late }) => (records, late),
            Some(found) => return Err(found),
        };
        let (bits, seed) = (rng.draw(), rng.draw());
        if broken == Some(Broken::EarlyLoss) && records.last() == Some(&Record::Suspect) {
            records.rotate_right(1);
        }
        let same_bits = broken == Some(Broken::SameIncarnation);
        let (bits, seed) = if same_bits { (u64::from(self.id().0), 1) } else { (bits, seed) };
        self.life += 1;
        self.wake = None;
        self.looked = Slot::FIRST;
        self.durable = Acceptor::default();
        for record in &records {
            self.durable.apply(record);
        }
        self.expected = self.durable.clone();
        let config = Config { incarnation: Incarnation(bits), ..self.config.clone() };
        let local = self.clock.shows(now);
        let node = Node::recover(config, records, History::default(), local, seed);
        let every = self.snapshot_every_bytes;
        self.node = Some(node.snapshot_every(if every == 0 { u64::MAX } else { every }));
        Ok(late)
    }

    /// When the node wants to be woken, in the world's time.
    pub fn deadline(&self) -> Option<Instant> {
        let local = self.node.as_ref()?.deadline()?;
        Some(self.clock.when(local))
    }

    /// Ends a life, and leaves the rest of its writes to luck.
    pub fn end(&mut self, ending: Ending, rng: &mut Rng) {
        self.forget();
        if let Some(storage) = &mut self.storage {
            storage.end(ending, rng);
        }
    }

    /// Ends a life whose disk has failed.
    pub fn end_failed(&mut self) {
        self.forget();
        self.storage.as_mut().expect("only an acceptor's disk fails").end_failed();
    }

    /// The disk is gone, with everything on it.
    pub fn lose_disk(&mut self) {
        self.disk = Fate::Lost;
        self.shelf.lose();
        self.durable = Acceptor::default();
        self.expected = Acceptor::default();
    }

    /// Between two lives: the next one begins with another configuration. Tells whether that names
    /// another disk in the place of the lost one, which says that every vote is lost, unless the
    /// world `forgets` that.
    pub fn go_over(&mut self, configuration: Configuration, forgets: bool, rng: &mut Rng) -> bool {
        let disk = |of: &Configuration| of.members()[&self.config.node].disk;
        let is_another = disk(&configuration) != disk(&self.config.configuration);
        self.config.configuration = configuration.clone();
        let Some(storage) = &mut self.storage else { return false };
        let is_replaced = self.disk == Fate::Lost && is_another;
        if is_replaced {
            *storage = Storage::replacing(configuration, self.config.node, forgets, rng);
            self.disk = Fate::Sound;
        } else {
            storage.go_over(configuration);
        }
        is_replaced
    }

    fn forget(&mut self) {
        self.node = None;
        self.shelf.end();
        self.waiting.clear();
        self.batch = None;
    }

    /// Queues a write behind the others; `cause` is the message that led to it.
    pub fn write(&mut self, write: Write, cause: Option<u64>) {
        for record in &write.records {
            self.expected.apply(record);
        }
        self.waiting.push_back((write, cause));
    }

    /// Puts all that waits into one batch, if none is under way. Gives back how many records it
    /// holds: without any there is nothing to sync.
    pub fn begin(&mut self) -> Result<Option<usize>, DiskError> {
        if self.batch.is_some() || self.waiting.is_empty() {
            return Ok(None);
        }
        let mut batch = Batch::default();
        for (write, cause) in self.waiting.drain(..) {
            if let Some(storage) = &mut self.storage {
                storage.append(&write.records)?;
            }
            batch.records += write.records.len();
            let caused = |envelope| (cause, envelope);
            batch.then_send.extend(write.then_send.into_iter().map(caused));
        }
        let records = batch.records;
        self.batch = Some(batch);
        Ok(Some(records))
    }

    /// Ends the batch: its records, now durable, and what may leave.
    pub fn synced(
        &mut self,
        fails: Option<Fault>,
    ) -> Result<(Vec<Record>, Vec<Caused>), DiskError> {
        let Some(batch) = self.batch.take() else {
            return Ok((Vec::new(), Vec::new()));
        };
        let records = match &mut self.storage {
            Some(storage) if batch.records > 0 => storage.sync(fails)?,
            _ => Vec::new(),
        };
        for record in &records {
            self.durable.apply(record);
        }
        Ok((records, batch.then_send))
    }
}
