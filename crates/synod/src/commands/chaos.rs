//! `synod chaos`: faults on purpose, on nodes that run with `--dev`.

use std::time::Duration;

use clap::{Args, Subcommand};
use client::CallError;
use client::proto::NetworkRequest;

use super::cluster::{Seen, survey};
use crate::connection::{self, Connection};
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::faults::NetworkArgs;
use crate::output::{Output, Report, Value};
use crate::runtime;

/// Break nodes and networks on purpose
///
/// Only nodes that run with `synod serve --dev` obey.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod chaos fail --node 3 --config cluster/l1/synod.toml
  synod chaos network --node 1,2 --loss 10% -e 127.0.0.1:7201,127.0.0.1:7202")]
pub(crate) struct ChaosArgs {
    #[command(subcommand)]
    command: ChaosCommand,
}

#[derive(Debug, Subcommand)]
enum ChaosCommand {
    /// Cut nodes off: they neither hear nor speak to their peers
    #[command(after_help = "Examples:
  synod chaos fail --node 3 --config cluster/l1/synod.toml
  synod chaos fail -e 127.0.0.1:7204")]
    Fail(TargetArgs),
    /// End what `fail` began
    #[command(after_help = "Examples:
  synod chaos recover --node 3 --config cluster/l1/synod.toml
  synod chaos recover -e 127.0.0.1:7204")]
    Recover(TargetArgs),
    Network(NetworkCommand),
}

#[derive(Clone, Debug, Args)]
struct TargetArgs {
    /// Which of the endpoints' nodes, comma-separated [default: the one endpoint's]
    #[arg(long = "node", value_name = "ID", value_delimiter = ',')]
    nodes: Vec<u32>,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

/// Lose, repeat, delay and cut what nodes send
///
/// Replaces earlier faults; without any option it heals the network.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod chaos network --loss 10% --delay 1ms..5ms --reorder -e 127.0.0.1:7201
  synod chaos network --cut-to 3,4 -e 127.0.0.1:7201")]
struct NetworkCommand {
    #[command(flatten)]
    target: TargetArgs,

    #[command(flatten)]
    faults: NetworkArgs,

    /// Peers that the nodes cannot send to, comma-separated
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Network")]
    cut_to: Vec<u32>,

    /// Peers that the nodes do not hear, comma-separated
    #[arg(long, value_name = "ID", value_delimiter = ',', help_heading = "Network")]
    cut_from: Vec<u32>,

    /// The seed of the dice [default: drawn]
    #[arg(long, value_name = "N", help_heading = "Network")]
    seed: Option<u64>,
}

/// What is done to each node.
#[derive(Clone, Debug)]
enum Deed {
    Fail,
    Recover,
    Network(NetworkRequest),
}

pub(super) fn run(args: &ChaosArgs, output: &Output) -> Result<Exit, CliError> {
    let (target, deed) = match &args.command {
        ChaosCommand::Fail(target) => (target, Deed::Fail),
        ChaosCommand::Recover(target) => (target, Deed::Recover),
        ChaosCommand::Network(command) => (&command.target, Deed::Network(command.request())),
    };
    runtime::block_on(async {
        let connection = connection::open_for_states(&target.endpoints)?;
        // All nodes are found before the first is touched.
        let found = find(survey(&connection).await, &target.nodes)?;
        let mut rows = Vec::with_capacity(found.len());
        for (node, endpoint) in found {
            let seed = deed.apply(&connection, &endpoint).await.map_err(|error| {
                CliError::from(error).hint("only nodes that run with `synod serve --dev` obey")
            })?;
            rows.push(vec![
                Value::Id(node.into()),
                Value::Text(endpoint),
                Value::Text(deed.result().to_owned()),
                Value::maybe(seed, Value::Id),
            ]);
        }
        let columns = ["node", "endpoint", "result", "seed"];
        output.show(Report::rows(deed.schema(), "nodes", &columns, rows))
    })
}

impl NetworkCommand {
    fn request(&self) -> NetworkRequest {
        let us = |duration: Duration| {
            u64::try_from(duration.as_micros()).expect("a delay is at most 10 s")
        };
        NetworkRequest {
            loss_ppm: self.faults.loss.ppm,
            duplicate_ppm: self.faults.duplicate.ppm,
            reorder: self.faults.reorder,
            delay_min_us: us(self.faults.delay.min),
            delay_max_us: us(self.faults.delay.max),
            cut_to: self.cut_to.clone(),
            cut_from: self.cut_from.clone(),
            seed: self.seed.unwrap_or(0),
        }
    }
}

impl Deed {
    /// Returns the seed of the node's dice, where there are any.
    async fn apply(
        &self,
        connection: &Connection,
        endpoint: &str,
    ) -> Result<Option<u64>, CallError> {
        match self {
            Deed::Fail => connection.client.fail(endpoint).await.map(|()| None),
            Deed::Recover => connection.client.recover(endpoint).await.map(|()| None),
            Deed::Network(request) => {
                let answer = connection.client.network(endpoint, request.clone()).await;
                answer.map(|answer| Some(answer.seed))
            }
        }
    }

