//! Snapshots on the stage: written at once, read at once, and gone on from by a new life.

use node::{Effects, History, Input};
use paxos::NodeId;

use super::{Done, Stage, Telling};
use crate::shelf::{Generation, to_keep};

impl Stage {
    /// Each node takes a snapshot when it has applied so many bytes.
    pub fn snapshot_every(&mut self, bytes: u64) {
        self.snapshot_every = bytes;
        for host in self.hosts.values_mut() {
            host.node = host.node.take().map(|node| node.snapshot_every(bytes));
        }
    }

    /// What a step wants done about snapshots.
    pub(super) fn snapshots(&mut self, id: NodeId, effects: &mut Effects<History>) -> Done {
        let parts = self.hosts[&id].shelf.parts(effects);
        self.post_all(id, parts)?;
        for (snapshot, bytes) in to_keep(effects) {
            let host = self.hosts.get_mut(&id).expect("a member has a host");
            host.shelf.put(snapshot, bytes);
            let is_durable = host.shelf.is_durable;
            let place = if is_durable { "on its disk" } else { "in its memory" };
            let what = format!(": has a snapshot below slot {} {place}", snapshot.below);
            self.tell(id, what, Telling::Outcomes);
            self.step(id, Input::Kept { snapshot, is_durable })?;
        }
        Ok(())
    }

    /// A new life goes on from the newest of what its former one has kept that it can use.
    pub(super) fn go_on(&mut self, id: NodeId) -> Done {
        let kept: Vec<Generation> = self.hosts[&id].shelf.newest_first().collect();
        for (snapshot, bytes) in kept {
            let now = self.now;
            let host = self.hosts.get_mut(&id).expect("a member has a host");
            let Some(node) = &mut host.node else { return Ok(()) };
            let is_durable = host.shelf.is_durable;
            let mut effects = Effects::default();
            match node.restore(now, &bytes, &mut effects) {
                Ok(_) => {
                    self.carry_out(id, effects)?;
                    return self.step(id, Input::Kept { snapshot, is_durable });
                }
                Err(why) => {
                    let what = format!(
                        ": does not use what it kept below slot {}, for {why}",
                        snapshot.below
                    );
                    self.tell(id, what, Telling::Outcomes);
                }
            }
        }
        Ok(())
    }
}
