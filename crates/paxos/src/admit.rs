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
        Message::Fetch { .. } => roles(sender.learns(), receiver.acceptor || receiver.learns()),
        Message::Learned { .. } => roles(sender.learns(), receiver.learns()),
        Message::Votes { .. } => roles(sender.acceptor, receiver.learns()),
    }
}

fn plausible(ballot: Ballot, round_seen: u64) -> Result<(), Decline> {
    let jump = ballot.round.saturating_sub(round_seen);
    if jump > ROUND_JUMP_MAX { Err(Decline::RoundJump) } else { Ok(()) }
}

fn near(end: Slot, chosen: Slot) -> Result<(), Decline> {
    if end > chosen.plus(SLOTS_AHEAD_MAX) { Err(Decline::SlotRange) } else { Ok(()) }
}
