//! Everything that a node has applied, as bytes: what a learner goes on from that comes too late
//! for the history.
//!
//! ```text
//!   version u8 = 1 | cluster 16 | epoch u64
//!   members u32, then for each: id u32 | roles u8 | has a disk u8 | disk 16
//!   phase 1 u32 | phase 2 u32
//!   below u64 | digest of the history below 16
//!   length u64 | sessions | machine ...
//! ```
//!
//! The configuration travels with the state, and with its epoch: a state that comes without it
//! could be believed under another one's quorums. It is only compared: a node's configuration comes
//! from whoever starts it, never from a snapshot. What was decided stays decided, so a state of an
//! earlier epoch is good in a later one; between the two, disks are other ones and nothing else is.
//! What is not in here (votes, promises) is not a learner's.
//!
//! Source: the contents are those of Ongaro, "Consensus: Bridging Theory and Practice", chapter 5,
//! with the digest of the history beside the last position.

pub mod portable;

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use paxos::{Configuration, ConfigurationError, Digest, Mark, Slot, SnapshotId};

use crate::machine::StateMachine;
use crate::sessions::{Sessions, SessionsError};

/// A node's state at one slot, which stays as it is while the node goes on. Made quickly; its
/// bytes can be made later, elsewhere.
#[derive(Clone, Debug)]
pub struct Frozen<M: StateMachine> {
    head: Vec<u8>,
    below: Slot,
    machine: M::Frozen,
}

/// A state that a node can go on from, made of a snapshot's bytes. See [`crate::Node::install`].
#[derive(Clone, Debug)]
pub struct Thawed<M: StateMachine> {
    pub(crate) snapshot: SnapshotId,
    pub(crate) mark: Mark,
    pub(crate) sessions: Sessions<M::Output>,
    pub(crate) machine: M,
}

/// Why bytes are no snapshot that this node can go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotError {
    /// They end too early.
    Short,
    /// A format of another version.
    Version(u8),
    /// Another cluster's, or of another configuration.
    Configuration,
    /// Of a later configuration of this cluster: this node was started with an old one.
    Epoch(u64),
    /// A slot beyond the last, or below one that is decided.
    Slot,
    /// Its members are no cluster.
    Members(ConfigurationError),
    /// The session table.
    Sessions(SessionsError),
    /// The machine does not know its own state.
    Machine,
}

const VERSION: u8 = 1;

impl<M: StateMachine> Frozen<M> {
    pub(crate) fn new(
        configuration: &Configuration,
        mark: Mark,
        sessions: &Sessions<M::Output>,
        machine: &M,
    ) -> Frozen<M> {
        let mut head = describe(configuration);
        head.extend(mark.below.0.to_le_bytes());
        head.extend(mark.digest.0);
        let at = head.len();
        head.extend([0; 8]);
        sessions.encode(&mut head);
        let length = (head.len() - at - 8) as u64;
        head[at..at + 8].copy_from_slice(&length.to_le_bytes());
        Frozen { head, below: mark.below, machine: machine.freeze() }
    }

    /// One past the last slot that it covers.
    pub fn below(&self) -> Slot {
        self.below
    }

    /// The snapshot, and its name. Takes as long as the state is large.
    pub fn encode(self) -> (SnapshotId, Vec<u8>) {
        let mut bytes = self.head;
        M::encode(&self.machine, &mut bytes);
        (name(self.below, &bytes), bytes)
    }
}

/// The name of a snapshot with these bytes.
fn name(below: Slot, bytes: &[u8]) -> SnapshotId {
    SnapshotId { below, bytes: bytes.len() as u64, digest: Digest::of(bytes) }
}

