//! A snapshot's session table.

use node::Sessions;

pub(crate) fn run(bytes: &[u8]) {
    match Sessions::<()>::decode(bytes) {
        Ok(sessions) => {
            let mut again = Vec::new();
            sessions.encode(&mut again);
            assert_eq!(again, bytes, "one table has one form");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
