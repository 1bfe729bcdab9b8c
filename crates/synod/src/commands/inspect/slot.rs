//! `synod inspect slot`: what an acceptor has voted for one slot.

use clap::Args;
use node::{Kind, Request};
use paxos::{Digest, Slot, Value as Chosen};
use server::inspect::AboutSlot;

use super::{DirectoryArgs, Printing, ballot, place};
use crate::error::{CliError, Exit};
use crate::output::{Output, Shape, Value};

/// Show what this acceptor has voted for one slot
///
/// Every vote that the journal still holds, in its order; the one of the highest ballot counts.
/// Then what else bears on the slot: that its votes were cut, what cannot be read and may have held
/// one, and snapshots of this node that cover it. That it voted for a value does not say that the
/// value was chosen: `synod log read` does.
///
/// Exit codes: 0 all of the journal can be read, 7 some of it is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod inspect slot 7 --data-dir cluster/n1/data
  synod inspect slot 7 --data-dir cluster/n1/data --show-value -o json")]
pub(super) struct SlotArgs {
    /// Which slot
    #[arg(value_name = "SLOT")]
    slot: u64,

    #[command(flatten)]
    directory: DirectoryArgs,

    /// Show the values' bytes, too
    #[arg(long)]
    show_value: bool,
}

const COLUMNS: [(&str, usize); 11] = [
    ("about", 9),
    ("frame", 8),
    ("segment", 16),
    ("offset", 10),
    ("ballot", 7),
    ("life", 16),
    ("kind", 12),
    ("bytes", 8),
    ("digest", 32),
    ("value", 0),
    ("detail", 0),
];

pub(super) fn run(args: &SlotArgs, output: &Output) -> Result<Exit, CliError> {
    let slot = Slot(args.slot);
    let mut directory = args.directory.open()?;
    let shape = Shape::rows("synod.inspect.slot/1", "about", COLUMNS);
    let mut printing = Printing::new(output.stream(shape)?, None);
    let mut highest = None;
    let read = directory.slot(slot, |at, frame, about| {
        if let AboutSlot::Vote(ballot, _) = &about {
            highest = highest.max(Some(*ballot));
        }
        let mut middle = vec![Value::Id(frame)];
        middle.extend(place(at));
        printing.push(&row(middle, about, args.show_value));
    });
    let mut snapshots = 0;
    directory.snapshots(|shelved| {
        let Ok((holds, _)) = &shelved.holds else { return };
        if holds.mark.below > slot {
            snapshots += 1;
            let detail =
                format!("{} covers all below {}", shelved.path.display(), holds.mark.below);
            let mut row = vec![Value::Text("snapshot".into())];
            row.extend([const { Value::Absent }; 9]);
            row.push(Value::Text(detail));
            printing.push(&row);
        }
    })?;
    let vote = match highest {
        Some(ballot) => format!("Its vote for slot {slot} is the one at ballot {ballot}."),
        None if snapshots > 0 => format!("No vote for slot {slot} is left; it is decided."),
        None => format!("No vote for slot {slot} is in this journal."),
    };
    let exit = printing.end(read);
    output.hint(&vote);
    exit
}

fn row(middle: Vec<Value>, about: AboutSlot, is_shown: bool) -> Vec<Value> {
    let mut row = Vec::with_capacity(COLUMNS.len());
    let text = |words: &str| Value::Text(words.to_owned());
    let bare = |name: &str, detail: String| {
        let mut rest = vec![const { Value::Absent }; 6];
        rest.push(Value::Text(detail));
        (Value::Text(name.to_owned()), rest)
    };
    let (name, rest) = match about {
        AboutSlot::Vote(its, value) => {
            let (kind, bytes, detail) = described(&value);
            let mut rest: Vec<Value> = ballot(its).into();
            rest.extend([
                text(kind),
                Value::Count(bytes.len() as u64),
                Value::Text(Digest::of(&bytes).to_string()),
                if is_shown { Value::Bytes(bytes) } else { Value::Absent },
                detail,
            ]);
            (text("vote"), rest)
        }
        AboutSlot::Truncated(below) => {
            bare("truncated", format!("votes below {below} were cut: snapshots cover them"))
        }
        AboutSlot::Hole(to, why) => {
            bare("lost", format!("up to frame {}, may have held a vote: {why}", to - 1))
        }
    };
    row.push(name);
    row.extend(middle);
    row.extend(rest);
    row
}

/// What kind of value it is, a client's bytes, and whose they are.
fn described(value: &Chosen) -> (&'static str, Vec<u8>, Value) {
    let command = match value {
        Chosen::Noop => return ("noop", Vec::new(), Value::Absent),
        Chosen::LeaderStart => return ("leader_start", Vec::new(), Value::Absent),
        Chosen::Command(command) => command,
    };
    let Ok(request) = Request::decode(command) else {
        return ("unknown", command.to_vec(), Value::Absent);
    };
    let session = |session: Slot| Value::Text(format!("of session {session}"));
    let (kind, detail) = match request.kind() {
        Kind::Append { session, sequence, .. } => {
            ("append", Value::Text(format!("value {sequence} of session {session}")))
        }
        Kind::Open { .. } => ("open", Value::Absent),
        Kind::KeepAlive { session: id } => ("keep_alive", session(id)),
        Kind::Close { session: id } => ("close", session(id)),
    };
    (kind, request.value().to_vec(), detail)
}
