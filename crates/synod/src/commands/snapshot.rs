//! `synod snapshot`: the whole state in a file, and a new cluster that goes on from one.

mod restore;
mod save;
mod verify;

use std::path::Path;

use clap::{Args, Subcommand};
use server::config::format_identity;
use server::restore::RestoreError;
use server::snapshot_file::{FileError, Whole};

use crate::error::{CliError, Exit};
use crate::output::{Output, Value};

/// Keep the whole state in a file, and begin a new cluster from one
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod snapshot save backup.synod --config cluster/n1/synod.toml
  synod snapshot restore backup.synod --nodes 3 --dir restored")]
pub(crate) struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    Save(save::SaveArgs),
    Verify(verify::VerifyArgs),
    Restore(restore::RestoreArgs),
}

pub(super) fn run(args: &SnapshotArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        SnapshotCommand::Save(args) => save::run(args, output),
        SnapshotCommand::Verify(args) => verify::run(args, output),
        SnapshotCommand::Restore(args) => restore::run(args, output),
    }
}

/// What a file holds.
fn fields(path: &Path, whole: &Whole) -> Vec<(&'static str, Value)> {
    let Whole { header, sha256, holds, .. } = whole;
    let history = &holds.machine;
    let bytes = server::snapshot_file::HEADER_BYTES as u64 + header.snapshot.bytes;
    let sha256: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    vec![
        ("file", Value::Text(path.display().to_string())),
        ("cluster", Value::Text(format_identity(&header.cluster.0))),
        ("epoch", Value::Id(header.epoch.0)),
        ("below", Value::Id(header.snapshot.below.0)),
        ("values", Value::Id(history.total())),
        ("held", Value::Id(history.held())),
        ("sessions", Value::Count(holds.sessions as u64)),
        ("bytes", Value::Count(bytes)),
        ("digest", Value::Text(header.snapshot.digest.to_string())),
        ("sha256", Value::Text(sha256)),
    ]
}

impl From<FileError> for CliError {
    fn from(error: FileError) -> CliError {
        let (code, exit) = match &error {
            FileError::Damaged { .. } | FileError::Foreign(_) => ("damaged", Exit::Damaged),
            FileError::Exists(_) => ("exists", Exit::Failed),
            FileError::Busy(_) => ("running", Exit::Failed),
            FileError::Version { .. } => ("version", Exit::Failed),
            FileError::Io { .. } => ("file", Exit::Failed),
        };
        let hint = error.hint().map(str::to_owned);
        CliError { hint, ..CliError::new(code, exit, error.to_string()) }
    }
}

impl From<RestoreError> for CliError {
    fn from(error: RestoreError) -> CliError {
        let (message, hint) = (error.to_string(), error.hint());
        let (code, exit) = match error {
            RestoreError::DataDir(error) => return error.into(),
            RestoreError::NobodyKeeps => ("nobody_keeps", Exit::Usage),
            RestoreError::Configuration(_) => ("config", Exit::Usage),
            RestoreError::Slots(_) => ("usage", Exit::Usage),
            RestoreError::Shelf { .. } => ("disk", Exit::Failed),
            RestoreError::Name { .. } => ("file", Exit::Failed),
        };
        CliError { hint, ..CliError::new(code, exit, message) }
    }
}
