//! An operator wants another node to lead.

use client::proto;
use paxos::{Ballot, HandOverRefusal, NodeId};
use tokio::sync::oneshot;
use tonic::Status;

use super::{Api, answers, overloaded, stopped};
use crate::config::Config;
use crate::inbox::Job;

impl Api {
    pub(super) async fn transfer(
        &self,
        wish: &proto::TransferLeaderRequest,
    ) -> Result<proto::TransferLeaderResponse, Status> {
        let to = (wish.to > 0).then_some(NodeId(wish.to));
        let (answer, outcome) = oneshot::channel();
        self.inbox.offer(Job::HandOver { to, answer }).map_err(|_| overloaded())?;
        let outcome = outcome.await.map_err(|_| stopped())?;
        outcome.map(|ballot| leads(&self.config, ballot)).map_err(|why| refused(&self.config, why))
    }
}

fn leads(config: &Config, ballot: Ballot) -> proto::TransferLeaderResponse {
    let leader = answers::hint(config, Some(ballot.leader));
    proto::TransferLeaderResponse { leader, ballot: Some(answers::ballot(ballot)) }
}

/// In the codes that `synod.proto` promises.
fn refused(config: &Config, why: HandOverRefusal) -> Status {
    match why {
        HandOverRefusal::NotLeading { leader } => {
            let mut status = Status::failed_precondition(match leader {
                Some(leader) => format!("this node does not lead; node {leader} does"),
                None => "this node does not lead, and knows of nobody who does".into(),
            });
            let leader = answers::hint(config, leader).and_then(|it| it.address.parse().ok());
            if let Some(address) = leader {
                status.metadata_mut().insert(client::LEADER, address);
            }
            status
        }
        HandOverRefusal::UnderWay => Status::aborted("leadership is being handed over already"),
        HandOverRefusal::NoLeader { node } => {
            Status::invalid_argument(format!("node {node} does not have the role `leader`"))
        }
        HandOverRefusal::NobodyReady => Status::unavailable(
            "nobody who was asked is ready to lead: not heard, behind, or cut off from a quorum \
             of acceptors; this node goes on to lead",
        ),
        HandOverRefusal::NotTaken { to } => Status::unavailable(format!(
            "node {to} was to lead and did not in time; this node goes on to lead"
        )),
    }
}
