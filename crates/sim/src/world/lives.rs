//! How a node's lives begin and end, and what reaches its disk between.

use journal::{Fault, FaultyDisk, OpenError};
use node::{Effects, History, Input};
use paxos::{NodeId, Phase1, Record, Slot, Voters};

use super::{Happening, Mend, THOROUGH_ONE_IN, World};
use crate::broken::Broken;
use crate::check::{Checked, durability};
use crate::disk::{Damage, Ending, Found};
use crate::host::Fate;
use crate::recording::What;

/// A batch without records waits for no disk, only for the thread that would write it.
const HANDED_OVER_US: u64 = 5;
/// A slow disk takes so many times as long.
const SLOWER: u64 = 20;
/// Of so many times that a disk runs out of work, it is idle for long once.
const PREPARES_ONE_IN: u64 = 16;
/// A node that its disk has stopped is started again after so long, at most.
const RESTART_US_MAX: u64 = 200_000;

impl World {
    /// Everybody's first life.
    pub fn begin(&mut self) -> Checked {
        let all: Vec<NodeId> = self.configuration.members().keys().copied().collect();
        all.into_iter().try_for_each(|id| self.start(id))
    }

    /// A node that is down lives again, from whatever its disk holds. In a broken world that is
    /// less than was synced; beyond what is promised, the disk is damaged, and the node must see
    /// it.
    pub fn revive(&mut self, id: NodeId) -> Checked {
        let permille = self.options.faults.damage_permille;
        let host = &mut self.hosts[id];
        if host.disk != Fate::Sound {
            return Ok(());
        }
        if let Some(storage) = &mut host.storage {
            let held = storage.acknowledged();
            match self.options.broken {
                Some(Broken::Amnesia) if held > 0 => {
                    let keep = self.luck.nodes.index(held);
                    storage.forget(keep, &mut self.luck.nodes);
                }
                Some(Broken::EmptyDisk) => storage.forget(0, &mut self.luck.nodes),
                _ => {}
            }
            if self.healed.is_none() && self.luck.nodes.below(1000) < permille {
                return self.revive_damaged(id);
            }
            self.rot(id);
            self.go_back(id)?;
        }
        self.start(id)
    }

    /// A part of the disk in the middle of the journal cannot be read any more: now and then, if
    /// the other acceptors can elect a leader without this one.
    fn rot(&mut self, id: NodeId) {
        let permille = self.options.faults.rot_permille;
        if permille == 0 || self.healed.is_some() || self.luck.nodes.below(1000) >= permille {
            return;
        }
        let mut clean = self.clean();
        clean.retain(|other| *other != id);
        let mut voters = Voters::<Phase1>::default();
        for other in clean {
            self.configuration.count(&mut voters, other);
        }
        let storage = self.hosts[id].storage.as_mut().expect("only disks rot");
        if self.configuration.is_quorum(voters) && storage.rot_somewhere(&mut self.luck.nodes) {
            self.tell(format!("{id} has lost a part of its disk"));
        }
    }

    /// The acceptors that may live and have lost no vote.
    pub fn clean(&self) -> Vec<NodeId> {
        let acceptors = self.configuration.acceptors().iter().copied();
        let is_clean = |id: &NodeId| {
            let host = &self.hosts[*id];
            let may_live = host.disk == Fate::Sound && !self.never_starting.contains(id);
            may_live && host.durable().suspect() == Slot::FIRST
        };
        acceptors.filter(is_clean).collect()
    }

