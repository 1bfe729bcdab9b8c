//! What the node says, in the words of the client API.

use client::proto::append_response::Outcome;
use client::proto::{self, AppendResponse, ReadResponse};
use node::{Entry, Refused, Reply};
use paxos::{Ballot, NodeId, Part, Slot};

use super::{Api, Role};
use crate::config::Config;
use crate::hosted::Unreadable;
use crate::inbox::{Answer, Replied, Status};

pub(super) fn response(config: &Config, replied: Replied) -> AppendResponse {
    let refused = |reason: String| Outcome::Refused(proto::Refused { reason });
    let outcome = match replied.answer {
        Answer::Malformed(why) => refused(why),
        Answer::Node(Reply::Done { slot, output: () }) => {
            Outcome::Done(proto::Done { slot: slot.0 })
        }
        Answer::Node(Reply::Opened { session }) => {
            Outcome::Opened(proto::Opened { session: session.0 })
        }
        Answer::Node(Reply::Kept { slot }) => Outcome::Kept(proto::Kept { slot: slot.0 }),
        Answer::Node(Reply::Closed { slot }) => Outcome::Closed(proto::Closed { slot: slot.0 }),
        Answer::Node(Reply::NotLeading { leader }) => {
            Outcome::NotLeading(proto::NotLeading { leader: hint(config, leader) })
        }
        Answer::Node(Reply::Busy) => {
            Outcome::Busy(proto::Busy { reason: "too much is waiting".into() })
        }
        Answer::Node(Reply::Unknown { leader }) => {
            let reason = match leader {
                Some(leader) => format!("node {leader} took over before it was known to be chosen"),
                None => "lost from sight before it was known to be chosen".into(),
            };
            Outcome::Unknown(proto::Unknown { reason, leader: hint(config, leader) })
        }
        Answer::Node(Reply::Refused(Refused::Answered)) => {
            refused("this sequence is answered already".into())
        }
        Answer::Node(Reply::Refused(Refused::Window)) => {
            refused("too far ahead of the first unanswered sequence".into())
        }
        Answer::Node(Reply::Refused(Refused::Expired)) => {
            let reason = "not used for its lifetime, closed, or dropped to make room".into();
            Outcome::Expired(proto::Expired { reason })
        }
        Answer::Node(Reply::TooLarge { bytes_max }) => {
            refused(format!("larger than {bytes_max} bytes"))
        }
    };
    AppendResponse { sequence: replied.sequence, outcome: Some(outcome) }
}

pub(super) fn entries(entries: &[Entry], read_below: Slot) -> ReadResponse {
    let entry = |entry: &Entry| {
        let (session, sequence) = entry.name();
        let value = entry.request.value().to_vec().into();
        proto::Entry { slot: entry.slot.0, value, session: session.0, sequence }
    };
    ReadResponse { entries: entries.iter().map(entry).collect(), read_below: read_below.0 }
}

/// In the codes and words that `synod.proto` promises.
pub(super) fn unreadable(config: &Config, first: Slot, why: Unreadable) -> tonic::Status {
    match why {
        Unreadable::Gone { first_held } => {
            let words = format!(
                "slot {first} is no longer here: the first one that is held is {first_held}"
            );
            let mut status = tonic::Status::out_of_range(words);
            status.metadata_mut().insert(client::FIRST_HELD, first_held.0.into());
            status
        }
        Unreadable::NotLearning => tonic::Status::failed_precondition(
            "this node keeps no history: it neither leads nor learns",
        ),
        Unreadable::Busy => tonic::Status::resource_exhausted("too many reads wait here"),
        Unreadable::TimedOut { leader } => {
            let mut status =
                tonic::Status::deadline_exceeded("what it must show was not had in time");
            let leader = hint(config, leader).and_then(|leader| leader.address.parse().ok());
            if let Some(address) = leader {
                status.metadata_mut().insert(client::LEADER, address);
            }
            status
        }
    }
}

pub(super) fn status(api: &Api, status: &Status) -> proto::StatusResponse {
    let config = &api.config;
    let own = config.own();
    let state = match status.part {
        _ if api.switches.is_failed() => "failed",
        Part::Leading => "leading",
        Part::Preparing => "preparing",
        Part::Following => "following",
    };
    let role = |role: &Role| match role {
        Role::Leader => "leader".to_owned(),
        Role::Acceptor => "acceptor".to_owned(),
        Role::Learner => "learner".to_owned(),
    };
    let small = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    proto::StatusResponse {
        node: own.id.0,
        cluster: config.cluster.to_vec().into(),
        roles: own.roles.iter().map(role).collect(),
        state: state.into(),
        ballot: status.ballot.map(ballot),
        leader: hint(config, status.leader),
        chosen: status.chosen.0,
        applied: status.applied.0,
        values: status.values,
        in_flight: status.in_flight,
        promised: status.promised.filter(|promised| *promised > Ballot::NONE).map(ballot),
        acceptors_reachable: small(status.acceptors_reachable),
        acceptors: config.acceptors(),
        phase1_quorum: config.quorums.phase1,
        phase2_quorum: config.quorums.phase2,
        uptime_us: u64::try_from(api.origin.elapsed().as_micros()).unwrap_or(u64::MAX),
        counters: api.switches.counters(),
        dev: api.switches.dev,
        version: env!("CARGO_PKG_VERSION").into(),
        first_held: status.storage.first_held.0,
        snapshot: status.storage.snapshot.0,
        truncated: status.storage.truncated.0,
        journal_bytes: status.storage.journal_bytes,
        snapshot_bytes: status.storage.snapshot_bytes,
        disk_full: !status.storage.has_room,
        epoch: config.epoch,
        suspect: status.is_suspect,
        other_epoch: status.other_epoch,
    }
}

pub(super) fn hint(config: &Config, leader: Option<NodeId>) -> Option<proto::Leader> {
    let leader = config.nodes.iter().find(|node| Some(node.id) == leader)?;
    Some(proto::Leader { node: leader.id.0, address: leader.clients.to_string() })
}

pub(super) fn ballot(ballot: Ballot) -> proto::Ballot {
    proto::Ballot {
        round: ballot.round,
        leader: ballot.leader.0,
        incarnation: ballot.incarnation.0,
    }
}
