//! A log for ShiViz: each event with the vector clock of the node that it happens at.
//!
//! A node's clock counts its events; hearing a message takes over what its sender knew when it
//! left (Fidge 1988, Mattern 1989). Format: the regular expression that reads an event, an empty
//! line (there is one execution), then the events in two lines each.

use std::collections::BTreeMap;

use serde_json::json;
use trace::{Header, Row, What};

use super::super::words::{fate, words};
use super::Export;
use super::arrivals::{Arrival, Arrivals};
use crate::error::CliError;

/// Reads host, clock and event from the two lines of each.
const EXPRESSION: &str = r"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)";

/// How many events of each node are known.
type Clock = BTreeMap<u32, u64>;

#[derive(Default)]
pub(super) struct Shiviz {
    arrivals: Arrivals,
    clocks: BTreeMap<u32, Clock>,
    /// Of messages that will be heard: what the sender knew, and how many copies are to come.
    sent: BTreeMap<u64, (Clock, usize)>,
}

impl Export for Shiviz {
    fn begin(&mut self, _: &Header, out: &mut String) {
        out.push_str(&format!("{EXPRESSION}\n\n"));
    }

    fn row(
        &mut self,
        header: &Header,
        number: u64,
        row: &Row,
        out: &mut String,
    ) -> Result<(), CliError> {
        self.hear(header, row.at_us, out);
        let mut text = words(header, row);
        let clock = self.tick(row.node, &Clock::new());
        if let What::Message { fate: it, .. } = row.what {
            text.push_str(fate(it));
            let copies = it.heard().count();
            if copies > 0 {
                self.sent.insert(number, (clock.clone(), copies));
            }
        }
        write(header, row.node, &clock, &text, out);
        self.arrivals.expect(number, row)
    }

    fn end(&mut self, header: &Header, out: &mut String) {
        self.hear(header, u64::MAX, out);
    }
}

impl Shiviz {
    /// Everything that is heard up to now.
    fn hear(&mut self, header: &Header, at_us: u64, out: &mut String) {
        while let Some(arrival) = self.arrivals.due(at_us) {
            self.heard(header, &arrival, out);
        }
    }

    fn heard(&mut self, header: &Header, arrival: &Arrival, out: &mut String) {
        let Some((knew, copies)) = self.sent.remove(&arrival.number) else { return };
        let clock = self.tick(arrival.node, &knew);
        if copies > 1 {
            self.sent.insert(arrival.number, (knew, copies - 1));
        }
        let kind = arrival.row.what.name().replace('_', " ");
        let text = format!("hears {kind} from {}", header.name(arrival.row.node));
        write(header, arrival.node, &clock, &text, out);
    }

    /// One more event at a node that now also knows what `knew` knew.
    fn tick(&mut self, node: u32, knew: &Clock) -> Clock {
        let clock = self.clocks.entry(node).or_default();
        for (other, count) in knew {
            let known = clock.entry(*other).or_insert(0);
            *known = (*known).max(*count);
        }
        *clock.entry(node).or_insert(0) += 1;
        clock.clone()
    }
}

fn write(header: &Header, node: u32, clock: &Clock, text: &str, out: &mut String) {
    let known = clock.iter().map(|(node, count)| format!("{}:{count}", json!(host(header, *node))));
    let known = known.collect::<Vec<_>>().join(", ");
    out.push_str(&format!("{} {{{known}}}\n{text}\n", host(header, node)));
}

/// A name without anything that would end it.
fn host(header: &Header, node: u32) -> String {
    let is_part = |letter: char| !letter.is_whitespace() && !letter.is_control();
    header.name(node).chars().map(|letter| if is_part(letter) { letter } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Tool;
    use super::super::tests::exported;

    #[test]
    fn who_hears_knows_what_the_sender_knew() {
        let expected = r#"(?<host>\S*) (?<clock>{.*})\n(?<event>.*)

L1 {"L1":1}
started life 1
L1 {"L1":2}
accept to A1 3·L1 slots 5 to 6 "abc" chosen below 5
A1 {"L1":2, "A1":1}
hears accept from L1
A1 {"L1":2, "A1":2}
accepted to L1 3·L1 slots 5 to 6, heard twice
L1 {"L1":3, "A1":2}
hears accepted from A1
world {"world":1}
misfortune a storm begins
L1 {"L1":4, "A1":2}
hears accepted from A1
"#;
        assert_eq!(exported(Tool::Shiviz), expected);
    }
}
