//! How nodes come and go on the stage, and what becomes of their disks.

use journal::{Disk, Fault, OpenError, SECTOR_BYTES};
use node::{History, Node};
use paxos::acceptor::Acceptor;
use paxos::{Config, Incarnation, NodeId, Record, Slot, Timing};

use super::{Done, Host, Stage, Telling, Trouble};
use crate::check::durability;
use crate::disk::{Damage, Ending, Found, Storage};
use crate::shape::replaced;

/// A life's bits lie around this, so that a later life's can be higher or lower.
const BITS: u64 = 1 << 32;

/// What happens to a disk between two lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It is empty.
    Lost,
    /// It is another acceptor's.
    Swapped,
    /// One bit of this write, counted from 1, is another. A batch of this size fills a sector.
    Rot(usize),
    /// These writes, counted from 1, cannot be read: what was lost is known, and nothing else.
    Hole(usize, usize),
}

impl Stage {
    /// Everybody's first life.
    pub(super) fn begin(&mut self) {
        let all: Vec<NodeId> = self.hosts.keys().copied().collect();
        for id in all {
            self.live(id, Vec::new(), BITS);
            if let Some(storage) = &mut self.host(id).storage {
                drop(storage.open());
            }
        }
    }

    /// Hears and says nothing from now on, keeps its memory, and lives on.
    pub fn fail(&mut self, id: NodeId) {
        self.host(id).is_failed = true;
    }

    /// Hears and speaks again.
    pub fn recover(&mut self, id: NodeId) {
        self.host(id).is_failed = false;
    }

    /// Ends a life. What waited for the disk is lost; or it is just on the disk, and nobody was
    /// told.
    pub fn crash(&mut self, id: NodeId, keeps: bool) -> Done {
        let Stage { hosts, rng, names, .. } = self;
        let host = hosts.get_mut(&id).expect("a member has a host");
        if host.node.take().is_none() {
            return Err(Trouble::Script(format!("{} is down already", names.node(id))));
        }
        host.shelf.end();
        let waiting = host.waiting.drain(..).flat_map(|write| write.records);
        let waiting: Vec<Record> = waiting.filter(|_| keeps).collect();
        let Some(storage) = &mut host.storage else { return Ok(()) };
        if !waiting.is_empty() {
            let synced = storage.append(&waiting).and_then(|()| storage.sync(None));
            synced.map_err(|error| Trouble::Script(error.to_string()))?;
        }
        storage.end(Ending::Killed, rng);
        self.on_disk(id, &waiting)?;
        let host = self.host(id);
        host.expected = host.durable.clone();
        Ok(())
    }

    /// A node that is down lives again, with what its disk holds. `lower` draws bits below those
    /// of every life before; `epoch` is that of another configuration than before.
    pub fn restart(&mut self, id: NodeId, lower: bool, epoch: Option<u64>) -> Done {
        let host = self.host(id);
        if host.node.is_some() || host.is_out {
            return Err(Trouble::Script("it is not down, or its disk is out of use".into()));
        }
        if let Some(epoch) = epoch
            && !self.goes_over(id, epoch)?
        {
            return Ok(());
        }
        let host = self.host(id);
        host.is_stalled = false;
        let records = match host.storage.as_mut().map(Storage::open) {
            None => Vec::new(),
            Some(Found::Whole { records, .. }) => records,
            Some(found @ (Found::Refused(_) | Found::PromiseLost { .. })) => {
                host.is_out = true;
                let why = refusal(&found);
                let what = format!(": does not start on its disk, for {why}");
                self.tell(id, what, Telling::Outcomes);
                return Ok(());
            }
            Some(found) => return Err(Trouble::Wrong(durability::lost(id, &found))),
        };
        let count = records.len();
        let life = u64::from(self.hosts[&id].life);
        self.live(id, records, if lower { BITS - life } else { BITS + life });
        let host = &self.hosts[&id];
        if host.storage.is_some() {
            let promised = self.names.ballot(host.durable.promised());
            let records = if count == 1 { "record" } else { "records" };
            let what = format!(": starts with {count} {records}, promised {promised}");
            self.tell(id, what, Telling::Outcomes);
        }
        self.go_on(id)
    }

    /// A node that is down is told another configuration; whether it starts with that.
    fn goes_over(&mut self, id: NodeId, epoch: u64) -> Result<bool, Trouble> {
        let known = usize::try_from(epoch).ok().and_then(|epoch| self.configurations.get(epoch));
        let configuration = known.ok_or(Trouble::Script(format!("there is no epoch {epoch}")))?;
        let configuration = configuration.clone();
        let host = self.host(id);
        let found = host.storage.as_ref().map(|storage| storage.found_in(&configuration));
        let why = match found {
            Some(Found::Later(epoch)) => format!("it has written in epoch {}", epoch.0),
            Some(Found::Refused(OpenError::Foreign { .. })) => "its disk is another one's".into(),
            _ => {
                host.configuration = configuration.clone();
                if let Some(storage) = &mut host.storage {
                    storage.go_over(configuration);
                }
                return Ok(true);
            }
        };
        self.tell(id, format!(": does not start in epoch {epoch}, for {why}"), Telling::Outcomes);
        Ok(false)
    }

