//! Multi-Paxos as a pure state machine: one history of values that a group of nodes agrees on.
//!
//! # The contract
//!
//! A [`Replica`] is one node, in any mix of three roles: **leaders** propose and own no disk,
//! **acceptors** remember, **learners** follow. It does no I/O and owns no clock. Whoever drives it
//! keeps five promises, and gets five in return.
//!
//! The driver:
//! 1. hands in each message with its true sender, [`Input::Tick`] when [`Replica::deadline`] has
//!    passed, and a `now` that never runs backwards;
//! 2. appends `effects.write.records` in order, syncs, and only then sends
//!    `effects.write.then_send` (which also waits for all earlier writes); `effects.send` may
//!    leave at once;
//! 3. stops for good when a write or a sync fails;
//! 4. recovers an acceptor from all the records it ever wrote, on the disk that the configuration
//!    names, or not at all;
//! 5. draws a new random [`Incarnation`] for every life, and delivers what a node sends to itself.
//!
//! The network may lose, delay, repeat and reorder. Nodes may crash and pause. Nobody lies
//! (the faults tolerated are not Byzantine), though no bytes whatever cause a panic.
//!
//! The replica:
//! 1. hands out each chosen slot once, in order, without a hole (`effects.chosen`);
//! 2. never disagrees with another replica about any slot;
//! 3. chooses only what was proposed, a no-op, or a leader's start;
//! 4. goes on choosing while some leader reaches a phase-1 and a phase-2 quorum of acceptors;
//! 5. keeps every queue within [`Limits`], and refuses with a reason when one is full.
//!
//! A value that was refused as [`RefusalReason::Deposed`] may be chosen or not; telling repeats
//! apart is the business of whoever gives the bytes a meaning.
//!
//! # Example
//!
//! One leader, three acceptors; one acceptor crashes, and the value is chosen all the same.
//!
//! ```
//! use std::collections::{BTreeMap, VecDeque};
//! use std::time::Duration;
//!
//! use paxos::*;
//!
//! // Node 1 leads; nodes 2, 3 and 4 remember.
//! let member = |id: u32| {
//!     let roles = Roles { leader: id == 1, acceptor: id > 1, learner: false };
//!     (NodeId(id), Member { roles, disk: (id > 1).then(DiskId::default) })
//! };
//! let members = (1..=4).map(member).collect();
//! let configuration = Configuration::majority(ClusterId([7; 16]), members)?;
//!
//! let mut now = Instant(0);
//! let mut nodes: BTreeMap<NodeId, Replica> = BTreeMap::new();
//! for id in 1..=4 {
//!     let config = Config {
//!         node: NodeId(id),
//!         incarnation: Incarnation(id.into()),
//!         configuration: configuration.clone(),
//!         timing: Timing::default(),
//!         limits: Limits::default(),
//!         announce: Announce::default(),
//!     };
//!     nodes.insert(NodeId(id), Replica::recover(config, [], now, u64::from(id)));
//! }
//! nodes.remove(&NodeId(4)); // It crashed.
//!
//! // A perfect network and instant disks, in which time passes when nothing else happens.
//! let mut network: VecDeque<(NodeId, Envelope)> = VecDeque::new();
//! let mut effects = Effects::default();
//! let mut history = Vec::new();
//! while history.len() < 2 {
//!     let (node, input) = match network.pop_front() {
//!         Some((from, envelope)) => {
//!             (envelope.to, Input::Message { from, message: envelope.message })
//!         }
//!         None if nodes[&NodeId(1)].part() == Part::Leading && history.is_empty() => {
//!             let values = [b"one", b"two"].map(|value| value.as_slice().into());
//!             (NodeId(1), Input::Propose(values.into()))
//!         }
//!         None => {
//!             now = now.plus(Duration::from_millis(1));
//!             (NodeId(1), Input::Tick)
//!         }
//!     };
//!     let Some(replica) = nodes.get_mut(&node) else { continue };
//!     replica.step(now, input, &mut effects);
//!     // A real driver appends `effects.write.records` here and syncs.
//!     let sent = effects.send.drain(..).chain(effects.write.then_send.drain(..));
//!     network.extend(sent.map(|envelope| (node, envelope)));
//!     history.extend(effects.chosen.drain(..).filter_map(|(_, value)| value.command().cloned()));
//! }
//! assert_eq!(history, [b"one".as_slice().into(), b"two".as_slice().into()]);
//! # Ok::<(), ConfigurationError>(())
//! ```
//!
//! # Reading order
//!
//! The modules are declared in the order in which they are best read. `ballot`, `value`, `runs`,
//! `digest`, `quorum`, `message` and `record` are the words; `effects` the door; `doubt`,
//! `acceptor`, `proposer` and `learner` (with `tally` and `marks`) the safety, without time;
//! `support`, `election`, `handover`, `pace`, `resend`, `catchup`, `mend`, `keeping` and `transfer`
//! the liveness; `read` is for reads; `replica` puts them together; `wire` turns them into bytes.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ballot;
mod value;
mod runs;
mod digest;
mod quorum;
mod margin;
mod message;
mod record;
mod event;
mod effects;
mod config;
mod doubt;
pub mod acceptor;
mod proposer;
mod tally;
mod marks;
mod learner;
mod support;
mod election;
mod handover;
mod pace;
mod resend;
mod catchup;
mod mend;
mod keeping;
mod transfer;
mod read;
mod admit;
mod replica;
mod invariants;
mod time;
mod rng;
pub mod wire;

pub use ballot::{Ballot, Incarnation, NodeId, Slot};
pub use config::{Announce, Config, Limits, Timing};
pub use digest::{Digest, Mark, SnapshotId};
pub use effects::{
    Effects, Input, PartWanted, ReadRefusal, Refusal, RefusalReason, Restored, Write,
};
pub use event::{Decline, Event};
pub use handover::{HandOverId, HandOverRefusal};
pub use margin::Margin;
pub use message::{Envelope, Kind, Message, Page};
pub use quorum::{
    ClusterId, Configuration, ConfigurationError, DiskId, Epoch, Member, NODES_MAX, Phase, Phase1,
    Phase2, Roles, Voters,
};
pub use read::ReadId;
pub use record::Record;
pub use replica::{Part, Replica};
pub use rng::Rng;
pub use runs::{Run, Runs};
pub use time::Instant;
pub use value::{Command, Value, Values};
