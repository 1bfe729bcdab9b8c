//! What is ordered, and how: nodes, incarnations, ballots, slots.
//!
//! This file knows no message and no rule of voting. It holds the one comparison of ballots
//! that everything else uses; the ancestor had three, and they disagreed.
//!
//! Source: Lamport, "Paxos Made Simple", section 2.2 (proposal numbers) and section 3 (instances).

use core::fmt;

/// A node's name for life. Addresses are data; a node is its id.
///
/// Range: 1 to `u32::MAX`. Zero is never a member, so that zeroed bytes name nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// 64 random bits drawn when a process starts.
///
/// A leader owns no disk, so it cannot remember which rounds it has used. Two lives of one leader
/// differ here, and so no ballot is ever used twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// A proposal number: totally ordered, and never the same for two lives of any leader.
///
/// The order is that of the fields: round, then leader, then incarnation. It is always compared
/// whole (the derived `Ord` is the only comparison in the project).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Grows with each attempt to lead. Zero only in [`Ballot::NONE`].
    pub round: u64,
    /// The leader that owns this ballot.
    pub leader: NodeId,
    /// Which life of that leader.
    pub incarnation: Incarnation,
}

impl Ballot {
    /// Below every ballot that a leader can own: "nothing promised", "nothing accepted".
    pub const NONE: Ballot = Ballot { round: 0, leader: NodeId(0), incarnation: Incarnation(0) };

    /// No higher round is ever believed: counting on from one below it cannot overflow. A million
    /// campaigns a second reach it after 146,000 years.
    pub const ROUND_MAX: u64 = 1 << 62;
}

/// A position in the history, counted from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u64);

impl Slot {
    /// The first position of every history.
    pub const FIRST: Slot = Slot(0);

    /// No slot at or above this one is ever used or believed: arithmetic on slots below it
    /// cannot overflow. A million decisions a second reach it after 146,000 years.
    pub const LIMIT: Slot = Slot(1 << 62);

    /// The slot `count` positions later, at most [`Slot::LIMIT`].
    #[must_use]
    pub const fn plus(self, count: u64) -> Slot {
        let sum = self.0.saturating_add(count);
        if sum > Self::LIMIT.0 { Self::LIMIT } else { Slot(sum) }
    }

    /// How many slots lie from `earlier` (inclusive) to `self` (exclusive); zero if none.
    pub const fn since(self, earlier: Slot) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for Ballot {
    /// `round·leader`, as in captions and logs. The incarnation is left out: it tells two lives
    /// apart, not a story.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}·{}", self.round, self.leader)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn ballots_compare_by_round_then_leader_then_incarnation() {
        let ballot = |round, leader, incarnation| Ballot {
            round,
            leader: NodeId(leader),
            incarnation: Incarnation(incarnation),
        };
        let sorted =
            [Ballot::NONE, ballot(1, 1, 9), ballot(1, 2, 1), ballot(1, 2, 2), ballot(2, 1, 1)];
        assert!(sorted.is_sorted());
        assert!(sorted.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn slots_never_pass_the_limit() {
        assert_eq!(Slot::LIMIT.plus(1), Slot::LIMIT);
        assert_eq!(Slot(3).plus(u64::MAX), Slot::LIMIT);
        assert_eq!(Slot(3).since(Slot(5)), 0);
        assert_eq!(Slot(5).since(Slot(3)), 2);
    }

    #[test]
    fn captions_show_round_and_leader() {
        let ballot = Ballot { round: 5, leader: NodeId(2), incarnation: Incarnation(9) };
        assert_eq!(format!("{ballot} {} {}", NodeId(7), Slot(3)), "5·2 7 3");
    }
}
