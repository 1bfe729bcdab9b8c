//! A page of the history, as one turn's state shows it.

use node::{Entry, History};
use paxos::Slot;
use tokio::sync::oneshot;

use crate::hosted::{Hosted as _, Question, State, Unreadable};

/// Bytes of values in one page of the history, about.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// A question for a page of the history.
#[derive(Debug)]
pub struct Wanted {
    /// The first slot.
    pub first: Slot,
    /// One past the last.
    pub end: Slot,
    /// At most so many entries.
    pub limit: usize,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Result<Page, Unreadable>>,
}

/// A page of the history.
#[derive(Debug)]
pub struct Page {
    /// Entries in order.
    pub entries: Vec<Entry>,
    /// Where the next page starts.
    pub next: Slot,
    /// Whether the page ends because the range does, or because this node knows no more.
    pub is_last: bool,
    /// One past the last slot that was applied when the page was made.
    pub applied: Slot,
}

impl Question<History> for Wanted {
    fn is_closed(&self) -> bool {
        self.answer.is_closed()
    }

    fn answer(self: Box<Self>, state: Result<State<'_, History>, Unreadable>, room: &mut usize) {
        let limit = self.limit.min(*room);
        let page = state.and_then(|state| page(&state, self.first, self.end, limit));
        *room -= page.as_ref().map_or(0, |page| page.entries.len());
        let gone = self.answer.send(page);
        drop(gone);
    }
}

fn page(
    state: &State<'_, History>,
    first: Slot,
    end: Slot,
    limit: usize,
) -> Result<Page, Unreadable> {
    let State { machine, applied } = *state;
    let first_held = machine.first_held(applied);
    if first < first_held {
        return Err(Unreadable::Gone { first_held });
    }
    let end = end.min(applied);
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut next = end;
    for entry in machine.from(first) {
        if entry.slot >= end {
            break;
        }
        let full = entries.len() == limit || bytes >= PAGE_BYTES_MAX;
        if full {
            next = entry.slot;
            break;
        }
        bytes += entry.request.value().len();
        entries.push(entry.clone());
    }
    let next = next.max(first);
    Ok(Page { entries, next, is_last: next >= end, applied })
}
