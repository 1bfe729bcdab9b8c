//! Which messages are believed. Well-formed bytes can still say what no correct member says; such
//! a message is declined and counted, before any role sees it.

use crate::ballot::{Ballot, NodeId, Slot};
use crate::config::{ROUND_JUMP_MAX, SLOTS_AHEAD_MAX};
use crate::event::Decline;
use crate::message::Message;
use crate::quorum::Configuration;

/// Whether `from` may say this to `to`. `round_seen` is the highest round the receiver knows.
pub fn admit(
    configuration: &Configuration,
    from: NodeId,
    to: NodeId,
    message: &Message,
    round_seen: u64,
) -> Result<(), Decline> {
    let sender = configuration.roles(from);
    let receiver = configuration.roles(to);
    let roles = |sender: bool, receiver: bool| {
        if sender && receiver { Ok(()) } else { Err(Decline::Role) }
    };
    let owned = |ballot: Ballot| {
        let owner = ballot.leader == from && configuration.roles(ballot.leader).leader;
        if owner { plausible(ballot, round_seen) } else { Err(Decline::BallotOwner) }
    };
    let mine =
        |ballot: Ballot| if ballot.leader == to { Ok(()) } else { Err(Decline::BallotOwner) };
    match message {
        Message::Prepare { ballot, .. } => {
            roles(sender.leader, receiver.acceptor)?;
            owned(*ballot)
        }
        Message::Promise { ballot, .. } => {
            roles(sender.acceptor, receiver.leader)?;
            mine(*ballot)
        }
        Message::Reject { ballot, promised, .. } => {
            roles(sender.acceptor, receiver.leader)?;
            mine(*ballot)?;
            plausible(*promised, round_seen)
        }
        Message::Accept { run, chosen } => {
            roles(sender.leader, receiver.acceptor || receiver.learns())?;
            owned(run.ballot)?;
            near(run.end(), *chosen)
        }
        Message::Accepted { ballot, .. } => {
            roles(sender.acceptor, receiver.learns())?;
            plausible(*ballot, round_seen)
        }
        Message::Chosen { ballot, .. } => {
            roles(sender.leader, receiver.learns())?;
            owned(*ballot)
        }
        Message::Heartbeat { ballot, .. } => {
            roles(sender.leader, true)?;
            owned(*ballot)
        }
        Message::HeartbeatReply { ballot, .. } => {
            roles(sender.acceptor, receiver.leader)?;
            mine(*ballot)
        }
        Message::Probe { .. } => roles(sender.leader, receiver.acceptor),
        Message::ProbeReply { promised, .. } => {
            roles(sender.acceptor, receiver.leader)?;
            plausible(*promised, round_seen)
        }
        // Acceptors ask for what they have lost, and only learners can tell.
        Message::Fetch { .. } => {
            let asks = sender.learns() || (sender.acceptor && receiver.learns());
            roles(asks, receiver.acceptor || receiver.learns())
        }
        Message::Learned { .. } => roles(sender.learns(), receiver.learns() || receiver.acceptor),
        Message::Votes { .. } => roles(sender.acceptor, receiver.learns()),
        Message::Confirm { ballot, .. } => {
            roles(sender.leader, receiver.acceptor)?;
            owned(*ballot)
        }
        Message::Confirmed { ballot, .. } => {
            roles(sender.acceptor, receiver.leader)?;
            mine(*ballot)
        }
        Message::ReadIndex { .. } => roles(sender.learns(), receiver.leader),
        Message::ReadIndexReply { .. } => roles(sender.leader, receiver.learns()),
        Message::Kept { .. } => roles(sender.learns(), receiver.acceptor),
        Message::FetchPart { .. } | Message::Part { .. } => {
            roles(sender.learns(), receiver.learns())
        }
        Message::Offer { ballot, .. } | Message::HandOver { ballot, .. } => {
            roles(sender.leader, receiver.leader)?;
            owned(*ballot)
        }
        Message::Willing { ballot, .. } => {
            roles(sender.leader, receiver.leader)?;
            mine(*ballot)
        }
    }
}

fn plausible(ballot: Ballot, round_seen: u64) -> Result<(), Decline> {
    let jump = ballot.round.saturating_sub(round_seen);
    // Our own next round lies above what we believe, and must not pass the last one.
    let is_last = ballot.round >= Ballot::ROUND_MAX;
    if jump > ROUND_JUMP_MAX || is_last { Err(Decline::RoundJump) } else { Ok(()) }
}

