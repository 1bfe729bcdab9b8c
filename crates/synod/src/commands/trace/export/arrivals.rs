//! Messages under way: what was sent comes out again when it is heard, in the order of time. For
//! tools that draw a message's arrival and want it among the rows.

use std::collections::BTreeMap;

use trace::{Row, What};

use crate::error::{CliError, Exit};

/// Messages under way, at most.
const UNDER_WAY_MAX: usize = 1 << 20;

/// A message that is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) at_us: u64,
    /// Who hears it.
    pub(super) node: u32,
    /// The number of the row that sent it.
    pub(super) number: u64,
    /// 0, or 1 for the second copy.
    pub(super) copy: u64,
    /// The row that sent it.
    pub(super) row: Row,
}

/// Messages under way, by when they are heard, and in the order in which they were sent.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    under_way: BTreeMap<(u64, u64, u64), Arrival>,
}

impl Arrivals {
    /// The next one that is heard at `at_us` or earlier.
    pub(super) fn due(&mut self, at_us: u64) -> Option<Arrival> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= at_us).then(|| first.remove())
    }

    /// Takes note of a row, which may be a message.
    pub(super) fn expect(&mut self, number: u64, row: &Row) -> Result<(), CliError> {
        let What::Message { to, fate, .. } = row.what else { return Ok(()) };
        for (copy, latency) in (0..).zip(fate.heard()) {
            let at_us = row.at_us + latency;
            let arrival = Arrival { at_us, node: to, number, copy, row: row.clone() };
            self.under_way.insert((at_us, number, copy), arrival);
        }
        if self.under_way.len() > UNDER_WAY_MAX {
            let message = format!("more than {UNDER_WAY_MAX} messages are under way at once");
            return Err(CliError::new("too_large", Exit::Failed, message)
                .hint("`--to jsonl` needs no order of arrivals, and has no such limit"));
        }
        Ok(())
    }
}
