//! The real world around a node: sockets, threads, files and clocks. Decides nothing about
//! consensus.
//!
//! The modules are declared in reading order: `server` starts what the others are.

#![forbid(unsafe_code)]

mod server;
pub mod runtime;
mod leaving;
pub mod recovery;
pub mod local;
mod membership;
pub mod config;
mod api;
mod switches;
pub mod hosted;
mod page;
pub mod inbox;
mod driver;
mod post;
mod writer;
mod snapshotter;
pub mod shelf;
pub mod data_dir;
pub mod replacement;
pub mod restore;
pub mod snapshot_file;
pub mod file_disk;
pub mod inspect;
mod read_only_disk;
pub mod tls;
pub mod transport;
mod counters;
pub mod metrics;
mod threads;
mod sight;
mod health;
mod admin;

// Reads bytes that anybody may send, so the fuzzer must reach it.
#[doc(hidden)]
pub use api::asked;
pub use inbox::{Status, Storage};
pub use recovery::{Found, rehearse};
pub use server::{End, Options, Server, Sockets, StartError};
pub use switches::Switches;
