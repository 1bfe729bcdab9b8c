//! `synod inspect snapshots`: what lies on a node's shelf.

use clap::Args;
use paxos::Slot;

use super::DirectoryArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// List the snapshots of a data directory, each read as a whole
///
/// Exit codes: 0 each of them is whole, 7 one is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod inspect snapshots --data-dir cluster/n1/data
  synod inspect snapshots --data-dir cluster/n1/data -o json")]
pub(super) struct SnapshotsArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
}

const COLUMNS: [&str; 9] =
    ["below", "whole", "bytes", "digest", "epoch", "values", "sessions", "file", "detail"];

pub(super) fn run(args: &SnapshotsArgs, output: &Output) -> Result<Exit, CliError> {
    let mut directory = args.directory.open()?;
    let mut rows = Vec::new();
    let mut exit = Exit::Done;
    directory.snapshots(|shelved| {
        let file = Value::Text(shelved.path.display().to_string());
        rows.push(match shelved.holds {
            Ok((holds, _)) => {
                let snapshot = holds.snapshot;
                let Slot(below) = snapshot.below;
                vec![
                    Value::Id(below),
                    Value::Flag(true),
                    Value::Count(snapshot.bytes),
                    Value::Text(snapshot.digest.to_string()),
                    Value::Id(holds.configuration.epoch().0),
                    Value::Id(holds.machine.total()),
                    Value::Count(holds.sessions as u64),
                    file,
                    Value::Absent,
                ]
            }
            Err(why) => {
                exit = Exit::Damaged;
                let mut row = vec![Value::Absent, Value::Flag(false)];
                row.extend([const { Value::Absent }; 5]);
                row.extend([file, Value::Text(why.to_string())]);
                row
            }
        });
    })?;
    let is_empty = rows.is_empty();
    let report = Report::rows("synod.inspect.snapshots/1", "snapshots", &COLUMNS, rows).exit(exit);
    output.show(if is_empty { report.next("There is no snapshot here.") } else { report })
}
