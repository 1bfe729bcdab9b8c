//! The machine that remembers the agreed values, in order: the ancestor's, with a bound.
//!
//! The oldest values are let go when all together are more than the budget. Entries stand in
//! sealed blocks that are shared, never copied, so that a frozen view costs next to nothing while
//! the history grows on.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use paxos::{Command, Slot};

use crate::machine::StateMachine;
use crate::request::{Kind, Request};

/// The agreed values in order, the latest of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct History {
    /// Full blocks, oldest first. None is empty.
    sealed: VecDeque<Arc<[Entry]>>,
    /// What follows: fewer than [`BLOCK`].
    open: Vec<Entry>,
    /// The sizes of all entries that are held.
    bytes: u64,
    bytes_max: u64,
    /// How many were ever applied.
    total: u64,
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

/// Entries of a block. What is let go goes by blocks.
const BLOCK: usize = 1024;

/// What an entry is counted for beside its request, in bytes.
const ENTRY_OVERHEAD: u64 = 64;

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

    fn bytes(&self) -> u64 {
        ENTRY_OVERHEAD + self.request.command().len() as u64
    }
}

impl Default for History {
    /// Lets nothing go.
    fn default() -> History {
        History::within(u64::MAX)
    }
}

impl StateMachine for History {
    type Output = ();
    type Frozen = History;

    fn apply(&mut self, slot: Slot, request: &Request) {
        self.total += 1;
        self.push(Entry { slot, request: request.clone() });
    }

    fn freeze(&self) -> History {
        self.clone()
    }

