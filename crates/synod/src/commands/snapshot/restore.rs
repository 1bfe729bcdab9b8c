//! `synod snapshot restore`: a new cluster that goes on from a snapshot.

use std::path::PathBuf;

use clap::Args;
use server::restore::SKIPPED;
use server::snapshot_file;

use crate::commands::init::{InitClusterArgs, Origin, make};
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Begin a new cluster that goes on from a snapshot
///
/// Makes what `synod init cluster` makes, with its options, and each node begins with the history
/// and the sessions of the snapshot. It is another cluster, with ids of its own: nodes of the old
/// one are never heard, and need not be gone.
///
/// What was appended after the snapshot is not in it. Slots are left out behind it, so that no slot
/// that the old cluster may have given to a value or a session then means another thing now. At
/// least one node must lead or learn and have a disk; each of those gets the whole snapshot.
///
/// Exit codes: 0 made, 2 the options make no such cluster, 7 the file is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod snapshot restore backup.synod --nodes 3 --dir restored
  synod snapshot restore backup.synod --leader-disks --dir restored --base-port 9100")]
pub(super) struct RestoreArgs {
    /// What `synod snapshot save` has written
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Slots to leave out: more than the old cluster can have used after the snapshot
    #[arg(long, value_name = "SLOTS", default_value_t = SKIPPED)]
    skip: u64,

    #[command(flatten)]
    cluster: InitClusterArgs,
}

pub(super) fn run(args: &RestoreArgs, output: &Output) -> Result<Exit, CliError> {
    let file = snapshot_file::open(&args.file)?;
    make(&args.cluster, Some(&Origin { file, skip: args.skip }), output)
}
