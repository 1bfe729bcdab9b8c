//! Promise: every node has the same sessions at the same slot, to the byte, and their bytes are
//! read back as the same table.

use std::collections::BTreeMap;

use node::{History, Node, Sessions};
use paxos::{Instant, NodeId, Slot};

use super::{Checked, Wrong};
use crate::fingerprint::Fingerprint;

/// What the first node had that came by, slot by slot.
#[derive(Debug, Default)]
pub struct Tables {
    by_applied: BTreeMap<Slot, u64>,
    bytes: Vec<u8>,
}

impl Tables {
    /// A node has applied more.
    pub fn applied(&mut self, id: NodeId, node: &Node<History>) -> Checked {
        let (applied, sessions) = (node.applied(), node.sessions());
        self.bytes.clear();
        sessions.encode(&mut self.bytes);
        match Sessions::decode(&self.bytes) {
            Ok(again) if again == *sessions => {}
            Ok(_) => return wrong(format!("{id}'s table at slot {applied} is read as another")),
            Err(error) => return wrong(format!("{id}'s table at slot {applied}: {error}")),
        }
        let mut fingerprint = Fingerprint::default();
        fingerprint.note(Instant(applied.0), &self.bytes);
        let fingerprint = fingerprint.value();
        let first = *self.by_applied.entry(applied).or_insert(fingerprint);
        if first != fingerprint {
            return wrong(format!("{id} has other sessions at slot {applied} than another node"));
        }
        Ok(())
    }
}

fn wrong(what: String) -> Checked {
    Err(Wrong { promise: "sessions", what })
}
