//! `synod init`: writes the files that nodes start from.

mod cluster;
mod format;
mod replacement;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) use cluster::{InitClusterArgs, Origin, make};

/// Write the files that nodes start from
///
/// Those of a new cluster, and those with which an acceptor goes on whose disk is lost.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod init cluster --dir cluster
  synod init replacement --node 2 cluster/*/synod.toml")]
pub(crate) struct InitArgs {
    #[command(subcommand)]
    command: InitCommand,
}

#[derive(Debug, Subcommand)]
enum InitCommand {
    Cluster(InitClusterArgs),
    Replacement(replacement::InitReplacementArgs),
}

pub(super) fn run(args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        InitCommand::Cluster(args) => cluster::run(args, output),
        InitCommand::Replacement(args) => replacement::run(args, output),
    }
}
