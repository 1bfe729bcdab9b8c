//! Entries of the history as rows, for reading and for following alike.

use client::CallError;
use client::proto::Entry;
use tokio_stream::{Stream, StreamExt as _};

use crate::error::{CliError, Exit};
use crate::output::{Output, Shape, Value};
use crate::runtime::stop_signal;

/// Prints entries until there are no more, or until a signal; what is printed is complete.
pub(super) async fn print(
    schema: &'static str,
    mut entries: impl Stream<Item = Result<Entry, CallError>> + Unpin,
    output: &Output,
) -> Result<Exit, CliError> {
    let columns = [("slot", 8), ("value", 40), ("session", 8), ("sequence", 0)];
    let mut rows = output.stream(Shape::rows(schema, "entries", columns))?;
    let stop = stop_signal();
    tokio::pin!(stop);
    let result = loop {
        tokio::select! {
            entry = entries.next() => match entry {
                Some(Ok(entry)) => rows.push(&row(entry))?,
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(Exit::Done),
            },
            exit = &mut stop => break exit,
        }
    };
    rows.end()?;
    result
}

fn row(entry: Entry) -> [Value; 4] {
    [
        Value::Id(entry.slot),
        Value::Bytes(entry.value.into()),
        Value::Id(entry.session),
        Value::Id(entry.sequence),
    ]
}
