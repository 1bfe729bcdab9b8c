//! Promise: what clients of a real cluster were told is what its learners hold. Every learner shows
//! the same values in the same slots, each once, and none that nobody asked for; what was
//! acknowledged stands where the acknowledgement said, what was declined for good stands nowhere;
//! reads show exactly what is there; and all of it fits together in time (`linearizable`).
//!
//! A learner is followed from outside, in stretches: it may let go of old values before they were
//! seen. Inside of a stretch it leaves nothing out.
//!
//! Knows nothing of processes: it is given what was seen, and sees no disk and no wire. Everything
//! is a sort or a sweep, so millions of operations take seconds.

use std::collections::BTreeMap;
use std::fmt;

use paxos::{Instant, Slot};

use super::{Checked, Wrong, linearizable};
use crate::Operation;

/// What became of an append, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands there.
    Done(Slot),
    /// It is not in the history and never will be.
    NotApplied,
    /// Nobody could tell.
    Unknown,
}

/// One append of a value that nobody else appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Append {
    /// Which value.
    pub value: u64,
    /// When it was asked for.
    pub asked: Instant,
    /// When its client heard, or gave up.
    pub answered: Instant,
    /// What it heard.
    pub answer: Answer,
}

/// A read that was answered to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Who was asked.
    pub learner: String,
    /// When.
    pub asked: Instant,
    /// When the last value came.
    pub answered: Instant,
    /// The least that had to be shown; none: whatever was answered before it was asked.
    pub at_least: Option<Slot>,
    /// What was asked for begins here.
    pub first: Slot,
    /// And ends here, as the node said.
    pub below: Slot,
    /// What was shown: see [`Shown`].
    pub shown: Shown,
}

/// A range of the history in two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// How many values.
    pub count: u64,
    /// Of slots and values, in order.
    pub digest: u64,
}

