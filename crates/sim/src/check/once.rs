//! Promise: each value that a client wanted stands in the history at most once, nothing else does,
//! and what was acknowledged stands there exactly where the acknowledgement said.

use std::collections::BTreeMap;

use node::{ClientId, Entry};
use paxos::{NodeId, Slot};

use super::{Checked, Wrong};
use crate::check::agreement::Agreement;
use crate::workload::Workload;

/// The one history that all nodes together have shown.
#[derive(Debug, Default)]
pub struct Once {
    applied: BTreeMap<(ClientId, u64), Slot>,
    acknowledged: BTreeMap<(ClientId, u64), Slot>,
}

impl Once {
    /// A node has applied these entries.
    pub fn applied(
        &mut self,
        node: NodeId,
        entries: &[Entry],
        agreement: &Agreement,
        workload: &Workload,
    ) -> Checked {
        for Entry { slot, request } in entries {
            let (client, sequence) = (request.client.0[0], request.sequence);
            if !workload.wanted(request) {
                return wrong(format!("{node} applied what nobody asked for, in slot {slot}"));
            }
            let chosen = agreement.chosen(*slot).and_then(|value| value.command());
            if chosen != Some(request.command()) {
                return wrong(format!("{node} applied in slot {slot} what is not chosen there"));
            }
            let first = self.note(request.client, request.sequence, *slot);
            if first != *slot {
                return wrong(format!(
                    "client {client}'s value {sequence} was applied in slot {first} and, at \
                     {node}, in slot {slot}"
                ));
            }
        }
        Ok(())
    }

    /// A value was applied there; gives back where it was applied first.
    pub fn note(&mut self, client: ClientId, sequence: u64, slot: Slot) -> Slot {
        *self.applied.entry((client, sequence)).or_insert(slot)
    }

    /// Where a client's value was applied.
    pub fn slot(&self, client: ClientId, sequence: u64) -> Option<Slot> {
        self.applied.get(&(client, sequence)).copied()
    }

    /// A client was told that its value stands there.
    pub fn acknowledged(&mut self, client: ClientId, sequence: u64, slot: Slot) -> Checked {
        let number = client.0[0];
        if self.applied.get(&(client, sequence)) != Some(&slot) {
            return wrong(format!(
                "client {number} was told that {sequence} stands in slot {slot}, where no node \
                 has applied it"
            ));
        }
        self.acknowledged.insert((client, sequence), slot);
        Ok(())
    }

    /// At the end: a node's history holds every acknowledged value once.
    pub fn whole(&self, node: NodeId, entries: &[Entry]) -> Checked {
        let mut held = BTreeMap::new();
        for Entry { slot, request } in entries {
            if held.insert((request.client, request.sequence), *slot).is_some() {
                return wrong(format!("{node} holds {}'s value twice", request.client.0[0]));
            }
        }
        for ((client, sequence), slot) in &self.acknowledged {
            if held.get(&(*client, *sequence)) != Some(slot) {
                return wrong(format!(
                    "{node} lacks client {}'s value {sequence}, acknowledged in slot {slot}",
                    client.0[0]
                ));
            }
        }
        Ok(())
    }
}

fn wrong(what: String) -> Checked {
    Err(Wrong { promise: "once", what })
}
