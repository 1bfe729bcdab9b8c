//! `synod init`: writes the files that a new cluster starts from.

mod cluster;
mod format;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

/// Write the files that a new cluster starts from
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod init cluster --dir cluster
  synod init cluster --nodes 3 --dir cluster --base-port 9100")]
pub(crate) struct InitArgs {
    #[command(subcommand)]
    command: InitCommand,
}

#[derive(Debug, Subcommand)]
enum InitCommand {
    Cluster(cluster::InitClusterArgs),
}

pub(super) fn run(args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        InitCommand::Cluster(args) => cluster::run(args, output),
    }
}
