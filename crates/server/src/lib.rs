//! The real world around a node: sockets, threads, files and clocks. Decides nothing about
//! consensus.
//!
//! The modules are declared in reading order: `server` starts what the others are.

#![forbid(unsafe_code)]

mod server;
pub mod runtime;
mod recovery;
pub mod local;
mod membership;
pub mod config;
mod api;
mod switches;
mod hosted;
mod page;
mod inbox;
mod driver;
mod post;
mod writer;
mod snapshotter;
mod shelf;
pub mod data_dir;
pub mod replacement;
pub mod restore;
pub mod snapshot_file;
pub mod file_disk;
pub mod tls;
pub mod transport;
mod counters;

// Reads bytes that anybody may send, so the fuzzer must reach it.
#[doc(hidden)]
pub use api::asked;
pub use inbox::{Status, Storage};
pub use recovery::{Found, rehearse};
pub use server::{End, Options, Server, Sockets, StartError};
pub use switches::Switches;
