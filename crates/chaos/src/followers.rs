//! Each leader and learner is followed from the first slot on, and everything that it shows is
//! noted. What it has let go of before it was seen is noted as well.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use client::{CallError, Client};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use crate::Outcome;
use crate::clients::Clients;
use crate::load::number;
use crate::notes::Notes;

const TIMEOUT: Duration = Duration::from_secs(3);

/// What nobody appended.
pub(crate) const STRANGE: u64 = u64::MAX;

/// How far each of them has been seen, by name: one past the last slot with a value.
pub(crate) type Seen = Arc<Mutex<BTreeMap<String, u64>>>;

/// Follows a node for as long as the task lives.
pub(crate) fn follow(
    tasks: &mut JoinSet<()>,
    name: String,
    endpoint: String,
    (clients, notes): (Clients, Notes),
    seen: Seen,
) {
    tasks.spawn(async move {
        let client = clients.client(vec![endpoint], TIMEOUT);
        let followed = async { one(&name, &client?, &notes, &seen).await };
        if let Err(error) = followed.await {
            eprintln!("{name} is no longer followed: {error}");
        }
    });
}

async fn one(name: &str, client: &Client, notes: &Notes, seen: &Seen) -> Outcome<()> {
    let mut next = 0;
    notes.begins(name, next).await;
    loop {
        let mut tail = client.tail(next);
        while let Some(entry) = tail.next().await {
            match entry {
                Ok(entry) => {
                    let value = number(&entry.value).unwrap_or(STRANGE);
                    notes.shows(name, entry.slot, value).await;
                    next = entry.slot.saturating_add(1);
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.insert(name.to_owned(), next);
                }
                Err(CallError::Gone { first_held, .. }) if first_held > next => {
                    next = first_held;
                    notes.begins(name, next).await;
                }
                // Whatever it is: it is asked again from where it stopped.
                Err(_) => {}
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
