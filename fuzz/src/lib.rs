//! Everything that reads bytes, as functions of arbitrary bytes.
//!
//! A target takes any bytes and must return: a panic is a bug of the reader, or of what the target
//! demands of it. Targets know nothing of who calls them. An ordinary test replays `corpus/`, one
//! directory a target; `cargo xtask fuzz` looks for inputs that reach new code (`main.rs`).

#![forbid(unsafe_code)]

mod cursor;
mod lies;
mod members;
mod memory_disk;

mod api;
mod config;
mod damage;
mod datagram;
mod files;
mod message;
mod node;
mod portable;
mod record;
mod request;
mod sessions;
mod snapshots;
mod stream;

/// One reader of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its directory in `corpus/`.
    pub name: &'static str,
    /// Feeds it. Panics if the reader does, or if an answer breaks what is demanded of it.
    pub run: fn(&[u8]),
}

/// All of them, by name.
pub const TARGETS: [Target; 13] = [
    Target { name: "api", run: api::run },
    Target { name: "config", run: config::run },
    Target { name: "damage", run: damage::run },
    Target { name: "datagram", run: datagram::run },
    Target { name: "files", run: files::run },
    Target { name: "message", run: message::run },
    Target { name: "node", run: node::run },
    Target { name: "portable", run: portable::run },
    Target { name: "record", run: record::run },
    Target { name: "request", run: request::run },
    Target { name: "sessions", run: sessions::run },
    Target { name: "snapshots", run: snapshots::run },
    Target { name: "stream", run: stream::run },
];
