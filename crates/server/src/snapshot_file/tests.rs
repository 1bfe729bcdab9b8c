//! Files that are whole, and all others.

use super::*;

use node::{Effects, Input, Node};
use paxos::{Config, Configuration, Incarnation, Limits, Member, NodeId, Roles, Timing};

/// The state of a cluster of one after it was elected.
pub(crate) fn state() -> (Header, Vec<u8>) {
    let roles = Roles { leader: true, acceptor: true, learner: false };
    let members = [(NodeId(1), Member { roles, disk: Some(paxos::DiskId([2; 16])) })].into();
    let configuration = Configuration::majority(ClusterId([1; 16]), members).unwrap();
    let config = Config {
        node: NodeId(1),
        incarnation: Incarnation(1),
        configuration: configuration.clone(),
        timing: Timing::default(),
        limits: Limits::default(),
        announce: paxos::Announce::default(),
    };
    let now = paxos::Instant(0);
    let mut node = Node::recover(config, [], History::default(), now, 1);
    let mut effects = Effects::default();
    let mut later = now;
    while node.applied() == Slot::FIRST {
        later = later.plus(std::time::Duration::from_millis(100));
        node.step(later, Input::Tick, &mut effects);
        for _ in 0..10 {
            let sent = effects.replica.send.drain(..);
            let waiting = effects.replica.write.then_send.drain(..);
            for envelope in sent.chain(waiting).collect::<Vec<_>>() {
                let input = Input::Message { from: NodeId(1), message: envelope.message };
                node.step(later, input, &mut effects);
            }
        }
    }
    let (snapshot, bytes) = node.freeze().encode();
    (Header { cluster: configuration.cluster(), epoch: configuration.epoch(), snapshot }, bytes)
}

fn written(directory: &Path) -> (PathBuf, Header) {
    let path = directory.join("backup.synod");
    let (header, state) = state();
    let mut draft = Draft::begin(&path, header).unwrap();
    state.chunks(7).for_each(|chunk| draft.write(chunk).unwrap());
    assert!(!path.exists(), "it has no name before it is whole");
    draft.finish().unwrap();
    (path, header)
}

#[test]
fn what_was_written_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let (path, header) = written(directory.path());
    let whole = open(&path).unwrap();
    assert_eq!(whole.header, header);
    assert_eq!(whole.holds.mark.below, header.snapshot.below);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(whole.sha256, <[u8; 32]>::from(Sha256::digest(&bytes)));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left");
    assert!(matches!(Draft::begin(&path, header), Err(FileError::Exists(_))));
}

#[test]
fn a_header_is_these_bytes() {
    let digest = Digest([0xdd; 16]);
    let snapshot = SnapshotId { below: Slot(0x0102), bytes: 0x0304, digest };
    let header = Header { cluster: ClusterId([0xcc; 16]), epoch: Epoch(5), snapshot };
    let mut golden = b"SYNODF\x01\x00".to_vec();
    golden.extend([0xcc; 16]);
    golden.extend([5, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([2, 1, 0, 0, 0, 0, 0, 0]);
    golden.extend([4, 3, 0, 0, 0, 0, 0, 0]);
    golden.extend([0xdd; 16]);
    golden.extend(CRC32C.checksum(&golden).to_le_bytes());
    assert_eq!(header.to_bytes()[..], golden);
}

#[test]
fn no_cut_no_addition_and_no_flipped_byte_is_a_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let (path, _) = written(directory.path());
    let good = fs::read(&path).unwrap();
    let read = |bytes: &[u8]| read(&path, bytes, bytes.len() as u64);
    assert!(read(&good).is_ok());
    for length in 0..good.len() {
        assert!(read(&good[..length]).is_err(), "{length}");
    }
    assert!(read(&[&good[..], &[0]].concat()).is_err());
    for at in 0..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        assert!(read(&flipped).is_err(), "{at}");
    }
    let grown = super::read(&path, &good[..good.len() - 1], good.len() as u64);
    assert!(matches!(grown, Err(FileError::Damaged { .. })), "cut while it was read");
}

#[test]
fn a_draft_that_is_given_up_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("backup.synod");
    let (header, state) = state();
    let mut draft = Draft::begin(&path, header).unwrap();
    draft.write(&state[..9]).unwrap();
    assert!(matches!(Draft::begin(&path, header), Err(FileError::Busy(_))), "one at a time");
    let error = draft.finish().unwrap_err();
    assert!(error.is_damage(), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    // What a process that died has left is no obstacle.
    fs::write(directory.path().join("backup.synod.part"), vec![7; 9999]).unwrap();
    written(directory.path());
}
