//! Why a trace cannot be read or written.

use std::fmt;
use std::io;

use crate::header::{HEADER_BYTES_MAX, VERSION};

/// Why a trace cannot be read.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be read.
    Io(io::Error),
    /// It is no trace.
    Foreign,
    /// It is a trace of another version.
    Version(u64),
    /// It begins as a trace, and its header makes no sense.
    Header(String),
    /// Its bytes are not what was written.
    Damaged {
        /// Where the part begins that is damaged.
        at: u64,
        /// What does not fit.
        why: &'static str,
    },
}

/// Why a trace cannot be written.
#[derive(Debug)]
pub enum WriteError {
    /// The file could not be written.
    Io(io::Error),
    /// It would be no trace.
    Refused(Refusal),
}

/// What a trace cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A header that is too long, or whose nodes are too many or not told apart.
    Header,
    /// A node that the header does not name.
    Node(u32),
    /// A time before that of the last row, or beyond the limit.
    Time(u64),
    /// A cause that is no earlier row.
    Cause(u64),
    /// A slot or a latency beyond the limit.
    Limit(u64),
    /// More rows than a trace may have.
    Full,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadError::Io(error) => error.fmt(f),
            ReadError::Foreign => f.write_str("this is no trace of Synod"),
            ReadError::Version(found) => {
                write!(f, "a trace of version {found}; this Synod reads version {VERSION}")
            }
            ReadError::Header(why) => write!(f, "the header is damaged: {why}"),
            ReadError::Damaged { at, why } => write!(f, "damaged at byte {at}: {why}"),
        }
    }
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WriteError::Io(error) => error.fmt(f),
            WriteError::Refused(refusal) => refusal.fmt(f),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Header => {
                write!(f, "a header needs nodes told apart, and at most {HEADER_BYTES_MAX} bytes")
            }
            Refusal::Node(id) => write!(f, "the header does not name node {id}"),
            Refusal::Time(at) => write!(f, "{at} us is earlier than the last row, or too late"),
            Refusal::Cause(cause) => write!(f, "row {cause} is no earlier row"),
            Refusal::Limit(number) => write!(f, "{number} is beyond the limit"),
            Refusal::Full => f.write_str("the trace has as many rows as it may have"),
        }
    }
}

impl std::error::Error for ReadError {}
impl std::error::Error for WriteError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> ReadError {
        ReadError::Io(error)
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> WriteError {
        WriteError::Io(error)
    }
}

impl From<Refusal> for WriteError {
    fn from(refusal: Refusal) -> WriteError {
        WriteError::Refused(refusal)
    }
}
