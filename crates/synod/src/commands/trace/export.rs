//! `synod trace export`: a trace in the formats of other tools.
//!
//! Rows are written as they are read, so a large trace takes no more memory than a small one.

mod arrivals;
mod jsonl;
mod perfetto;
mod shiviz;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trace::{Header, Row};

use super::open::{explained, open};
use crate::error::{CliError, Exit};
use crate::output::{Output, print};

/// So much text is written at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Print a trace in the format of another tool
///
/// What is printed is that format, whatever --output says. ShiViz (bestchai.github.io/shiviz) reads
/// its log with the regular expression in the first line; Perfetto (ui.perfetto.dev) opens its JSON
/// as it is. The keys of jsonl are in docs/formats.md.
///
/// Exit codes: 0 done, 7 the trace is damaged: what was printed comes from before the damage.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod trace export seed-7.synodtrace --to jsonl | head
  synod trace export seed-7.synodtrace --to perfetto > seed-7.json")]
pub(super) struct ExportArgs {
    /// The trace
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The format
    #[arg(long, value_name = "TOOL", value_enum)]
    to: Tool,
}

/// Whose format is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tool {
    /// One JSON object a row
    Jsonl,
    /// A log with vector clocks: who could have known what
    Shiviz,
    /// Trace events of Chrome: lanes, and arrows for messages
    Perfetto,
}

/// One format. Each call adds whole lines to `out`.
trait Export {
    fn begin(&mut self, header: &Header, out: &mut String);
    fn row(
        &mut self,
        header: &Header,
        number: u64,
        row: &Row,
        out: &mut String,
    ) -> Result<(), CliError>;
    fn end(&mut self, header: &Header, out: &mut String);
}

pub(super) fn run(args: &ExportArgs, _: &Output) -> Result<Exit, CliError> {
    let mut reader = open(&args.file)?;
    let header = reader.header().clone();
    let mut export = exporter(args.to);
    let mut out = String::new();
    export.begin(&header, &mut out);
    for row in reader.rows() {
        let (number, row) = match row {
            Ok(row) => row,
            Err(error) => {
                print(&out)?;
                return Err(explained(&args.file, error));
            }
        };
        export.row(&header, number, &row, &mut out)?;
        if out.len() >= BUFFER_BYTES {
            print(&out)?;
            out.clear();
        }
    }
    export.end(&header, &mut out);
    print(&out)?;
    Ok(Exit::Done)
}

fn exporter(tool: Tool) -> Box<dyn Export> {
    match tool {
        Tool::Jsonl => Box::new(jsonl::Jsonl),
        Tool::Shiviz => Box::new(shiviz::Shiviz::default()),
        Tool::Perfetto => Box::new(perfetto::Perfetto::default()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use trace::{
        Ballot, Clock, EventKind, Fate, MessageKind, Node, Quorums, Role, Slots, Value, Values,
        What,
    };

    use super::*;

    pub(in crate::commands::trace) fn header() -> Header {
        let node = |id, name: &str, role| Node { id, name: name.into(), roles: vec![role] };
        Header {
            synod: "0.1.0".into(),
            commit: None,
            seed: Some(7),
            command: "synod sim replay --seed 7".into(),
            clock: Clock::Virtual,
            values: Values::Preview,
            quorums: Quorums { phase1: 1, phase2: 1 },
            nodes: vec![node(1, "L1", Role::Leader), node(2, "A1", Role::Acceptor)],
        }
    }

    /// A leader starts, has a value accepted, is answered twice, and the world has weather.
    pub(in crate::commands::trace) fn rows() -> Vec<Row> {
        let row = |at_us, node, what| Row {
            at_us,
            node,
            cause: None,
            ballot: None,
            promised: None,
            slots: None,
            chosen: None,
            value: None,
            what,
        };
        let event =
            |kind, numbers, text: &str| What::Event { kind, peer: 0, numbers, text: text.into() };
        let ballot = Some(Ballot { round: 3, leader: 1, incarnation: 10 });
        let slots = Some(Slots { first: 5, count: 2 });
        let accept = What::Message { kind: MessageKind::Accept, to: 2, fate: Fate::Once(200) };
        let accepted =
            What::Message { kind: MessageKind::Accepted, to: 1, fate: Fate::Twice(150, 400) };
        vec![
            row(1_000, 1, event(EventKind::Started, [1, 0], "")),
            Row {
                ballot,
                slots,
                chosen: Some(5),
                value: Some(Value::command(b"abc", "abc")),
                ..row(1_000, 1, accept)
            },
            Row { cause: Some(1), ballot, slots, ..row(1_200, 2, accepted) },
            row(1_500, 0, event(EventKind::Misfortune, [0, 0], "a storm\nbegins")),
        ]
    }

    pub(super) fn exported(tool: Tool) -> String {
        let (mut export, header) = (exporter(tool), header());
        let mut out = String::new();
        export.begin(&header, &mut out);
        for (number, row) in (0..).zip(rows()) {
            export.row(&header, number, &row, &mut out).expect("few messages are under way");
        }
        export.end(&header, &mut out);
        out
    }
}