fn near(end: Slot, chosen: Slot) -> Result<(), Decline> {
    if end > chosen.plus(SLOTS_AHEAD_MAX) { Err(Decline::SlotRange) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::ballot::Incarnation;
    use crate::digest::{Mark, SnapshotId};
    use crate::message::{Kind, Page};
    use crate::quorum::{ClusterId, DiskId, Member, Roles};
    use crate::runs::Run;
    use crate::time::Instant;
    use crate::value::Value;

    const LEADER: u32 = 1;
    const OTHER_LEADER: u32 = 2;
    const ACCEPTOR: u32 = 3;
    const LEARNER: u32 = 6;
    const STRANGER: u32 = 9;
    const ROUND_SEEN: u64 = 10;

    fn configuration() -> Configuration {
        let member = |id: u32| {
            let (acceptor, learner) = ((3..=5).contains(&id), id == LEARNER);
            let roles = Roles { leader: id <= OTHER_LEADER, acceptor, learner };
            (NodeId(id), Member { roles, disk: acceptor.then(DiskId::default) })
        };
        Configuration::majority(ClusterId::default(), (1..=6).map(member).collect()).unwrap()
    }

    fn ballot(round: u64, leader: u32) -> Ballot {
        Ballot { round, leader: NodeId(leader), incarnation: Incarnation(0) }
    }

    fn accept(ballot: Ballot, first: Slot, chosen: Slot) -> Message {
        Message::Accept { run: Run { ballot, first, values: vec![Value::Noop].into() }, chosen }
    }

    /// One of each kind, about a ballot of the first leader's.
    fn messages(round: u64) -> Vec<Message> {
        let (own, promised, slot) = (ballot(1, LEADER), ballot(round, LEADER), Slot(1));
        let page =
            || Page { from: slot, votes: vec![], next: None, truncated: slot, suspect: slot };
        vec![
            Message::Prepare { ballot: promised, from: slot },
            Message::Promise { ballot: own, page: page() },
            Message::Reject { ballot: own, promised, truncated: slot },
            accept(promised, slot, slot),
            Message::Accepted { ballot: promised, first: slot, end: Slot(2) },
            Message::Chosen { ballot: promised, chosen: slot },
            Message::Heartbeat {
                ballot: promised,
                sent: Instant(0),
                proof_age: None,
                chosen: slot,
                start: slot,
                mark: Mark::default(),
            },
            Message::HeartbeatReply { ballot: own, sent: Instant(0), is_suspect: false },
            Message::Probe { id: 1 },
            Message::ProbeReply { id: 1, promised, progress_age: None },
            Message::Fetch { from: slot },
            Message::Learned {
                first: slot,
                values: vec![Value::Noop].into(),
                chosen: slot,
                truncated: slot,
            },
            Message::Votes { page: page() },
            Message::Confirm { ballot: promised, round: 1 },
            Message::Confirmed { ballot: own, round: 1 },
            Message::ReadIndex { id: 1 },
            Message::ReadIndexReply { id: 1, index: None },
            Message::Kept { below: slot },
            Message::FetchPart { snapshot: None, offset: 0 },
            Message::Part {
                snapshot: SnapshotId { bytes: 1, ..SnapshotId::default() },
                offset: 0,
                bytes: [1].into(),
            },
            Message::Offer { ballot: promised, number: 1 },
            Message::Willing { ballot: own, number: 1, chosen: slot },
            Message::HandOver { ballot: promised, number: 1 },
        ]
    }

    fn said(from: u32, to: u32, message: &Message) -> Result<(), Decline> {
        admit(&configuration(), NodeId(from), NodeId(to), message, ROUND_SEEN)
    }

    #[test]
    fn each_message_goes_from_its_role_to_its_role() {
        let nodes = [LEADER, ACCEPTOR, LEARNER, STRANGER];
        for message in messages(1) {
            let believed = nodes.map(|from| nodes.map(|to| said(from, to, &message).is_ok()));
            let to = |leader, acceptor, learner| [leader, acceptor, learner, false];
            let (nobody, everybody) = ([false; 4], [true; 4]);
            // By sender: a leader, an acceptor, a learner, a stranger.
            let expected = match message.kind() {
                Kind::Prepare | Kind::Probe | Kind::Confirm => {
                    [to(false, true, false), nobody, nobody, nobody]
                }
                Kind::Accept => [to(true, true, true), nobody, nobody, nobody],
                Kind::Chosen => [to(true, false, true), nobody, nobody, nobody],
                Kind::Heartbeat => [everybody, nobody, nobody, nobody],
                Kind::Promise
                | Kind::Reject
                | Kind::HeartbeatReply
                | Kind::ProbeReply
                | Kind::Confirmed => [nobody, to(true, false, false), nobody, nobody],
                Kind::Accepted | Kind::Votes => [nobody, to(true, false, true), nobody, nobody],
                Kind::Fetch => {
                    let all = to(true, true, true);
                    [all, to(true, false, true), all, nobody]
                }
                Kind::Learned => [to(true, true, true), nobody, to(true, true, true), nobody],
                Kind::FetchPart | Kind::Part => {
                    [to(true, false, true), nobody, to(true, false, true), nobody]
                }
                Kind::ReadIndex => [to(true, false, false), nobody, to(true, false, false), nobody],
                Kind::ReadIndexReply => [to(true, false, true), nobody, nobody, nobody],
                Kind::Kept => [to(false, true, false), nobody, to(false, true, false), nobody],
                Kind::Offer | Kind::Willing | Kind::HandOver => {
                    [to(true, false, false), nobody, nobody, nobody]
                }
            };
            assert_eq!(believed, expected, "{:?}", message.kind());
        }
    }

    #[test]
    fn a_ballot_is_used_by_its_owner_alone() {
        for message in messages(1) {
            let is_owners = matches!(
                message.kind(),
                Kind::Prepare | Kind::Accept | Kind::Chosen | Kind::Heartbeat | Kind::Confirm
            );
            if is_owners {
                let to = if message.kind() == Kind::Chosen { LEARNER } else { ACCEPTOR };
                assert_eq!(said(OTHER_LEADER, to, &message), Err(Decline::BallotOwner));
            }
        }
    }

    #[test]
    fn nobody_hands_over_what_another_leads() {
        for message in messages(1) {
            if matches!(message.kind(), Kind::Offer | Kind::HandOver) {
                assert_eq!(said(OTHER_LEADER, LEADER, &message), Err(Decline::BallotOwner));
            }
        }
    }

    #[test]
    fn an_answer_to_another_leader_is_not_for_us() {
        for message in messages(1) {
            let is_answer = matches!(
                message.kind(),
                Kind::Promise | Kind::Reject | Kind::HeartbeatReply | Kind::Confirmed
            );
            if is_answer {
                assert_eq!(said(ACCEPTOR, OTHER_LEADER, &message), Err(Decline::BallotOwner));
            }
        }
        let willing = Message::Willing { ballot: ballot(1, LEADER), number: 1, chosen: Slot(1) };
        assert_eq!(said(LEADER, OTHER_LEADER, &willing), Err(Decline::BallotOwner));
    }

    #[test]
    fn rounds_far_above_everything_seen_are_not_believed() {
        let last = ROUND_SEEN + ROUND_JUMP_MAX;
        for (message, further) in messages(last).iter().zip(messages(last + 1)) {
            let (from, to) = match message.kind() {
                Kind::Prepare | Kind::Accept | Kind::Heartbeat | Kind::Confirm => {
                    (LEADER, ACCEPTOR)
                }
                Kind::Chosen => (LEADER, LEARNER),
                Kind::Offer | Kind::HandOver => (LEADER, OTHER_LEADER),
                Kind::Reject | Kind::Accepted | Kind::ProbeReply => (ACCEPTOR, LEADER),
                // They name no ballot, or one of the receiver's own.
                _ => continue,
            };
            assert_eq!(said(from, to, message), Ok(()), "{:?}", message.kind());
            assert_eq!(said(from, to, &further), Err(Decline::RoundJump), "{:?}", message.kind());
        }
    }

    #[test]
    fn the_last_round_is_nobodys() {
        // Whoever believed it would campaign with one that no peer can read.
        let prepare = |round| Message::Prepare { ballot: ballot(round, LEADER), from: Slot(0) };
        let (from, to) = (NodeId(LEADER), NodeId(ACCEPTOR));
        let seen = Ballot::ROUND_MAX - 2;
        let hear = |round| admit(&configuration(), from, to, &prepare(round), seen);
        assert_eq!(hear(Ballot::ROUND_MAX - 1), Ok(()));
        assert_eq!(hear(Ballot::ROUND_MAX), Err(Decline::RoundJump));
    }

    #[test]
    fn slots_far_above_what_is_chosen_are_not_believed() {
        let last = |first| accept(ballot(1, LEADER), Slot(first), Slot(5));
        let end = 5 + SLOTS_AHEAD_MAX;
        assert_eq!(said(LEADER, ACCEPTOR, &last(end - 1)), Ok(()));
        assert_eq!(said(LEADER, ACCEPTOR, &last(end)), Err(Decline::SlotRange));
    }
}
