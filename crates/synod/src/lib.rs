//! One ordered history of commands that a group of machines agrees on, and your state machine at
//! each of them: Multi-Paxos to embed.
//!
//! You bring a [`StateMachine`]; a [`Node`] replicates it. Whatever node is asked, a command is
//! agreed on, kept on the disks of a quorum, applied once at every node, and answered.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use std::collections::BTreeMap;
//! use synod::{Node, Read, Slot, StateMachine};
//!
//! #[derive(Clone, Default, Serialize, Deserialize)]
//! struct Counters(BTreeMap<String, i64>);
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct Add { key: String, by: i64 }
//!
//! impl StateMachine for Counters {
//!     type Command = Add;
//!     type Output = i64;
//!     type Snapshot = Self;
//!
//!     fn apply(&mut self, _slot: Slot, cmd: Add) -> i64 {
//!         let n = self.0.entry(cmd.key).or_default();
//!         *n += cmd.by;
//!         *n
//!     }
//!     fn snapshot(&self) -> Self { self.clone() }
//!     fn restore(s: Self) -> Self { s }
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let node = Node::builder(Counters::default())
//!         .id(1)
//!         .peers([(1, "10.0.0.1:7070"), (2, "10.0.0.2:7070"), (3, "10.0.0.3:7070")])
//!         .data_dir("/var/lib/counters")
//!         .start()
//!         .await?;
//!
//!     let done = node.propose(Add { key: "visits".into(), by: 1 }).await?;
//!     println!("slot {:?}, visits = {}", done.slot, done.output);
//!
//!     let all = node.read(Read::Linearizable, |c| c.0.len()).await?;
//!     println!("{all} counters");
//!     Ok(())
//! }
//! ```
//!
//! # Start
//!
//! The members start together the first time: [`Builder::start`] waits until each of them has been
//! there once. They remember each other's disks, so a directory that is lost later is noticed: an
//! empty one does not vote in its place. After that, a node starts alone, and leads or follows as
//! soon as a majority of the members runs. One node alone is a cluster, too; nothing that it wrote
//! is ever cut, for nobody else could have it.
//!
//! Messages between nodes go over UDP, in clear text, for networks that are trusted; bring another
//! [`transport`] where yours is not.
//!
//! # Guarantees
//!
//! - **One history.** No two nodes ever apply different commands in the same slot, however many
//!   crash, pause, or are cut off, and whatever the network loses, delays, repeats or reorders.
//! - **Durable.** A command that was answered is on the disks of a majority. It survives everything
//!   that leaves a majority of the directories.
//! - **Once.** A command that was proposed once is applied once at most, although it is sent again
//!   and leaders come and go. A command that is proposed *twice* counts twice, unless both times
//!   were in a [`Session`], under one sequence.
//! - **Linearizable.** A command that was answered before another was proposed is applied before
//!   it, and a [`Read::Linearizable`] shows every command that was answered before it began.
//! - **Honest.** An error says what is known: [`ProposeError::outcome`] is
//!   [`NotApplied`](Outcome::NotApplied) only where that is certain. A time-out never is.
//! - **Clocks** decide when somebody asks, never what is true ([`Read::Stale`] excepted: a clock
//!   that runs slow makes it older by as much).
//!
//! What they rest on: `apply` is deterministic ([`sim::check`] tests it); disks keep what they have
//! synced; nodes do not lie. A majority must run and reach each other for anything to be chosen.
//!
//! Not here: changing the members, replacing a lost directory, transport security of its own,
//! leases. A disk that comes back older than it was, as from a backup, is not noticed, and must not
//! happen.
//!
//! # Which read do I need
//!
//! | I want to see | ask for | costs |
//! |---|---|---|
//! | all that anybody was answered before now | [`Read::Linearizable`] | two rounds, shared |
//! | my own writes, at any node | [`Read::AtLeast`] my last slot + 1 | a wait, if it lags |
//! | something that is at most so old | [`Read::Stale`] | often nothing |
//! | something quick, as for a dashboard | [`Read::Local`] | nothing |
//!
//! # Test your own
//!
//! [`sim::check`] replicates your machine in a painted world that one seed decides, with crashes,
//! losses and snapshots, and compares every output and every snapshot byte by byte.
//!
//! # Features
//!
//! - `cli` (on): the `synod` command. Embedders leave it out: `default-features = false`.
//! - `sim` (on with `cli`): [`sim`], for tests.
//!
//! # One level down
//!
//! [`paxos`] is the protocol as a pure state machine, for people with a runtime of their own;
//! `examples/06_sans_io_loop.rs` drives it. `node` adds a state machine and sessions, [`server`] is
//! the product's server, and [`client`] speaks to a running one.

#![forbid(unsafe_code)]

mod embed;

/// Your own state machine in a painted world.
#[cfg(feature = "sim")]
pub mod sim {
    pub use crate::embed::check::{Checked, Finding, Rng, check, try_check};
}

pub use embed::{
    Builder, COMMAND_BYTES_MAX, Committed, Entry, Event, LogError, Node, Outcome, ProposeError,
    Read, ReadError, Role, Session, SessionId, ShutdownError, StartError, StateMachine, Status,
    Stopped, TransferError, storage, transport,
};
pub use paxos::{Ballot, NodeId, Slot};
pub use {client, journal, node, paxos, server};

/// The README's blocks of code, as tests.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("OUT_DIR"), "/readme.md"))]
struct Readme;
