//! What must hold in every state, seen from outside: the votes that were ever on the acceptors'
//! disks decide what is chosen, whether or not any node has noticed.

use std::collections::{BTreeMap, HashMap, HashSet};

use paxos::{Ballot, Mark, ReadId, Slot, Value};

use super::atlas::{Atlas, NodeStateId, Outcome, Vote};
use super::local::Reading;
use super::scene::Scene;

/// The number of what the observer knows.
pub type KnownId = u32;

/// The number of a value that was voted for.
type ValueId = usize;

/// What the observer knows: a part of the state of the world.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Known {
    chosen: BTreeMap<Slot, ValueId>,
    /// Acceptors by their place among themselves, one bit each.
    votes: BTreeMap<(Slot, Ballot, ValueId), u8>,
    /// Reads that are not answered, by the leader's place: one past the last slot that was chosen
    /// when it began.
    reads: BTreeMap<(usize, ReadId), Slot>,
}

/// The observer.
pub struct Judge {
    scene: Scene,
    forgets: bool,
    values: Vec<Value>,
    all: Vec<Known>,
    numbers: HashMap<Known, KnownId>,
    renamed: HashMap<(KnownId, usize), KnownId>,
    fine: HashSet<(KnownId, NodeStateId)>,
}

impl Judge {
    /// An observer that has seen nothing. One that `forgets` keeps no vote that can make no
    /// difference any more.
    pub fn new(scene: &Scene, forgets: bool) -> Judge {
        Judge {
            scene: *scene,
            forgets,
            values: Vec::new(),
            all: Vec::new(),
            numbers: HashMap::new(),
            renamed: HashMap::new(),
            fine: HashSet::new(),
        }
    }

    /// What there is to know at the start.
    pub fn start(&mut self, atlas: &Atlas, nodes: &[NodeStateId]) -> KnownId {
        let mut known = Known::default();
        for (place, node) in (self.scene.leaders..).zip(&nodes[self.scene.leaders..]) {
            for run in atlas.local(*node).disk.votes().iter() {
                for (slot, value) in (run.first.0..).zip(run.values.iter()) {
                    self.count(&mut known, place, &(Slot(slot), run.ballot, value.clone()));
                }
            }
        }
        self.settle(atlas, nodes, &mut known).expect("a start without votes that differ");
        self.number(known)
    }

    /// The node at `place` has moved.
    pub fn see(
        &mut self,
        atlas: &Atlas,
        nodes: &[NodeStateId],
        known: KnownId,
        place: usize,
        outcome: &Outcome,
    ) -> Result<KnownId, String> {
        let before = &self.all[known as usize];
        if self.scene.is_leader(place) {
            return self.see_reads(atlas, nodes[place], known, place, &outcome.reads);
        }
        if outcome.votes.is_empty() && before.votes.is_empty() {
            return Ok(known);
        }
        let before = before.clone();
        let mut after = before.clone();
        for vote in &outcome.votes {
            self.count(&mut after, place, vote);
        }
        self.settle(atlas, nodes, &mut after)?;
        if after == before { Ok(known) } else { Ok(self.number(after)) }
    }

    /// A read shows all that was chosen before it began, by whatever was on the disks then.
    fn see_reads(
        &mut self,
        atlas: &Atlas,
        node: NodeStateId,
        known: KnownId,
        place: usize,
        reads: &[Reading],
    ) -> Result<KnownId, String> {
        if reads.is_empty() {
            return Ok(known);
        }
        let mut after = self.all[known as usize].clone();
        for reading in reads {
            match *reading {
                Reading::Begins(read) => {
                    let last = after.chosen.last_key_value();
                    let floor = last.map_or(Slot::FIRST, |(slot, _)| slot.plus(1));
                    after.reads.insert((place, read), floor);
                }
                Reading::Answered(read, index) => {
                    let floor = after.reads.remove(&(place, read));
                    let shown = index.min(atlas.local(node).replica.chosen());
                    let me = Scene::node(place);
                    let floor = floor.ok_or(format!("leader {me} answers what nobody asked"))?;
                    if shown < floor {
                        return Err(format!(
                            "leader {me} shows a read what is below slot {shown}; before it began, \
                             all below {floor} was chosen"
                        ));
                    }
                }
            }
        }
        Ok(self.number(after))
    }

    fn count(&mut self, known: &mut Known, place: usize, (slot, ballot, value): &Vote) {
        let value = self.values.iter().position(|seen| seen == value).unwrap_or_else(|| {
            self.values.push(value.clone());
            self.values.len() - 1
        });
        *known.votes.entry((*slot, *ballot, value)).or_insert(0) |=
            1 << (place - self.scene.leaders);
    }

