//! A chosen value to a client's request.

use node::{Kind, Request};
use paxos::Command;

/// Where a request has its stamp.
const STAMP: std::ops::Range<usize> = 2..10;

pub(crate) fn run(bytes: &[u8]) {
    let command: Command = bytes.into();
    match Request::decode(&command) {
        Ok(request) => {
            let again = match request.kind() {
                Kind::Open { nonce, lifetime_us } => Request::open(nonce, lifetime_us),
                Kind::Append { session, sequence, first_unanswered } => {
                    assert!(first_unanswered >= 1);
                    assert!(first_unanswered <= sequence);
                    Request::append(session, sequence, first_unanswered, request.value())
                        .expect("the numbers are in order")
                }
                Kind::KeepAlive { session } => Request::keep_alive(session),
                Kind::Close { session } => Request::close(session),
            };
            // A node writes its stamp over the zeros that a client's side leaves.
            let mut unstamped = bytes.to_vec();
            unstamped[STAMP].fill(0);
            assert_eq!(&again.command()[..], unstamped, "one request has one form");
            assert_eq!(request.stamp_us().to_le_bytes(), bytes[STAMP]);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
