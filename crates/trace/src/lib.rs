//! The record of a run, `*.synodtrace`: what was said and what happened, as rows and as bytes.
//!
//! A trace is a header that a person can read, and [`Row`]s in the order of time: a message with
//! its fate, or an event. [`Writer`] takes rows one by one and keeps one chunk of them in memory;
//! [`Reader`] opens any chunk without the others. Whoever records decides what a row says; this
//! crate knows no protocol, no world, no file and no clock.
//!
//! A reader believes nothing: every count and length of a file is bounded before memory follows it,
//! and bytes that are damaged, cut off or foreign are an error, never a panic. The bytes are drawn
//! in `docs/formats.md`.
//!
//! The modules are declared in reading order.

#![forbid(unsafe_code)]

mod row;
mod header;
mod error;
mod varint;
mod table;
mod columns;
mod frame;
mod writer;
mod reader;

pub use error::{ReadError, Refusal, WriteError};
pub use frame::{CHUNK_INFLATED_MAX, CHUNKS_MAX, Place};
pub use header::{
    Clock, HEADER_BYTES_MAX, Header, NODES_MAX, Node, Quorums, Role, VERSION, Values,
};
pub use reader::{Ending, Reader, Rows};
pub use row::{
    Ballot, EventKind, Fate, LIMIT, MessageKind, PREVIEW_BYTES_MAX, Row, Shown, Slots,
    TEXT_BYTES_MAX, Value, What,
};
pub use table::CHUNK_TABLES_MAX;
pub use writer::{CHUNK_ROWS_MAX, Writer};
