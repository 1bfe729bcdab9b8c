//! Which letters can never again change anything. They are taken out of the state: a letter that
//! was lost and one that nobody will ever react to are the same.
//!
//! Three facts carry this, and the search watches all of them: a promise on disk never falls and
//! a vote on disk never gives way to a lower one (`atlas.rs`); a leader never campaigns twice with
//! one ballot (`local.rs`); and whatever is said to be forgotten here changes nothing at that
//! moment (`atlas.rs`). That it changes nothing later either is argued below, kind by kind, and
//! tested: without forgetting there are exactly as many states that differ by more than forgotten
//! things.

use paxos::{Message, Slot};

use super::local::{Letter, Local};
use super::scene::Scene;

/// Whether the letter can change nothing at this node any more. `changes` tells whether it would
/// change anything at all about the node now, and be it what nobody will ever notice; `speaks`
/// whether the node would answer.
pub fn is_over(
    scene: &Scene,
    place: usize,
    local: &Local,
    letter: &Letter,
    changes: bool,
    speaks: bool,
) -> bool {
    let replica = &local.replica;
    let promised = local.disk.promised();
    // A leader's next life knows nothing of what this one has learned.
    let last_life = local.crashes >= scene.leader_crashes;
    let known = |end: Slot| last_life && end <= replica.chosen();
    match &letter.message {
        // The promise was sent when it got on disk, and it is frozen: the votes below its ballot
        // are, and its leader prepares no more when there are votes at its ballot. What is lower
        // is refused for ever, in silence where rejections are lost.
        Message::Prepare { ballot, .. } => {
            !scene.rejects && (*ballot == promised || *ballot < promised && !speaks)
        }
        // Refused for ever, and the Prepare that came before it brings forth the same Reject; or
        // accepted already, and the answer was sent when the vote got on disk.
        Message::Accept { run, .. } if !scene.is_leader(place) => {
            let refused = run.ballot < promised && (scene.rejects || !speaks);
            refused || local.disk.votes().covers(run.ballot, run.first, run.end())
        }
        // A ballot that is over never comes back. While it is prepared, a promise that is not
        // wanted now is one that was counted.
        Message::Promise { .. } => !changes,
        // Counted, and its round known; this life forgets neither.
        Message::Reject { .. } => last_life && !changes,
        // Counted, or its run has landed. Where values spread, a learner may count it again later.
        Message::Accepted { end, .. } => known(*end) || !scene.values_spread() && !changes,
        // A learner compares what it knows to be chosen with what it is told, and notes the round.
        Message::Accept { run, chosen } => {
            let is_seen = run.ballot.round <= replica.round_seen();
            known(run.end()) && known(*chosen) && is_seen
        }
        Message::Chosen { chosen, .. } => known(*chosen),
        Message::Learned { first, values, .. } => known(first.plus(values.count())),
        Message::Votes { page } => page.votes.iter().all(|run| known(run.end())),
        // A question that will have another answer.
        Message::Fetch { .. } => false,
        Message::Heartbeat { .. }
        | Message::HeartbeatReply { .. }
        | Message::Probe { .. }
        | Message::ProbeReply { .. }
        | Message::Confirm { .. }
        | Message::Confirmed { .. }
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. }
        | Message::Kept { .. }
        | Message::FetchPart { .. }
        | Message::Part { .. } => true,
    }
}