    fn schema(&self) -> &'static str {
        match self {
            Deed::Fail => "synod.chaos.fail/1",
            Deed::Recover => "synod.chaos.recover/1",
            Deed::Network(_) => "synod.chaos.network/1",
        }
    }

    fn result(&self) -> &'static str {
        match self {
            Deed::Fail => "failed",
            Deed::Recover => "recovered",
            Deed::Network(request) if is_clean(request) => "network healed",
            Deed::Network(_) => "network faulty",
        }
    }
}

fn is_clean(request: &NetworkRequest) -> bool {
    *request == NetworkRequest { seed: request.seed, ..NetworkRequest::default() }
}

/// Which endpoint each of `nodes` serves. With no node named, there must be one endpoint only: a
/// cluster is never broken as a whole by leaving out a word.
fn find(seen: Vec<Seen>, nodes: &[u32]) -> Result<Vec<(u32, String)>, CliError> {
    if let ([], [_, _, ..]) = (nodes, &seen[..]) {
        return Err(CliError::usage(format!("which of {} nodes?", seen.len()))
            .hint("name some with --node ID,... or give one endpoint only"));
    }
    let asked: Vec<&str> = seen.iter().map(|it| it.endpoint.as_str()).collect();
    let asked = asked.join(", ");
    if nodes.is_empty() {
        let one = |it: Seen| Ok((it.status?.node, it.endpoint));
        return seen.into_iter().map(one).collect();
    }
    let place = |node: &u32| {
        let found = seen.iter().find(|it| it.status.as_ref().is_ok_and(|it| it.node == *node));
        found.map(|it| (*node, it.endpoint.clone())).ok_or_else(|| {
            let message = format!("none of {asked} answered as node {node}");
            CliError::new("unreachable", Exit::Unreachable, message)
        })
    };
    nodes.iter().map(place).collect()
}

#[cfg(test)]
mod tests {
    use client::proto::StatusResponse;

    use super::*;

    fn seen() -> Vec<Seen> {
        let node = |node| Seen {
            endpoint: format!("n{node}:1"),
            status: Ok(StatusResponse { node, ..StatusResponse::default() }),
        };
        vec![node(1), node(2)]
    }

    #[test]
    fn of_several_endpoints_the_nodes_must_be_named() {
        assert_eq!(find(seen(), &[2]).unwrap(), [(2, "n2:1".to_owned())]);
        assert_eq!(find(seen(), &[]).unwrap_err().exit, Exit::Usage);
        assert_eq!(find(seen(), &[1, 3]).unwrap_err().exit, Exit::Unreachable);
        let one = seen().into_iter().take(1).collect();
        assert_eq!(find(one, &[]).unwrap(), [(1, "n1:1".to_owned())]);
    }

    #[test]
    fn no_option_heals_the_network() {
        let healed = NetworkRequest { seed: 7, ..NetworkRequest::default() };
        assert_eq!(Deed::Network(healed.clone()).result(), "network healed");
        let cut = NetworkRequest { cut_to: vec![3], ..healed };
        assert_eq!(Deed::Network(cut).result(), "network faulty");
    }
}
