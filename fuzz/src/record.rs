//! A journal's frame to a record, and what a record does to an acceptor.

use node::recovery::{Recovery, RecoveryError};
use paxos::acceptor::Acceptor;
use paxos::wire::{decode_record, encode_record};

use crate::members::configuration;

pub(crate) fn run(bytes: &[u8]) {
    let configuration = configuration();
    let decoded = decode_record(&configuration, bytes);
    let mut recovery = Recovery::default();
    recovery.frame(&configuration, bytes);
    let recovered = recovery.finish();
    let Ok(record) = decoded else {
        let why = decoded.expect_err("no record");
        assert_eq!(recovered, Err(RecoveryError::Foreign { frame: 0, why }));
        return;
    };
    assert_eq!(recovered.as_deref(), Ok([record.clone()].as_slice()));
    let mut again = Vec::new();
    encode_record(&configuration, &record, &mut again);
    assert_eq!(again, bytes, "one record has one form");
    let mut acceptor = Acceptor::default();
    acceptor.apply(&record);
    let once = acceptor.clone();
    acceptor.apply(&record);
    assert_eq!(acceptor, once, "a record says the same twice");
    for run in once.votes().iter() {
        assert!(run.ballot <= once.promised());
        assert!(run.first >= once.truncated());
    }
    assert!(once.promised().round < u64::MAX, "a leader must be able to count on from here");
}
