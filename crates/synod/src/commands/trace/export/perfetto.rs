//! Chrome's trace events, as Perfetto opens them: a lane a node, arrows for messages, bars for who
//! leads and who is down.
//!
//! Arrows need slices to hold on to, and slices of one lane must not overlap: what a node says and
//! hears in the same microsecond follows each other by a few nanoseconds.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use trace::{EventKind, Header, Row, What};

use super::super::words::{ballot, fate, words};
use super::Export;
use super::arrivals::{Arrival, Arrivals};
use crate::error::CliError;

/// How long saying and hearing take in the picture.
const SLICE_NS: u64 = 40;
/// The one process.
const PID: u32 = 1;

#[derive(Default)]
pub(super) struct Perfetto {
    arrivals: Arrivals,
    has_events: bool,
    /// From when on each lane is free, in nanoseconds.
    free_ns: BTreeMap<u32, u64>,
    /// Bars that have begun: node and what, with the name.
    bars: BTreeMap<(u32, &'static str), String>,
}

impl Export for Perfetto {
    fn begin(&mut self, header: &Header, out: &mut String) {
        let about = json!({
            "synod": header.synod,
            "commit": header.commit,
            "seed": header.seed.map(|seed| seed.to_string()),
            "command": header.command,
        });
        out.push_str(&format!(
            "{{\"displayTimeUnit\": \"ms\", \"otherData\": {about}, \"traceEvents\": ["
        ));
        let named = |name: &str, tid: u32, value: &Json| {
            json!({
                "ph": "M", "pid": PID, "tid": tid, "name": name, "args": value,
            })
        };
        self.add(&named("process_name", 0, &json!({"name": header.command})), out);
        for (index, id) in [0].into_iter().chain(header.nodes.iter().map(|it| it.id)).enumerate() {
            self.add(&named("thread_name", id, &json!({"name": header.name(id)})), out);
            self.add(&named("thread_sort_index", id, &json!({"sort_index": index})), out);
        }
    }

    fn row(
        &mut self,
        header: &Header,
        number: u64,
        row: &Row,
        out: &mut String,
    ) -> Result<(), CliError> {
        self.hear(header, row.at_us, out);
        let text = words(header, row);
        let args = json!({"row": number.to_string(), "cause": row.cause.map(|it| it.to_string())});
        match row.what {
            What::Message { fate: it, .. } => {
                let name = format!("{text}{}", fate(it));
                let at = self.slice(row.node, row.at_us, &name, &args, out);
                for (copy, _) in (0..).zip(it.heard()) {
                    self.flow("s", row.node, at, (number, copy), &row.what, out);
                }
            }
            What::Event { kind, .. } => {
                let scope = if row.node == 0 { "g" } else { "t" };
                self.add(
                    &json!({
                        "ph": "i", "s": scope, "pid": PID, "tid": row.node, "name": text,
                        "cat": row.what.name(), "ts": micros(row.at_us * 1_000), "args": args,
                    }),
                    out,
                );
                self.bar(header, kind, row, out);
            }
        }
        self.arrivals.expect(number, row)
    }

    fn end(&mut self, header: &Header, out: &mut String) {
        self.hear(header, u64::MAX, out);
        out.push_str("\n]}\n");
    }
}

impl Perfetto {
    /// Everything that is heard up to now.
    fn hear(&mut self, header: &Header, at_us: u64, out: &mut String) {
        while let Some(arrival) = self.arrivals.due(at_us) {
            self.heard(header, &arrival, out);
        }
    }

    fn heard(&mut self, header: &Header, arrival: &Arrival, out: &mut String) {
        let kind = arrival.row.what.name().replace('_', " ");
        let name = format!("hears {kind} from {}", header.name(arrival.row.node));
        let args = json!({"row": arrival.number.to_string()});
        let at = self.slice(arrival.node, arrival.at_us, &name, &args, out);
        let id = (arrival.number, arrival.copy);
        self.flow("f", arrival.node, at, id, &arrival.row.what, out);
    }

    fn add(&mut self, event: &Json, out: &mut String) {
        let comma = if std::mem::replace(&mut self.has_events, true) { "," } else { "" };
        out.push_str(&format!("{comma}\n{event}"));
    }

