//! What a user replicates: a deterministic state machine.

use std::fmt;

use paxos::{Ballot, Slot};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A state machine that several nodes hold alike.
///
/// Every node applies the same commands in the same order, so every node's state is the same.
/// Whatever is not in the command or the state (a clock, a random number, the order of a hash map,
/// the address of a thing in memory) must not influence `apply`: [`sim::check`](crate::sim::check)
/// finds out.
///
/// Commands, outputs and snapshots are written with [postcard](https://docs.rs/postcard), which is
/// compact and does not describe itself: fields are known by their order, variants by their number.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no state machine that Synod can replicate",
    note = "implement `synod::StateMachine`: `apply`, `snapshot` and `restore`"
)]
pub trait StateMachine: Send + Sized + 'static {
    /// What is agreed on. At most [`COMMAND_BYTES_MAX`] bytes once written.
    type Command: Serialize + DeserializeOwned + Send + 'static;

    /// What applying a command gives. Errors of the application belong in here, as in
    /// `Result<T, MyError>`: to Synod, applying succeeds. It is kept, as bytes, until nobody may
    /// ask for it again, and is part of snapshots; it is best small.
    type Output: Serialize + DeserializeOwned + Send + 'static;

    /// The whole state at one moment. Equal states must be written as equal bytes: prefer
    /// `BTreeMap` to `HashMap`.
    type Snapshot: Serialize + DeserializeOwned + Send + 'static;

    /// What the bytes of commands, outputs and snapshots mean, and what `apply` does with them.
    /// Raise it with every change of that; nodes of different versions refuse each other when they
    /// start, and a directory that another version has written is refused.
    const VERSION: u32 = 1;

    /// Applies a command that was chosen in this slot: in slot order, each command once.
    ///
    /// Called on the thread that drives the protocol: it should be quick, and must not wait. A
    /// panic stops the node, for its state is unknown then, with the slot in the message.
    fn apply(&mut self, slot: Slot, command: Self::Command) -> Self::Output;

    /// The state as it is. Should be quick, a clone or a persistent structure: nothing else happens
    /// meanwhile. Its bytes are made elsewhere.
    fn snapshot(&self) -> Self::Snapshot;

    /// The machine whose state this is.
    fn restore(snapshot: Self::Snapshot) -> Self;
}

/// The largest command, in bytes of its own encoding.
pub const COMMAND_BYTES_MAX: usize = (1 << 20) - crate::embed::codec::HEAD_BYTES;

/// What became of a command: it is chosen, and applied here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Committed<T> {
    /// Where it stands. Also its fencing token: whoever guards a thing outside, and remembers the
    /// highest slot that it has seen, can turn away an effect that comes too late.
    pub slot: Slot,
    /// What the machine answered.
    pub output: T,
}

impl<T> Committed<T> {
    pub(crate) fn new(slot: Slot, output: T) -> Committed<T> {
        Committed { slot, output }
    }
}

/// One command of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Entry<C> {
    /// Where it stands. Slots grow from entry to entry, with gaps where the protocol's own values,
    /// repeats and what concerns sessions stand.
    pub slot: Slot,
    /// What was applied.
    pub command: C,
}

impl<C> Entry<C> {
    pub(crate) fn new(slot: Slot, command: C) -> Entry<C> {
        Entry { slot, command }
    }
}

/// What a node does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Proposes.
    Leading,
    /// Asks to lead.
    Preparing,
    /// Follows whoever leads.
    Following,
}

/// What a node sees of itself and of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Status {
    /// Which node it is.
    pub node: paxos::NodeId,
    /// What it does.
    pub role: Role,
    /// The ballot that it leads, prepares or follows.
    pub ballot: Option<Ballot>,
    /// Who leads, as far as it knows.
    pub leader: Option<paxos::NodeId>,
    /// One past the last slot of the prefix that it knows to be chosen. `applied <= chosen`.
    pub chosen: Slot,
    /// One past the last slot that its machine has applied.
    pub applied: Slot,
    /// Commands that the state is made of.
    pub commands: u64,
    /// The log below this slot was let go here.
    pub first_held: Slot,
    /// One past the last slot of its newest snapshot.
    pub snapshot: Slot,
    /// Slots that it has proposed and that are not yet chosen.
    pub in_flight: u64,
    /// Acceptors that have confirmed this leader lately; zero where it does not lead.
    pub acceptors_reachable: usize,
    /// Whether it has lost votes to its disk and does not have them again yet.
    pub is_suspect: bool,
    /// Whether its disk has room. Where it has none, it does not vote.
    pub has_room: bool,
}

/// What happens at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// It leads from now on.
    LeadershipGained {
        /// With this ballot.
        ballot: Ballot,
    },
    /// It leads no more.
    LeadershipLost,
    /// It follows another leader from now on.
    Following {
        /// Its ballot; the leader is `ballot.leader`.
        ballot: Ballot,
    },
    /// Its state was taken from another node's snapshot.
    Restored {
        /// One past the last slot that it covers.
        below: Slot,
    },
    /// So many events were missed, because nobody took them for too long.
    Missed {
        /// How many.
        events: u64,
    },
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Leading => "leading",
            Role::Preparing => "preparing",
            Role::Following => "following",
        })
    }
}
