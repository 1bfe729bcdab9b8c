//! A chosen value to a client's request.

use node::Request;
use paxos::Command;

pub(crate) fn run(bytes: &[u8]) {
    let command: Command = bytes.into();
    match Request::decode(&command) {
        Ok(request) => {
            assert!(request.first_unanswered >= 1);
            assert!(request.first_unanswered <= request.sequence);
            let Request { client, sequence, first_unanswered, .. } = request;
            let again = Request::new(client, sequence, first_unanswered, request.value());
            assert_eq!(again, Ok(request), "one request has one form");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
