//! Clients: the one place where they are made.

use std::time::Duration;

use client::{Client, Options};

use crate::Outcome;

/// Of the whole of an append; longer than most faults, shorter than some.
const TIMEOUT: Duration = Duration::from_secs(6);

/// Values that one client has under way at most.
pub(crate) const WINDOW: usize = 256;

/// A client that knows these endpoints.
pub(crate) fn client(endpoints: Vec<String>) -> Outcome<Client> {
    patient(endpoints, TIMEOUT)
}

/// The same with a time-out of its own.
pub(crate) fn patient(endpoints: Vec<String>, timeout: Duration) -> Outcome<Client> {
    let lifetime = Duration::from_secs(120);
    let options = Options { timeout, window: WINDOW, lifetime, ..Options::new(endpoints) };
    Ok(Client::new(options)?)
}
