//! A datagram's content to a message: what is read is exactly what was there.

use paxos::NodeId;
use paxos::wire::{decode_message, encode_message};

use crate::members::configuration;

const ME: NodeId = NodeId(7);

pub(crate) fn run(bytes: &[u8]) {
    let configuration = configuration();
    match decode_message(&configuration, ME, bytes) {
        Ok((from, message)) => {
            let mut again = Vec::new();
            encode_message(&configuration, from, ME, &message, &mut again);
            assert_eq!(again, bytes, "one message has one form");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
