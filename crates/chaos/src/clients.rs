//! Clients: the one place where they are made.

use std::path::Path;
use std::time::Duration;

use client::{Client, Credentials, Options};

use crate::Outcome;

/// Of the whole of an append: the patient outlast most faults, and hear of few values that they are
/// unknown. A client asks another node after a quarter of it, so the hasty show how long a leader
/// is missing.
const PATIENT: Duration = Duration::from_secs(6);
const HASTY: Duration = Duration::from_millis(1200);

/// Values that one client has under way at most.
pub(crate) const WINDOW: usize = 256;

/// Who all clients are.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    credentials: Option<Credentials>,
}

impl Clients {
    /// With the credentials of a directory; none: nodes ask nobody who they are.
    pub(crate) fn new(credentials: Option<&Path>) -> Outcome<Clients> {
        Ok(Clients { credentials: credentials.map(Credentials::load).transpose()? })
    }

    /// A client that appends.
    pub(crate) fn appending(&self, endpoints: Vec<String>, is_hasty: bool) -> Outcome<Client> {
        self.client(endpoints, if is_hasty { HASTY } else { PATIENT })
    }

    /// A client with a time-out of its own.
    pub(crate) fn client(&self, endpoints: Vec<String>, timeout: Duration) -> Outcome<Client> {
        let (lifetime, credentials) = (Duration::from_secs(120), self.credentials.clone());
        let defaults = Options::new(endpoints);
        let options = Options { timeout, window: WINDOW, lifetime, credentials, ..defaults };
        Ok(Client::new(options)?)
    }
}
