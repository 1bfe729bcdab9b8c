//! Rows in, bytes out. At most one chunk of rows is in memory, and the place of each chunk before.

use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::columns::{Columns, Nodes};
use crate::error::{Refusal, WriteError};
use crate::frame::{CHUNK_INFLATED_MAX, CHUNKS_MAX, Head, Place, checksum, footer};
use crate::header::{Header, Values};
use crate::row::{Fate, LIMIT, PREVIEW_BYTES_MAX, Row, Shown, TEXT_BYTES_MAX, Value, What};
use crate::table::CHUNK_TABLES_MAX;

/// Rows of a chunk, at most.
pub const CHUNK_ROWS_MAX: u32 = 65_536;

/// What stands for the end of a text that is too long.
const CUT: &str = "…";

/// A trace that is being written. Without [`finish`](Self::finish) it is a half-written one, of
/// which readers get all but the last chunk.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    /// How many bytes were written.
    written: u64,
    line_checksum: u32,
    values: Values,
    /// Places in the header by node id, from 1.
    nodes: BTreeMap<u32, u8>,
    places: Vec<Place>,
    /// The chunk that is being filled, and its first row's time; none if it has no row yet.
    chunk: Option<(Columns, u64)>,
    chunk_rows: u32,
    /// The number of the next row.
    number: u64,
    last_us: u64,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(mut out: W, header: &Header) -> Result<Writer<W>, WriteError> {
        let line = header.to_line().ok_or(Refusal::Header)?;
        out.write_all(&line)?;
        Ok(Writer {
            out,
            written: length(&line),
            line_checksum: checksum(&line),
            values: header.values,
            nodes: header.nodes.iter().map(|node| node.id).zip(1..=u8::MAX).collect(),
            places: Vec::new(),
            chunk: None,
            chunk_rows: 0,
            number: 0,
            last_us: 0,
        })
    }

    /// Adds a row, and gives its number. A value shows no more than the header says, whatever the
    /// row has; a text or preview that is too long is cut, which an ellipsis tells.
    pub fn row(&mut self, row: &Row) -> Result<u64, WriteError> {
        let nodes = self.check(row)?;
        let number = self.number;
        let first_us = row.at_us;
        let (chunk, _) = self.chunk.get_or_insert_with(|| (Columns::new(first_us), first_us));
        chunk.push(number, &fitting(row, self.values), nodes);
        self.chunk_rows += 1;
        self.number += 1;
        self.last_us = row.at_us;
        if self.chunk_rows == CHUNK_ROWS_MAX || chunk.tables() >= CHUNK_TABLES_MAX {
            self.end_chunk()?;
        }
        Ok(number)
    }

    /// Writes what is left, and the footer.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.end_chunk()?;
        self.out.write_all(&footer(self.line_checksum, &self.places))?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn check(&self, row: &Row) -> Result<Nodes, Refusal> {
        if self.places.len() >= CHUNKS_MAX as usize {
            return Err(Refusal::Full);
        }
        if row.at_us < self.last_us || row.at_us > LIMIT {
            return Err(Refusal::Time(row.at_us));
        }
        if let Some(cause) = row.cause
            && cause >= self.number
        {
            return Err(Refusal::Cause(cause));
        }
        let end = row.slots.map_or(0, |slots| slots.first.saturating_add(slots.count));
        let (peer, latencies) = match &row.what {
            What::Message { to, fate, .. } => (*to, latencies(*fate)),
            What::Event { peer, .. } => (*peer, [0, 0]),
        };
        let beyond = [end, row.chosen.unwrap_or(0), latencies[0], latencies[1]];
        if let Some(number) = beyond.into_iter().find(|number| *number > LIMIT) {
            return Err(Refusal::Limit(number));
        }
        Ok(Nodes { node: self.place(row.node)?, peer: self.place(peer)? })
    }

    fn place(&self, node: u32) -> Result<u8, Refusal> {
        if node == 0 {
            return Ok(0);
        }
        self.nodes.get(&node).copied().ok_or(Refusal::Node(node))
    }

    fn end_chunk(&mut self) -> Result<(), WriteError> {
        let Some((chunk, first_us)) = self.chunk.take() else { return Ok(()) };
        let inflated = chunk.end();
        assert!(length(&inflated) <= CHUNK_INFLATED_MAX.into(), "rows and tables are bounded");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&inflated)?;
        let gzip = gzip.finish()?;
        let of = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a chunk is bounded");
        let head = Head {
            gzip_bytes: of(&gzip),
            inflated_bytes: of(&inflated),
            rows: std::mem::take(&mut self.chunk_rows),
            first_us,
            last_us: self.last_us,
        };
        self.places.push(head.place(self.written));
        self.out.write_all(&head.to_bytes())?;
        self.out.write_all(&gzip)?;
        self.written += head.bytes();
        Ok(())
    }
}

fn latencies(fate: Fate) -> [u64; 2] {
    match fate {
        Fate::Once(first) | Fate::Unheard(first) => [first, 0],
        Fate::Twice(first, second) => [first, second],
        Fate::Lost | Fate::Open => [0, 0],
    }
}

/// The row as it is written.
fn fitting(row: &Row, values: Values) -> Row {
    let mut row = row.clone();
    if let What::Event { text, .. } = &mut row.what {
        cut(text, TEXT_BYTES_MAX);
    }
    row.value = row.value.map(|value| value.redacted(values));
    if let Some(Value::Command { shown: Shown::Preview(_, words), .. }) = &mut row.value {
        cut(words, PREVIEW_BYTES_MAX);
    }
    row
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let whole = (0..=bytes_max - CUT.len()).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(whole.unwrap_or(0));
        text.push_str(CUT);
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length in memory fits in 64 bits")
}
