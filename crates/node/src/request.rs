//! A client's request, as bytes that the protocol does not look into.
//!
//! ```text
//!   version u8 | kind u8 | stamp u64 | what the kind needs
//!                                      1 open        nonce 16 | lifetime u64
//!                                      2 append      session u64 | sequence u64
//!                                                    | first unanswered u64 | value ...
//!                                      3 keep alive  session u64
//!                                      4 close       session u64
//! ```
//!
//! The stamp is the proposing node's: what it takes the log's time to be (see `log_time`). It is
//! written over the zero that the client's side leaves there, so that stamping copies nothing.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use paxos::{Command, Slot};

/// 16 random bytes that a client draws for each session that it wants, so that retries of one wish
/// are told apart from another's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nonce(pub [u8; 16]);

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A session. It is named by the slot in which this is chosen; chosen in two slots, it makes
    /// two, of which the client uses the one that it hears of first and the other one expires.
    Open {
        /// Repeated by a retry.
        nonce: Nonce,
        /// For so long it lives unused, in microseconds of the log's time; see
        /// [`SESSION_LIFETIME_US`](crate::SESSION_LIFETIME_US).
        lifetime_us: u64,
    },
    /// One value in the history, once.
    Append {
        /// The slot in which the session was opened.
        session: Slot,
        /// Which of its values: 1, 2, 3 and so on. A retry repeats the number.
        sequence: u64,
        /// Every smaller sequence of this session has been answered, and the client will not ask
        /// again. `1 <= first_unanswered <= sequence`.
        first_unanswered: u64,
    },
    /// The session is in use, although nothing is appended.
    KeepAlive {
        /// The slot in which it was opened.
        session: Slot,
    },
    /// The session is not needed any more.
    Close {
        /// The slot in which it was opened.
        session: Slot,
    },
}

/// What a client asks for, with its value if it has one. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    kind: Kind,
    stamp_us: u64,
    command: Command,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestError {
    /// They end before the value begins.
    Short,
    /// They go on where nothing more belongs.
    Long,
    /// A format of another version.
    Version(u8),
    /// A kind that this version does not know.
    Kind(u8),
    /// Not `1 <= first_unanswered <= sequence`.
    Sequence,
}

const VERSION: u8 = 2;

const OPEN: u8 = 1;
const APPEND: u8 = 2;
const KEEP_ALIVE: u8 = 3;
const CLOSE: u8 = 4;

const STAMP: Range<usize> = 2..10;
/// Where an append's value begins.
const VALUE: usize = 10 + 3 * 8;

impl Request {
    /// How many bytes a request has beside its value.
    pub const OVERHEAD: usize = VALUE;

    /// Asks for a session.
    pub fn open(nonce: Nonce, lifetime_us: u64) -> Request {
        Request::encode(Kind::Open { nonce, lifetime_us }, &[])
    }

    /// Asks for a value in the history.
    pub fn append(
        session: Slot,
        sequence: u64,
        first_unanswered: u64,
        value: &[u8],
    ) -> Result<Request, RequestError> {
        if first_unanswered == 0 || first_unanswered > sequence {
            return Err(RequestError::Sequence);
        }
        Ok(Request::encode(Kind::Append { session, sequence, first_unanswered }, value))
    }

    /// Says that a session is in use.
    pub fn keep_alive(session: Slot) -> Request {
        Request::encode(Kind::KeepAlive { session }, &[])
    }

    /// Says that a session is not needed any more.
    pub fn close(session: Slot) -> Request {
        Request::encode(Kind::Close { session }, &[])
    }

    fn encode(kind: Kind, value: &[u8]) -> Request {
        let mut bytes = Vec::with_capacity(VALUE + value.len());
        let number = |bytes: &mut Vec<u8>, number: u64| bytes.extend(number.to_le_bytes());
        let head = |tag: u8| [VERSION, tag, 0, 0, 0, 0, 0, 0, 0, 0];
        match kind {
            Kind::Open { nonce, lifetime_us } => {
                bytes.extend(head(OPEN));
                bytes.extend(nonce.0);
                number(&mut bytes, lifetime_us);
            }
            Kind::Append { session, sequence, first_unanswered } => {
                bytes.extend(head(APPEND));
                number(&mut bytes, session.0);
                number(&mut bytes, sequence);
                number(&mut bytes, first_unanswered);
            }
            Kind::KeepAlive { session } => {
                bytes.extend(head(KEEP_ALIVE));
                number(&mut bytes, session.0);
            }
            Kind::Close { session } => {
                bytes.extend(head(CLOSE));
                number(&mut bytes, session.0);
            }
        }
        bytes.extend_from_slice(value);
        Request { kind, stamp_us: 0, command: bytes.into() }
    }

    /// Reads what was chosen.
    pub fn decode(command: &Command) -> Result<Request, RequestError> {
        let mut rest: &[u8] = command;
        let [version] = take(&mut rest)?;
        if version != VERSION {
            return Err(RequestError::Version(version));
        }
        let [tag] = take(&mut rest)?;
        let stamp_us = u64::from_le_bytes(take(&mut rest)?);
        let kind = match tag {
            OPEN => {
                let nonce = Nonce(take(&mut rest)?);
                Kind::Open { nonce, lifetime_us: u64::from_le_bytes(take(&mut rest)?) }
            }
            APPEND => {
                let session = slot(&mut rest)?;
                let sequence = u64::from_le_bytes(take(&mut rest)?);
                let first_unanswered = u64::from_le_bytes(take(&mut rest)?);
                if first_unanswered == 0 || first_unanswered > sequence {
                    return Err(RequestError::Sequence);
                }
                Kind::Append { session, sequence, first_unanswered }
            }
            KEEP_ALIVE => Kind::KeepAlive { session: slot(&mut rest)? },
            CLOSE => Kind::Close { session: slot(&mut rest)? },
            other => return Err(RequestError::Kind(other)),
        };
        if tag != APPEND && !rest.is_empty() {
            return Err(RequestError::Long);
        }
        Ok(Request { kind, stamp_us, command: command.clone() })
    }

