//! `synod inspect`: a data directory laid open while no node runs there.
//!
//! What is read, and how, is the server's; here is how it is asked for and printed.

mod promises;
mod slot;
mod snapshots;
mod verify;
mod wal;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use journal::{Place, Recovered};
use paxos::Ballot;
use server::inspect::{Directory, InspectError};

use crate::error::{CliError, Exit};
use crate::output::{Output, Rows, Value};

/// Look into a data directory while no node runs there
///
/// Nothing is written, and no configuration is needed. Damaged directories are shown as far as they
/// can be read, and what is damaged with its file and place.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod inspect verify --data-dir cluster/n1/data
  synod inspect slot 7 --data-dir cluster/n1/data")]
pub(crate) struct InspectArgs {
    #[command(subcommand)]
    command: InspectCommand,
}

#[derive(Debug, Subcommand)]
enum InspectCommand {
    Wal(wal::WalArgs),
    Slot(slot::SlotArgs),
    Promises(promises::PromisesArgs),
    Verify(verify::VerifyArgs),
    Snapshots(snapshots::SnapshotsArgs),
}

/// Where to look.
#[derive(Debug, Args)]
struct DirectoryArgs {
    /// The node's `data_dir`, or a copy of it
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

pub(super) fn run(args: &InspectArgs, output: &Output) -> Result<Exit, CliError> {
    match &args.command {
        InspectCommand::Wal(args) => wal::run(args, output),
        InspectCommand::Slot(args) => slot::run(args, output),
        InspectCommand::Promises(args) => promises::run(args, output),
        InspectCommand::Verify(args) => verify::run(args, output),
        InspectCommand::Snapshots(args) => snapshots::run(args, output),
    }
}

impl DirectoryArgs {
    fn open(&self) -> Result<Directory, CliError> {
        Ok(Directory::open(&self.data_dir)?)
    }
}

/// Rows that are printed while a journal is read, until somebody has seen enough.
struct Printing {
    rows: Rows,
    room: u64,
    failed: Option<CliError>,
}

impl Printing {
    fn new(rows: Rows, limit: Option<u64>) -> Printing {
        Printing { rows, room: limit.unwrap_or(u64::MAX), failed: None }
    }

    fn push(&mut self, row: &[Value]) {
        if self.room > 0 && self.failed.is_none() {
            self.room -= 1;
            self.failed = self.rows.push(row).err();
        }
    }

    /// Ends what is printed, and says if what was read is damaged.
    fn end(self, read: Result<Recovered, InspectError>) -> Result<Exit, CliError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        // Frames that could be read are an answer, whatever follows.
        self.rows.end()?;
        match read?.missing {
            0 => Ok(Exit::Done),
            missing => {
                let message = format!("{missing} frames of the journal cannot be read any more");
                Err(CliError::new("damaged", Exit::Damaged, message)
                    .hint("`synod inspect verify` says what a start would make of it"))
            }
        }
    }
}

/// Segment and offset, as in the file's name.
fn place(at: Place) -> [Value; 2] {
    let segment = format!("{:016x}", at.segment.0);
    [Value::Text(segment), Value::Count(at.offset as u64)]
}

/// Round and leader, and which life of the leader.
fn ballot(ballot: Ballot) -> [Value; 2] {
    let life = format!("{:016x}", ballot.incarnation.0);
    [Value::Text(format!("{}·{}", ballot.round, ballot.leader)), Value::Text(life)]
}

impl From<InspectError> for CliError {
    fn from(error: InspectError) -> CliError {
        let message = error.to_string();
        let (code, exit) = match &error {
            _ if error.is_damage() => ("damaged", Exit::Damaged),
            InspectError::Running(_) => ("running", Exit::Failed),
            InspectError::Nothing(_) => ("no_data_dir", Exit::Usage),
            InspectError::NoJournal(_) => ("no_journal", Exit::Failed),
            InspectError::NoSnapshot(_) => ("no_snapshot", Exit::Failed),
            _ => ("disk", Exit::Failed),
        };
        let hint = error.hint().map(str::to_owned);
        CliError { hint, ..CliError::new(code, exit, message) }
    }
}
