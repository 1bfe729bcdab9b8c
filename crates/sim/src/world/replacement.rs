//! How an acceptor's disk is lost for good, and what is done about it: another disk takes its place
//! in a configuration of the next epoch, and every node goes over to that, each at its own moment.
//!
//! ```text
//!   disk lost ---- Replace ------ GoOver --- GoOver -------- GoOver ---->
//!   epoch 0        epoch 1 is     somebody   the replaced    the last leader
//!                  written down   else       acceptor        of epoch 0 ends
//! ```
//!
//! Meanwhile everything else goes wrong as usual, another disk's loss included.

use paxos::{Configuration, NodeId, Phase1, Voters};

use super::{Happening, Mend, World};
use crate::broken::Broken;
use crate::check::{Checked, durability};
use crate::disk::{Ending, Found};
use crate::host::Fate;
use crate::shape::replaced;

/// Once everything heals, disks are replaced and nodes go over within so long.
const HEALED_US_MAX: u64 = 200_000;
/// Whoever goes over is down for so long, at most.
const DOWN_US_MAX: u64 = 20_000;
/// Of so many starts after the first epoch, one is tried with a configuration that is over.
const GOES_BACK_ONE_IN: u64 = 8;

impl World {
    /// The newest configuration that somebody has written down.
    pub fn newest(&self) -> &Configuration {
        self.configurations.last().expect("there is a first one")
    }

    /// An acceptor's disk is gone for good, if the cluster bears it.
    pub fn lose_disk(&mut self, id: NodeId, lasts_us: u64) -> Checked {
        if !self.may_lose_disk(id) {
            return Ok(());
        }
        self.statistics.disks_lost += 1;
        self.tell(format!("{id} loses its disk"));
        self.crash(id, Ending::Killed, lasts_us)?;
        self.hosts[id].lose_disk();
        let until_us = 1 + self.luck.nodes.below(self.options.faults.replace_us_max);
        self.after(until_us, Happening::Mend(Mend::Replace(id)));
        Ok(())
    }

    /// Others can elect a leader, and have what its snapshots hold.
    fn may_lose_disk(&self, id: NodeId) -> bool {
        let mut others = Voters::<Phase1>::default();
        for other in self.clean().into_iter().filter(|other| *other != id) {
            self.configuration.count(&mut others, other);
        }
        let is_acceptor = self.configuration.acceptors().contains(&id);
        let has_one =
            is_acceptor && !self.never_starting.contains(&id) && self.hosts[id].disk != Fate::Lost;
        let is_keeper = self.configuration.keepers().any(|keeper| keeper == id);
        let keeps_apart = self.options.broken == Some(Broken::QuorumsApart);
        has_one
            && self.configuration.bears_replacement().is_ok()
            && self.configuration.is_quorum(others)
            && (!is_keeper || self.may_lose(id))
            && !keeps_apart
    }

    /// The next configuration names another disk in the place of a lost one.
    pub fn replace(&mut self, id: NodeId) {
        let disk = |of: &Configuration| of.members()[&id].disk;
        let host = &self.hosts[id];
        if host.disk != Fate::Lost || disk(self.newest()) != disk(host.configuration()) {
            return;
        }
        let next = replaced(self.newest(), id);
        self.tell(format!("{id} is to have another disk, in epoch {}", next.epoch().0));
        self.configurations.push(next);
        self.all_go_over();
    }

    /// Every node goes over to the newest configuration, each at its own moment.
    fn all_go_over(&mut self) {
        let span_us =
            if self.healed.is_some() { HEALED_US_MAX } else { self.options.faults.replace_us_max };
        let epoch = self.configurations.len() - 1;
        for id in self.hosts.ids() {
            let after_us = 1 + self.luck.nodes.below(span_us);
            self.after(after_us, Happening::Mend(Mend::GoOver(id, epoch)));
        }
    }

    /// What is lost is replaced now, and nobody stays behind.
    pub fn replace_all(&mut self) {
        self.hosts.ids().for_each(|id| self.replace(id));
        if self.configurations.len() > 1 {
            self.all_go_over();
        }
    }

    /// A node ends its life, and begins the next one with this configuration; an acceptor whose
    /// lost disk is replaced in it with that one.
    pub fn go_over(&mut self, id: NodeId, epoch: usize) -> Checked {
        let configuration = self.configurations[epoch].clone();
        let host = &self.hosts[id];
        if host.configuration().epoch() >= configuration.epoch()
            || self.never_starting.contains(&id)
        {
            return Ok(());
        }
        let down_us = 1 + self.luck.nodes.below(DOWN_US_MAX);
        let was_down = host.node.is_none();
        self.crash(id, Ending::Killed, down_us)?;
        let forgets = self.options.broken == Some(Broken::ForgottenLoss);
        let host = &mut self.hosts[id];
        let epoch = configuration.epoch();
        let is_replaced = host.go_over(configuration, forgets, &mut self.luck.nodes);
        self.tell(format!("{id} goes over to epoch {}", epoch.0));
        if is_replaced {
            self.statistics.disks_replaced += 1;
            self.checks.wire.loses_disk(id, epoch);
            self.tell(format!("{id} has another disk"));
        }
        if is_replaced && was_down {
            self.after(down_us, Happening::Mend(Mend::Restart(id)));
        }
        Ok(())
    }

    /// Now and then somebody starts an acceptor with a configuration that is over. Once it has
    /// written anything in a later one, it must refuse.
    pub fn go_back(&mut self, id: NodeId) -> Checked {
        let host = &self.hosts[id];
        let Some(storage) = &host.storage else { return Ok(()) };
        let epochs = self.configurations.iter().filter(|it| it.epoch() < storage.written_in());
        let epochs = epochs.count();
        if epochs == 0 || self.luck.nodes.below(GOES_BACK_ONE_IN) > 0 {
            return Ok(());
        }
        let older = &self.configurations[self.luck.nodes.index(epochs)];
        let found = storage.found_in(older);
        if !matches!(found, Found::Later(_) | Found::Refused(journal::OpenError::Foreign { .. })) {
            return Err(durability::went_back(id, older.epoch(), storage.written_in()));
        }
        self.statistics.epochs_refused += 1;
        Ok(())
    }

    /// Whether everybody who may live does, in the newest epoch.
    pub fn all_have_gone_over(&self) -> bool {
        let newest = self.newest().epoch();
        let may_live = |id: &NodeId| {
            self.hosts[*id].disk != Fate::Damaged && !self.never_starting.contains(id)
        };
        self.hosts.ids().filter(may_live).all(|id| {
            let host = &self.hosts[id];
            host.node.is_some() && host.configuration().epoch() == newest
        })
    }
}
