//! `synod cluster transfer-leader`: finds who leads, and has another node lead.

use std::time::Duration;

use clap::Args;
use client::proto::TransferLeaderResponse;
use client::{CallError, Code};

use super::survey::{Seen, survey};
use crate::connection::{self, Connection};
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};
use crate::runtime;

/// Leadership may pass while we look for it, but not often.
const TRIES_MAX: usize = 5;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Args)]
pub(super) struct TransferArgs {
    /// The node that is to lead [default: the furthest of those that could]
    #[arg(long, value_name = "NODE", value_parser = clap::value_parser!(u32).range(1..))]
    to: Option<u32>,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

pub(super) fn run(args: &TransferArgs, output: &Output) -> Result<Exit, CliError> {
    runtime::block_on(async {
        let connection = connection::open_for_states(&args.endpoints)?;
        let (from, moved) = transfer(&connection, args.to).await?;
        output.show(report(from, &moved))
    })
}

async fn transfer(
    connection: &Connection,
    to: Option<u32>,
) -> Result<(u32, TransferLeaderResponse), CliError> {
    let mut last = None;
    for _ in 0..TRIES_MAX {
        let seen = survey(connection).await;
        if !seen.iter().any(|seen| seen.status.is_ok()) {
            return Err(nobody(seen));
        }
        if let Some((from, endpoint)) = leader(&seen) {
            match connection.client.transfer_leader(&endpoint, to).await {
                Ok(moved) => return Ok((from, moved)),
                // It led when it was asked, and does no longer; or somebody else asks for the same.
                Err(CallError::Failed {
                    code: Code::FailedPrecondition | Code::Aborted,
                    reason,
                    ..
                }) => last = Some(reason),
                Err(CallError::Failed { code: Code::Unavailable, reason, .. }) => {
                    return Err(CliError::new("not_transferred", Exit::Failed, reason)
                        .hint("`synod cluster status` shows who is reachable, and how far"));
                }
                Err(CallError::Failed { code: Code::InvalidArgument, reason, .. }) => {
                    return Err(CliError::usage(reason).hint("--to takes the id of a leader node"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    let reason = last.unwrap_or_else(|| "no node leads".into());
    Err(CliError::new("no_leader", Exit::Unreachable, reason)
        .hint("`synod cluster health` says what is missing"))
}

fn nobody(seen: Vec<Seen>) -> CliError {
    let error = seen.into_iter().find_map(|seen| seen.status.err());
    error.map_or_else(|| CliError::usage("no nodes to talk to"), CliError::from)
}

/// Who leads, and where: of several that say so, the one with the highest ballot; if it is not
/// among the endpoints, where the others say that it is.
fn leader(seen: &[Seen]) -> Option<(u32, String)> {
    let answered = || seen.iter().filter_map(|it| Some((&it.endpoint, it.status.as_ref().ok()?)));
    let leading = answered().filter(|(_, status)| status.state == "leading");
    let first = leading.max_by_key(|(_, status)| {
        status.ballot.map(|ballot| (ballot.round, ballot.leader, ballot.incarnation))
    });
    first.map(|(endpoint, status)| (status.node, endpoint.clone())).or_else(|| {
        let mut named = answered().filter_map(|(_, status)| status.leader.as_ref());
        named.next().map(|leader| (leader.node, leader.address.clone()))
    })
}

fn report(from: u32, moved: &TransferLeaderResponse) -> Report {
    let ballot = moved.ballot.map(|it| format!("{}·{}", it.round, it.leader));
    let row = vec![
        Value::Id(from.into()),
        Value::maybe(moved.leader.as_ref(), |leader| Value::Id(leader.node.into())),
        Value::maybe(moved.leader.as_ref(), |leader| Value::Text(leader.address.clone())),
        Value::maybe(ballot, Value::Text),
    ];
    let columns = &["from", "to", "address", "ballot"];
    Report::rows("synod.cluster.transfer-leader/1", "transfers", columns, vec![row])
}

#[cfg(test)]
mod tests {
    use client::proto::{Ballot, Leader, StatusResponse};

    use super::*;
    use crate::output::{Format, rendered};

    fn seen(node: u32, state: &str, round: u64, leader: Option<u32>) -> Seen {
        let status = StatusResponse {
            node,
            state: state.into(),
            ballot: Some(Ballot { round, leader: node, incarnation: 1 }),
            leader: leader.map(|node| Leader { node, address: format!("named:{node}") }),
            ..StatusResponse::default()
        };
        Seen { endpoint: format!("host:{node}"), status: Ok(status) }
    }

    #[test]
    fn the_highest_ballot_leads_and_a_hint_is_second() {
        let one = || seen(1, "leading", 3, Some(1));
        let two = || seen(2, "leading", 4, Some(2));
        assert_eq!(leader(&[two(), one()]), Some((2, "host:2".into())), "1 does not know it yet");
        let follower = || seen(3, "following", 4, Some(2));
        assert_eq!(leader(&[follower()]), Some((2, "named:2".into())));
        assert_eq!(leader(&[follower(), one()]), Some((1, "host:1".into())));
        assert_eq!(leader(&[seen(3, "following", 4, None)]), None);
    }

    #[test]
    fn it_says_who_led_and_who_leads() {
        let moved = TransferLeaderResponse {
            leader: Some(Leader { node: 2, address: "host:2".into() }),
            ballot: Some(Ballot { round: 4, leader: 2, incarnation: 1 }),
        };
        assert_eq!(rendered(Format::Plain, &report(1, &moved)), "1\t2\thost:2\t4·2\n");
    }
}