    /// Something that a node does, as early as its lane is free. Gives back when.
    fn slice(&mut self, node: u32, at_us: u64, name: &str, args: &Json, out: &mut String) -> u64 {
        let free_ns = self.free_ns.entry(node).or_insert(0);
        let at = (at_us * 1_000).max(*free_ns);
        *free_ns = at + SLICE_NS;
        self.add(
            &json!({
                "ph": "X", "pid": PID, "tid": node, "name": name, "cat": "message",
                "ts": micros(at), "dur": micros(SLICE_NS), "args": args,
            }),
            out,
        );
        at
    }

    /// One end of an arrow, on the slice that begins at `at`.
    fn flow(
        &mut self,
        end: &str,
        node: u32,
        at: u64,
        (number, copy): (u64, u64),
        what: &What,
        out: &mut String,
    ) {
        self.add(
            &json!({
                "ph": end, "bp": "e", "pid": PID, "tid": node, "cat": "message",
                "name": what.name(), "id": format!("{number}.{copy}"), "ts": micros(at),
            }),
            out,
        );
    }

    /// Who leads, and who is down.
    fn bar(&mut self, header: &Header, kind: EventKind, row: &Row, out: &mut String) {
        match kind {
            EventKind::Elected => {
                let leads = row.ballot.map_or_else(String::new, |it| ballot(header, it));
                self.end_bar("leads", row, out);
                self.begin_bar("leads", format!("leads {leads}"), row, out);
            }
            EventKind::Deposed | EventKind::Forsaken | EventKind::Overtaken => {
                self.end_bar("leads", row, out);
            }
            EventKind::Ended => {
                self.end_bar("leads", row, out);
                self.begin_bar("down", format!("{} is down", header.name(row.node)), row, out);
            }
            EventKind::Started => self.end_bar("down", row, out),
            _ => {}
        }
    }

    fn begin_bar(&mut self, what: &'static str, name: String, row: &Row, out: &mut String) {
        self.add(&bar("b", what, &name, row), out);
        self.bars.insert((row.node, what), name);
    }

    fn end_bar(&mut self, what: &'static str, row: &Row, out: &mut String) {
        if let Some(name) = self.bars.remove(&(row.node, what)) {
            self.add(&bar("e", what, &name, row), out);
        }
    }
}

fn bar(end: &str, what: &str, name: &str, row: &Row) -> Json {
    json!({
        "ph": end, "pid": PID, "tid": row.node, "cat": what, "name": name,
        "id": format!("{what} {}", row.node), "ts": micros(row.at_us * 1_000),
    })
}

/// Nanoseconds in the format's unit.
#[expect(clippy::cast_precision_loss, reason = "the format has doubles: exact for 104 days")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::super::Tool;
    use super::super::tests::exported;

    #[test]
    fn every_arrow_has_two_ends_and_each_holds_on_to_a_slice() {
        let document: Json = serde_json::from_str(&exported(Tool::Perfetto)).unwrap();
        let events = document["traceEvents"].as_array().unwrap();
        let of = |phase: &str| events.iter().filter(|it| it["ph"] == phase).collect::<Vec<_>>();
        let ids = |phase: &str| of(phase).iter().map(|it| it["id"].clone()).collect::<Vec<_>>();
        assert_eq!(ids("s"), ["1.0", "2.0", "2.1"]);
        assert_eq!(ids("f"), ["1.0", "2.0", "2.1"]);
        for end in [of("s"), of("f")].concat() {
            let holds = |slice: &&&Json| slice["tid"] == end["tid"] && slice["ts"] == end["ts"];
            assert_eq!(of("X").iter().filter(holds).count(), 1, "{end}");
        }
        // Two sent, three heard; A1 answers in the microsecond in which it hears.
        let at: Vec<f64> = of("X").iter().map(|it| it["ts"].as_f64().unwrap()).collect();
        assert_eq!(at, [1_000.0, 1_200.0, 1_200.04, 1_350.0, 1_600.0]);
        assert_eq!(of("i").len(), 2);
    }
}
