//! `synod init replacement`: a new disk in the place of an acceptor's lost one.
//!
//! What has to be changed, and in which order, is the server's to know.

use std::path::PathBuf;

use clap::Args;
use paxos::NodeId;
use server::config::{format_identity, parse_identity};
use server::replacement::{Change, Changed, ReplaceError, Replaced, replace};

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Put a new disk in the place of an acceptor's lost one
///
/// Changes the members' configuration files, and nothing else in them: the epoch goes up, and the
/// acceptor gets a new disk id. In its data directory, which must be empty or missing, it makes a
/// journal that says that its votes are lost.
///
/// Run it first where the new disk is, with that node's file, and with the other members' files
/// that are on the same machine, or with the epoch that they run. It prints what to type on the
/// other machines. Then restart every node: nodes of different epochs do not hear each other. Run
/// again with the same files, it goes on from where it was stopped.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod init replacement --node 2 cluster/*/synod.toml
  synod init replacement --node 2 --running 0 synod.toml")]
pub(super) struct InitReplacementArgs {
    /// The acceptor whose disk is lost
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u32).range(1..))]
    node: u32,

    /// Where that node's file is not: the epoch that was printed there
    #[arg(
        long,
        value_name = "N",
        requires = "disk",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    epoch: Option<u64>,

    /// Where that node's file is not: the disk id that was printed there
    #[arg(long, value_name = "HEX", requires = "epoch", value_parser = parse_disk)]
    disk: Option<[u8; 16]>,

    /// The epoch that the other members run, as `synod cluster status` shows it: needed where
    /// none of their files is given
    #[arg(long, value_name = "N", conflicts_with = "epoch")]
    running: Option<u64>,

    /// Members' configuration files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(args: &InitReplacementArgs, output: &Output) -> Result<Exit, CliError> {
    let drawn = args.epoch.zip(args.disk);
    let replaced = replace(&args.files, NodeId(args.node), drawn, args.running)?;
    output.show(report(&replaced))
}

fn parse_disk(text: &str) -> Result<[u8; 16], &'static str> {
    parse_identity(text).ok_or("32 hexadecimal digits are needed")
}

fn report(replaced: &Replaced) -> Report {
    let Replaced { change, files, journal, missing } = replaced;
    let row = |it: &Changed| {
        let journal = journal.as_ref().filter(|_| it.node == change.node);
        vec![
            Value::Id(it.node.0.into()),
            Value::Id(change.epoch),
            Value::Text(format_identity(&change.disk)),
            Value::Flag(it.is_news),
            Value::maybe(journal, |path| Value::Text(path.display().to_string())),
            Value::Text(it.path.display().to_string()),
        ]
    };
    let columns = ["node", "epoch", "disk", "changed", "journal_made", "config"];
    let rows = files.iter().map(row).collect();
    Report::rows("synod.init.replacement/1", "files", &columns, rows).next(next(change, missing))
}

fn next(change: &Change, missing: &[NodeId]) -> String {
    let Change { node, epoch, disk } = change;
    // The node's own file came first, here or elsewhere.
    let others: Vec<String> =
        missing.iter().filter(|it| *it != node).map(ToString::to_string).collect();
    let elsewhere = if others.is_empty() {
        String::new()
    } else {
        format!(
            "\nNext, for the files of other members (node {}):\n  \
             synod init replacement --node {node} --epoch {epoch} --disk {} FILE...",
            others.join(", "),
            format_identity(disk)
        )
    };
    format!(
        "{elsewhere}\nThen restart every node, in any order: a node hears those of its own epoch \
         only.\nUntil node {node} has its votes again, this says so:\n  \
         synod cluster health"
    )
}

impl From<ReplaceError> for CliError {
    fn from(error: ReplaceError) -> CliError {
        let (message, hint) = (error.to_string(), error.hint());
        let (code, exit) = match error {
            ReplaceError::Config(error) => return error.into(),
            ReplaceError::DataDir(error) => return error.into(),
            ReplaceError::Configuration { .. }
            | ReplaceError::Differ { .. }
            | ReplaceError::Edit(_)
            | ReplaceError::LastEpoch(_) => ("config", Exit::Usage),
            ReplaceError::Twice { .. }
            | ReplaceError::Unknown(_)
            | ReplaceError::NoAcceptor(_)
            | ReplaceError::OwnMissing(_)
            | ReplaceError::Alone => ("usage", Exit::Usage),
            ReplaceError::Other { .. }
            | ReplaceError::Stale { .. }
            | ReplaceError::Skipped { .. } => ("other_epoch", Exit::Failed),
            ReplaceError::Unsafe(_) => ("unsafe_quorums", Exit::Failed),
            ReplaceError::NotMade { .. } => ("not_made", Exit::Failed),
            ReplaceError::Running { .. } => ("running", Exit::Failed),
            ReplaceError::TooFew { .. } => ("too_few_acceptors", Exit::Failed),
            ReplaceError::Taken { .. } => ("not_empty", Exit::Failed),
            ReplaceError::Unusable { .. } => ("data_dir", Exit::Damaged),
            ReplaceError::Random(_) => ("no_randomness", Exit::Failed),
            ReplaceError::Write { .. } => {
                // Others may have been written.
                return CliError { hint, ..CliError::new("file", Exit::Failed, message) }
                    .outcome_unknown();
            }
        };
        CliError { hint, ..CliError::new(code, exit, message) }
    }
}
