//! `synod trace info`: what a trace holds, counted, and whether it is whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use trace::{Clock, Ending, EventKind, Fate, Header, MessageKind, Role, Row, Values, What};

use super::open::{explained, open};
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value, grouped, short_duration};

/// Tell what a trace holds, and whether it is whole
///
/// Reads all of it, so damage anywhere is found.
///
/// Exit codes: 0 all that is there can be read, 7 it is damaged, or no trace.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod trace info seed-7.synodtrace
  synod trace info seed-7.synodtrace -o json")]
pub(super) struct InfoArgs {
    /// The trace
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// The rows of a trace, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    first_us: u64,
    last_us: u64,
    messages: BTreeMap<MessageKind, BTreeMap<&'static str, u64>>,
    events: BTreeMap<EventKind, u64>,
}

/// What is told beside the rows.
struct Facts<'a> {
    file: String,
    header: &'a Header,
    bytes: u64,
    chunks: u64,
    ending: Ending,
}

/// Fates, in the order of a table.
const FATES: [Fate; 5] =
    [Fate::Once(0), Fate::Twice(0, 0), Fate::Lost, Fate::Unheard(0), Fate::Open];

pub(super) fn run(args: &InfoArgs, output: &Output) -> Result<Exit, CliError> {
    let metadata = std::fs::metadata(&args.file);
    let metadata = metadata.map_err(|error| CliError::file("open", &args.file, &error))?;
    let mut reader = open(&args.file)?;
    let mut counts = Counts { first_us: u64::MAX, ..Counts::default() };
    for row in reader.rows() {
        counts.add(&row.map_err(|error| explained(&args.file, error))?.1);
    }
    let facts = Facts {
        file: args.file.display().to_string(),
        header: reader.header(),
        bytes: metadata.len(),
        chunks: u64::try_from(reader.chunks().len()).expect("a bounded number"),
        ending: reader.ending(),
    };
    let mut report = report(&facts, &counts);
    if facts.ending != Ending::Whole {
        report = report.next("its writer did not finish: the rows after the last chunk are gone");
    }
    output.show(report)
}

impl Counts {
    fn add(&mut self, row: &Row) {
        self.first_us = self.first_us.min(row.at_us);
        self.last_us = self.last_us.max(row.at_us);
        match row.what {
            What::Message { kind, fate, .. } => {
                *self.messages.entry(kind).or_default().entry(fate.name()).or_insert(0) += 1;
            }
            What::Event { kind, .. } => *self.events.entry(kind).or_insert(0) += 1,
        }
    }

    fn of_kind(&self, kind: MessageKind) -> u64 {
        self.messages.get(&kind).map_or(0, |fates| fates.values().sum())
    }

    fn of_fate(&self, fate: Fate) -> u64 {
        self.messages.values().filter_map(|fates| fates.get(fate.name())).sum()
    }

    fn all_messages(&self) -> u64 {
        self.messages.keys().map(|kind| self.of_kind(*kind)).sum()
    }

    fn all_events(&self) -> u64 {
        self.events.values().sum()
    }

    fn lasts_us(&self) -> u64 {
        self.last_us.saturating_sub(self.first_us)
    }
}

fn report(facts: &Facts<'_>, counts: &Counts) -> Report {
    let header = facts.header;
    let text = |text: &str| Value::Text(text.to_owned());
    let (messages, events) = (counts.all_messages(), counts.all_events());
    let torn = match facts.ending {
        Ending::Whole => None,
        Ending::Torn { bytes } => Some(bytes),
    };
    let kinds = counts.messages.keys().map(|kind| (kind.name(), counts.of_kind(*kind)));
    let fates = FATES.map(|fate| (fate.name(), counts.of_fate(fate)));
    let fields = vec![
        ("file", text(&facts.file)),
        ("format", Value::Count(trace::VERSION)),
        ("synod", text(&header.synod)),
        ("commit", Value::maybe(header.commit.as_deref(), text)),
        ("seed", Value::maybe(header.seed, Value::Id)),
        ("command", text(&header.command)),
        ("clock", text(clock(header.clock))),
        ("values", text(values(header.values))),
        ("phase1_quorum", Value::Count(header.quorums.phase1.into())),
        ("phase2_quorum", Value::Count(header.quorums.phase2.into())),
        ("nodes", Value::List(nodes(header))),
        ("lasts", Value::Micros(counts.lasts_us())),
        ("messages", Value::Id(messages)),
        ("events", Value::Id(events)),
        ("chunks", Value::Count(facts.chunks)),
        ("file_bytes", Value::Id(facts.bytes)),
        ("bytes_per_message", Value::maybe(ratio(facts.bytes, messages), Value::Ratio)),
        ("is_whole", Value::Flag(torn.is_none())),
        ("torn_bytes", Value::maybe(torn, Value::Id)),
        ("messages_by_kind", Value::Counts(kinds.collect())),
        ("messages_by_fate", Value::Counts(fates.to_vec())),
        (
            "events_by_kind",
            Value::Counts(
                counts.events.iter().map(|(kind, count)| (kind.name(), *count)).collect(),
            ),
        ),
    ];
    Report::record("synod.trace.info/1", fields).prose(prose(facts, counts))
}

