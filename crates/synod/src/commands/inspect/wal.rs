//! `synod inspect wal`: the journal, frame by frame.

use clap::Args;
use paxos::Record;
use server::inspect::{InspectError, Line, What};

use super::{DirectoryArgs, Printing, ballot, place};
use crate::error::{CliError, Exit};
use crate::output::{Output, Shape, Value};

/// List what stands in the journal, frame by frame
///
/// Each frame with the place where it lies. What cannot be read is a row, too, in its place, with
/// the evidence that it once was there.
///
/// Exit codes: 0 all of it can be read, 7 some of it is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod inspect wal --data-dir cluster/n1/data --limit 20
  synod inspect wal --data-dir cluster/n1/data --from 100 --to 110 -o jsonl")]
pub(super) struct WalArgs {
    #[command(flatten)]
    directory: DirectoryArgs,

    /// Only votes for this slot and later ones, and what cannot be read
    #[arg(long, value_name = "SLOT")]
    from: Option<u64>,

    /// Only votes for slots before this one, and what cannot be read
    #[arg(long, value_name = "SLOT")]
    to: Option<u64>,

    /// At most so many rows
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

const COLUMNS: [(&str, usize); 11] = [
    ("frame", 8),
    ("segment", 16),
    ("offset", 10),
    ("bytes", 8),
    ("kind", 9),
    ("ballot", 7),
    ("life", 16),
    ("first_slot", 10),
    ("end_slot", 10),
    ("checksum_ok", 11),
    ("detail", 0),
];

pub(super) fn run(args: &WalArgs, output: &Output) -> Result<Exit, CliError> {
    if args.from.zip(args.to).is_some_and(|(from, to)| to <= from) {
        return Err(CliError::usage("--to must be above --from: it is the slot to stop before"));
    }
    let mut directory = args.directory.open()?;
    let shape = Shape::rows("synod.inspect.wal/1", "frames", COLUMNS);
    let mut printing = Printing::new(output.stream(shape)?, args.limit);
    let read = directory.journal(|line| {
        if is_wanted(args, &line.what) {
            printing.push(&row(line));
        }
    });
    if let Err(InspectError::Damaged { why, .. }) = &read
        && let journal::OpenError::Damaged { segment, offset, sequence, why } = why
    {
        let at = journal::Place { segment: *segment, offset: *offset };
        printing.push(&lost(at, sequence.0, format!("this and all that follows: {why}")));
    }
    printing.end(read)
}

fn is_wanted(args: &WalArgs, what: &What) -> bool {
    let (from, to) = (args.from, args.to);
    match what {
        What::Record(Record::Accepted(run), _) => {
            from.is_none_or(|from| run.end().0 > from) && to.is_none_or(|to| run.first.0 < to)
        }
        What::Hole(..) | What::Foreign(..) => true,
        What::Record(..) | What::Cut(_) => from.or(to).is_none(),
    }
}

/// What stands in each column behind the place.
struct Facts {
    bytes: Value,
    kind: &'static str,
    ballot: [Value; 2],
    slots: [Value; 2],
    detail: Value,
}

fn row(Line { at, frame, what }: Line) -> Vec<Value> {
    let none = || [Value::Absent, Value::Absent];
    let below = |slot: u64| [Value::Absent, Value::Id(slot)];
    let text = |words: String| Value::Text(words);
    let (bytes, kind, ballot, slots, detail) = match what {
        What::Record(record, bytes) => {
            let (kind, its_ballot, slots, detail) = match record {
                Record::Promised(it) => ("promised", ballot(it), none(), Value::Absent),
                Record::Accepted(run) => {
                    let slots = [Value::Id(run.first.0), Value::Id(run.end().0)];
                    let detail = text(format!("{} bytes of values", run.values.bytes()));
                    ("accepted", ballot(run.ballot), slots, detail)
                }
                Record::Truncated(slot) => ("truncated", none(), below(slot.0), Value::Absent),
                Record::Suspect => ("suspect", none(), none(), Value::Absent),
                Record::Settled(slot) => {
                    ("settled", none(), [Value::Id(slot.0), Value::Absent], Value::Absent)
                }
            };
            (Value::Count(bytes as u64), kind, its_ballot, slots, detail)
        }
        What::Foreign(why, bytes) => {
            (Value::Count(bytes as u64), "foreign", none(), none(), text(why.to_string()))
        }
        What::Cut(first) => {
            let detail = text(format!("frames below {first} were let go"));
            (Value::Absent, "cut", none(), none(), detail)
        }
        What::Hole(to, why) => return lost(at, frame, format!("up to frame {}: {why}", to - 1)),
    };
    whole(at, frame, Facts { bytes, kind, ballot, slots, detail }, true)
}

fn lost(at: journal::Place, frame: u64, detail: String) -> Vec<Value> {
    let none = || [Value::Absent, Value::Absent];
    let (ballot, slots, detail) = (none(), none(), Value::Text(detail));
    let facts = Facts { bytes: Value::Absent, kind: "lost", ballot, slots, detail };
    whole(at, frame, facts, false)
}

fn whole(at: journal::Place, frame: u64, facts: Facts, is_sound: bool) -> Vec<Value> {
    let Facts { bytes, kind, ballot, slots, detail } = facts;
    let mut row = vec![Value::Id(frame)];
    row.extend(place(at));
    row.extend([bytes, Value::Text(kind.into())]);
    row.extend(ballot);
    row.extend(slots);
    row.extend([Value::Flag(is_sound), detail]);
    row
}
