//! What will happen, by time; at one time, in the order in which it was planned.
//!
//! The heap moves only small keys; what happens stays in its place until its time has come.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use paxos::Instant;

/// A queue of `T` by time.
#[derive(Debug)]
pub struct Agenda<T> {
    /// Time, order of planning, place.
    keys: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    planned: u64,
    places: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Agenda<T> {
    pub fn new() -> Agenda<T> {
        Agenda { keys: BinaryHeap::new(), planned: 0, places: Vec::new(), free: Vec::new() }
    }

    pub fn plan(&mut self, at: Instant, what: T) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        self.places[place] = Some(what);
        self.planned += 1;
        self.keys.push(Reverse((at, self.planned, place)));
    }

    pub fn next(&mut self) -> Option<(Instant, T)> {
        let Reverse((at, _, place)) = self.keys.pop()?;
        self.free.push(place);
        let what = self.places[place].take().expect("a key has a place of its own");
        Some((at, what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planned_for_one_time_keeps_its_order() {
        let mut agenda = Agenda::new();
        for (at, what) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b')] {
            agenda.plan(Instant(at), what);
        }
        assert_eq!(agenda.next(), Some((Instant(1), 'a')));
        agenda.plan(Instant(5), 'e');
        let rest: String = std::iter::from_fn(|| agenda.next()).map(|(_, what)| what).collect();
        assert_eq!(rest, "bcde");
    }
}
