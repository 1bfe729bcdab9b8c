//! Promise: the history is one that clients could have seen happen. If one operation was answered
//! before another was asked for, it does not stand behind it; a read shows only what was asked
//! for before it was answered, and all that was answered before it was asked, if it is
//! linearizable, or some time before, if it may be stale. A sequential read shows every slot that
//! it named, and a linearizable one all that was chosen when its node was asked, whoever knew.
//!
//! Every operation says where in the history it took effect: an append in its slot, a read just
//! below the first slot that it did not show. So there is no search. In the order of places, nobody
//! may have been asked for after somebody behind it was answered, and one sweep from the end tells:
//! a hundred thousand operations take milliseconds.
//!
//! Source: Herlihy and Wing, "Linearizability", TOPLAS 1990, for a history whose order is known.

use std::collections::BTreeMap;
use std::fmt::Display;

use node::Consistency;
use paxos::{Instant, NodeId, Slot};

use super::{Checked, Wrong};
use crate::check::once::Once;

/// Everything that clients have asked and heard.
#[derive(Debug, Default)]
pub struct Linearizable {
    appends: BTreeMap<(u8, u64), Span>,
    reads: Vec<Read>,
}

/// From the question to the answer, if there was one.
#[derive(Clone, Copy, Debug)]
struct Span {
    asked: Instant,
    answered: Option<Instant>,
}

/// A read that was answered.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Who was asked.
    pub node: NodeId,
    /// Everything answered before then must be shown: when the client asked, if the read is
    /// linearizable, and earlier if it may be older.
    pub asked: Instant,
    /// When it heard.
    pub answered: Instant,
    /// It was shown every slot below.
    pub shown: Slot,
}

/// An operation with its place in the history. Millions of them can have names that are cheap.
#[derive(Debug)]
pub struct Operation<Name = String> {
    /// An append stands in its slot, with true; a read before the first slot that it did not show,
    /// with false.
    pub place: (Slot, bool),
    /// When it was asked for.
    pub asked: Instant,
    /// When its client heard, if ever.
    pub answered: Option<Instant>,
    /// For a person to tell which it was.
    pub name: Name,
}

impl Linearizable {
    /// A client asks, perhaps again.
    pub fn asks(&mut self, client: u8, value: u64, now: Instant) {
        let first = Span { asked: now, answered: None };
        self.appends.entry((client, value)).or_insert(first);
    }

    /// A client hears that its value is in the history.
    pub fn hears(&mut self, client: u8, value: u64, now: Instant) {
        if let Some(span) = self.appends.get_mut(&(client, value)) {
            span.answered.get_or_insert(now);
        }
    }

    /// A client has read.
    pub fn reads(&mut self, read: Read) {
        self.reads.push(read);
    }

    /// At the end: whether all of it fits the history.
    pub fn whole(&self, once: &Once) -> Checked {
        let appends = self.appends.iter().filter_map(|((client, value), span)| {
            let slot = once.slot(*client, *value)?;
            let Span { asked, answered } = *span;
            let name = format!("client {client}'s value {value}");
            Some(Operation { place: (slot, true), asked, answered, name })
        });
        let reads = self.reads.iter().map(|read| {
            // A read that may be old could have been asked for long ago.
            let Read { node, asked, answered, shown } = *read;
            let name = format!("a read at {node}");
            Operation { place: (shown, false), asked, answered: Some(answered), name }
        });
        check(appends.chain(reads).collect())
    }
}

/// A node shows every slot below `shown`. `chosen` is one past the last slot in which anything was
/// chosen when it was asked: a linearizable read shows all of it, known to anybody or not.
pub fn shows_enough(node: NodeId, consistency: Consistency, chosen: Slot, shown: Slot) -> Checked {
    let least = match consistency {
        Consistency::Linearizable => chosen,
        Consistency::Sequential { at_least } => at_least,
        Consistency::Stale { .. } => Slot::FIRST,
    };
    if shown >= least {
        return Ok(());
    }
    let what = format!("{node} shows only the slots below {shown}, not those below {least}");
    Err(Wrong { promise: "linearizable", what })
}