    fn settle(
        &self,
        atlas: &Atlas,
        nodes: &[NodeStateId],
        known: &mut Known,
    ) -> Result<(), String> {
        let quorum = u32::try_from(self.scene.quorums.1).expect("a few acceptors");
        for ((slot, ballot, value), voters) in &known.votes {
            if voters.count_ones() < quorum {
                continue;
            }
            let first = known.chosen.entry(*slot).or_insert(*value);
            if first != value {
                let (first, value) = (name(&self.values[*first]), name(&self.values[*value]));
                return Err(format!("slot {slot}: {first} is chosen, and {value} at {ballot}"));
            }
        }
        if self.forgets {
            self.forget(atlas, nodes, known);
        }
        Ok(())
    }

    /// More votes for what is chosen say nothing new. And an acceptor that has promised a higher
    /// ballot votes no more at this one, so it may be that a quorum never will.
    fn forget(&self, atlas: &Atlas, nodes: &[NodeStateId], known: &mut Known) {
        let Known { chosen, votes, .. } = known;
        votes.retain(|(slot, ballot, value), voters| {
            let may_vote = |place: &usize| {
                let promised = atlas.local(nodes[*place]).disk.promised();
                *voters >> (place - self.scene.leaders) & 1 == 1 || promised <= *ballot
            };
            let may = (self.scene.leaders..self.scene.places()).filter(may_vote).count();
            chosen.get(slot) != Some(value) && may >= self.scene.quorums.1
        });
    }

    /// The same knowledge, had the acceptors been named otherwise.
    pub fn rename(&mut self, atlas: &Atlas, known: KnownId, renaming: usize) -> KnownId {
        if let Some(&renamed) = self.renamed.get(&(known, renaming)) {
            return renamed;
        }
        let Known { chosen, votes, reads } = &self.all[known as usize];
        let leaders = self.scene.leaders;
        let rename = |voters: u8| {
            let places = leaders..self.scene.places();
            let voters = places.filter(|place| voters >> (place - leaders) & 1 == 1);
            let renamed = voters.map(|place| atlas.renaming(renaming)[place]);
            renamed.fold(0, |all, place| all | 1 << (place - leaders))
        };
        let votes = votes.iter().map(|(vote, voters)| (*vote, rename(*voters))).collect();
        let (chosen, reads) = (chosen.clone(), reads.clone());
        let renamed = self.number(Known { chosen, votes, reads });
        self.renamed.insert((known, renaming), renamed);
        renamed
    }

    /// Whether a node is as promised; says what is wrong if not.
    pub fn look(&mut self, atlas: &Atlas, known: KnownId, node: NodeStateId) -> Result<(), String> {
        if self.fine.contains(&(known, node)) {
            return Ok(());
        }
        let local = atlas.local(node);
        local.wrong.clone().map_or(Ok(()), Err)?;
        let me = local.replica.config().node;
        let chosen = &self.all[known as usize].chosen;
        let mut mark = Mark::default();
        while mark.below < local.replica.chosen() {
            let slot = mark.below;
            let there = chosen.get(&slot).map(|value| &self.values[*value]);
            let values = local.replica.read(slot, 0);
            // What is in a snapshot it no longer shows, but for the digest of all of it.
            let is_kept = slot < local.replica.forgotten();
            let value = if is_kept { there } else { values.first() };
            let value = value
                .ok_or(format!("leader {me} does not know slot {slot}, or it is not chosen"))?;
            if there != Some(value) {
                let there = there.map_or("nothing".to_string(), name);
                let value = name(value);
                return Err(format!(
                    "leader {me} learned {value} in slot {slot}; {there} is chosen"
                ));
            }
            mark = mark.extended(value);
        }
        if mark != local.replica.mark() {
            return Err(format!("leader {me} has restored what is not chosen"));
        }
        self.fine.insert((known, node));
        Ok(())
    }

    fn number(&mut self, known: Known) -> KnownId {
        if let Some(&number) = self.numbers.get(&known) {
            return number;
        }
        let number = KnownId::try_from(self.all.len()).expect("memory ends before");
        self.all.push(known.clone());
        self.numbers.insert(known, number);
        number
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

/// For the tests of the reductions.
#[cfg(test)]
impl Judge {
    pub fn forgotten(&mut self, atlas: &Atlas, nodes: &[NodeStateId], known: KnownId) -> KnownId {
        let mut known = self.all[known as usize].clone();
        self.forget(atlas, nodes, &mut known);
        self.number(known)
    }

    pub fn view(&self, known: KnownId) -> String {
        let Known { chosen, votes, reads } = &self.all[known as usize];
        let value = |value: &ValueId| name(&self.values[*value]);
        let chosen: Vec<_> = chosen.iter().map(|(slot, v)| (slot, value(v))).collect();
        let votes: Vec<_> = votes.iter().map(|((s, b, v), all)| (s, b, value(v), all)).collect();
        format!("{chosen:?} {votes:?} {reads:?}")
    }
}
