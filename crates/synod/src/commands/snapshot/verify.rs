//! `synod snapshot verify`: whether a file is whole, and what it holds.

use std::path::PathBuf;

use clap::Args;
use server::snapshot_file;

use super::fields;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report};

/// Check a snapshot's file, and tell what it holds
///
/// All of it is read. `sha256` is that of the whole file: compare it with what `save` printed, for
/// what the file says of itself tells accidents from nothing but accidents.
///
/// Exit codes: 0 it is whole, 7 it is damaged, or no snapshot.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod snapshot verify backup.synod
  synod snapshot verify backup.synod -o json")]
pub(super) struct VerifyArgs {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn run(args: &VerifyArgs, output: &Output) -> Result<Exit, CliError> {
    let whole = snapshot_file::open(&args.file)?;
    output.show(Report::record("synod.snapshot.verify/1", fields(&args.file, &whole)))
}