/// Whether all of these can have happened in the order of their places. The times are of one clock.
pub fn check<Name: Display>(mut operations: Vec<Operation<Name>>) -> Checked {
    operations.sort_by_key(|operation| operation.place);
    // The one that was answered first among those behind the place that is looked at.
    let mut first_behind: Option<&Operation<Name>> = None;
    // Reads in one place stand in any order.
    for alike in operations.chunk_by(|one, other| one.place == other.place).rev() {
        let late = alike.iter().max_by_key(|operation| operation.asked);
        if let (Some(late), Some(behind)) = (late, first_behind)
            && let Some(answered) = behind.answered
            && answered < late.asked
        {
            return Err(Wrong {
                promise: "linearizable",
                what: format!(
                    "{} stands behind {} (slots {} and {}), and was answered at {} us, before \
                     that was asked for at {} us",
                    behind.name, late.name, behind.place.0, late.place.0, answered.0, late.asked.0
                ),
            });
        }
        let answered = alike.iter().filter(|operation| operation.answered.is_some());
        let all = answered.chain(first_behind);
        first_behind = all.min_by_key(|operation| operation.answered);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn append(slot: u64, asked: u64, answered: Option<u64>) -> Operation {
        let (asked, answered) = (Instant(asked), answered.map(Instant));
        Operation { place: (Slot(slot), true), asked, answered, name: format!("append {slot}") }
    }

    fn read(shown: u64, asked: u64, answered: u64) -> Operation {
        let (asked, answered) = (Instant(asked), Some(Instant(answered)));
        Operation { place: (Slot(shown), false), asked, answered, name: format!("read {shown}") }
    }

    #[test]
    fn operations_at_one_time_stand_in_any_order() {
        check(vec![append(0, 5, Some(20)), append(1, 0, Some(10))]).unwrap();
        check(vec![read(1, 0, 10), append(0, 5, Some(20)), read(0, 8, 30)]).unwrap();
    }

    #[test]
    fn what_was_answered_first_never_stands_behind() {
        check(vec![append(1, 0, Some(10)), append(0, 11, Some(20))]).unwrap_err();
        check(vec![append(1, 0, None), append(0, 11, Some(20))]).unwrap();
        check(vec![append(2, 0, Some(10)), append(1, 5, None), append(0, 11, None)]).unwrap_err();
    }

    #[test]
    fn a_read_shows_what_was_answered_before_and_nothing_from_later() {
        check(vec![append(0, 0, Some(10)), read(0, 11, 20)]).unwrap_err();
        check(vec![append(0, 0, Some(10)), read(1, 11, 20)]).unwrap();
        check(vec![append(0, 21, Some(30)), read(1, 11, 20)]).unwrap_err();
        check(vec![read(3, 0, 5), read(2, 6, 9)]).unwrap_err();
        check(vec![read(3, 0, 5), read(3, 6, 9)]).unwrap();
    }

    #[test]
    fn a_read_that_may_be_old_still_shows_nothing_from_later() {
        let node = NodeId(1);
        let client = 1;
        let mut history = Linearizable::default();
        history.asks(client, 1, Instant(100));
        history.hears(client, 1, Instant(110));
        let mut once = Once::default();
        once.note(client, 1, Slot(4));
        let (asked, answered) = (Instant(110), Instant(210));
        history.reads(Read { node, asked, answered, shown: Slot(2) });
        history.whole(&once).unwrap();
        let (asked, answered) = (Instant(0), Instant(60));
        history.reads(Read { node, asked, answered, shown: Slot(5) });
        history.whole(&once).unwrap_err();
        history.reads.pop();
        let (asked, answered) = (Instant(111), Instant(210));
        history.reads(Read { node, asked, answered, shown: Slot(2) });
        history.whole(&once).unwrap_err();
    }

    #[test]
    fn a_read_shows_every_slot_that_it_must() {
        let shows = |consistency, chosen, shown| {
            shows_enough(NodeId(1), consistency, Slot(chosen), Slot(shown)).is_ok()
        };
        let sequential = Consistency::Sequential { at_least: Slot(3) };
        assert_eq!([2, 3].map(|shown| shows(sequential, 9, shown)), [false, true]);
        assert_eq!([8, 9].map(|shown| shows(Consistency::Linearizable, 9, shown)), [false, true]);
        assert!(shows(Consistency::Stale { max_age: Duration::ZERO }, 9, 0), "that is swept");
    }

    #[test]
    fn a_hundred_thousand_operations_are_one_sweep() {
        // Each is asked for before its neighbours are answered; then one comes too late.
        let operation = |slot: u64| append(slot, slot * 10, Some(slot * 10 + 25));
        let mut all: Vec<Operation> = (0..100_000).map(operation).collect();
        check((0..100_000).map(operation).collect()).unwrap();
        all[99_000].asked = Instant(10_000_000);
        check(all).unwrap_err();
    }
}
