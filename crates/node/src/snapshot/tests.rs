//! A snapshot's bytes, and what is refused.

use alloc::vec;

use paxos::{ClusterId, DiskId, Epoch, Member, NodeId, Roles};

use super::*;
use crate::history::History;
use crate::request::{Nonce, Request};

pub(super) fn configuration(cluster: u8, second_leads: bool) -> Configuration {
    let member = |id: u32| {
        let roles = Roles { leader: id == 1 || second_leads, acceptor: true, learner: false };
        (NodeId(id), Member { roles, disk: Some(DiskId([9; 16])) })
    };
    Configuration::majority(ClusterId([cluster; 16]), [1, 2].map(member).into()).unwrap()
}

fn mark() -> Mark {
    Mark { below: Slot(2), digest: Digest([7; 16]) }
}

/// One session, one value.
pub(super) fn written() -> (SnapshotId, Vec<u8>) {
    let (mut sessions, mut history) = (Sessions::default(), History::default());
    sessions.apply(Slot(0), &Request::open(Nonce::default(), 2_000_000), || ());
    let request = Request::append(Slot(0), 1, 1, b"value").unwrap();
    sessions.apply(Slot(1), &request, || history.apply(Slot(1), &request));
    Frozen::new(&configuration(1, false), mark(), &sessions, &history).encode()
}

fn read(configuration: &Configuration, bytes: &[u8]) -> Result<Thawed<History>, SnapshotError> {
    thaw(configuration, &History::default(), bytes)
}

#[test]
fn a_state_survives_its_bytes() {
    let (named, bytes) = written();
    assert_eq!((named.below, named.bytes), (Slot(2), bytes.len() as u64));
    let configuration = configuration(1, false);
    let thawed = read(&configuration, &bytes).expect("its own bytes");
    assert_eq!((thawed.snapshot, thawed.mark), (named, mark()));
    assert_eq!(thawed.machine.total(), 1);
    let frozen = Frozen::new(&configuration, thawed.mark, &thawed.sessions, &thawed.machine);
    assert_eq!(frozen.encode(), (named, bytes), "one state has one form");
}

#[test]
fn a_snapshot_begins_with_these_bytes() {
    let (_, bytes) = written();
    let mut golden = vec![1];
    golden.extend([1; 16]); // cluster
    golden.extend([0; 8]); // epoch
    golden.extend([2, 0, 0, 0]); // members
    golden.extend([1, 0, 0, 0, 0b011, 1]); // a leader and acceptor, with a disk
    golden.extend([9; 16]);
    golden.extend([2, 0, 0, 0, 0b010, 1]); // an acceptor
    golden.extend([9; 16]);
    golden.extend([2, 0, 0, 0, 2, 0, 0, 0]); // quorums
    golden.extend([2, 0, 0, 0, 0, 0, 0, 0]); // below
    golden.extend([7; 16]); // digest
    assert_eq!(bytes[..golden.len()], golden);
}

#[test]
fn a_state_under_other_quorums_is_refused() {
    // The configuration is part of the state. Going on under another one could let two quorums
    // that do not meet decide.
    let (_, bytes) = written();
    let refused = |cluster, leads| read(&configuration(cluster, leads), &bytes).err();
    assert_eq!(refused(1, false), None);
    assert_eq!(refused(2, false), Some(SnapshotError::Configuration));
    assert_eq!(refused(1, true), Some(SnapshotError::Configuration));
}

/// The configuration in which the second member has another disk.
fn replaced(epoch: u64) -> Configuration {
    let mut members = configuration(1, false).members().clone();
    members.get_mut(&NodeId(2)).unwrap().disk = Some(DiskId([8; 16]));
    Configuration::majority(ClusterId([1; 16]), members).unwrap().with_epoch(Epoch(epoch))
}

#[test]
fn a_state_is_good_in_a_later_epoch_and_in_no_earlier_one() {
    let (named, bytes) = written();
    let again = read(&replaced(2), &bytes).expect("what was decided stays decided");
    assert_eq!(again.snapshot, named);
    let (sessions, history) = (Sessions::default(), History::default());
    let (_, later) = Frozen::new(&replaced(2), mark(), &sessions, &history).encode();
    let refused = |configuration: &Configuration| read(configuration, &later).err();
    assert_eq!(refused(&replaced(2)), None);
    assert_eq!(refused(&replaced(3)), None);
    assert_eq!(refused(&replaced(1)), Some(SnapshotError::Epoch(2)));
    assert_eq!(refused(&configuration(1, false)), Some(SnapshotError::Epoch(2)));
}

#[test]
fn between_two_epochs_only_disks_are_other_ones() {
    let (_, bytes) = written();
    let refused = |configuration: Configuration| read(&configuration, &bytes).err();
    let other = Some(SnapshotError::Configuration);
    assert_eq!(refused(replaced(0)), other, "one epoch has one configuration");
    assert_eq!(refused(configuration(2, false).with_epoch(Epoch(1))), other, "the cluster");
    assert_eq!(refused(configuration(1, true).with_epoch(Epoch(1))), other, "a role");
    let members = configuration(1, false).members().clone();
    let quorums = Configuration::flexible(ClusterId([1; 16]), members.clone(), 2, 1).unwrap();
    assert_eq!(refused(quorums.with_epoch(Epoch(1))), other, "the quorums");
    let fewer = [(NodeId(1), members[&NodeId(1)])].into();
    let fewer = Configuration::majority(ClusterId([1; 16]), fewer).unwrap();
    assert_eq!(refused(fewer.with_epoch(Epoch(1))), other, "a member");
    for length in 0..1 + 16 + 8 + 4 + 2 * 22 + 8 {
        assert!(read(&replaced(1), &bytes[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn no_cut_and_no_other_version_is_a_snapshot() {
    let (_, bytes) = written();
    let configuration = configuration(1, false);
    // A history that ends between two entries is one.
    let entry = 8 + 4 + Request::OVERHEAD + 5;
    for length in (0..bytes.len()).filter(|length| *length != bytes.len() - entry) {
        assert!(read(&configuration, &bytes[..length]).is_err(), "{length} bytes");
    }
    let mut other = bytes.clone();
    other[0] = 2;
    assert_eq!(read(&configuration, &other).err(), Some(SnapshotError::Version(2)));
    let below = 1 + 16 + 8 + 4 + 2 * 22 + 8;
    let mut far = bytes;
    far[below + 7] = 0xff;
    assert_eq!(read(&configuration, &far).err(), Some(SnapshotError::Slot));
}
