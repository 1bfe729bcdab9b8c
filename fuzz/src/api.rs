//! What clients send over gRPC, as far as our own code interprets it.

use client::proto::{AppendRequest, NetworkRequest, ReadRequest};
use node::{Consistency, Request};
use paxos::Slot;
use prost::Message;
use server::asked;

use crate::cursor::Cursor;

const MILLION: u32 = 1_000_000;

pub(crate) fn run(bytes: &[u8]) {
    let mut cursor = Cursor::new(bytes);
    let call = cursor.below(3);
    let body = cursor.take(usize::MAX);
    match call {
        0 => AppendRequest::decode(body).iter().for_each(append),
        1 => ReadRequest::decode(body).iter().for_each(read),
        _ => NetworkRequest::decode(body).iter().for_each(network),
    }
}

fn append(message: &AppendRequest) {
    match asked::append(message) {
        Ok(request) => {
            let value = if message.about.is_none() { &message.value[..] } else { &[] };
            assert_eq!(request.value(), value);
            assert_eq!(Request::decode(request.command()), Ok(request.clone()));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

fn read(message: &ReadRequest) {
    if let Ok(range) = asked::range(message) {
        assert!(range.first <= Slot::LIMIT);
        assert!(range.end <= Slot::LIMIT);
        assert!(range.limit > 0);
        if let Some(Consistency::Sequential { at_least }) = range.consistency {
            assert!(at_least <= Slot::LIMIT);
        }
    }
}

fn network(message: &NetworkRequest) {
    if let Ok(faults) = asked::faults(message) {
        assert!(faults.loss_ppm <= MILLION);
        assert!(faults.duplicate_ppm <= MILLION);
        assert!(faults.delay_min <= faults.delay_max);
        assert!(faults.delay_max <= asked::DELAY_MAX);
    }
}
