//! Promise: each value that a client wanted stands in the history at most once, nothing else does,
//! and what was acknowledged stands there exactly where the acknowledgement said. Whoever is told
//! that its session is gone finds nothing of it in the history from there on.
//!
//! A value belongs to one session and has one number in it, so a value that stands there twice is a
//! request that was applied twice.

use std::collections::BTreeMap;

use node::Entry;
use paxos::{NodeId, Slot};

use super::{Checked, Wrong};
use crate::check::agreement::Agreement;
use crate::workload::Workload;

/// A client's number, and which of its values.
type Name = (u8, u64);

/// The one history that all nodes together have shown.
#[derive(Debug, Default)]
pub struct Once {
    applied: BTreeMap<Name, Slot>,
    acknowledged: BTreeMap<Name, Slot>,
    /// No such value is applied at or above that slot.
    refused: BTreeMap<Name, Slot>,
}

impl Once {
    /// A node has applied these entries.
    pub fn applied<'a>(
        &mut self,
        node: NodeId,
        entries: impl Iterator<Item = &'a Entry>,
        agreement: &Agreement,
        workload: &Workload,
    ) -> Checked {
        for Entry { slot, request } in entries {
            let Some((client, value)) = workload.wanted(request) else {
                return wrong(format!("{node} applied what nobody asked for, in slot {slot}"));
            };
            let chosen = agreement.chosen(*slot).and_then(|value| value.command());
            if chosen != Some(request.command()) {
                return wrong(format!("{node} applied in slot {slot} what is not chosen there"));
            }
            let first = self.note(client, value, *slot);
            if first != *slot {
                return wrong(format!(
                    "client {client}'s value {value} was applied in slot {first} and, at \
                     {node}, in slot {slot}"
                ));
            }
            self.is_not_revived((client, value))?;
        }
        Ok(())
    }

    /// A value was applied there; gives back where it was applied first.
    pub fn note(&mut self, client: u8, value: u64, slot: Slot) -> Slot {
        *self.applied.entry((client, value)).or_insert(slot)
    }

    /// Where a client's value was applied.
    pub fn slot(&self, client: u8, value: u64) -> Option<Slot> {
        self.applied.get(&(client, value)).copied()
    }

    /// A client was told that its value stands there.
    pub fn acknowledged(&mut self, client: u8, value: u64, slot: Slot) -> Checked {
        if self.applied.get(&(client, value)) != Some(&slot) {
            return wrong(format!(
                "client {client} was told that {value} stands in slot {slot}, where no node \
                 has applied it"
            ));
        }
        self.acknowledged.insert((client, value), slot);
        Ok(())
    }

    /// A node that has applied so much says that the value's session is gone.
    pub fn refused(&mut self, client: u8, value: u64, applied: Slot) -> Checked {
        let earliest = self.refused.entry((client, value)).or_insert(applied);
        *earliest = applied.min(*earliest);
        self.is_not_revived((client, value))
    }

    fn is_not_revived(&self, name: Name) -> Checked {
        match (self.applied.get(&name), self.refused.get(&name)) {
            (Some(slot), Some(refused)) if slot >= refused => wrong(format!(
                "client {}'s value {} was applied in slot {slot}, and was refused for good by a \
                 node that had applied no more than what is below slot {refused}",
                name.0, name.1
            )),
            _ => Ok(()),
        }
    }

    /// At the end: a node's history holds every acknowledged value once.
    pub fn whole<'a>(
        &self,
        node: NodeId,
        entries: impl Iterator<Item = &'a Entry>,
        workload: &Workload,
    ) -> Checked {
        let mut held = BTreeMap::new();
        for Entry { slot, request } in entries {
            let name = workload.wanted(request);
            if held.insert(name, *slot).is_some() {
                return wrong(format!("{node} holds {name:?} twice"));
            }
        }
        for ((client, value), slot) in &self.acknowledged {
            if held.get(&Some((*client, *value))) != Some(slot) {
                return wrong(format!(
                    "{node} lacks client {client}'s value {value}, acknowledged in slot {slot}"
                ));
            }
        }
        Ok(())
    }
}

fn wrong(what: String) -> Checked {
    Err(Wrong { promise: "once", what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_refused_for_good_is_applied_below_the_refusal_or_never() {
        let mut once = Once::default();
        once.refused(1, 7, Slot(5)).unwrap();
        once.refused(1, 7, Slot(9)).unwrap();
        once.note(1, 7, Slot(4));
        once.is_not_revived((1, 7)).unwrap();
        once.note(1, 8, Slot(5));
        once.refused(1, 8, Slot(6)).unwrap();
        once.refused(1, 8, Slot(5)).unwrap_err();
        once.refused(2, 1, Slot(3)).unwrap();
        once.note(2, 1, Slot(3));
        once.is_not_revived((2, 1)).unwrap_err();
    }
}
