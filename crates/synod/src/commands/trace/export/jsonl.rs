//! One JSON object a row. What a row does not say is left out.

use serde_json::{Value as Json, json};
use trace::{Ballot, Fate, Header, Row, Shown, Value, What};

use super::Export;
use crate::error::CliError;

pub(super) struct Jsonl;

/// Members, in the order in which they are added.
struct Line(Vec<String>);

impl Export for Jsonl {
    fn begin(&mut self, _: &Header, _: &mut String) {}

    fn row(
        &mut self,
        header: &Header,
        number: u64,
        row: &Row,
        out: &mut String,
    ) -> Result<(), CliError> {
        let mut line = Line(Vec::new());
        line.add("schema", json!("synod.trace.row/1"));
        line.add("row", text(number));
        line.add("at_us", text(row.at_us));
        line.add("kind", json!(row.what.name()));
        line.add("node", json!(header.name(row.node)));
        match &row.what {
            What::Message { to, fate, .. } => {
                line.add("to", json!(header.name(*to)));
                line.add("fate", json!(fate.name()));
                let latencies: Vec<Json> = match fate {
                    Fate::Unheard(latency) => vec![text(*latency)],
                    fate => fate.heard().map(text).collect(),
                };
                if !latencies.is_empty() {
                    line.add("latency_us", Json::Array(latencies));
                }
            }
            What::Event { peer, numbers, text: words, .. } => {
                if *peer != 0 {
                    line.add("peer", json!(header.name(*peer)));
                }
                if *numbers != [0, 0] {
                    line.add("numbers", json!(numbers.map(text)));
                }
                if !words.is_empty() {
                    line.add("text", json!(words));
                }
            }
        }
        line.maybe("cause", row.cause.map(text));
        line.maybe("ballot", row.ballot.map(|it| ballot(header, it)));
        line.maybe("promised", row.promised.map(|it| ballot(header, it)));
        let slots = row.slots.map(|it| json!({"first": text(it.first), "count": text(it.count)}));
        line.maybe("slots", slots);
        line.maybe("chosen", row.chosen.map(text));
        line.maybe("value", row.value.as_ref().map(value));
        out.push_str(&format!("{{{}}}\n", line.0.join(",")));
        Ok(())
    }

    fn end(&mut self, _: &Header, _: &mut String) {}
}

impl Line {
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes the value for this call")]
    fn add(&mut self, key: &str, value: Json) {
        self.0.push(format!("{}:{value}", json!(key)));
    }

    fn maybe(&mut self, key: &str, value: Option<Json>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }
}

/// A u64 as JSON can hold it.
fn text(number: u64) -> Json {
    json!(number.to_string())
}

fn ballot(header: &Header, ballot: Ballot) -> Json {
    json!({
        "round": text(ballot.round),
        "leader": header.name(ballot.leader),
        "incarnation": format!("{:016x}", ballot.incarnation),
    })
}

fn value(value: &Value) -> Json {
    let (bytes, shown) = match value {
        Value::Noop => return json!({"kind": "noop"}),
        Value::LeaderStart => return json!({"kind": "leader_start"}),
        Value::Command { bytes, shown } => (text(*bytes), shown),
    };
    let hex = |hash: &u64| format!("{hash:016x}");
    match shown {
        Shown::Length => json!({"kind": "command", "bytes": bytes}),
        Shown::Hash(hash) => json!({"kind": "command", "bytes": bytes, "hash": hex(hash)}),
        Shown::Preview(hash, words) => {
            json!({"kind": "command", "bytes": bytes, "hash": hex(hash), "preview": words})
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tool;
    use super::super::tests::exported;

    #[test]
    fn a_row_is_an_object_of_what_it_says() {
        let text = exported(Tool::Jsonl);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[1],
            concat!(
                r#"{"schema":"synod.trace.row/1","row":"1","at_us":"1000","kind":"accept","#,
                r#""node":"L1","to":"A1","fate":"once","latency_us":["200"],"#,
                r#""ballot":{"incarnation":"000000000000000a","leader":"L1","round":"3"},"#,
                r#""slots":{"count":"2","first":"5"},"chosen":"5","#,
                r#""value":{"bytes":"3","hash":"ba7816bf8f01cfea","kind":"command","#,
                r#""preview":"abc"}}"#,
            )
        );
        assert_eq!(
            lines[3],
            concat!(
                r#"{"schema":"synod.trace.row/1","row":"3","at_us":"1500","kind":"misfortune","#,
                r#""node":"world","text":"a storm\nbegins"}"#,
            )
        );
        assert_eq!(lines.len(), 4);
    }
}
