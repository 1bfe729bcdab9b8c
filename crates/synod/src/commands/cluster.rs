//! `synod cluster`: what the nodes see, and whether all is well.

mod health;
mod status;
mod survey;
mod transfer;

use clap::{Args, Subcommand};
use paxos::Margin;

use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) use survey::{Seen, survey};

/// See what the nodes see; ask whether all is well
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod cluster status --config cluster/l1/synod.toml
  synod cluster health -e 127.0.0.1:7201,127.0.0.1:7202")]
pub(crate) struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Debug, Subcommand)]
enum ClusterCommand {
    /// Show what each node sees
    ///
    /// A node that cannot be reached is a row like any other. The one that leads says how many more
    /// acceptors may fail before nobody can be elected, and before nothing is chosen.
    #[command(after_help = "Examples:
  synod cluster status --config cluster/l1/synod.toml
  synod cluster status -o json -e 127.0.0.1:7201,127.0.0.1:7202")]
    Status(EndpointArgs),
    /// Ask whether values can be chosen, and how much more may fail
    ///
    /// Exit codes: 0 healthy, 3 not healthy, 4 nothing reachable, 6 not allowed.
    #[command(after_help = "Examples:
  synod cluster health --config cluster/l1/synod.toml
  synod cluster health --timeout 1s -o json -e 127.0.0.1:7201")]
    Health(EndpointArgs),
    /// Have another node lead
    ///
    /// New values wait for a moment, those under way are finished, and no append fails. Returns
    /// once the other node leads. If nobody takes over, the leader leads on.
    ///
    /// Exit codes: 0 done, 1 nobody took over, 2 no such leader node, 4 nobody leads or is
    /// reachable.
    #[command(after_help = "Examples:
  synod cluster transfer-leader --config cluster/l1/synod.toml
  synod cluster transfer-leader --to 2 -e 127.0.0.1:7201,127.0.0.1:7202")]
    TransferLeader(transfer::TransferArgs),
}

pub(super) fn run(args: &ClusterArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        ClusterCommand::Status(endpoints) => status::run(endpoints, output),
        ClusterCommand::Health(endpoints) => health::run(endpoints, output),
        ClusterCommand::TransferLeader(args) => transfer::run(args, output),
    }
}

/// What does not go on already, for want of acceptors.
fn stopped(margin: Margin) -> Vec<String> {
    let all = [("electing", margin.electing), ("choosing", margin.choosing)].into_iter();
    all.filter(|(_, spare)| spare.is_none()).map(|(what, _)| what.to_owned()).collect()
}
