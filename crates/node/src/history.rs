//! The machine that remembers everything: the agreed values, in order. It is the ancestor's.

use alloc::vec::Vec;

use paxos::Slot;

use crate::machine::StateMachine;
use crate::request::{Kind, Request};

/// The agreed values in order. It grows with the history.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    entries: Vec<Entry>,
}

/// One value of the history.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Where it was chosen. Slots grow from entry to entry, with gaps where the protocol's own
    /// values, repeats and what concerns sessions stand.
    pub slot: Slot,
    /// What was chosen: an append.
    pub request: Request,
}

impl Entry {
    /// Whose value it is: the session, and which of its values.
    pub fn name(&self) -> (Slot, u64) {
        match self.request.kind() {
            Kind::Append { session, sequence, .. } => (session, sequence),
            Kind::Open { .. } | Kind::KeepAlive { .. } | Kind::Close { .. } => {
                unreachable!("only appends are given to a machine")
            }
        }
    }
}

impl StateMachine for History {
    type Output = ();

    fn apply(&mut self, slot: Slot, request: &Request) {
        self.entries.push(Entry { slot, request: request.clone() });
    }
}

impl History {
    /// Every entry.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries at and above a slot.
    pub fn from(&self, slot: Slot) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.slot < slot);
        &self.entries[start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_from_a_slot_on() {
        let mut history = History::default();
        for slot in [0, 3, 4] {
            let request = Request::append(Slot(0), slot + 1, 1, b"value").unwrap();
            history.apply(Slot(slot), &request);
        }
        let from = |slot| history.from(Slot(slot)).iter().map(|entry| entry.slot.0);
        assert!(from(0).eq([0, 3, 4]), "slots are counted from zero");
        assert!(from(1).eq([3, 4]), "there are gaps");
        assert!(from(4).eq([4]));
        assert!(from(5).eq([]));
    }
}
