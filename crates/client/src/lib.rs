//! The client API as protocol buffers ([`proto`]), and a [`Client`] that knows what it does not
//! know.
//!
//! A value is appended at most once: each has a number in the client's session, and a number is
//! sent again, never drawn again, while its answer is outstanding. The session is opened through
//! the history before anything else is sent; when it expires the client says so and appends no
//! more. What is left is the honest third answer besides "done" and "not applied":
//! [`Outcome::Unknown`]. A time-out after a node may have proposed the value says just that.
//!
//! A read says how much it must show: [`Consistency`]. Any node that leads or learns can serve any
//! kind, so a client asks the next one when one is cut off, and
//! [`Client::position`] is what makes it read its own writes wherever it asks.
//!
//! This crate knows nothing of ballots, acceptors or journals. It speaks TLS to nodes where it is
//! given [`Credentials`], and plaintext where it is not.
//!
//! | file | decides |
//! |---|---|
//! | `client` | what a user calls |
//! | `window` | which appends are unanswered, what is known of each, what is sent next; pure |
//! | `session` | what is asked about the client's session, and when; pure |
//! | `appender` | one stream for all appends: opened, filled, lost, opened elsewhere |
//! | `endpoints` | which node is asked next, and after which pause |
//! | `read` | reading a range of the history, and how much must be shown |
//! | `follow` | following the history across broken streams |
//! | `save` | fetching the whole state |
//! | `position` | what the client has seen |
//! | `connection` | what a connection looks like |
//! | `credentials` | how a client shows who it is |
//! | `error` | what went wrong, and what is known of the value |

#![forbid(unsafe_code)]

mod appender;
mod client;
mod connection;
mod credentials;
mod endpoints;
mod error;
mod follow;
mod position;
pub mod proto;
mod read;
mod save;
mod session;
mod window;

pub use client::{Appended, Client, Options};
pub use credentials::{Certificate, Credentials, CredentialsError};
pub use error::{AppendError, CallError, FIRST_HELD, LEADER, OptionsError, Outcome};
pub use prost::bytes::Bytes;
pub use read::{Consistency, Entries};
pub use save::Saving;
pub use tonic::Code;

/// The largest value that a client may append, in bytes. A node refuses larger ones as well.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
