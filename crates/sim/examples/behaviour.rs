//! Walks as the specification speaks of them: what was said, what became durable and what was
//! learned, one JSON object a line. `spec/behaviour.py` reads them and asks whether the proven
//! model allows every step.
//!
//! Clients, timers, probes, rejections and the network's luck are left out, for the model knows
//! nothing of them. What is said to several is one line, for in the model everybody can hear it.
//! What a node hears is a line each, if it learns; every leader does.
//!
//! ```text
//!   behaviour FIRST COUNT [BROKEN]      the walks of so many seeds, in a broken world if named
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::{self, BufWriter, Write};
use std::panic::set_hook;
use std::process::ExitCode;

use paxos::{Ballot, Envelope, Event, Message, NodeId, Page, Phase1, Phase2, Record, Run, Slot};
use paxos::{Command, Value, Values};
use sim::{Broken, Happened, Options, Shape, What, replay};

/// Things go wrong for so long, at most: enough for a few leaders, and short to read.
const LASTS_US_MAX: u64 = 1_000_000;
/// Misfortunes follow each other closely, and none lasts for the whole walk.
const PAUSE_US_MAX: u64 = 80_000;
const MISFORTUNE_US_MAX: u64 = 300_000;
/// The weather is worse than drawn, so that leaders leave holes and unfinished slots behind.
const DELAY_US: u64 = 20_000;
const LOSS_PERMILLE: u64 = 80;
/// A walk appends so many values, at most.
const REQUESTS_MAX: u64 = 20;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (first, count, broken) = match arguments.as_slice() {
        [first, count] => (first.parse().ok(), count.parse().ok(), Some(None)),
        [first, count, name] => (first.parse().ok(), count.parse().ok(), named(name).map(Some)),
        _ => (None, None, None),
    };
    let (Some(first), Some(count), Some(broken)) = (first, count, broken) else {
        eprintln!("usage: behaviour FIRST COUNT [BROKEN]");
        return ExitCode::from(2);
    };
    // A broken assertion is a violation, and `end` tells of it.
    set_hook(Box::new(|_| {}));
    let mut out = BufWriter::new(io::stdout().lock());
    for seed in (first..u64::MAX).take(count) {
        // Whoever reads has seen enough.
        if out.write_all(told(seed, broken).as_bytes()).is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}

fn named(name: &str) -> Option<Broken> {
    Broken::ALL.into_iter().find(|broken| format!("{broken:?}") == name)
}

/// A draw from everything that there is, made small.
fn small(seed: u64, broken: Option<Broken>) -> Options {
    let mut options = Options { broken, ..Options::drawn(seed) };
    // The model knows nothing of cuts and snapshots.
    options.snapshot_every_bytes = 0;
    options.clients = options.clients.min(2);
    options.requests = options.requests.min(REQUESTS_MAX / u64::from(options.clients));
    let faults = &mut options.faults;
    faults.lasts_us = faults.lasts_us.min(LASTS_US_MAX);
    faults.pause_us_max = faults.pause_us_max.min(PAUSE_US_MAX);
    faults.misfortune_us_max = faults.misfortune_us_max.min(MISFORTUNE_US_MAX);
    // The follower does not read what was lost and mended.
    faults.rot_permille = 0;
    faults.lost_disk = 0;
    faults.weather.delay_us_max += DELAY_US;
    faults.weather.loss_permille += LOSS_PERMILLE;
    match broken {
        Some(Broken::QuorumsApart) => options.shape = Shape::all().swap_remove(0),
        // What they break shows only after a crash.
        Some(Broken::Amnesia | Broken::EmptyDisk | Broken::SameIncarnation) => faults.crash = 50,
        _ => {}
    }
    options
}

/// One walk: a line about the cluster, a line for each thing that happened, a line for the end.
fn told(seed: u64, broken: Option<Broken>) -> String {
    let options = small(seed, broken);
    let configuration = options.shape.configuration().expect("drawn shapes are valid");
    let ids = |ids: Vec<NodeId>| list(ids.iter().map(|id| id.0.to_string()));
    let mut text = format!(
        "{{\"what\":\"walk\",\"seed\":{seed},\"leaders\":{},\"acceptors\":{},\"learners\":{},\
         \"phase1\":{},\"phase2\":{}}}\n",
        ids(configuration.leaders().collect()),
        ids(configuration.acceptors().to_vec()),
        ids(configuration.learners().collect()),
        configuration.quorum_size::<Phase1>(),
        configuration.quorum_size::<Phase2>(),
    );
    let (outcome, happened) = replay(seed, &options);
    let learners = configuration.learners().collect();
    let mut teller = Teller { learners, commands: BTreeMap::new(), ballots: BTreeMap::new() };
    let mut before = String::new();
    for Happened { what, .. } in &happened {
        let Some(line) = teller.tell(what) else { continue };
        // The same thing said to several.
        if line != before {
            text.push_str(&line);
            before = line;
        }
    }
    let violation = outcome.violation.map(|violation| format!("\"{}\"", violation.promise));
    let violation = violation.unwrap_or("null".to_owned());
    text.push_str(&format!("{{\"what\":\"end\",\"violation\":{violation}}}\n"));
    text
}

/// What a reader of lines must remember between them.
struct Teller {
    learners: BTreeSet<NodeId>,
    /// Each client's value, by the number that it has in the lines.
    commands: BTreeMap<Command, usize>,
    /// The ballot that a node has prepared last, in this life.
    ballots: BTreeMap<NodeId, Ballot>,
}

