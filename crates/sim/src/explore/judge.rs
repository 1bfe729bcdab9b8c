//! What must hold in every state, seen from outside: the votes that were ever on the acceptors'
//! disks decide what is chosen, whether or not any node has noticed.

use std::collections::{BTreeMap, HashMap, HashSet};

use paxos::{Ballot, Configuration, Phase2, Slot, Value, Voters};

use super::atlas::{Atlas, LocalId};
use super::scene::Scene;

type Chosen = BTreeMap<Slot, Value>;

/// The observer. Remembers what it has judged, for the parts of a state repeat.
pub struct Judge {
    configuration: Configuration,
    leaders: usize,
    /// By the acceptors' node states: what is chosen, as a number.
    verdicts: HashMap<Vec<LocalId>, u32>,
    chosen: Vec<Chosen>,
    fine: HashSet<(u32, LocalId)>,
}

impl Judge {
    pub fn new(scene: &Scene) -> Judge {
        Judge {
            configuration: scene.configuration(scene.quorums),
            leaders: scene.leaders,
            verdicts: HashMap::new(),
            chosen: Vec::new(),
            fine: HashSet::new(),
        }
    }

    /// Whether the state is as promised; says what is wrong if not.
    pub fn look(&mut self, atlas: &Atlas, state: &[LocalId]) -> Result<(), String> {
        let (leaders, acceptors) = state.split_at(self.leaders);
        let verdict = match self.verdicts.get(acceptors) {
            Some(&verdict) => verdict,
            None => self.count(atlas, acceptors)?,
        };
        for &leader in leaders {
            if !self.fine.contains(&(verdict, leader)) {
                self.learned(atlas, verdict, leader)?;
                self.fine.insert((verdict, leader));
            }
        }
        Ok(())
    }

    fn count(&mut self, atlas: &Atlas, acceptors: &[LocalId]) -> Result<u32, String> {
        let mut votes: Vec<(Slot, Ballot, &Value, Voters<Phase2>)> = Vec::new();
        for &acceptor in acceptors {
            let local = atlas.local(acceptor);
            local.wrong.clone().map_or(Ok(()), Err)?;
            let me = local.replica.config().node;
            let all =
                local.voted.iter().flat_map(|(at, values)| values.iter().map(move |v| (at, v)));
            for (&(slot, ballot), value) in all {
                let same = |vote: &&mut (Slot, Ballot, &Value, Voters<Phase2>)| {
                    (vote.0, vote.1, vote.2) == (slot, ballot, value)
                };
                if let Some(vote) = votes.iter_mut().find(same) {
                    self.configuration.count(&mut vote.3, me);
                } else {
                    let mut voters = Voters::default();
                    self.configuration.count(&mut voters, me);
                    votes.push((slot, ballot, value, voters));
                }
            }
        }
        let mut chosen = Chosen::new();
        for (slot, ballot, value, voters) in votes {
            if !self.configuration.is_quorum(voters) {
                continue;
            }
            let first = chosen.entry(slot).or_insert_with(|| value.clone());
            if first != value {
                let (first, value) = (name(first), name(value));
                return Err(format!("slot {slot}: {first} is chosen, and {value} at {ballot}"));
            }
        }
        let known = self.chosen.iter().position(|other| *other == chosen);
        let place = known.unwrap_or_else(|| {
            self.chosen.push(chosen);
            self.chosen.len() - 1
        });
        let verdict = u32::try_from(place).expect("a few histories");
        self.verdicts.insert(acceptors.to_vec(), verdict);
        Ok(verdict)
    }

    fn learned(&self, atlas: &Atlas, verdict: u32, leader: LocalId) -> Result<(), String> {
        let local = atlas.local(leader);
        local.wrong.clone().map_or(Ok(()), Err)?;
        let me = local.replica.config().node;
        let chosen = &self.chosen[verdict as usize];
        let mut slot = Slot::FIRST;
        while slot < local.replica.chosen() {
            let values = local.replica.read(slot, 0);
            let value = values.first().expect("a prefix has its values");
            if chosen.get(&slot) != Some(value) {
                let there = chosen.get(&slot).map_or("nothing".to_string(), name);
                let value = name(value);
                return Err(format!(
                    "leader {me} learned {value} in slot {slot}; {there} is chosen"
                ));
            }
            slot = slot.plus(1);
        }
        Ok(())
    }
}

/// A value as stories spell it.
pub fn name(value: &Value) -> String {
    match value {
        Value::Noop => "a no-op".into(),
        Value::LeaderStart => "a leader's start".into(),
        Value::Command(bytes) => String::from_utf8_lossy(bytes).into_owned(),
    }
}
