//! How snapshots are taken, written, lost, read and gone on from.

use std::sync::Arc;

use node::{Effects, History, Input};
use paxos::{NodeId, Restored, SnapshotId};

use super::{Happening, World};
use crate::check::{Checked, Wrong};
use crate::shelf::to_keep;

/// A snapshot takes so many times as long to write as a batch.
const SLOWER: u64 = 4;

impl World {
    /// What a step wants done about snapshots.
    pub fn snapshots(&mut self, id: NodeId, effects: &mut Effects<History>) -> Checked {
        if let Some(snapshot) = effects.fetched.take() {
            let life = self.hosts[id].life;
            let takes_us = SLOWER * self.sync_us();
            self.after(takes_us, Happening::Fetched { node: id, life, snapshot });
        }
        for (snapshot, bytes) in to_keep(effects) {
            let life = self.hosts[id].life;
            let takes_us = SLOWER * self.sync_us();
            self.after(takes_us, Happening::Kept { node: id, life, snapshot, bytes });
        }
        let parts = self.hosts[id].shelf.parts(effects);
        parts.into_iter().try_for_each(|part| self.post(id, self.cause, part))
    }

    /// A state was made of another node's snapshot. The node has gone on meanwhile.
    pub fn fetched(&mut self, id: NodeId, life: u32, snapshot: Restored) -> Checked {
        let host = &self.hosts[id];
        if host.life != life || host.node.is_none() {
            return Ok(());
        }
        self.act(id, |node, now, effects| {
            effects.fetched = Some(snapshot);
            node.install_fetched(now, effects);
        })
    }

    /// A snapshot is written, or there was no room for it.
    pub fn kept(
        &mut self,
        id: NodeId,
        life: u32,
        snapshot: SnapshotId,
        bytes: Arc<[u8]>,
    ) -> Checked {
        let host = &self.hosts[id];
        if host.life != life || host.node.is_none() {
            return Ok(());
        }
        if self.is_unlucky(self.options.faults.snapshot_loss_permille) {
            self.statistics.snapshots_lost += 1;
            return self.step(id, Input::NotKept);
        }
        self.statistics.snapshots += 1;
        let shelf = &mut self.hosts[id].shelf;
        shelf.put(snapshot, bytes);
        let is_durable = shelf.is_durable;
        self.step(id, Input::Kept { snapshot, is_durable })
    }

    /// A new life goes on from the newest snapshot that can be read.
    pub fn go_on(&mut self, id: NodeId) -> Checked {
        let permille = self.options.faults.snapshot_loss_permille;
        if self.is_unlucky(permille) && self.may_lose(id) {
            self.statistics.snapshots_lost += 1;
            let shelf = &mut self.hosts[id].shelf;
            if self.luck.nodes.below(3) == 0 { shelf.lose() } else { shelf.damage_newest() }
        }
        let host = &mut self.hosts[id];
        let Some((snapshot, bytes)) = host.shelf.newest() else {
            return Ok(());
        };
        let local = host.clock.shows(self.now);
        let node = host.node.as_mut().expect("it has just started");
        let mut effects = std::mem::take(&mut self.effects);
        effects.clear();
        match node.restore(local, &bytes, &mut effects) {
            Ok(named) if named == snapshot => {}
            other => {
                return Err(Wrong {
                    promise: "durability",
                    what: format!("{id} cannot go on from its own snapshot: {other:?}"),
                });
            }
        }
        // Perhaps that votes were lost: a life's first step says so.
        self.write(id, &mut effects)?;
        self.effects = effects;
        self.learned(id)?;
        let is_durable = self.hosts[id].shelf.is_durable;
        self.step(id, Input::Kept { snapshot, is_durable })
    }

    fn is_unlucky(&mut self, permille: u64) -> bool {
        self.healed.is_none() && self.luck.nodes.below(1000) < permille
    }

    /// Whether the others keep enough without this node. More disks lost than the cluster is told
    /// to bear is more than it promises to survive.
    pub fn may_lose(&self, id: NodeId) -> bool {
        let others = self.configuration.keepers().filter(|keeper| *keeper != id);
        let newest = |keeper: NodeId| self.hosts[keeper].shelf.newest().map(|(id, _)| id.below);
        let own = newest(id);
        others.filter(|keeper| newest(*keeper) >= own).count() >= 1
    }
}
