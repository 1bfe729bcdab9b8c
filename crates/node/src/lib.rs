//! One machine's part as a whole, still pure: a replica of the protocol, a state machine that
//! applies what is chosen, sessions that apply each request at most once, and those who wait for
//! an answer.
//!
//! A [`Node`] is driven exactly like a `paxos::Replica` (its contract is in that crate's first
//! page): inputs go in with a time, effects come out, and `write.then_send` waits for the disk.
//! What it adds is meaning: a client's request is encoded, proposed, applied in slot order on every
//! node, and answered on the node that was asked. Reads go through no history; each says how much
//! it must show.
//!
//! The modules are declared in reading order.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod request;
mod machine;
mod history;
mod sessions;
mod log_time;
mod waiters;
mod snapshot;
mod reads;
mod node;
mod elsewhere;
pub mod recovery;
mod ledger;

pub use history::{Entry, History};
pub use ledger::Ledger;
pub use machine::{Output, StateMachine};
pub use node::{Append, Effects, Input, Node, Outcome, Reply, Ticket};
pub use reads::{Consistency, Read, ReadReply};
pub use request::{Kind, Nonce, Request, RequestError};
pub use sessions::{
    Refused, SESSION_LIFETIME_US, SESSION_WINDOW, SESSIONS_MAX, Sessions, SessionsError,
};
pub use snapshot::{Frozen, SnapshotError, Thawed, portable, thaw};
