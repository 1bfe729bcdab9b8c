//! `synod init`: writes the files that nodes start from.

mod authority;
mod certificate;
mod cluster;
mod format;
mod issue;
mod replacement;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) use cluster::{InitClusterArgs, Origin, make};

/// Write the files that nodes start from
///
/// Those of a new cluster, those with which an acceptor goes on whose disk is lost, and
/// certificates.
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
    Certificate(certificate::InitCertificateArgs),
    Authority(authority::InitAuthorityArgs),
}

pub(super) fn run(args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        InitCommand::Cluster(args) => cluster::run(args, output),
        InitCommand::Replacement(args) => replacement::run(args, output),
        InitCommand::Certificate(args) => certificate::run(args, output),
        InitCommand::Authority(args) => authority::run(args, output),
    }
}
