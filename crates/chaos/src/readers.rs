//! Clients that read, each of one node, so that it is known who has shown what: linearizable reads,
//! and sequential ones of everything that was acknowledged to anybody. Mostly what is new, now and
//! then what was read long ago.

use std::sync::atomic::Ordering;
use std::time::Duration;

use client::{CallError, Client, Consistency};
use paxos::{Rng, Slot};
use sim::told::{Read, Shown};
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use crate::Outcome;
use crate::followers::STRANGE;
use crate::load::{Shared, number};

const TIMEOUT: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(60);

/// Of so many reads one goes back, by so many slots.
const BACK: u64 = 20;
const BACK_SLOTS: u64 = 4000;

/// How many readers each node has.
pub(crate) const KINDS: [bool; 2] = [true, false];

/// Reads of a node until it is over.
pub(crate) fn read(
    tasks: &mut JoinSet<()>,
    name: String,
    endpoint: String,
    is_linearizable: bool,
    shared: Shared,
) {
    tasks.spawn(async move {
        if let Err(error) = one(&name, endpoint, is_linearizable, &shared).await {
            eprintln!("{name} is no longer read: {error}");
        }
    });
}

async fn one(name: &str, endpoint: String, is_linearizable: bool, shared: &Shared) -> Outcome<()> {
    let client = shared.clients.client(vec![endpoint.clone()], TIMEOUT)?;
    let mut rng = Rng::new(endpoint.bytes().map(u64::from).sum());
    let mut first: u64 = 0;
    while shared.goes_on() {
        tokio::time::sleep(PAUSE).await;
        let from = if rng.below(BACK) == 0 { first.saturating_sub(BACK_SLOTS) } else { first };
        let known = shared.acknowledged.load(Ordering::SeqCst);
        let at_least = (!is_linearizable).then_some(known);
        match range(&client, name, at_least, from, shared).await {
            Ok(below) => first = first.max(below),
            Err(CallError::Gone { first_held, .. }) => first = first.max(first_held),
            // A node that is gone answers nothing, which is no answer to be wrong.
            Err(_) => {}
        }
    }
    Ok(())
}

/// Reads once from a slot to the end, and notes it. Gives back the end.
async fn range(
    client: &Client,
    name: &str,
    at_least: Option<u64>,
    first: u64,
    shared: &Shared,
) -> Result<u64, CallError> {
    let consistency = match at_least {
        Some(at_least) => Consistency::Sequential { at_least },
        None => Consistency::Linearizable,
    };
    let asked = shared.notes.instant();
    let mut entries = client.read(consistency, first, None, 0).await?;
    let below = entries.read_below();
    let mut shown = Shown::default();
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        shown.extend(Slot(entry.slot), number(&entry.value).unwrap_or(STRANGE));
    }
    let answered = shared.notes.instant();
    let (at_least, first) = (at_least.map(Slot), Slot(first));
    let (learner, below) = (name.to_owned(), Slot(below));
    shared.notes.read(&Read { learner, asked, answered, at_least, first, below, shown }).await;
    Ok(below.0)
}

/// Reads everything that a node still holds. Gives back from where to where.
pub(crate) async fn all(name: &str, endpoint: String, shared: &Shared) -> Outcome<(u64, u64)> {
    let client = shared.clients.client(vec![endpoint], TIMEOUT * 5)?;
    let mut first = 0;
    loop {
        match range(&client, name, None, first, shared).await {
            Ok(below) => return Ok((first, below)),
            // It may have let go of more in between; that ends, for appends have.
            Err(CallError::Gone { first_held, .. }) if first_held > first => first = first_held,
            Err(error) => return Err(error.into()),
        }
    }
}
