//! Promise: one value a slot, for ever, and every learner is handed exactly that, in order.
//!
//! An omniscient observer reads every disk: a value is chosen when a phase-2 quorum of acceptors
//! has durable records of it at one ballot, whether or not anybody has noticed.

use std::collections::BTreeMap;

use paxos::{Ballot, Configuration, Mark, NodeId, Phase2, Record, Slot, Value, Values, Voters};

use super::{Checked, Wrong};

/// The observer.
#[derive(Debug)]
pub struct Agreement {
    configuration: Configuration,
    votes: BTreeMap<(Slot, Ballot), (Value, Voters<Phase2>)>,
    chosen: BTreeMap<Slot, (Ballot, Value)>,
    /// The digest of the history below each slot, as far as it was asked for.
    marks: Vec<Mark>,
}

impl Agreement {
    pub fn new(configuration: Configuration) -> Agreement {
        let (votes, chosen) = (BTreeMap::new(), BTreeMap::new());
        Agreement { configuration, votes, chosen, marks: vec![Mark::default()] }
    }

    /// An acceptor has this on its disk.
    pub fn durable(&mut self, acceptor: NodeId, record: &Record) -> Checked {
        let Record::Accepted(run) = record else {
            return Ok(());
        };
        for (slot, value) in (run.first.0..).map(Slot).zip(run.values.iter()) {
            self.vote(acceptor, run.ballot, slot, value)?;
        }
        Ok(())
    }

    fn vote(&mut self, acceptor: NodeId, ballot: Ballot, slot: Slot, value: &Value) -> Checked {
        let fresh = || (value.clone(), Voters::default());
        let (voted, voters) = self.votes.entry((slot, ballot)).or_insert_with(fresh);
        if voted != value {
            return wrong(format!(
                "slot {slot}, ballot {ballot}: {acceptor} voted for {value:?}, others for {voted:?}"
            ));
        }
        self.configuration.count(voters, acceptor);
        if !self.configuration.is_quorum(*voters) {
            return Ok(());
        }
        let (before, chosen) = self.chosen.entry(slot).or_insert_with(|| (ballot, value.clone()));
        if chosen != value {
            return wrong(format!(
                "slot {slot}: {chosen:?} was chosen at {before}, then {value:?} at {ballot}"
            ));
        }
        Ok(())
    }

    /// A learner was handed these values, `first` being where it stood.
    pub fn learned(&self, learner: NodeId, first: Slot, values: &Values) -> Checked {
        for (slot, value) in (first.0..).map(Slot).zip(values.iter()) {
            match self.chosen.get(&slot) {
                Some((_, chosen)) if chosen == value => {}
                Some((ballot, chosen)) => {
                    return wrong(format!(
                        "{learner} was handed {value:?} in slot {slot}; {chosen:?} was chosen \
                         there at {ballot}"
                    ));
                }
                None => {
                    return wrong(format!(
                        "{learner} was handed {value:?} in slot {slot}; nothing is chosen there"
                    ));
                }
            }
        }
        Ok(())
    }

    /// A learner says that this is the digest of its history.
    pub fn goes_on(&mut self, learner: NodeId, mark: Mark) -> Checked {
        let at = usize::try_from(mark.below.0).expect("a walk has few slots");
        while self.marks.len() <= at {
            let last = *self.marks.last().expect("never empty");
            let Some((_, value)) = self.chosen.get(&last.below) else {
                return wrong(format!(
                    "{learner} holds a history below slot {}, and slot {} is not \
                    chosen",
                    mark.below, last.below
                ));
            };
            self.marks.push(last.extended(value));
        }
        if self.marks[at] != mark {
            return wrong(format!("{learner} holds another history below slot {}", mark.below));
        }
        Ok(())
    }

    /// What the slot was chosen to hold.
    pub fn chosen(&self, slot: Slot) -> Option<&Value> {
        self.chosen.get(&slot).map(|(_, value)| value)
    }

    /// One past the last slot in which something is chosen.
    pub fn end(&self) -> Slot {
        self.chosen.last_key_value().map_or(Slot::FIRST, |(slot, _)| slot.plus(1))
    }

    /// How many slots are chosen.
    pub fn slots(&self) -> u64 {
        self.chosen.len() as u64
    }
}

fn wrong(what: String) -> Checked {
    Err(Wrong { promise: "agreement", what })
}