    /// The same request with a node's stamp. Nothing is copied unless somebody shares the bytes.
    #[must_use]
    pub(crate) fn stamped(mut self, stamp_us: u64) -> Request {
        self.stamp_us = stamp_us;
        Arc::make_mut(&mut self.command)[STAMP].copy_from_slice(&stamp_us.to_le_bytes());
        self
    }

    /// What is asked for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the proposing node took the log's time to be, in microseconds; zero until there is one.
    pub fn stamp_us(&self) -> u64 {
        self.stamp_us
    }

    /// The client's bytes; empty where nothing is appended.
    pub fn value(&self) -> &[u8] {
        self.command.get(VALUE..).unwrap_or_default()
    }

    /// The whole request, as it is proposed.
    pub fn command(&self) -> &Command {
        &self.command
    }

    /// The same without copying.
    pub(crate) fn into_command(self) -> Command {
        self.command
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], RequestError> {
    let (first, after) = rest.split_first_chunk::<N>().ok_or(RequestError::Short)?;
    *rest = after;
    Ok(*first)
}

fn slot(rest: &mut &[u8]) -> Result<Slot, RequestError> {
    Ok(Slot(u64::from_le_bytes(take(rest)?)))
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestError::Short => write!(f, "the request ends too early"),
            RequestError::Long => write!(f, "the request goes on after its end"),
            RequestError::Version(found) => write!(f, "request format {found} is not known"),
            RequestError::Kind(found) => write!(f, "request kind {found} is not known"),
            RequestError::Sequence => {
                write!(f, "sequences must obey 1 <= first_unanswered <= sequence")
            }
        }
    }
}

impl core::error::Error for RequestError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn one_of_each() -> [Request; 4] {
        [
            Request::open(Nonce([9; 16]), 1_000_000),
            Request::append(Slot(6), 7, 3, b"value").unwrap(),
            Request::keep_alive(Slot(6)),
            Request::close(Slot(6)),
        ]
    }

    #[test]
    fn a_request_survives_its_bytes() {
        for request in one_of_each() {
            assert_eq!(Request::decode(request.command()), Ok(request.clone()));
            let stamped = request.clone().stamped(77);
            assert_eq!(Request::decode(stamped.command()), Ok(stamped.clone()));
            assert_eq!((stamped.kind(), stamped.stamp_us()), (request.kind(), 77));
            assert_eq!(request.stamp_us(), 0, "whoever shares the bytes keeps them");
        }
        let [open, append, ..] = one_of_each();
        assert_eq!(append.value(), b"value");
        assert_eq!(append.command().len(), Request::OVERHEAD + 5);
        assert_eq!(open.value(), b"");
    }

    #[test]
    fn a_request_is_these_bytes() {
        let golden: [&[u8]; 4] = [
            b"\x02\x01\x05\0\0\0\0\0\0\0\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\x40\x42\x0f\0\0\0\0\0",
            b"\x02\x02\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\
              value",
            b"\x02\x03\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0",
            b"\x02\x04\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0",
        ];
        for (request, bytes) in one_of_each().into_iter().zip(golden) {
            assert_eq!(&request.stamped(5).command()[..], bytes);
        }
    }

    #[test]
    fn stamping_copies_nothing_that_nobody_shares() {
        let [_, append, ..] = one_of_each();
        let before = append.command().as_ptr();
        assert_eq!(append.stamped(5).command().as_ptr(), before);
    }

    #[test]
    fn bytes_that_are_no_request_are_refused() {
        for good in one_of_each() {
            let end = good.command().len() - good.value().len();
            for length in 0..end {
                let short: Command = good.command()[..length].into();
                assert_eq!(Request::decode(&short), Err(RequestError::Short));
            }
            if !matches!(good.kind(), Kind::Append { .. }) {
                let mut long = good.command().to_vec();
                long.push(0);
                assert_eq!(Request::decode(&long.into()), Err(RequestError::Long));
            }
        }
        let changed = |at: usize, to: u8| {
            let mut bytes = one_of_each()[1].command().to_vec();
            bytes[at] = to;
            Request::decode(&bytes.into()).map(|_| ())
        };
        assert_eq!(changed(0, 1), Err(RequestError::Version(1)));
        assert_eq!(RequestError::Version(1).to_string(), "request format 1 is not known");
        assert_eq!(changed(1, 0), Err(RequestError::Kind(0)));
        assert_eq!(changed(1, 5), Err(RequestError::Kind(5)));
        assert_eq!(changed(26, 0), Err(RequestError::Sequence), "first_unanswered of zero");
        assert_eq!(changed(26, 8), Err(RequestError::Sequence), "above the sequence");
        assert_eq!(Request::append(Slot(0), 3, 4, b""), Err(RequestError::Sequence));
    }
}