    /// The next configuration names another disk for an acceptor that is down, and it gets that
    /// one: it says that all is lost.
    pub fn replace(&mut self, id: NodeId) -> Done {
        let Stage { hosts, configuration, rng, .. } = self;
        let host = hosts.get_mut(&id).expect("a member has a host");
        let is_down = host.node.is_none();
        let Some(storage) = host.storage.as_mut().filter(|_| is_down) else {
            return Err(Trouble::Script("only the disk of an acceptor that is down".into()));
        };
        configuration.bears_replacement().map_err(|why| Trouble::Script(why.to_string()))?;
        *configuration = replaced(configuration, id);
        let epoch = configuration.epoch();
        *storage = Storage::replacing(configuration.clone(), id, false, rng);
        host.configuration = configuration.clone();
        host.is_out = false;
        host.shelf.lose();
        host.durable = Acceptor::default();
        host.expected = Acceptor::default();
        self.wire.loses_disk(id, epoch);
        self.configurations.push(self.configuration.clone());
        self.tell(id, format!(": has another disk, in epoch {}", epoch.0), Telling::Outcomes);
        Ok(())
    }

    /// Nothing gets durable from now on, so nothing leaves that waits for it.
    pub fn stall(&mut self, id: NodeId) {
        self.host(id).is_stalled = true;
    }

    /// The disk moves again: all that waited is one batch.
    pub fn resume(&mut self, id: NodeId) -> Done {
        self.host(id).is_stalled = false;
        self.sync(id)
    }

    /// The next sync fails.
    pub fn break_sync(&mut self, id: NodeId) {
        self.host(id).fault = Some(Fault::SyncDrops);
    }

    /// The disk of a node that is down is harmed.
    pub fn damage(&mut self, id: NodeId, harm: Harm) -> Done {
        let Stage { hosts, rng, .. } = self;
        let host = hosts.get_mut(&id).expect("a member has a host");
        let is_down = host.node.is_none();
        let Some(storage) = host.storage.as_mut().filter(|_| is_down) else {
            return Err(Trouble::Script("only the disk of an acceptor that is down".into()));
        };
        match harm {
            Harm::Lost => drop(storage.damage(Damage::Lost, rng)),
            Harm::Hole(first, last) if first > 0 && last <= storage.acknowledged() => {
                storage.rot(first - 1..last);
            }
            Harm::Hole(..) => return Err(Trouble::Script("there are no such writes".into())),
            Harm::Swapped => drop(storage.damage(Damage::Swapped, rng)),
            Harm::Rot(write) => {
                let mut disk = storage.damage(Damage::Lost, rng);
                let files = disk.list().map_err(|error| Trouble::Script(error.to_string()))?;
                let first = files.iter().min_by_key(|file| file.number);
                let first = first.ok_or(Trouble::Script("the disk is empty".into()))?;
                // A segment's first sector is its header.
                let offset = write * SECTOR_BYTES + SECTOR_BYTES / 128;
                if offset >= first.bytes || write == 0 {
                    return Err(Trouble::Script("no such write in the first segment".into()));
                }
                disk.flip(first.number, offset, 1);
                storage.restore(disk);
            }
        }
        Ok(())
    }

    pub(super) fn disk_fails(&mut self, id: NodeId) {
        let host = self.host(id);
        host.node = None;
        host.waiting.clear();
        host.expected = host.durable.clone();
        host.storage.as_mut().expect("only an acceptor's disk fails").end_failed();
        self.tell(id, ": stops, for its sync has failed".into(), Telling::Outcomes);
    }

    fn live(&mut self, id: NodeId, records: Vec<Record>, bits: u64) {
        let (now, incarnation) = (self.now, Incarnation(bits));
        let configuration = self.hosts[&id].configuration.clone();
        let config = Config {
            node: id,
            incarnation,
            configuration,
            timing: Timing::default(),
            limits: self.limits,
            announce: self.announce,
        };
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        host.life += 1;
        host.looked = Slot::FIRST;
        host.durable = Acceptor::default();
        for record in &records {
            host.durable.apply(record);
        }
        host.expected = host.durable.clone();
        let seed = u64::from(id.0) << 32 | u64::from(host.life);
        let node = Node::recover(config, records, History::default(), now, seed);
        host.node = Some(node.snapshot_every(self.snapshot_every));
        self.names.lives(id, incarnation, host.life);
    }

    fn host(&mut self, id: NodeId) -> &mut Host {
        self.hosts.get_mut(&id).expect("a member has a host")
    }
}

/// Why a disk is out of use, as a story tells it.
fn refusal(found: &Found) -> String {
    let damaged = |frame| format!("frame {frame} was durable and is damaged");
    match found {
        Found::PromiseLost { from } => {
            format!("frame {from} is damaged and may have been a promise")
        }
        Found::Refused(OpenError::Empty) => "it is empty".into(),
        Found::Refused(OpenError::Foreign { .. }) => "it is another one's".into(),
        Found::Refused(OpenError::Damaged { sequence, .. }) => damaged(sequence.0),
        Found::Refused(why @ (OpenError::Version { .. } | OpenError::Disk(_))) => why.to_string(),
        other => unreachable!("{other:?} is no refusal"),
    }
}
