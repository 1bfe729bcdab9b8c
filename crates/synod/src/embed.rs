//! A node in the user's own process: what `lib.rs` shows to embedders.

mod machine;
mod builder;
mod node;
mod session;
mod asking;
mod hosting;
mod codec;
mod door;
mod birth;
mod identity;
#[cfg(feature = "sim")]
pub mod check;
pub mod storage;
pub mod transport;
mod error;

pub use builder::Builder;
pub use error::{
    LogError, Outcome, ProposeError, ReadError, ShutdownError, StartError, Stopped, TransferError,
};
pub use machine::{COMMAND_BYTES_MAX, Committed, Entry, Event, Role, StateMachine, Status};
pub use node::{Node, Read};
pub use session::{Session, SessionId};
