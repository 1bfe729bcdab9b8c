//! Clients: the one place where they are made.

use std::time::Duration;

use client::{Client, Options};

use crate::Outcome;

/// Of the whole of an append: the patient outlast most faults, and hear of few values that they are
/// unknown. A client asks another node after a quarter of it, so the hasty show how long a leader
/// is missing.
const PATIENT: Duration = Duration::from_secs(6);
const HASTY: Duration = Duration::from_millis(1200);

/// Values that one client has under way at most.
pub(crate) const WINDOW: usize = 256;

/// A client that appends.
pub(crate) fn appending(endpoints: Vec<String>, is_hasty: bool) -> Outcome<Client> {
    client(endpoints, if is_hasty { HASTY } else { PATIENT })
}

/// A client with a time-out of its own.
pub(crate) fn client(endpoints: Vec<String>, timeout: Duration) -> Outcome<Client> {
    let lifetime = Duration::from_secs(120);
    let options = Options { timeout, window: WINDOW, lifetime, ..Options::new(endpoints) };
    Ok(Client::new(options)?)
}
