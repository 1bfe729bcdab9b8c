//! What went wrong, one enum an operation. Each variant says whether it happened, whether asking
//! again helps, and who can do something about it.

use std::path::PathBuf;
use std::time::Duration;

use paxos::{NodeId, Slot};
use thiserror::Error;

/// What is known of a command whose proposal did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is not applied, and this proposal will never be the reason that it is.
    NotApplied,
    /// It may be applied, now or later, or not. Reading the state can tell; a time-out cannot.
    Unknown,
}

/// Why a proposal was not answered with a slot.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// Nobody led who could be reached, for the whole time. Not applied; asking again may help, and
    /// needs a quorum of members that run and hear each other.
    #[error("no leader was found within {after:?}")]
    NoLeader {
        /// From the call to the moment of giving up.
        after: Duration,
    },
    /// It was proposed, and no answer came in time. Unknown: asking again may apply the command
    /// twice, unless it is asked in a [`Session`](crate::Session), under the same sequence.
    #[error("what became of it is not known after {after:?}")]
    Timeout {
        /// From the call to the moment of giving up.
        after: Duration,
    },
    /// Too much is waiting, here or at the leader. Not applied; ask again a little later, or less.
    #[error("too much is waiting")]
    Overloaded,
    /// The command is larger than the protocol takes. Not applied, and never will be: the program
    /// must make it smaller.
    #[error("a command of {bytes} bytes is larger than {limit}")]
    TooLarge {
        /// Its size, written.
        bytes: usize,
        /// [`COMMAND_BYTES_MAX`](crate::COMMAND_BYTES_MAX).
        limit: usize,
    },
    /// The command cannot be written as bytes that are read back. Not applied: the program's types
    /// must be changed.
    #[error("the command has no bytes: {why}")]
    Encode {
        /// What the codec says.
        why: String,
    },
    /// The session is gone: unused for its lifetime, closed, or dropped to make room. Unknown: it
    /// may have been applied before. Nothing more is applied in that session.
    #[error("the session has expired")]
    SessionExpired,
    /// The session was told that this sequence is answered, so the answer was forgotten. Unknown.
    /// A sequence is not used again after [`Session::acknowledge`](crate::Session::acknowledge).
    #[error("this sequence of the session is answered already")]
    Answered,
    /// The output's bytes are not of the type that is asked for: programs of one `VERSION` differ.
    /// The command was applied in this slot.
    #[error("applied in slot {slot}, and the output cannot be read: {why}")]
    Output {
        /// Where it was applied.
        slot: Slot,
        /// What the codec says.
        why: String,
    },
    /// This node has stopped. Unknown, for what was proposed before.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the state was not shown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// What must be shown could not be had in time: no leader confirmed that it still leads, or
    /// this node lies too far behind. Ask again, or ask for less.
    #[error("what must be shown was not had in time (leader: {leader:?})")]
    Timeout {
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
    /// Too many reads wait here. Ask again a little later.
    #[error("too many reads are waiting")]
    Overloaded,
    /// This node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why another node does not lead. The one that led goes on, unless it says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TransferError {
    /// This node does not lead. Ask the one that does.
    #[error("this node does not lead (leader: {leader:?})")]
    NotLeading {
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
    /// Somebody has asked for it before, and it is not over.
    #[error("leadership is being handed over already")]
    UnderWay,
    /// There is no such member.
    #[error("node {node} is no member that may lead")]
    NoMember {
        /// Who was named.
        node: NodeId,
    },
    /// It is not heard, behind, or cut off from a majority. Ask again later.
    #[error("node {to} is not ready to lead")]
    NotReady {
        /// Who was named.
        to: NodeId,
    },
    /// It was told to lead, and was not heard to. Whoever leads now is found out by asking.
    #[error("node {to} was told to lead and was not heard to")]
    NotTaken {
        /// Who was named.
        to: NodeId,
    },
    /// Too much is waiting. Ask again a little later.
    #[error("too much is waiting")]
    Overloaded,
    /// This node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why the log does not go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogError {
    /// What lies below was let go here: begin at `first_held`, from a state that covers the rest.
    #[error("the log below slot {first_held} was let go")]
    Gone {
        /// The first slot that is held.
        first_held: Slot,
    },
    /// Too many reads wait here. Begin again where it ended.
    #[error("too many reads are waiting")]
    Overloaded,
    /// This node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A node has stopped: it was asked to, or it could not go on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the node has stopped: {reason}")]
pub struct Stopped {
    reason: String,
}

/// A node did not end as it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the node did not stop in order: {reason}")]
pub struct ShutdownError {
    pub(crate) reason: String,
}

/// Why a node does not start. Nothing was promised, voted or sent that matters.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The builder was not told enough, or what makes no cluster.
    #[error("the builder: {0}")]
    Builder(String),
    /// Nothing says where to keep what must not be forgotten.
    #[error(
        "no data_dir: what a node promises must outlive it. Give it a directory of its own, or say \
         .in_memory() for one that is gone with the process"
    )]
    NoDataDir,
    /// The disk could not be used.
    #[error("{path}: {why}")]
    Disk {
        /// The directory, or what the storage calls itself.
        path: PathBuf,
        /// What the disk says.
        why: journal::DiskError,
    },
    /// What the directory says of the node is damaged. It does not vote.
    #[error(
        "{path}: what it says of this node cannot be read. It does not vote: keep the directory \
         for inspection"
    )]
    Damaged {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is that of another node.
    #[error("{path} is the directory of node {node}")]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        node: NodeId,
    },
    /// The directory was born into a cluster of other members. Members cannot be changed yet.
    #[error("{path} was born into a cluster of the nodes {members:?}, and peers are others")]
    Members {
        /// The directory.
        path: PathBuf,
        /// Its members.
        members: Vec<NodeId>,
    },
    /// The cluster was born with another directory of this node's: this one is empty or another.
    /// It would vote as if it had never voted, so it does not vote at all.
    #[error(
        "node {peer} remembers another directory of this node's: {path} does not hold what this \
         node has promised, so it must not vote. Bring the directory back; an empty one cannot \
         take its place"
    )]
    LostDirectory {
        /// The directory.
        path: PathBuf,
        /// Who remembers.
        peer: NodeId,
    },
    /// The members were started for the first time with lists of members or disks that differ, and
    /// the cluster was never whole.
    #[error(
        "node {peer} was started with other members, or with a directory of some member that was \
         emptied before the cluster was whole. Nothing was ever chosen by all: compare the peers, \
         empty the directories of all nodes, and start them together"
    )]
    Disagree {
        /// Who says otherwise.
        peer: NodeId,
    },
    /// A peer runs another version of the state machine.
    #[error("node {peer} runs version {theirs} of the state machine, and this is version {ours}")]
    PeerVersion {
        /// Who.
        peer: NodeId,
        /// Its version.
        theirs: u32,
        /// This one.
        ours: u32,
    },
    /// The directory was written by another version of the state machine.
    #[error("{path} was written by version {theirs} of the state machine, this is version {ours}")]
    Version {
        /// The directory.
        path: PathBuf,
        /// The version that wrote it.
        theirs: u32,
        /// This one.
        ours: u32,
    },
    /// The journal or the snapshots cannot be used. It does not vote.
    #[error("it does not vote: {0}")]
    DataDir(#[from] server::data_dir::DataDirError),
    /// The transport cannot be opened, or the system refused a thread or random bits.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
}

impl ProposeError {
    /// What is known of the command.
    pub fn outcome(&self) -> Outcome {
        match self {
            ProposeError::NoLeader { .. }
            | ProposeError::Overloaded
            | ProposeError::TooLarge { .. }
            | ProposeError::Encode { .. } => Outcome::NotApplied,
            ProposeError::Timeout { .. }
            | ProposeError::SessionExpired
            | ProposeError::Answered
            | ProposeError::Output { .. }
            | ProposeError::Stopped(_) => Outcome::Unknown,
        }
    }

    /// Whether asking again may succeed. Where [`ProposeError::outcome`] is unknown, it may also
    /// apply the command twice, unless it is asked in a [`Session`](crate::Session).
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            ProposeError::NoLeader { .. } | ProposeError::Timeout { .. } | ProposeError::Overloaded
        )
    }
}

impl Stopped {
    pub(crate) fn because(reason: impl Into<String>) -> Stopped {
        Stopped { reason: reason.into() }
    }

    /// Why.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}