/// Makes a state of a snapshot's bytes, for a node of this configuration whose machine is made like
/// `like`. Takes as long as the state is large, so it may be done elsewhere while the node goes on.
pub fn thaw<M: StateMachine>(
    configuration: &Configuration,
    like: &M,
    bytes: &[u8],
) -> Result<Thawed<M>, SnapshotError> {
    let (version, _) = bytes.split_first().ok_or(SnapshotError::Short)?;
    if *version != VERSION {
        return Err(SnapshotError::Version(*version));
    }
    let rest = behind_head(configuration, bytes)?;
    let (below, rest) = rest.split_first_chunk::<8>().ok_or(SnapshotError::Short)?;
    let (digest, rest) = rest.split_first_chunk::<16>().ok_or(SnapshotError::Short)?;
    let (length, rest) = rest.split_first_chunk::<8>().ok_or(SnapshotError::Short)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| SnapshotError::Short)?;
    let (sessions, machine) = rest.split_at_checked(length).ok_or(SnapshotError::Short)?;
    let mark = Mark { below: Slot(u64::from_le_bytes(*below)), digest: Digest(*digest) };
    if mark.below >= Slot::LIMIT {
        return Err(SnapshotError::Slot);
    }
    let sessions = Sessions::decode(sessions).map_err(SnapshotError::Sessions)?;
    let machine = like.decode(machine).ok_or(SnapshotError::Machine)?;
    Ok(Thawed { snapshot: name(mark.below, bytes), mark, sessions, machine })
}

/// What follows the configuration, if that is ours or an earlier one that differs in disks alone.
fn behind_head<'a>(
    configuration: &Configuration,
    bytes: &'a [u8],
) -> Result<&'a [u8], SnapshotError> {
    let ours = describe(configuration);
    let (theirs, rest) = bytes.split_at(ours.len().min(bytes.len()));
    if !theirs.iter().zip(&ours[..EPOCH.start]).all(|(one, other)| one == other) {
        return Err(SnapshotError::Configuration);
    }
    let epoch =
        theirs.get(EPOCH).and_then(|epoch| Some(u64::from_le_bytes(epoch.try_into().ok()?)));
    let epoch = epoch.unwrap_or(configuration.epoch().0);
    if epoch > configuration.epoch().0 {
        return Err(SnapshotError::Epoch(epoch));
    }
    let is_earlier = epoch < configuration.epoch().0;
    let members_end = MEMBERS + configuration.members().len() * MEMBER_BYTES;
    let is_disk =
        |at: usize| (MEMBERS..members_end).contains(&at) && (at - MEMBERS) % MEMBER_BYTES >= DISK;
    let may_differ = |at: usize| is_earlier && (EPOCH.contains(&at) || is_disk(at));
    let mut bytes = theirs.iter().zip(&ours).enumerate();
    if bytes.any(|(at, (one, other))| one != other && !may_differ(at)) {
        return Err(SnapshotError::Configuration);
    }
    if theirs.len() < ours.len() { Err(SnapshotError::Short) } else { Ok(rest) }
}

/// Where the epoch stands.
const EPOCH: Range<usize> = 17..25;
/// Where the members begin, how long each is, and where in it its disk stands.
const MEMBERS: usize = 29;
const MEMBER_BYTES: usize = 22;
const DISK: usize = 6;

/// The configuration's bytes: everything that quorums and roles follow from.
fn describe(configuration: &Configuration) -> Vec<u8> {
    let mut out = Vec::new();
    out.push(VERSION);
    out.extend(configuration.cluster().0);
    out.extend(configuration.epoch().0.to_le_bytes());
    let count = |count: usize| u32::try_from(count).expect("at most 64 members").to_le_bytes();
    out.extend(count(configuration.members().len()));
    for (id, member) in configuration.members() {
        let roles = member.roles;
        let flags = [roles.leader, roles.acceptor, roles.learner];
        out.extend(id.0.to_le_bytes());
        out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
        out.push(u8::from(member.disk.is_some()));
        out.extend(member.disk.unwrap_or_default().0);
    }
    out.extend(count(configuration.quorum_size::<paxos::Phase1>()));
    out.extend(count(configuration.quorum_size::<paxos::Phase2>()));
    out
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::Short => f.write_str("the snapshot ends too early"),
            SnapshotError::Version(found) => {
                write!(f, "snapshot format {found}; this program reads format {VERSION}")
            }
            SnapshotError::Configuration => {
                f.write_str("the snapshot is of another cluster or another configuration")
            }
            SnapshotError::Epoch(found) => {
                write!(f, "the snapshot is of a later configuration, of epoch {found}")
            }
            SnapshotError::Members(why) => write!(f, "the snapshot's members: {why}"),
            SnapshotError::Slot => f.write_str("the snapshot's slot makes no sense"),
            SnapshotError::Sessions(why) => write!(f, "the snapshot's sessions: {why}"),
            SnapshotError::Machine => f.write_str("the snapshot's state is not this machine's"),
        }
    }
}

impl core::error::Error for SnapshotError {}

#[cfg(test)]
mod tests;