impl Shown {
    /// One value more.
    pub fn extend(&mut self, slot: Slot, value: u64) {
        self.count += 1;
        // Not against malice, only against chance: each step is a bijection of what was before.
        for word in [slot.0, value] {
            self.digest = (self.digest.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }
}

/// A part of the history that a learner was seen to show without a gap.
#[derive(Debug)]
struct Stretch {
    first: Slot,
    below: Slot,
    count: u64,
}

/// The one history that all learners together have shown.
#[derive(Debug, Default)]
pub struct Told {
    chosen: BTreeMap<Slot, u64>,
    slots: BTreeMap<u64, Slot>,
    learners: BTreeMap<String, Vec<Stretch>>,
}

impl Told {
    /// From here on a learner is followed; what is between was let go before it was seen.
    pub fn begins(&mut self, learner: &str, first: Slot) -> Checked {
        let stretches = self.learners.entry(learner.to_owned()).or_default();
        if let Some(last) = stretches.last()
            && first < last.below
        {
            return wrong(format!("{learner} goes back from slot {} to {first}", last.below));
        }
        stretches.push(Stretch { first, below: first, count: 0 });
        Ok(())
    }

    /// A learner shows the next value.
    ///
    /// # Panics
    /// If nobody said where it begins.
    pub fn shows(&mut self, learner: &str, slot: Slot, value: u64) -> Checked {
        let stretches = self.learners.get_mut(learner).expect("it has begun");
        let stretch = stretches.last_mut().expect("it has begun");
        if slot < stretch.below {
            return wrong(format!("{learner} shows slot {slot} after {}", stretch.below));
        }
        stretch.below = slot.plus(1);
        stretch.count += 1;
        let known = *self.chosen.entry(slot).or_insert(value);
        if known != value {
            return wrong(format!(
                "{learner} shows {value:#x} in slot {slot}, where others show {known:#x}"
            ));
        }
        let first = *self.slots.entry(value).or_insert(slot);
        if first != slot {
            return wrong(format!(
                "{value:#x} stands in slot {first} and, at {learner}, in slot {slot}"
            ));
        }
        Ok(())
    }

    /// How many values were shown.
    pub fn values(&self) -> usize {
        self.chosen.len()
    }

    /// One past the last slot in which a value was shown.
    pub fn end(&self) -> Slot {
        self.chosen.last_key_value().map_or(Slot::FIRST, |(slot, _)| slot.plus(1))
    }

    /// Slots that were let go before a learner was seen to show them, by learner.
    pub fn unseen(&self) -> impl Iterator<Item = (&str, u64)> {
        self.learners.iter().map(|(learner, stretches)| {
            let mut next = Slot::FIRST;
            let mut unseen = 0;
            for stretch in stretches {
                unseen += stretch.first.0 - next.0;
                next = stretch.below;
            }
            (&learner[..], unseen)
        })
    }

    /// At the end, when every learner has been followed to the end: whether all of it is true.
    pub fn whole(&self, appends: &[Append], reads: &[Read]) -> Checked {
        self.all_show_the_same()?;
        self.nothing_else_stands_there(appends)?;
        for append in appends {
            self.is_where_it_was_said(append)?;
        }
        for read in reads {
            self.reads_what_is_there(read)?;
        }
        linearizable::check(self.operations(appends, reads))
    }

    fn all_show_the_same(&self) -> Checked {
        for (learner, stretches) in &self.learners {
            for Stretch { first, below, count } in stretches {
                // Each value that it showed is among these, so it is enough to count.
                let held = self.chosen.range(*first..*below).count() as u64;
                if held != *count {
                    return wrong(format!(
                        "{learner} shows {count} values from slot {first} to {below}, where \
                         others show {held}"
                    ));
                }
            }
            let end = stretches.last().map_or(Slot::FIRST, |last| last.below);
            if end != self.end() {
                return wrong(format!("{learner} ends at slot {end}, others at {}", self.end()));
            }
        }
        Ok(())
    }

    fn nothing_else_stands_there(&self, appends: &[Append]) -> Checked {
        let mut asked: Vec<u64> = appends.iter().map(|append| append.value).collect();
        asked.sort_unstable();
        let twice = asked.chunk_by(|one, other| one == other).find(|alike| alike.len() > 1);
        if let Some([value, ..]) = twice {
            return wrong(format!("{value:#x} was asked for twice: no history can tell"));
        }
        match self.slots.iter().find(|(value, _)| asked.binary_search(value).is_err()) {
            Some((value, slot)) => {
                wrong(format!("{value:#x} stands in slot {slot}, and nobody asked for it"))
            }
            None => Ok(()),
        }
    }

    fn is_where_it_was_said(&self, append: &Append) -> Checked {
        let Append { value, answer, .. } = append;
        match (answer, self.slots.get(value)) {
            (Answer::Done(said), Some(slot)) if said == slot => Ok(()),
            (Answer::Done(said), Some(slot)) => {
                wrong(format!("{value:#x} was acknowledged in slot {said} and stands in {slot}"))
            }
            (Answer::Done(said), None) => {
                wrong(format!("{value:#x} was acknowledged in slot {said} and is lost"))
            }
            (Answer::NotApplied, Some(slot)) => {
                wrong(format!("{value:#x} was declined for good and stands in slot {slot}"))
            }
            (Answer::NotApplied, None) | (Answer::Unknown, _) => Ok(()),
        }
    }

    fn reads_what_is_there(&self, read: &Read) -> Checked {
        let Read { learner, first, below, shown, at_least, .. } = read;
        if at_least.is_some_and(|least| *below < least) {
            return wrong(format!("{learner} was to show what is below {at_least:?}, not {below}"));
        }
        let mut held = Shown::default();
        for (slot, value) in self.chosen.range(*first.min(below)..*below) {
            held.extend(*slot, *value);
        }
        if held != *shown {
            return wrong(format!(
                "{learner} was read from slot {first} to {below} at {} us and showed {} values, \
                 not the {} that stand there",
                read.asked.0, shown.count, held.count
            ));
        }
        Ok(())
    }

    fn operations<'a>(&self, appends: &[Append], reads: &'a [Read]) -> Vec<Operation<Name<'a>>> {
        let appends = appends.iter().filter_map(|append| {
            let slot = *self.slots.get(&append.value)?;
            let is_done = matches!(append.answer, Answer::Done(_));
            let answered = is_done.then_some(append.answered);
            let name = Name::Append(append.value);
            Some(Operation { place: (slot, true), asked: append.asked, answered, name })
        });
        let reads = reads.iter().map(|read| {
            // A sequential one could have been asked for long ago.
            let asked = if read.at_least.is_some() { Instant(0) } else { read.asked };
            let (place, answered) = ((read.below, false), Some(read.answered));
            Operation { place, asked, answered, name: Name::Read(&read.learner) }
        });
        appends.chain(reads).collect()
    }
}

/// Which operation it was.
#[derive(Debug)]
enum Name<'a> {
    Append(u64),
    Read(&'a str),
}

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Append(value) => write!(f, "value {value:#x}"),
            Name::Read(learner) => write!(f, "a read at {learner}"),
        }
    }
}

fn wrong(what: String) -> Checked {
    Err(Wrong { promise: "told", what })
}

#[cfg(test)]
mod tests;