    fn revive_damaged(&mut self, id: NodeId) -> Checked {
        if self.never_starting.contains(&id) {
            return Ok(());
        }
        let damage = Damage::ALL[self.luck.nodes.index(Damage::ALL.len())];
        let host = &mut self.hosts[id];
        let storage = host.storage.as_mut().expect("only disks are damaged");
        let before = storage.damage(damage, &mut self.luck.nodes);
        let found = host.start(self.now, None, &mut self.luck.nodes);
        match (damage, found) {
            (damage, Ok(late)) if damage.may_be_harmless() => self.started(id, &late),
            (damage, Err(Found::LastBatchGone)) if damage.may_be_harmless() => {
                self.unseen(id, before)
            }
            (Damage::FileLost, Err(Found::TailGone)) => self.unseen(id, before),
            (
                Damage::Rot | Damage::Stale | Damage::Misdirected,
                Err(
                    Found::Refused(OpenError::Damaged { .. } | OpenError::Version { .. })
                    | Found::PromiseLost { .. },
                ),
            )
            | (
                Damage::FileLost,
                Err(
                    Found::Refused(OpenError::Empty | OpenError::Damaged { .. })
                    | Found::PromiseLost { .. },
                ),
            )
            | (Damage::Swapped, Err(Found::Refused(OpenError::Foreign { .. })))
            | (Damage::Lost, Err(Found::Refused(OpenError::Empty))) => {
                host.disk = Fate::Damaged;
                self.statistics.damage_refused += 1;
                self.tell(format!("{id} sees that its disk is {damage:?}, and stays away"));
                Ok(())
            }
            (_, Ok(_)) => Err(durability::accepted(id, damage)),
            (_, Err(found)) => Err(durability::lost(id, &found)),
        }
    }

    /// Nothing can see this but other nodes, so the world takes it back.
    fn unseen(&mut self, id: NodeId, before: FaultyDisk) -> Checked {
        self.statistics.damage_unseen += 1;
        let host = &mut self.hosts[id];
        host.storage.as_mut().expect("only disks are damaged").restore(before);
        self.start(id)
    }

    fn start(&mut self, id: NodeId) -> Checked {
        if self.never_starting.contains(&id) {
            return Ok(());
        }
        let broken = self.options.broken;
        let host = &mut self.hosts[id];
        match host.start(self.now, broken, &mut self.luck.nodes) {
            Ok(late) => self.started(id, &late),
            Err(found) => Err(durability::lost(id, &found)),
        }
    }

    fn started(&mut self, id: NodeId, late: &[Record]) -> Checked {
        let host = &self.hosts[id];
        if !host.durable().mark().is_empty() {
            self.checks.wire.loses_votes(id);
        }
        let life = host.life;
        let memory = host.node.as_ref().and_then(|node| node.replica().acceptor());
        durability::fold(id, host.expected(), memory, true)?;
        self.recording.note(self.now, || What::Started { node: id, life });
        self.durable(id, late)?;
        self.tell(format!("{id} starts, {} late records survived", late.len()));
        self.go_on(id)?;
        if self.hosts[id].is_full {
            self.step(id, Input::Room(false))?;
        }
        self.plan_wake(id);
        Ok(())
    }

    /// A life ends; another follows after a while.
    pub fn crash(&mut self, id: NodeId, ending: Ending, lasts_us: u64) -> Checked {
        let host = &mut self.hosts[id];
        if host.node.is_none() {
            return Ok(());
        }
        let memory = host.node.as_ref().and_then(|node| node.replica().acceptor());
        durability::fold(id, host.expected(), memory, true)?;
        host.end(ending, &mut self.luck.nodes);
        self.statistics.crashes += 1;
        self.recording.note(self.now, || What::Ended { node: id });
        self.tell(format!("{id} crashes: {ending:?}"));
        self.after(lasts_us, Happening::Mend(Mend::Restart(id)));
        Ok(())
    }

    /// What a step wants written goes to the disk, and waits there for the batch before it.
    pub fn write(&mut self, id: NodeId, effects: &mut Effects<History>) -> Checked {
        let mut write = std::mem::take(&mut effects.replica.write);
        durability::room(id, self.hosts[id].is_full, &write.records)?;
        let thoroughly = self.statistics.happenings.is_multiple_of(THOROUGH_ONE_IN);
        let is_empty = write.is_empty();
        if self.options.broken == Some(Broken::SendsBeforeSync) {
            for envelope in write.then_send.drain(..) {
                self.post(id, self.cause, envelope)?;
            }
        }
        let host = &mut self.hosts[id];
        if !is_empty {
            host.write(write, self.cause);
        }
        let memory = host.node.as_ref().and_then(|node| node.replica().acceptor());
        durability::fold(id, host.expected(), memory, thoroughly)?;
        self.begin_batch(id);
        Ok(())
    }

