//! Counts phase-2 votes by slot. Knows no values.
//!
//! Acceptors are counted, per slot and ballot, never messages. Votes at a lower ballot than the
//! highest heard of in a slot are forgotten: that can delay learning, never falsify it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::ballot::{Ballot, NodeId, Slot};
use crate::quorum::{Configuration, Phase2, Voters};

/// Consecutive slots with the same votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Segment {
    end: Slot,
    ballot: Ballot,
    voters: Voters<Phase2>,
}

/// Who voted where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    by_first: BTreeMap<Slot, Segment>,
}

impl Tally {
    /// Counts one acceptor's vote for `ballot` in `first..end`.
    pub fn add(
        &mut self,
        configuration: &Configuration,
        voter: NodeId,
        ballot: Ballot,
        first: Slot,
        end: Slot,
    ) {
        self.split_at(first);
        self.split_at(end);
        let mut alone = Voters::default();
        configuration.count(&mut alone, voter);
        let mut gaps = Vec::new();
        let mut open = first;
        for (&at, segment) in self.by_first.range_mut(first..end) {
            gaps.push((open, at));
            open = segment.end;
            if segment.ballot < ballot {
                *segment = Segment { ballot, voters: alone, ..*segment };
            } else if segment.ballot == ballot {
                configuration.count(&mut segment.voters, voter);
            }
        }
        gaps.push((open, end));
        for (at, end) in gaps {
            if at < end {
                self.by_first.insert(at, Segment { end, ballot, voters: alone });
            }
        }
    }

    /// The parts of `first..end` that a phase-2 quorum accepted, each with its ballot.
    pub fn chosen(
        &self,
        configuration: &Configuration,
        first: Slot,
        end: Slot,
    ) -> Vec<(Ballot, Slot, Slot)> {
        let below = self.by_first.range(..first).next_back();
        let within = self.by_first.range(first..end.max(first));
        let all = below.into_iter().chain(within);
        all.filter(|(at, segment)| segment.end > first && **at < end)
            .filter(|(_, segment)| configuration.is_quorum(segment.voters))
            .map(|(at, segment)| (segment.ballot, first.max(*at), end.min(segment.end)))
            .collect()
    }

    /// Forgets every slot below.
    pub fn cut_below(&mut self, slot: Slot) {
        self.split_at(slot);
        while self.by_first.first_key_value().is_some_and(|(at, _)| *at < slot) {
            self.by_first.pop_first();
        }
    }

    fn split_at(&mut self, slot: Slot) {
        let Some((_, holding)) = self.by_first.range_mut(..slot).next_back() else {
            return;
        };
        if holding.end > slot {
            let above = *holding;
            holding.end = slot;
            self.by_first.insert(slot, above);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;
    use crate::ballot::Incarnation;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};
    use crate::rng::Rng;

    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id == 1, acceptor: true, learner: false };
            (NodeId(id), Member { roles, disk: Some(DiskId::default()) })
        };
        Configuration::majority(ClusterId::default(), (1..=5).map(member).collect()).unwrap()
    }

    #[test]
    fn tallies_agree_with_sets() {
        // Against the definition: per slot the highest ballot, and the set of its voters.
        let configuration = configuration();
        let mut rng = Rng::new(11);
        for _ in 0..2_000 {
            let mut tally = Tally::default();
            let mut plain: BTreeMap<u64, (Ballot, BTreeSet<u32>)> = BTreeMap::new();
            for _ in 0..20 {
                let voter = u32::try_from(rng.below(5)).unwrap() + 1;
                let round = rng.below(2) + 1;
                let ballot = Ballot { round, leader: NodeId(1), incarnation: Incarnation(1) };
                let (first, length) = (rng.below(8), rng.below(5) + 1);
                tally.add(&configuration, NodeId(voter), ballot, Slot(first), Slot(first + length));
                for slot in first..first + length {
                    let votes = plain.entry(slot).or_insert((ballot, BTreeSet::new()));
                    if votes.0 < ballot {
                        *votes = (ballot, BTreeSet::new());
                    }
                    if votes.0 == ballot {
                        votes.1.insert(voter);
                    }
                }
            }
            let cut = rng.below(4);
            tally.cut_below(Slot(cut));
            plain.retain(|slot, votes| *slot >= cut && votes.1.len() >= 3);
            let (first, end) = (rng.below(6), 6 + rng.below(8));
            let mut chosen = BTreeMap::new();
            for (ballot, from, to) in tally.chosen(&configuration, Slot(first), Slot(end)) {
                assert!(from < to, "an empty part says nothing");
                for slot in from.0..to.0 {
                    assert!(chosen.insert(slot, ballot).is_none());
                }
            }
            let expected: BTreeMap<u64, Ballot> =
                plain.range(first..end).map(|(slot, votes)| (*slot, votes.0)).collect();
            assert_eq!(chosen, expected);
        }
    }
}
