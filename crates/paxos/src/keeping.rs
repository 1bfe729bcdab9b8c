//! Who keeps which snapshot: what a learner can give away, and what acceptors may cut.
//!
//! A vote is cut only when enough keepers have the slot in a snapshot on their disks
//! ([`Configuration::copies`]). Each keeper says at intervals how far its snapshot reaches; an
//! acceptor takes each one's latest word. A keeper that has lost its disk says so with its next
//! word, which comes within an interval of its start: a keeper speaks from its first moment on,
//! even if it has nothing. What was cut before is then held by one fewer, as a vote is after an
//! acceptor's disk.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use crate::ballot::{NodeId, Slot};
use crate::digest::SnapshotId;
use crate::quorum::Configuration;
use crate::time::Instant;

/// Snapshots that a learner gives away: the newest, and the one before it, which somebody may be
/// in the middle of fetching.
const GENERATIONS: usize = 2;

/// A learner's half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    every: Duration,
    /// Oldest first.
    own: VecDeque<SnapshotId>,
    /// Everything below is in a snapshot on this node's disk.
    durable: Slot,
    /// When to speak next; never, if this node is no keeper.
    announce: Option<Instant>,
}

/// An acceptor's half: how far each keeper's snapshot reaches, by its latest word.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reports {
    words: BTreeMap<NodeId, Slot>,
    /// Enough of them have had everything below.
    covered: Slot,
}

impl Kept {
    /// No snapshot yet. A keeper announces what is durable as often as `every`.
    pub fn new(every: Duration, is_keeper: bool, now: Instant) -> Kept {
        let announce = is_keeper.then_some(now);
        Kept { every, own: VecDeque::new(), durable: Slot::FIRST, announce }
    }

    /// There is a new snapshot.
    pub fn add(&mut self, snapshot: SnapshotId, is_durable: bool, now: Instant) {
        // They may be written in another order than they were taken.
        let place = self.own.partition_point(|own| own.below < snapshot.below);
        self.own.insert(place, snapshot);
        if self.own.len() > GENERATIONS {
            self.own.pop_front();
        }
        if is_durable {
            self.durable = self.durable.max(snapshot.below);
            self.announce = self.announce.map(|_| now);
        }
    }

    /// Which one to give to somebody who asks for this one, or for any.
    pub fn offer(&self, asked: Option<SnapshotId>) -> Option<SnapshotId> {
        let known = asked.filter(|asked| self.own.contains(asked));
        known.or(self.own.back().copied())
    }

    /// When [`Kept::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        self.announce
    }

    /// What to announce now, if it is time.
    pub fn due(&mut self, now: Instant) -> Option<Slot> {
        self.announce.filter(|at| *at <= now)?;
        self.announce = Some(now.plus(self.every));
        Some(self.durable)
    }
}

impl Reports {
    /// A keeper has everything below in a snapshot. Gives back below which slot enough of them
    /// have, if that is further than before.
    pub fn heard(
        &mut self,
        configuration: &Configuration,
        from: NodeId,
        below: Slot,
    ) -> Option<Slot> {
        if configuration.keepers().any(|keeper| keeper == from) {
            self.words.insert(from, below);
        }
        let mut slots: Vec<Slot> = self.words.values().copied().collect();
        slots.sort_unstable_by(|a, b| b.cmp(a));
        let lowest = configuration.copies().and_then(|copies| slots.get(copies - 1).copied());
        let covered = lowest.filter(|covered| *covered > self.covered)?;
        self.covered = covered;
        Some(covered)
    }

    /// Below which slot enough keepers have had everything.
    pub fn covered(&self) -> Slot {
        self.covered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};

    /// Nodes 1 to 3 do everything; 4 leads without a disk; 5 follows with one.
    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id <= 4, acceptor: id <= 3, learner: id == 5 };
            (NodeId(id), Member { roles, disk: (id != 4).then(DiskId::default) })
        };
        Configuration::majority(ClusterId::default(), (1..=5).map(member).collect()).unwrap()
    }

    fn snapshot(below: u64) -> SnapshotId {
        SnapshotId { below: Slot(below), bytes: 1, digest: Digest::default() }
    }

    #[test]
    fn as_many_keepers_as_voters_must_have_it() {
        let configuration = configuration();
        assert!(configuration.keepers().eq([1, 2, 3, 5].map(NodeId)));
        assert_eq!(configuration.copies(), Some(2));
        let mut reports = Reports::default();
        let mut hear = |from, below| {
            let covered = reports.heard(&configuration, NodeId(from), Slot(below));
            covered.map(|slot| slot.0)
        };
        assert_eq!(hear(1, 9), None, "one disk is too few");
        assert_eq!(hear(1, 10), None, "the same one twice is one");
        assert_eq!(hear(4, 9), None, "who has no disk keeps nothing");
        assert_eq!(hear(5, 7), Some(7));
        assert_eq!(hear(5, 7), None, "that is no news");
        assert_eq!(hear(2, 8), Some(8));
        assert_eq!(hear(1, 3), None, "it has lost its disk");
        assert_eq!(hear(5, 20), None, "eight is on two disks, and no more");
    }

    #[test]
    fn with_one_keeper_nothing_is_cut() {
        let member = |id: u32| {
            let roles = Roles { leader: id == 1, acceptor: id > 1, learner: false };
            (NodeId(id), Member { roles, disk: Some(DiskId::default()) })
        };
        let members = (1..=4).map(member).collect();
        let configuration = Configuration::majority(ClusterId::default(), members).unwrap();
        assert_eq!(configuration.copies(), None);
        let below = Reports::default().heard(&configuration, NodeId(1), Slot(9));
        assert_eq!(below, None);
    }

    #[test]
    fn what_is_on_disk_is_announced_at_once_and_again() {
        let mut kept = Kept::new(Duration::from_micros(10), true, Instant(0));
        assert_eq!(kept.due(Instant(0)), Some(Slot(0)), "its former life may have said more");
        kept.add(snapshot(3), false, Instant(1));
        assert_eq!(kept.due(Instant(1)), None, "it is in memory only");
        kept.add(snapshot(5), true, Instant(2));
        assert_eq!(kept.due(Instant(2)), Some(Slot(5)));
        assert_eq!(kept.due(Instant(11)), None);
        assert_eq!(kept.due(Instant(12)), Some(Slot(5)));
        kept.add(snapshot(7), false, Instant(13));
        assert_eq!(kept.due(Instant(22)), Some(Slot(5)), "seven is not on disk");
        let mut diskless = Kept::new(Duration::ZERO, false, Instant(0));
        diskless.add(snapshot(3), true, Instant(1));
        assert_eq!(diskless.deadline(), None, "it is no keeper");
    }

    #[test]
    fn the_one_asked_for_is_given_while_it_is_there() {
        let mut kept = Kept::new(Duration::ZERO, true, Instant(0));
        assert_eq!(kept.offer(None), None);
        for below in [3, 7, 5] {
            kept.add(snapshot(below), true, Instant(0));
        }
        assert_eq!(kept.offer(None), Some(snapshot(7)));
        assert_eq!(kept.offer(Some(snapshot(5))), Some(snapshot(5)));
        assert_eq!(kept.offer(Some(snapshot(3))), Some(snapshot(7)), "it is gone");
    }
}