impl Teller {
    /// The line, if the model knows of such a thing.
    fn tell(&mut self, what: &What) -> Option<String> {
        match what {
            What::Started { node, .. } => {
                self.ballots.remove(node);
                Some(line("begins", *node, None, &[]))
            }
            What::Durable { node, records } => {
                Some(records.iter().map(|record| self.durable(*node, record)).collect())
            }
            What::Sent { from, envelope: Envelope { message, .. }, .. } => {
                Some(line(message.kind().name(), *from, None, &self.said(message)?))
            }
            What::Arrived { from, to, message, .. } if self.learners.contains(to) => {
                let heard = self.said(message)?;
                Some(line(&format!("hears {}", message.kind().name()), *to, Some(*from), &heard))
            }
            What::Learned { node, first, values, .. } => {
                let parts = [("first", first.to_string()), ("values", self.values(values))];
                Some(line("believes", *node, None, &parts))
            }
            What::Event { node, event, .. } => self.event(*node, event),
            _ => None,
        }
    }

    fn durable(&mut self, node: NodeId, record: &Record) -> String {
        match record {
            Record::Promised(ballot) => {
                line("has promised", node, None, &[("ballot", numbers(*ballot))])
            }
            Record::Accepted(run) => line("has voted", node, None, &self.run(run)),
            Record::Truncated(slot) => line("has cut", node, None, &[("below", slot.to_string())]),
            Record::Suspect => line("has lost votes", node, None, &[]),
            Record::Settled(slot) => line("is whole", node, None, &[("from", slot.to_string())]),
        }
    }

    /// What a message says of the model's matters.
    fn said(&mut self, message: &Message) -> Option<Vec<Part>> {
        let mut parts = Vec::new();
        match message {
            Message::Prepare { ballot, from } => {
                parts.extend([("ballot", numbers(*ballot)), ("from", from.to_string())]);
            }
            Message::Promise { ballot, page } => {
                parts.push(("ballot", numbers(*ballot)));
                parts.extend(self.page(page));
            }
            Message::Accept { run, chosen } => {
                parts.extend(self.run(run));
                parts.push(("chosen", chosen.to_string()));
            }
            Message::Accepted { ballot, first, end } => parts.extend([
                ("ballot", numbers(*ballot)),
                ("first", first.to_string()),
                ("end", end.to_string()),
            ]),
            Message::Chosen { ballot, chosen } | Message::Heartbeat { ballot, chosen, .. } => {
                parts.extend([("ballot", numbers(*ballot)), ("chosen", chosen.to_string())]);
            }
            Message::Learned { first, values, .. } => {
                parts.extend([("first", first.to_string()), ("values", self.values(values))]);
            }
            Message::Votes { page } => parts.extend(self.page(page)),
            Message::Reject { .. }
            | Message::HeartbeatReply { .. }
            | Message::Probe { .. }
            | Message::ProbeReply { .. }
            | Message::Fetch { .. }
            | Message::Confirm { .. }
            | Message::Confirmed { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::Kept { .. }
            | Message::FetchPart { .. }
            | Message::Part { .. }
            | Message::Offer { .. }
            | Message::Willing { .. }
            | Message::HandOver { .. } => return None,
        }
        Some(parts)
    }

    fn event(&mut self, node: NodeId, event: &Event) -> Option<String> {
        let over = match event {
            // What it led or prepared before is over.
            Event::Prepared { ballot } => self.ballots.insert(node, *ballot),
            Event::Elected { ballot, adopted, noops } => {
                let recovered = (adopted + noops).to_string();
                let parts = [("ballot", numbers(*ballot)), ("recovered", recovered)];
                return Some(line("leads", node, None, &parts));
            }
            Event::Deposed { .. }
            | Event::Overtaken { .. }
            | Event::GaveUp { .. }
            | Event::Forsaken { .. } => self.ballots.remove(&node),
            _ => None,
        };
        over.map(|ballot| line("gives up", node, None, &[("ballot", numbers(ballot))]))
    }

    fn run(&mut self, run: &Run) -> Vec<Part> {
        vec![
            ("ballot", numbers(run.ballot)),
            ("first", run.first.to_string()),
            ("values", self.values(&run.values)),
        ]
    }

    fn page(&mut self, page: &Page) -> Vec<Part> {
        let mut votes = Vec::new();
        for run in &page.votes {
            for (slot, value) in (run.first.0..).zip(run.values.iter()) {
                let value = self.value(value);
                votes.push(format!("[{slot},{},{value}]", numbers(run.ballot)));
            }
        }
        vec![
            ("from", page.from.to_string()),
            ("next", next(page)),
            ("truncated", page.truncated.to_string()),
            ("votes", list(votes)),
        ]
    }

    fn values(&mut self, values: &Values) -> String {
        list(values.iter().map(|value| self.value(value)))
    }

    /// A no-op is 0, a leader's start is 1, clients' values are numbered as they come.
    fn value(&mut self, value: &Value) -> String {
        let number = match value {
            Value::Noop => 0,
            Value::LeaderStart => 1,
            Value::Command(command) => {
                let fresh = 2 + self.commands.len();
                *self.commands.entry(command.clone()).or_insert(fresh)
            }
        };
        number.to_string()
    }
}

/// A name and its value in JSON.
type Part = (&'static str, String);

fn line(what: &str, node: NodeId, by: Option<NodeId>, parts: &[Part]) -> String {
    let by = by.map(|by| ("by", by.to_string()));
    let rest = by.iter().chain(parts).map(|(name, value)| format!(",\"{name}\":{value}"));
    format!("{{\"what\":\"{what}\",\"node\":{node}{}}}\n", rest.collect::<String>())
}

fn numbers(ballot: Ballot) -> String {
    format!("[{},{},{}]", ballot.round, ballot.leader, ballot.incarnation.0)
}

fn next(page: &Page) -> String {
    page.next.map_or("null".to_owned(), |next: Slot| next.to_string())
}

fn list(parts: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", parts.into_iter().collect::<Vec<String>>().join(","))
}
