//! `synod snapshot save`: the whole state, from a running node or from a directory.

use std::path::PathBuf;

use clap::Args;
use client::CallError;
use client::proto::SnapshotHead;
use paxos::{ClusterId, Digest, Epoch, Slot, SnapshotId};
use server::inspect::Directory;
use server::snapshot_file::{Draft, Header, Whole};

use super::fields;
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report};
use crate::runtime;

/// Write the whole state to a file
///
/// From a running node: everything that was appended before, by whomever, and every session. The
/// file gets its name when it is synced and was read back; until then it is FILE.part. Nothing is
/// overwritten.
///
/// Without a quorum, --local saves what the first node that answers knows; ask the one that has
/// applied most. With --data-dir the newest snapshot in the directory of a node that does not run
/// is saved: what came after that snapshot is not in it.
///
/// Exit codes: 0 saved, 4 nothing reachable, or no quorum.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod snapshot save backup.synod --config cluster/n1/synod.toml
  synod snapshot save rescue.synod --data-dir cluster/n1/data")]
pub(super) struct SaveArgs {
    /// The file to make
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// What a node knows, without asking others: for want of a quorum
    #[arg(long)]
    local: bool,

    /// From the directory of a node that does not run
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["local", "endpoints", "config", "timeout"]
    )]
    data_dir: Option<PathBuf>,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

pub(super) fn run(args: &SaveArgs, output: &Output) -> Result<Exit, CliError> {
    let show = |whole: &Whole| {
        let report = Report::record("synod.snapshot.save/1", fields(&args.file, whole));
        output
            .show(report.next("Keep the sha256 elsewhere: `synod snapshot verify` shows it again."))
    };
    if let Some(data_dir) = &args.data_dir {
        let (holds, state) = Directory::open(data_dir)?.newest_snapshot()?;
        let (cluster, epoch) = (holds.configuration.cluster(), holds.configuration.epoch());
        let header = Header { cluster, epoch, snapshot: holds.snapshot };
        let mut draft = Draft::begin(&args.file, header)?;
        draft.write(&state)?;
        return show(&draft.finish()?);
    }
    runtime::block_on(async {
        let client = connection::open(&args.endpoints, None)?.client;
        let mut saving = client.save(args.local).await.map_err(no_quorum)?;
        let mut draft = Draft::begin(&args.file, header(saving.head())?)?;
        let mut room = saving.head().bytes;
        while let Some(part) = saving.part().await? {
            room = room.checked_sub(part.len() as u64).ok_or_else(|| malformed("is too long"))?;
            draft.write(&part)?;
        }
        if room > 0 {
            return Err(malformed("broke off"));
        }
        show(&draft.finish()?)
    })
}

/// There is a way out that a read does not have.
fn no_quorum(error: CallError) -> CliError {
    let is_late = matches!(error, CallError::TimedOut { .. });
    let error = CliError::from(error);
    if !is_late {
        return error;
    }
    error.hint(
        "`synod cluster health` says what is missing; if the quorum is gone for good, --local \
        saves \
         what a node knows",
    )
}

/// The head of what a node gives, as it will stand in the file.
fn header(head: &SnapshotHead) -> Result<Header, CliError> {
    let cluster = <[u8; 16]>::try_from(&head.cluster[..]);
    let digest = <[u8; 16]>::try_from(&head.digest[..]);
    let (Ok(cluster), Ok(digest)) = (cluster, digest) else {
        return Err(malformed("names neither its cluster nor its digest"));
    };
    let (below, digest) = (Slot(head.below), Digest(digest));
    let snapshot = SnapshotId { below, bytes: head.bytes, digest };
    Ok(Header { cluster: ClusterId(cluster), epoch: Epoch(head.epoch), snapshot })
}

fn malformed(what: &str) -> CliError {
    CliError::new("failed", Exit::Failed, format!("the node's snapshot {what}; nothing was saved"))
        .hint("try again, or another node")
}
