//! A snapshot of any cluster, bare and in its file; sealed anew, it is the same state.

use std::path::Path;

use node::portable::{read, reseal};
use node::{History, StateMachine, thaw};
use paxos::Slot;
use server::snapshot_file::{self, Header};

use crate::members::configuration;

pub(crate) fn run(bytes: &[u8]) {
    let path = Path::new("backup");
    match snapshot_file::read(path, bytes, bytes.len() as u64) {
        Ok(whole) => assert!(bytes.ends_with(&whole.state)),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let held = match read(&History::default(), bytes) {
        Ok(held) => held,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    // In a file it is read, too, and a file of another length is not.
    let (cluster, epoch) = (held.configuration.cluster(), held.configuration.epoch());
    let header = Header { cluster, epoch, snapshot: held.snapshot };
    let file = [&header.to_bytes(), bytes].concat();
    let length = file.len() as u64;
    assert!(snapshot_file::read(path, &file[..], length).is_ok());
    assert!(snapshot_file::read(path, &file[..], length + 1).is_err());
    // Another cluster goes on from it, and never from a lower slot.
    let ours = configuration();
    let below = held.mark.below;
    if let Some(lower) = below.0.checked_sub(1) {
        assert!(reseal(bytes, &ours, Slot(lower)).is_err());
    }
    let above = below.plus(1000);
    let Ok((named, sealed)) = reseal(bytes, &ours, above) else {
        return assert!(above >= Slot::LIMIT);
    };
    let again = read(&History::default(), &sealed).expect("only its head is another one");
    assert_eq!((again.snapshot, again.mark.below), (named, above));
    assert_eq!((&again.machine, again.sessions), (&held.machine, held.sessions));
    assert!(thaw(&ours, &History::default(), &sealed).is_ok());
    let (mut one, mut other) = (Vec::new(), Vec::new());
    History::encode(&again.machine.freeze(), &mut one);
    History::encode(&held.machine.freeze(), &mut other);
    assert_eq!(one, other);
}
