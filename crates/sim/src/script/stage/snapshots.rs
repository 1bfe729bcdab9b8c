//! Snapshots on the stage: written at once, read at once, and gone on from by a new life.

use node::{Effects, History, Input};
use paxos::{Instant, NodeId};

use super::{Done, Host, Stage, Telling, Trouble};
use crate::shelf::to_keep;

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

    /// A new life goes on from what its former one has kept.
    pub(super) fn go_on(&mut self, id: NodeId) -> Done {
        let now = self.now;
        let host = self.hosts.get_mut(&id).expect("a member has a host");
        let Some(effects) = restored(host, now)? else { return Ok(()) };
        self.carry_out(id, effects)?;
        let host = &self.hosts[&id];
        let (snapshot, _) = host.shelf.newest().expect("it was there a line above");
        let is_durable = host.shelf.is_durable;
        self.step(id, Input::Kept { snapshot, is_durable })
    }
}

fn restored(host: &mut Host, now: Instant) -> Result<Option<Effects<History>>, Trouble> {
    let (Some((_, bytes)), Some(node)) = (host.shelf.newest(), &mut host.node) else {
        return Ok(None);
    };
    let mut effects = Effects::default();
    let done = node.restore(now, &bytes, &mut effects);
    done.map_err(|error| Trouble::Script(error.to_string()))?;
    Ok(Some(effects))
}