fn prose(facts: &Facts<'_>, counts: &Counts) -> String {
    let header = facts.header;
    let (messages, events) = (counts.all_messages(), counts.all_events());
    let seed = header.seed.map(|seed| format!(", seed {seed}")).unwrap_or_default();
    let commit = header.commit.as_ref().map(|commit| format!(" ({commit})")).unwrap_or_default();
    let each = ratio(facts.bytes, messages).map(|each| format!(", {each:.1} a message"));
    let ending = match facts.ending {
        Ending::Whole => "whole".to_owned(),
        Ending::Torn { bytes } => {
            format!("torn: no footer, {} bytes cannot be read", grouped(bytes))
        }
    };
    let lines = [
        ("from", format!("Synod {}{commit}{seed}", header.synod)),
        ("command", header.command.clone()),
        ("nodes", nodes(header).join(", ")),
        ("quorums", format!("{} promise, {} accept", header.quorums.phase1, header.quorums.phase2)),
        ("lasts", format!("{}, {} time", short_duration(counts.lasts_us()), clock(header.clock))),
        ("values", values(header.values).to_owned()),
        ("holds", format!("{} messages, {} events", grouped(messages), grouped(events))),
        (
            "takes",
            format!(
                "{} bytes{}; chunks: {}",
                grouped(facts.bytes),
                each.unwrap_or_default(),
                grouped(facts.chunks)
            ),
        ),
        ("ending", ending),
    ];
    let mut prose = String::new();
    for (name, line) in lines {
        prose.push_str(&format!("{name:8} {}\n", super::words::one_line(&line)));
    }
    prose.push_str(&format!("\n{:20}{:>11}", "MESSAGE", "SENT"));
    let cell = |count: u64| format!("{:>11}", grouped(count));
    prose.extend(FATES.map(|fate| format!("{:>11}", fate.name().to_uppercase())));
    for (kind, fates) in &counts.messages {
        let of = |fate: Fate| cell(fates.get(fate.name()).copied().unwrap_or(0));
        let sent = cell(counts.of_kind(*kind));
        prose.push_str(&format!("\n{:20}{sent}{}", kind.name(), FATES.map(of).concat()));
    }
    prose.push_str(&format!("\n\n{:20}{:>11}", "EVENT", "COUNT"));
    for (kind, count) in &counts.events {
        prose.push_str(&format!("\n{:20}{}", kind.name(), cell(*count)));
    }
    prose.push('\n');
    prose
}

fn nodes(header: &Header) -> Vec<String> {
    let role = |role: &Role| match role {
        Role::Leader => "leader",
        Role::Acceptor => "acceptor",
        Role::Learner => "learner",
    };
    let roles = |roles: &[Role]| roles.iter().map(role).collect::<Vec<_>>().join("+");
    header.nodes.iter().map(|node| format!("{} {}", node.name, roles(&node.roles))).collect()
}

fn clock(clock: Clock) -> &'static str {
    match clock {
        Clock::Virtual => "virtual",
        Clock::Unix => "unix",
    }
}

fn values(values: Values) -> &'static str {
    match values {
        Values::None => "none",
        Values::Hash => "hash",
        Values::Preview => "preview",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for a reader")]
fn ratio(bytes: u64, messages: u64) -> Option<f64> {
    (messages > 0).then(|| bytes as f64 / messages as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::trace::export::tests::{header, rows};
    use crate::output::{Format, Words, rendered};

    fn small(ending: Ending) -> Report {
        let mut counts = Counts { first_us: u64::MAX, ..Counts::default() };
        for row in rows() {
            counts.add(&row);
        }
        let header = header();
        let file = "x.synodtrace".to_owned();
        report(&Facts { file, header: &header, bytes: 120, chunks: 1, ending }, &counts)
    }

    #[test]
    fn rows_are_counted_by_kind_and_fate() {
        let report = small(Ending::Whole);
        let json = rendered(Format::Json, &report);
        let document: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&document["messages"], &document["events"]), (&"2".into(), &"2".into()));
        assert_eq!(document["messages_by_kind"]["accept"], "1");
        assert_eq!(document["messages_by_fate"]["twice"], "1");
        assert_eq!(document["events_by_kind"]["started"], "1");
        assert_eq!(document["bytes_per_message"], 60.0);
        assert_eq!(document["seed"], "7");
        assert_eq!(document["lasts_us"], 500);
    }

    #[test]
    fn a_torn_trace_says_so() {
        let Words::Prose(prose) = small(Ending::Torn { bytes: 1_234 }).words else {
            panic!("no prose")
        };
        assert!(prose.contains("torn: no footer, 1,234 bytes cannot be read\n"), "{prose}");
    }
}