    /// ```text
    ///   total u64 | then for each entry: slot u64 | length u32 | request
    /// ```
    fn encode(frozen: &History, out: &mut Vec<u8>) {
        out.extend(frozen.total.to_le_bytes());
        for entry in frozen.entries() {
            let command = entry.request.command();
            let length = u32::try_from(command.len()).expect("values are far below 4 GiB");
            out.extend(entry.slot.0.to_le_bytes());
            out.extend(length.to_le_bytes());
            out.extend_from_slice(command);
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<History> {
        let (total, mut rest) = bytes.split_first_chunk::<8>()?;
        let mut history = History::within(self.bytes_max);
        let mut above = None;
        while !rest.is_empty() {
            let (slot, after) = rest.split_first_chunk::<8>()?;
            let (length, after) = after.split_first_chunk::<4>()?;
            let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
            let (command, after) = after.split_at_checked(length)?;
            let slot = Slot(u64::from_le_bytes(*slot));
            let request = Request::decode(&Command::from(command)).ok()?;
            let is_append = matches!(request.kind(), Kind::Append { .. });
            if !is_append || above >= Some(slot) || slot >= Slot::LIMIT {
                return None;
            }
            above = Some(slot);
            history.push(Entry { slot, request });
            rest = after;
        }
        history.total = u64::from_le_bytes(*total);
        (history.total >= history.held()).then_some(history)
    }
}

impl History {
    /// An empty history that lets its oldest values go when all together are more than so many
    /// bytes. Nodes of a cluster may have different budgets: what is let go is gone here alone.
    pub fn within(bytes_max: u64) -> History {
        let (sealed, open) = (VecDeque::new(), Vec::new());
        History { sealed, open, bytes: 0, bytes_max, total: 0 }
    }

    /// Every entry that is held.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.sealed.iter().flat_map(|block| block.iter()).chain(&self.open)
    }

    /// The entries at and above a slot.
    pub fn from(&self, slot: Slot) -> impl Iterator<Item = &Entry> {
        let is_below = move |entry: &Entry| entry.slot < slot;
        let whole = self.sealed.partition_point(|block| block.last().is_none_or(is_below));
        let blocks = self.sealed.range(whole..).map(|block| &block[..]).chain([&self.open[..]]);
        blocks.flat_map(move |block| &block[block.partition_point(is_below)..])
    }

    /// How many values were ever applied.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many of them are held: the latest.
    pub fn held(&self) -> u64 {
        self.sealed.iter().map(|block| block.len() as u64).sum::<u64>() + self.open.len() as u64
    }

    /// What they are counted for, in bytes, against the budget.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The slot of the oldest entry that is held; none if there is none. Once something was let go,
    /// what lies below is no longer known here.
    pub fn first(&self) -> Option<Slot> {
        self.entries().next().map(|entry| entry.slot)
    }

    fn push(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.open.push(entry);
        if self.open.len() == BLOCK {
            self.sealed.push_back(self.open.drain(..).collect());
        }
        while self.bytes > self.bytes_max
            && let Some(oldest) = self.sealed.pop_front()
        {
            self.bytes -= oldest.iter().map(Entry::bytes).sum::<u64>();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(history: &mut History, slots: impl IntoIterator<Item = u64>) {
        for slot in slots {
            let request = Request::append(Slot(0), slot + 1, 1, b"value").unwrap();
            history.apply(Slot(slot), &request);
        }
    }

    fn bytes(history: &History) -> Vec<u8> {
        let mut out = Vec::new();
        History::encode(&history.freeze(), &mut out);
        out
    }

    #[test]
    fn a_history_is_read_from_a_slot_on() {
        let mut history = History::default();
        applied(&mut history, [0, 3, 4]);
        let from = |slot| history.from(Slot(slot)).map(|entry| entry.slot.0);
        assert!(from(0).eq([0, 3, 4]), "slots are counted from zero");
        assert!(from(1).eq([3, 4]), "there are gaps");
        assert!(from(4).eq([4]));
        assert!(from(5).eq([]));
    }

    #[test]
    fn reading_goes_over_the_borders_of_blocks() {
        let mut history = History::default();
        let end = 3 * BLOCK as u64 + 10;
        applied(&mut history, (0..end).map(|at| at * 2));
        for first in [0, 1, 1023, 1024, 1025, 2047, 2048, end - 11, end - 1, end] {
            let expected = (first..end).map(|at| at * 2);
            assert!(history.from(Slot(first * 2)).map(|entry| entry.slot.0).eq(expected));
        }
        assert!(history.entries().map(|entry| entry.slot.0).eq((0..end).map(|at| at * 2)));
    }

    #[test]
    fn the_oldest_are_let_go_and_still_counted() {
        let each = ENTRY_OVERHEAD + Request::OVERHEAD as u64 + 5;
        let mut history = History::within(each * 3000);
        applied(&mut history, 0..10_000);
        assert_eq!(history.total(), 10_000);
        assert!((2000..=3000).contains(&history.held()), "{}", history.held());
        assert_eq!(history.first(), Some(Slot(10_000 - history.held())));
        let frozen = history.freeze();
        applied(&mut history, 10_000..20_000);
        assert_eq!(frozen.entries().last().map(|entry| entry.slot), Some(Slot(9_999)));
    }

    #[test]
    fn a_history_survives_its_bytes() {
        let mut history = History::default();
        assert_eq!(history.decode(&bytes(&history)), Some(history.clone()));
        applied(&mut history, 0..3000);
        let written = bytes(&history);
        let read = history.decode(&written).expect("its own bytes");
        assert_eq!((bytes(&read), read.total()), (written.clone(), 3000));
        let small = History::within(1).decode(&written).expect("the same bytes");
        assert!(small.held() < 1024, "the reader's budget counts");
        assert_eq!(small.total(), 3000);
    }

    #[test]
    fn bytes_that_are_no_history_are_refused() {
        let mut history = History::default();
        applied(&mut history, [1, 2]);
        let good = bytes(&history);
        let whole = [8, 8 + (good.len() - 8) / 2, good.len()];
        for length in 0..good.len() {
            let read = history.decode(&good[..length]);
            assert_eq!(read.is_some(), whole.contains(&length), "{length}");
        }
        let mut unordered = good.clone();
        unordered[8] = 2;
        assert_eq!(history.decode(&unordered), None);
        let mut few = good;
        few[0] = 1;
        assert_eq!(history.decode(&few), None, "fewer than are held");
    }
}
