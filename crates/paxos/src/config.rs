//! What a replica is told once: who it is, with whom, how patient, and how much is too much.

use core::time::Duration;

use crate::ballot::{Incarnation, NodeId};
use crate::quorum::Configuration;

/// Everything that a replica is born with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Config {
    /// Which member this is.
    pub node: NodeId,
    /// This life's random bits; never used twice.
    pub incarnation: Incarnation,
    /// The members and quorums.
    pub configuration: Configuration,
    /// Intervals and patience.
    pub timing: Timing,
    /// Bounds.
    pub limits: Limits,
    /// Whom acceptors tell of their votes.
    pub announce: Announce,
}

/// Whom acceptors tell of their votes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Announce {
    /// Every learner, as in the ancestor: a standby is one message behind.
    #[default]
    EveryLearner,
    /// Only the leader of the ballot, which tells the learners in turn. Fewer messages; a standby
    /// is two messages behind.
    LeaderOnly,
}

/// Intervals and patience. Safety depends on none of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How often a leader says that it leads.
    pub heartbeat: Duration,
    /// A leader that shows no progress for so long may be replaced. At least three heartbeats.
    pub election_timeout: Duration,
    /// How long until an unanswered message is sent again, at first.
    pub resend_min: Duration,
    /// The back-off between repeats grows up to this.
    pub resend_max: Duration,
    /// How long a learner waits for a hole to close by itself before it fetches.
    pub fetch_delay: Duration,
    /// A read that has waited for so long is refused.
    pub read_patience: Duration,
}

impl Default for Timing {
    /// For a local network: a takeover takes a quarter of a second.
    fn default() -> Timing {
        Timing {
            heartbeat: Duration::from_millis(50),
            election_timeout: Duration::from_millis(200),
            resend_min: Duration::from_millis(20),
            resend_max: Duration::from_millis(500),
            fetch_delay: Duration::from_millis(20),
            read_patience: Duration::from_secs(2),
        }
    }
}

/// Bounds. When one is reached, something is refused or paged; nothing grows past it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Largest value that a client may propose, in bytes.
    pub value_bytes_max: usize,
    /// Values of one Accept, and votes of one page, are at most so many bytes (one value more if
    /// it alone is larger).
    pub run_bytes_max: usize,
    /// Values of one Accept are at most so many.
    pub run_slots_max: usize,
    /// Slots from the first one open to the last one proposed.
    pub slots_in_flight_max: u64,
    /// Bytes proposed and not yet chosen.
    pub bytes_in_flight_max: usize,
    /// Values waiting to be proposed.
    pub queue_values_max: usize,
    /// Bytes waiting to be proposed.
    pub queue_bytes_max: usize,
    /// A learner keeps what it hears up to so many slots above its chosen prefix; it fetches the
    /// rest later.
    pub ahead_slots_max: u64,
    /// And up to so many bytes.
    pub ahead_bytes_max: usize,
    /// Bytes of values below the last snapshot that acceptors and learners go on keeping, about, so
    /// that who is a little behind needs no snapshot.
    pub retained_bytes_max: usize,
    /// Bytes of votes that an acceptor keeps, what they take beside their values included. Above,
    /// it does not vote until it may cut some. Several times what is applied from one snapshot to
    /// the next. Of no effect where fewer than two learners have a disk: there nothing is ever
    /// cut.
    pub votes_bytes_max: usize,
    /// The largest snapshot that is fetched, in bytes: it is put together in memory.
    pub snapshot_bytes_max: u64,
    /// A snapshot is fetched in parts of so many bytes.
    pub part_bytes_max: usize,
    /// So many parts are asked for at a time.
    pub parts_in_flight_max: u64,
    /// Reads waiting for an answer.
    pub reads_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            value_bytes_max: 1 << 20,
            run_bytes_max: 48 << 10,
            run_slots_max: 4096,
            slots_in_flight_max: 1 << 16,
            bytes_in_flight_max: 32 << 20,
            queue_values_max: 1 << 16,
            queue_bytes_max: 64 << 20,
            ahead_slots_max: 1 << 17,
            ahead_bytes_max: 64 << 20,
            retained_bytes_max: 32 << 20,
            votes_bytes_max: 1 << 30,
            snapshot_bytes_max: 4 << 30,
            part_bytes_max: 48 << 10,
            parts_in_flight_max: 16,
            reads_max: 1 << 16,
        }
    }
}

/// A message about slots further than this above what is chosen is declined: no window is so
/// large, so no correct leader sends it, and believing it would mean filling the gap.
pub(crate) const SLOTS_AHEAD_MAX: u64 = 1 << 24;

/// A ballot more than this many rounds above everything seen is declined, so that one corrupt node
/// cannot use up the numbers. Four thousand million attempts to lead take longer than any disk.
pub(crate) const ROUND_JUMP_MAX: u64 = 1 << 32;
