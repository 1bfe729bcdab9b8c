//! `synod inspect promises`: how the promise grew.

use clap::Args;
use paxos::Record;
use server::inspect::{Line, What};

use super::{DirectoryArgs, Printing, ballot, place};
use crate::error::{CliError, Exit};
use crate::output::{Output, Shape, Value};

/// Show how this acceptor's promise grew
///
/// A row for each record that raised it, the last one holds. Below it, the acceptor votes for
/// nothing any more. What cannot be read is a row, too.
///
/// Exit codes: 0 all of the journal can be read, 7 some of it is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod inspect promises --data-dir cluster/n1/data
  synod inspect promises --data-dir cluster/n1/data -o jsonl")]
pub(super) struct PromisesArgs {
    #[command(flatten)]
    directory: DirectoryArgs,
}

const COLUMNS: [(&str, usize); 7] = [
    ("frame", 8),
    ("segment", 16),
    ("offset", 10),
    ("kind", 9),
    ("ballot", 7),
    ("life", 16),
    ("detail", 0),
];

pub(super) fn run(args: &PromisesArgs, output: &Output) -> Result<Exit, CliError> {
    let mut directory = args.directory.open()?;
    let shape = Shape::rows("synod.inspect.promises/1", "promises", COLUMNS);
    let mut printing = Printing::new(output.stream(shape)?, None);
    let read = directory.promises(|line| printing.push(&row(line)));
    printing.end(read)
}

fn row(Line { at, frame, what }: Line) -> Vec<Value> {
    let (kind, ballot, detail) = match what {
        What::Record(Record::Promised(it), _) => ("promised", ballot(it), Value::Absent),
        What::Record(Record::Accepted(run), _) => {
            let detail = format!("with its vote from slot {} on", run.first);
            ("accepted", ballot(run.ballot), Value::Text(detail))
        }
        What::Hole(to, why) => {
            let detail = format!("up to frame {}: {why}", to - 1);
            ("lost", [Value::Absent, Value::Absent], Value::Text(detail))
        }
        What::Record(..) | What::Foreign(..) | What::Cut(_) => {
            unreachable!("only what bears a promise, and holes, are shown")
        }
    };
    let mut row = vec![Value::Id(frame)];
    row.extend(place(at));
    row.push(Value::Text(kind.into()));
    row.extend(ballot);
    row.push(detail);
    row
}
