//! Relations between roles, asserted after each step, in production too. What breaks here is our
//! own bug: the process stops, and its journal is as it was.

use crate::acceptor::Acceptor;
use crate::learner::Learner;
use crate::proposer::Proposer;

/// ```text
///   chosen prefix <= lowest open <= next        (while leading)
///   round of every own ballot <= highest round seen
///   promise known to the proposer of the same node
/// ```
pub fn check(acceptor: &Acceptor, proposer: &Proposer, learner: &Learner) {
    if let Some((lowest_open, next)) = proposer.window() {
        assert!(
            learner.prefix() <= next,
            "a leader's prefix holds only what it or others proposed"
        );
        assert!(lowest_open <= next, "a slot in flight was proposed");
    }
    if let Some(ballot) = proposer.ballot() {
        assert!(ballot.round <= proposer.round_seen(), "a ballot that is not counted as seen");
    }
    assert!(
        acceptor.promised().round <= proposer.round_seen(),
        "a round that was promised here could be used again here"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::{Ballot, Incarnation, NodeId};
    use crate::config::Limits;
    use crate::record::Record;

    #[test]
    #[should_panic(expected = "a round that was promised here could be used again here")]
    fn a_promise_that_the_proposer_has_not_seen_is_a_bug_of_ours() {
        let mut acceptor = Acceptor::default();
        let ballot = Ballot { round: 1, leader: NodeId(2), incarnation: Incarnation(1) };
        acceptor.apply(&Record::Promised(ballot));
        let proposer = Proposer::new(NodeId(1), Incarnation(1));
        check(&acceptor, &proposer, &Learner::new(&Limits::default()));
    }
}
