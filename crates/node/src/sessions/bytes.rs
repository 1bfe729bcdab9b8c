//! The session table as bytes, for snapshots. One table has one form.
//!
//! ```text
//!   version u8 = 1 | log time u64 | sessions u32, then for each, by its slot
//!     slot u64 | lifetime u64 | used: slot u64, log time u64 | first unanswered u64
//!     answers u32, then for each, by its sequence
//!       sequence u64 | slot u64 | output
//! ```
//!
//! What is read may be anything. A table that breaks a relation which applying requests keeps is
//! refused; memory grows with the bytes that are there, not with the counts that they name.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use paxos::Slot;

use super::{ANSWERS_MAX, SESSION_LIFETIME_US, SESSION_WINDOW, SESSIONS_MAX, Session, Sessions};
use crate::machine::Output;

/// Why bytes are no session table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionsError {
    /// They end too early.
    Short,
    /// They go on after the end.
    Long,
    /// A format of another version.
    Version(u8),
    /// An output is none of this machine's.
    Output,
    /// No requests lead to such a table.
    Impossible,
}

const VERSION: u8 = 1;

impl<O: Output> Sessions<O> {
    /// Appends the table's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        number(out, self.time_us);
        count(out, self.by_slot.len());
        for (id, session) in &self.by_slot {
            number(out, id.0);
            number(out, session.lifetime_us);
            number(out, session.used.0);
            number(out, session.used_us);
            number(out, session.first_unanswered);
            count(out, session.done.len());
            for (sequence, (slot, output)) in &session.done {
                number(out, *sequence);
                number(out, slot.0);
                output.encode(out);
            }
        }
    }

    /// Reads a table; nothing may follow it.
    pub fn decode(bytes: &[u8]) -> Result<Sessions<O>, SessionsError> {
        let mut rest = bytes;
        let [version] = take(&mut rest)?;
        if version != VERSION {
            return Err(SessionsError::Version(version));
        }
        let mut sessions = Sessions { time_us: read(&mut rest)?, ..Sessions::default() };
        let mut above = None;
        for _ in 0..read_count(&mut rest)? {
            let id = Slot(read(&mut rest)?);
            let session = session(&mut rest)?;
            let is_possible = above < Some(id)
                && session.is_possible(id)
                && session.used_us <= sessions.time_us
                && session.end_us() >= sessions.time_us
                && !sessions.by_use.contains_key(&session.used);
            above = Some(id);
            possible(is_possible)?;
            sessions.insert(id, session);
            let is_bounded = sessions.count() <= SESSIONS_MAX && sessions.answers <= ANSWERS_MAX;
            possible(is_bounded)?;
        }
        if rest.is_empty() { Ok(sessions) } else { Err(SessionsError::Long) }
    }
}

impl<O: Output> Session<O> {
    fn is_possible(&self, id: Slot) -> bool {
        let first = self.first_unanswered;
        SESSION_LIFETIME_US.contains(&self.lifetime_us)
            && id <= self.used
            && first >= 1
            && self.done.iter().all(|(sequence, (slot, _))| {
                let ahead = sequence.checked_sub(first);
                ahead.is_some_and(|it| it < SESSION_WINDOW) && id < *slot && *slot <= self.used
            })
    }
}

fn session<O: Output>(rest: &mut &[u8]) -> Result<Session<O>, SessionsError> {
    let mut session = Session {
        lifetime_us: read(rest)?,
        used: Slot(read(rest)?),
        used_us: read(rest)?,
        first_unanswered: read(rest)?,
        done: BTreeMap::new(),
    };
    for _ in 0..read_count(rest)? {
        let (sequence, slot) = (read(rest)?, Slot(read(rest)?));
        let output = O::decode(rest).ok_or(SessionsError::Output)?;
        let is_next = session.done.last_key_value().is_none_or(|(last, _)| *last < sequence);
        possible(is_next && session.done.len() < ANSWERS_MAX)?;
        session.done.insert(sequence, (slot, output));
    }
    Ok(session)
}

fn possible(is_possible: bool) -> Result<(), SessionsError> {
    if is_possible { Ok(()) } else { Err(SessionsError::Impossible) }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("sessions and answers are bounded below this");
    out.extend_from_slice(&count.to_le_bytes());
}

fn read(rest: &mut &[u8]) -> Result<u64, SessionsError> {
    Ok(u64::from_le_bytes(take(rest)?))
}

fn read_count(rest: &mut &[u8]) -> Result<u32, SessionsError> {
    Ok(u32::from_le_bytes(take(rest)?))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SessionsError> {
    let (first, after) = rest.split_first_chunk::<N>().ok_or(SessionsError::Short)?;
    *rest = after;
    Ok(*first)
}

impl fmt::Display for SessionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionsError::Short => write!(f, "the session table ends too early"),
            SessionsError::Long => write!(f, "the session table goes on after its end"),
            SessionsError::Version(found) => {
                write!(f, "session table format {found} is not known")
            }
            SessionsError::Output => write!(f, "the session table holds another machine's answer"),
            SessionsError::Impossible => write!(f, "no requests lead to this session table"),
        }
    }
}

impl core::error::Error for SessionsError {}
