//! A snapshot outside of its cluster: read without knowing whose it is, and sealed anew for another
//! cluster, which goes on from it.
//!
//! Nothing but the head changes when it is sealed anew: the configuration, which is the new
//! cluster's, and the slot below which all is decided. That may be higher than it was, never lower:
//! what the old cluster decided after the snapshot has slots that the new one should not give to
//! anything else. Why is in `docs/decisions/0016-snapshots-leave-their-cluster.md`.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use paxos::{
    ClusterId, Configuration, ConfigurationError, DiskId, Epoch, Mark, Member, NODES_MAX, NodeId,
    Roles, Slot, SnapshotId,
};

use super::{MEMBERS, SnapshotError, VERSION, behind_head, describe, name, thaw};
use crate::machine::StateMachine;

/// What a snapshot holds.
#[derive(Clone, Debug)]
pub struct Portable<M: StateMachine> {
    /// The configuration that it was taken in.
    pub configuration: Configuration,
    /// The slot below which it covers everything, and the digest of the history up to there.
    pub mark: Mark,
    /// What the snapshot is called.
    pub snapshot: SnapshotId,
    /// How many sessions there are.
    pub sessions: usize,
    /// The log's time, in microseconds.
    pub time_us: u64,
    /// The machine's state.
    pub machine: M,
}

/// Reads a snapshot of any cluster, as a whole, into a machine that is made like `like`.
pub fn read<M: StateMachine>(like: &M, bytes: &[u8]) -> Result<Portable<M>, SnapshotError> {
    let configuration = configuration(bytes)?;
    let thawed = thaw(&configuration, like, bytes)?;
    Ok(Portable {
        configuration,
        mark: thawed.mark,
        snapshot: thawed.snapshot,
        sessions: thawed.sessions.count(),
        time_us: thawed.sessions.time_us(),
        machine: thawed.machine,
    })
}

/// The same state as a snapshot of another configuration, in which everything below `below` is
/// decided. The bytes must be those of a whole snapshot, see [`read`].
///
/// # Errors
/// [`SnapshotError::Slot`] if `below` is lower than in the snapshot, or no slot.
pub fn reseal(
    bytes: &[u8],
    configuration: &Configuration,
    below: Slot,
) -> Result<(SnapshotId, Vec<u8>), SnapshotError> {
    let rest = behind_head(&self::configuration(bytes)?, bytes)?;
    let (before, rest) = rest.split_first_chunk::<8>().ok_or(SnapshotError::Short)?;
    if below >= Slot::LIMIT || below < Slot(u64::from_le_bytes(*before)) {
        return Err(SnapshotError::Slot);
    }
    let mut sealed = describe(configuration);
    sealed.extend(below.0.to_le_bytes());
    sealed.extend(rest);
    Ok((name(below, &sealed), sealed))
}

/// The configuration that a snapshot's bytes begin with.
fn configuration(bytes: &[u8]) -> Result<Configuration, SnapshotError> {
    let mut rest = bytes;
    let [version] = take(&mut rest)?;
    if version != VERSION {
        return Err(SnapshotError::Version(version));
    }
    let cluster = ClusterId(take(&mut rest)?);
    let epoch = Epoch(u64::from_le_bytes(take(&mut rest)?));
    debug_assert!(bytes.len() - rest.len() + 4 == MEMBERS);
    let count = number(&mut rest)?;
    if count > NODES_MAX {
        return Err(SnapshotError::Members(ConfigurationError::TooManyNodes(count)));
    }
    let mut members = BTreeMap::new();
    for _ in 0..count {
        let id = NodeId(u32::from_le_bytes(take(&mut rest)?));
        let [roles, has_disk] = take(&mut rest)?;
        let disk = DiskId(take(&mut rest)?);
        let is = |bit: u8| roles & 1 << bit != 0;
        let roles = Roles { leader: is(0), acceptor: is(1), learner: is(2) };
        members.insert(id, Member { roles, disk: (has_disk > 0).then_some(disk) });
    }
    let (phase1, phase2) = (number(&mut rest)?, number(&mut rest)?);
    let configuration = Configuration::flexible(cluster, members, phase1, phase2)
        .map_err(SnapshotError::Members)?
        .with_epoch(epoch);
    // One configuration has one form: ids in order, no bits that mean nothing.
    if bytes.starts_with(&describe(&configuration)) {
        Ok(configuration)
    } else {
        Err(SnapshotError::Configuration)
    }
}

fn number(rest: &mut &[u8]) -> Result<usize, SnapshotError> {
    Ok(usize::try_from(u32::from_le_bytes(take(rest)?)).unwrap_or(usize::MAX))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
    let (taken, after) = rest.split_first_chunk().ok_or(SnapshotError::Short)?;
    *rest = after;
    Ok(*taken)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{configuration as of, written};
    use super::*;
    use crate::history::History;

    #[test]
    fn a_snapshot_is_read_without_knowing_whose_it_is() {
        let (named, bytes) = written();
        let read = read(&History::default(), &bytes).expect("whole");
        assert_eq!((read.snapshot, &read.configuration), (named, &of(1, false)));
        assert_eq!((read.mark.below, read.sessions, read.machine.total()), (Slot(2), 1, 1));
    }

    #[test]
    fn another_cluster_goes_on_from_it_and_the_old_one_cannot() {
        let (_, bytes) = written();
        let new = of(7, true);
        let (named, sealed) = reseal(&bytes, &new, Slot(1000)).expect("sealed");
        let thawed = thaw(&new, &History::default(), &sealed).expect("its own");
        assert_eq!((thawed.snapshot, thawed.mark.below), (named, Slot(1000)));
        let old = read(&History::default(), &bytes).expect("whole");
        assert_eq!(thawed.machine, old.machine);
        assert_eq!(thawed.mark.digest, old.mark.digest);
        let refused = thaw(&of(1, false), &History::default(), &sealed).map(drop);
        assert_eq!(refused, Err(SnapshotError::Configuration));
        assert_eq!(reseal(&bytes, &of(1, false), Slot(2)).map(|it| it.1), Ok(bytes));
    }

    #[test]
    fn no_slot_that_was_decided_becomes_free_again() {
        let (_, bytes) = written();
        for below in [Slot(0), Slot(1), Slot::LIMIT] {
            let sealed = reseal(&bytes, &of(7, true), below);
            assert_eq!(sealed, Err(SnapshotError::Slot), "{below}");
        }
    }

    #[test]
    fn what_ends_early_or_names_no_cluster_is_refused() {
        let (_, bytes) = written();
        let read = |bytes: &[u8]| read(&History::default(), bytes).map(drop);
        let good: Vec<usize> =
            (0..bytes.len()).filter(|length| read(&bytes[..*length]).is_ok()).collect();
        // A history may have let its only value go. Whoever keeps the bytes knows how many.
        assert_eq!(good.len(), 1, "{good:?} of {}", bytes.len());
        let with = |at: usize, byte: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = byte;
            read(&bytes)
        };
        assert_eq!(with(0, 9), Err(SnapshotError::Version(9)));
        let many = SnapshotError::Members(ConfigurationError::TooManyNodes(2 + (1 << 8)));
        assert_eq!(with(MEMBERS - 3, 1), Err(many));
        let zero = SnapshotError::Members(ConfigurationError::NodeZero);
        assert_eq!(with(MEMBERS, 0), Err(zero));
        assert_eq!(with(MEMBERS + 4, 0xff), Err(SnapshotError::Configuration), "unknown roles");
    }
}
