//! `synod inspect verify`: every file of a data directory, and what a start would make of it.

use clap::Args;
use paxos::{Ballot, Slot};
use server::inspect::{Checked, State, Verdict};

use super::DirectoryArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Check every file of a data directory
///
/// Reads all of the journal and of the snapshots. The last row is about the journal as a whole:
/// what a start would make of it.
///
/// A write that never ended is no damage: nobody was told that it had. Rot in the very last write
/// looks the same.
///
/// Exit codes: 0 nothing is damaged, 7 something is.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod inspect verify --data-dir cluster/n1/data
  synod inspect verify --data-dir cluster/n1/data -o json")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
}

const COLUMNS: [&str; 5] = ["file", "state", "bytes", "frames", "detail"];

pub(super) fn run(args: &VerifyArgs, output: &Output) -> Result<Exit, CliError> {
    let mut directory = args.directory.open()?;
    let (checked, verdict) = directory.verify()?;
    let is_damaged = checked.iter().any(|it| it.state == State::Damaged)
        || verdict.as_ref().is_some_and(Verdict::is_damaged);
    let mut rows: Vec<Vec<Value>> = checked.iter().map(file).collect();
    rows.extend(verdict.as_ref().map(|verdict| journal(args, verdict)));
    let report = Report::rows("synod.inspect.verify/1", "files", &COLUMNS, rows);
    let report = if is_damaged {
        report.exit(Exit::Damaged).next(
            "\nNext: a damaged snapshot is passed over, and fetched again. For a damaged journal \
            see\n\
             docs/operating.md, \"A journal is damaged\".",
        )
    } else {
        report
    };
    output.show(report)
}

fn file(checked: &Checked) -> Vec<Value> {
    let state = match checked.state {
        State::Sound => "sound",
        State::Spare => "spare",
        State::Torn => "torn",
        State::Damaged => "damaged",
    };
    vec![
        Value::Text(checked.path.display().to_string()),
        Value::Text(state.into()),
        Value::Count(checked.bytes),
        Value::maybe(checked.frames, Value::Count),
        Value::Text(checked.words.clone()),
    ]
}

fn journal(args: &VerifyArgs, verdict: &Verdict) -> Vec<Value> {
    let state = if verdict.is_damaged() { "damaged" } else { "sound" };
    let words = match &verdict.refused {
        Some(why) => format!("a node does not start from it: {why}"),
        None => would_start(verdict),
    };
    vec![
        Value::Text(args.directory.data_dir.display().to_string()),
        Value::Text(state.into()),
        Value::Count(verdict.bytes),
        Value::Count(verdict.frames),
        Value::Text(words),
    ]
}

fn would_start(verdict: &Verdict) -> String {
    let acceptor = &verdict.acceptor;
    let promised = match acceptor.promised() {
        Ballot::NONE => "it has promised nothing".to_owned(),
        ballot => format!("it has promised ballot {ballot}"),
    };
    let cut = match acceptor.truncated() {
        Slot::FIRST => String::new(),
        slot => format!(", votes below slot {slot} are cut"),
    };
    let lost = match (verdict.missing, acceptor.suspect()) {
        (0, Slot::FIRST) => String::new(),
        (0, _) => ", votes are missing, and it asks the others for them".to_owned(),
        (missing, Slot::FIRST) => format!(", {missing} frames are lost, and mended since"),
        (missing, _) => {
            format!(", {missing} frames are lost, and it asks the others for their votes")
        }
    };
    format!("a node starts from it: {promised}{cut}{lost}")
}
