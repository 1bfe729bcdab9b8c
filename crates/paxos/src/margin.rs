//! How many more acceptors may fail, and what stops then. Arithmetic for operators: no role asks.
//!
//! With quorums of different sizes the two phases stop at different times. Where phase 2 is small,
//! a leader goes on choosing long after nobody could be elected in its place (Howard, Malkhi and
//! Spiegelman, "Flexible Paxos", OPODIS 2016).

/// Acceptors to spare in each phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Margin {
    /// How many more may fail before nobody can be elected; none: nobody can be.
    pub electing: Option<u32>,
    /// How many more may fail before nothing is chosen; none: nothing is.
    pub choosing: Option<u32>,
}

impl Margin {
    /// Where `electing` acceptors count in phase 1 and `choosing` in phase 2, and a quorum needs
    /// `phase1` and `phase2` of them. An acceptor that has lost votes counts in phase 2 alone.
    pub fn of((electing, phase1): (u32, u32), (choosing, phase2): (u32, u32)) -> Margin {
        Margin { electing: electing.checked_sub(phase1), choosing: choosing.checked_sub(phase2) }
    }

    /// How many more may fail so that everything goes on, whichever they are.
    pub fn survivable(&self) -> u32 {
        self.electing.min(self.choosing).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;
    use crate::ballot::NodeId;
    use crate::quorum::{ClusterId, Configuration, DiskId, Member, Phase1, Phase2, Roles, Voters};

    fn configuration(acceptors: u32, phase1: usize, phase2: usize) -> Configuration {
        let member = |id| {
            let roles = Roles { leader: true, acceptor: true, learner: false };
            (NodeId(id), Member { roles, disk: Some(DiskId::default()) })
        };
        let members: BTreeMap<_, _> = (1..=acceptors).map(member).collect();
        Configuration::flexible(ClusterId::default(), members, phase1, phase2).unwrap()
    }

    #[test]
    fn a_margin_is_what_the_quorums_say() {
        for (phase1, phase2) in [(3, 3), (4, 2), (2, 4), (5, 1), (1, 5), (5, 5)] {
            let configuration = configuration(5, phase1, phase2);
            for alive in 0..=5u32 {
                let is_quorum = |failing: u32| {
                    let (mut one, mut two) = (Voters::<Phase1>::default(), Voters::default());
                    for id in 1..=alive.saturating_sub(failing) {
                        configuration.count(&mut one, NodeId(id));
                        configuration.count::<Phase2>(&mut two, NodeId(id));
                    }
                    (configuration.is_quorum(one), configuration.is_quorum(two))
                };
                // By trying: the most that may fail so that there is a quorum.
                let most = |is: fn((bool, bool)) -> bool| {
                    (0..=alive).filter(|failing| is(is_quorum(*failing))).max()
                };
                let expected = Margin { electing: most(|it| it.0), choosing: most(|it| it.1) };
                let sizes = [phase1, phase2].map(|size| u32::try_from(size).unwrap());
                let margin = Margin::of((alive, sizes[0]), (alive, sizes[1]));
                assert_eq!(margin, expected, "{alive} of 5, {sizes:?}");
            }
        }
    }

    #[test]
    fn the_smaller_margin_is_what_survives() {
        let margin = |alive| Margin::of((alive, 4), (alive, 2));
        assert_eq!([5, 4, 3, 2, 1].map(|alive| margin(alive).survivable()), [1, 0, 0, 0, 0]);
        assert_eq!(margin(3), Margin { electing: None, choosing: Some(1) });
    }
}
