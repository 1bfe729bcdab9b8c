//! Which letters can never again change anything. They are taken out of the state: a letter that
//! was lost and one that nobody will ever react to are the same.
//!
//! Three facts carry this, and the search watches all of them: a promise on disk never falls and
//! a vote on disk never gives way to a lower one (`atlas.rs`); a leader never campaigns twice with
//! one ballot (`local.rs`); and whatever is said to be forgotten here changes nothing at that
//! moment (`atlas.rs`). That it changes nothing later either is argued below, kind by kind, and
//! tested: without forgetting there are exactly as many states that differ by more than forgotten
//! things.

use paxos::{Message, Part, Slot};

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
    // What an acceptor has on disk may be taken from it, and asked for again.
    let may_lose = local.losses < scene.losses;
    match &letter.message {
        // The promise was sent when it got on disk, and it is frozen: the votes below its ballot
        // are, and its leader prepares no more when there are votes at its ballot. What is lower
        // is refused for ever, in silence where rejections are lost.
        Message::Prepare { ballot, .. } => {
            // Where votes are lost or cut, and mended, it will promise otherwise.
            let is_frozen = scene.losses == 0 && !scene.keeps;
            let is_said = *ballot == promised && is_frozen;
            !scene.rejects && (is_said || *ballot < promised && !speaks)
        }
        // Refused for ever, and the Prepare that came before it brings forth the same Reject; or
        // accepted already, and the answer was sent when the vote got on disk.
        Message::Accept { run, .. } if !scene.is_leader(place) => {
            let is_low = run.ballot < promised || run.first < local.disk.truncated();
            let refused = is_low && (scene.rejects || !speaks);
            let covered = local.disk.votes().covers(run.ballot, run.first, run.end());
            refused || covered && !may_lose
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
        // Only an acceptor that has lost votes makes anything of these, and of a leader's word
        // only if that is above all that was lost. What it has made of a word it makes once.
        Message::Learned { values, .. } if !scene.is_leader(place) => {
            values.is_empty() || !may_lose && local.disk.doubt().is_none()
        }
        Message::Heartbeat { ballot, .. } => !changes && (!may_lose || *ballot <= promised),
        Message::Learned { first, values, .. } => known(first.plus(values.count())),
        Message::Votes { page } => page.votes.iter().all(|run| known(run.end())),
        // A question that will have another answer.
        Message::Fetch { .. } => false,
        // A question is heard once a ballot that its node leads, and there are no more of those.
        Message::ReadIndex { .. } => {
            let may_lead = local.may_campaign(scene, place) || replica.part() == Part::Preparing;
            !changes && !may_lead
        }
        // An answer to a question that is over, or the same answer again.
        Message::ReadIndexReply { .. } | Message::Confirmed { .. } => !changes,
        // Refused for ever. Otherwise it says again what it has said.
        Message::Confirm { ballot, .. } => *ballot < promised && (scene.rejects || !speaks),
        Message::Kept { below } => *below <= local.disk.truncated(),
        Message::Part { snapshot, .. } => known(snapshot.below),
        Message::HeartbeatReply { .. }
        | Message::Probe { .. }
        | Message::ProbeReply { .. }
        | Message::FetchPart { .. }
        | Message::Offer { .. }
        | Message::Willing { .. }
        | Message::HandOver { .. } => true,
    }
}
