//! From a node's directory to the node: everything that is read before anything is heard or sent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use journal::Journal;
use node::{Effects, History, Input, Ledger, Node, StateMachine};
use paxos::{Configuration, DiskId, Incarnation, Limits, Slot, Timing};

use crate::config::Config;
use crate::data_dir::{self, AnyDisk, Opened};
use crate::membership::configuration;
use crate::server::{Options, StartError, random};
use crate::shelf::Shelf;

/// A node as its directory left it, and the directory.
pub struct Recovered<M: StateMachine = History> {
    pub(crate) node: Node<M>,
    /// What it wants done first.
    pub(crate) effects: Effects<M>,
    /// Of an acceptor.
    pub(crate) journal: Option<(Journal<AnyDisk>, Ledger)>,
    /// The size of the journal's files.
    pub(crate) journal_bytes: Arc<AtomicU64>,
    pub(crate) shelf: Shelf,
    /// One past the last slot of the snapshot that the node goes on from.
    pub(crate) snapshot: Slot,
}

/// What a start would find.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Records of the journal.
    pub records: usize,
    /// One past the last slot of the snapshot that the node would go on from.
    pub snapshot: Slot,
    /// Whether votes are missing: it would start, and say so.
    pub is_suspect: bool,
}

/// Recovers a node and lets go of it: nothing is heard, sent or promised.
pub fn rehearse(config: &Config, options: &Options) -> Result<Found, StartError> {
    let configuration = configuration(config)?;
    let mut records = 0;
    let recovered = recover(config, &configuration, options, Instant::now(), &mut records)?;
    let acceptor = recovered.node.replica().acceptor();
    let is_suspect = acceptor.is_some_and(|it| it.suspect() > Slot::FIRST);
    Ok(Found { records, snapshot: recovered.snapshot, is_suspect })
}

/// Recovers a node whose time is counted from `origin`. Counts its `records`.
pub(crate) fn recover(
    config: &Config,
    configuration: &Configuration,
    options: &Options,
    origin: Instant,
    records: &mut usize,
) -> Result<Recovered, StartError> {
    let me = config.id;
    let roles = configuration.roles(me);
    let disk = config.data_dir.as_deref().zip(config.own().disk.map(DiskId));
    let opened = match disk.filter(|_| roles.acceptor) {
        Some((path, disk)) => Some(data_dir::open(path, configuration, me, disk, options.journal)?),
        None => None,
    };
    let shelf = match disk.filter(|_| roles.learns()) {
        Some((path, disk)) => data_dir::open_shelf(path, configuration.cluster(), me, disk)?,
        None => Shelf::in_memory(),
    };
    *records = opened.as_ref().map_or(0, |opened| opened.records.len());
    let replica = paxos::Config {
        node: me,
        incarnation: Incarnation(random()?),
        configuration: configuration.clone(),
        timing: Timing {
            heartbeat: config.timing.heartbeat,
            election_timeout: config.timing.election_timeout,
            ..Timing::default()
        },
        limits: Limits {
            value_bytes_max: client::VALUE_BYTES_MAX + node::Request::OVERHEAD,
            ..options.limits
        },
        announce: options.announce,
    };
    let history = History::within(config.storage.history_bytes);
    let every = config.storage.snapshot_bytes;
    Ok(Recovered::from_disk(replica, history, every, (opened, shelf), origin)?)
}

impl<M: StateMachine> Recovered<M> {
    /// A node as its journal and its shelf left it, with a machine that is empty. A snapshot is
    /// taken each time that so many bytes were applied.
    pub fn from_disk(
        replica: paxos::Config,
        machine: M,
        snapshot_every: u64,
        (opened, shelf): (Option<Opened>, Shelf),
        origin: Instant,
    ) -> io::Result<Recovered<M>> {
        let (journal, known, journal_bytes) = match opened {
            Some(opened) => (Some((opened.journal, opened.ledger)), opened.records, opened.used),
            None => (None, Vec::new(), Arc::default()),
        };
        let now = paxos::Instant(0).plus(origin.elapsed());
        let node =
            Node::recover(replica, known, machine, now, random()?).snapshot_every(snapshot_every);
        let (effects, snapshot) = (Effects::default(), Slot::FIRST);
        let mut recovered = Recovered { node, effects, journal, journal_bytes, shelf, snapshot };
        recovered.restore(now);
        Ok(recovered)
    }

    /// Goes on from the newest snapshot that is good, if there is one.
    fn restore(&mut self, now: paxos::Instant) {
        let Recovered { node, effects, shelf, .. } = self;
        let kept = shelf
            .recover(|bytes| node.restore(now, &bytes, effects).map_err(|error| error.to_string()));
        if let Some(snapshot) = kept {
            let is_durable = shelf.is_durable();
            node.step(now, Input::Kept { snapshot, is_durable }, effects);
            self.snapshot = snapshot.below;
        }
    }
}