    fn begin_batch(&mut self, id: NodeId) {
        let host = &mut self.hosts[id];
        let life = host.life;
        let takes_us = match host.begin() {
            Ok(None) => return,
            Ok(Some(0)) => HANDED_OVER_US,
            Ok(Some(_)) if self.now < host.slow_until => SLOWER * self.sync_us(),
            Ok(Some(_)) => self.sync_us(),
            Err(error) => return self.disk_fails(id, &error),
        };
        self.after(takes_us, Happening::Synced { node: id, life });
    }

    pub fn sync_us(&mut self) -> u64 {
        let disk = &self.options.faults.disk;
        if self.healed.is_none() && self.luck.nodes.below(1000) < disk.stall_permille {
            return disk.sync_us_max + self.luck.nodes.below(disk.stall_us_max);
        }
        let spread = disk.sync_us_max.saturating_sub(disk.sync_us_min);
        disk.sync_us_min + self.luck.nodes.below(spread + 1)
    }

    /// The batch under way is on disk, or the disk has failed.
    pub fn synced(&mut self, id: NodeId, life: u32) -> Checked {
        let host = &mut self.hosts[id];
        if host.life != life || host.node.is_none() {
            return Ok(());
        }
        let fails = self.healed.is_none()
            && host.storage.is_some()
            && self.luck.nodes.below(1000) < self.options.faults.disk.fail_permille;
        let fault = fails.then(|| {
            let ways = [Fault::Fail, Fault::Full, Fault::SyncDrops];
            ways[self.luck.nodes.index(ways.len())]
        });
        let (records, then_send) = match host.synced(fault) {
            Ok(done) => done,
            Err(error) => {
                self.disk_fails(id, &error);
                return Ok(());
            }
        };
        self.durable(id, &records)?;
        let until = self.options.faults.until_slots;
        if until > 0 && self.healed.is_none() && self.checks.agreement.slots() >= until {
            self.after(0, Happening::Heal);
        }
        self.fingerprint.note(self.now, &id.0.to_le_bytes());
        for (cause, envelope) in then_send {
            self.post(id, cause, envelope)?;
        }
        self.begin_batch(id);
        self.prepare(id);
        Ok(())
    }

    /// These records are on disk from now on.
    fn durable(&mut self, id: NodeId, records: &[Record]) -> Checked {
        if !records.is_empty() {
            let durable = || What::Durable { node: id, records: records.to_vec() };
            self.recording.note(self.now, durable);
        }
        records.iter().try_for_each(|record| self.checks.agreement.durable(id, record))
    }

    /// A disk that has nothing to do makes the next segment, now and then.
    fn prepare(&mut self, id: NodeId) {
        let host = &mut self.hosts[id];
        if host.writes_in_flight() == 0
            && self.luck.nodes.below(PREPARES_ONE_IN) == 0
            && let Some(storage) = &mut host.storage
            && let Err(error) = storage.prepare()
        {
            self.disk_fails(id, &error);
        }
    }

    /// A failed sync stops the process, and is never tried again. Somebody starts it anew.
    fn disk_fails(&mut self, id: NodeId, error: &journal::DiskError) {
        self.hosts[id].end_failed();
        self.statistics.disk_failures += 1;
        self.recording.note(self.now, || What::Ended { node: id });
        self.tell(format!("{id} stops: {error}"));
        let restart_us = 1 + self.luck.nodes.below(RESTART_US_MAX);
        self.after(restart_us, Happening::Mend(Mend::Restart(id)));
    }
}
