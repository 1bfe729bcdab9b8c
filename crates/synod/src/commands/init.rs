//! `synod init`: writes the files that nodes start from.

mod authority;
mod certificate;
mod cluster;
mod compose;
mod format;
mod issue;
mod journal;
mod replacement;
mod systemd;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) use cluster::{InitClusterArgs, Origin, make};

/// Write the files that nodes start from
///
/// Those of a new cluster, those with which an acceptor goes on whose disk is lost, certificates,
/// and what runs nodes as services.
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
    Journal(journal::InitJournalArgs),
    /// Print a unit for systemd
    ///
    /// It runs the node of /etc/synod/synod.toml as the user `synod`, and lets it touch nothing but
    /// /var/lib/synod. The Debian package brings the same unit.
    #[command(after_help = "Examples:
  synod init systemd > /etc/systemd/system/synod.service
  synod init systemd -o json")]
    Systemd,
    /// Print a file for Docker Compose: three nodes on one machine
    #[command(after_help = "Examples:
  synod init compose > compose.yaml
  synod init compose -o json")]
    Compose,
}

pub(super) fn run(args: &InitArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        InitCommand::Cluster(args) => cluster::run(args, output),
        InitCommand::Replacement(args) => replacement::run(args, output),
        InitCommand::Certificate(args) => certificate::run(args, output),
        InitCommand::Authority(args) => authority::run(args, output),
        InitCommand::Journal(args) => journal::run(args, output),
        InitCommand::Systemd => systemd::run(output),
        InitCommand::Compose => compose::run(output),
    }
}
