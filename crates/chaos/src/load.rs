//! Clients that append: an open loop at a fixed rate, through the client library, in sessions that
//! end and begin anew. A value is a number that is never used twice, so a history tells all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use client::{AppendError, Client, Outcome as Known};
use paxos::{Rng, Slot};
use sim::told::{Answer, Append};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::Outcome;
use crate::clients::{Clients, WINDOW};
use crate::notes::Notes;

/// Clients at a time.
const CLIENTS: u32 = 8;

/// A client appends so many values, about, and is replaced by a fresh one.
const LIFE: u64 = 3000;

/// Of a value on the wire.
const VALUE_BYTES: usize = 64;

/// What all clients of a run share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) notes: Notes,
    pub(crate) clients: Clients,
    /// No more is asked.
    pub(crate) is_over: Arc<AtomicBool>,
    /// The next value.
    numbers: Arc<AtomicU64>,
    /// One past the highest slot that was acknowledged to anybody.
    pub(crate) acknowledged: Arc<AtomicU64>,
    /// How many were.
    pub(crate) count: Arc<AtomicU64>,
    /// Not asked, for too many were under way: an open loop does not wait.
    pub(crate) skipped: Arc<AtomicU64>,
}

impl Shared {
    pub(crate) fn new(notes: Notes, clients: Clients) -> Shared {
        let zero = || Arc::new(AtomicU64::new(0));
        let is_over = Arc::new(AtomicBool::new(false));
        let (acknowledged, count, skipped) = (zero(), zero(), zero());
        let numbers = Arc::new(AtomicU64::new(1));
        Shared { notes, clients, is_over, numbers, acknowledged, count, skipped }
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Appends the next value, and notes what came of it. False if the client's session is gone.
    pub(crate) async fn append(&self, client: &Client) -> bool {
        let value = self.numbers.fetch_add(1, Ordering::Relaxed);
        let asked = self.notes.instant();
        let appended = client.append(bytes(value)).await;
        let answered = self.notes.instant();
        let answer = match &appended {
            Ok(appended) => {
                let after = appended.slot.saturating_add(1);
                self.acknowledged.fetch_max(after, Ordering::SeqCst);
                self.count.fetch_add(1, Ordering::Relaxed);
                Answer::Done(Slot(appended.slot))
            }
            Err(error) if error.outcome() == Known::NotApplied => Answer::NotApplied,
            Err(_) => Answer::Unknown,
        };
        self.notes.append(Append { value, asked, answered, answer }).await;
        let is_gone =
            matches!(appended, Err(AppendError::SessionExpired { .. } | AppendError::Closed));
        !is_gone
    }
}

/// Appends until it is over, and returns when every value is answered or given up.
pub(crate) async fn append(endpoints: Vec<String>, rate: u32, seed: u64, shared: Shared) {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let seed = seed.wrapping_add(number.into());
        let (endpoints, shared) = (endpoints.clone(), shared.clone());
        clients.spawn(async move {
            let pace = Duration::from_secs(1) * CLIENTS / rate.max(1);
            let is_hasty = number % 2 == 1;
            if let Err(error) = one(endpoints, pace, seed, is_hasty, shared).await {
                eprintln!("a client ends: {error}");
            }
        });
    }
    clients.join_all().await;
}

async fn one(
    mut endpoints: Vec<String>,
    pace: Duration,
    seed: u64,
    is_hasty: bool,
    shared: Shared,
) -> Outcome<()> {
    let mut rng = Rng::new(seed);
    let mut under_way = JoinSet::new();
    let mut ticks = tokio::time::interval(pace);
    // What was missed is asked for later, all at once, as real callers would.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while shared.goes_on() {
        let places = rng.index(endpoints.len());
        endpoints.rotate_left(places);
        let client = shared.clients.appending(endpoints.clone(), is_hasty)?;
        let window = Arc::new(Semaphore::new(WINDOW));
        let is_gone = Arc::new(AtomicBool::new(false));
        let life = LIFE / 2 + rng.below(LIFE);
        for _ in 0..life {
            ticks.tick().await;
            if is_gone.load(Ordering::Relaxed) || !shared.goes_on() {
                break;
            }
            let Ok(place) = Arc::clone(&window).try_acquire_owned() else {
                shared.skipped.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let (client, shared, is_gone) = (client.clone(), shared.clone(), is_gone.clone());
            under_way.spawn(async move {
                if !shared.append(&client).await {
                    is_gone.store(true, Ordering::Relaxed);
                }
                drop(place);
            });
            while under_way.try_join_next().is_some() {}
        }
        // The session is closed beside the next one's first values.
        under_way.spawn(client.close());
    }
    under_way.join_all().await;
    Ok(())
}

/// A value as it is appended.
fn bytes(value: u64) -> Vec<u8> {
    let mut bytes = value.to_le_bytes().to_vec();
    let mut filling = Rng::new(value);
    bytes.resize_with(VALUE_BYTES, || filling.draw().to_le_bytes()[0]);
    bytes
}

/// The number that these bytes stand for; none if nobody appended them.
pub(crate) fn number(shown: &[u8]) -> Option<u64> {
    let value = u64::from_le_bytes(shown.get(..8)?.try_into().ok()?);
    (bytes(value) == shown).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_appended_is_a_number() {
        assert_eq!(number(&bytes(77)), Some(77));
        let mut changed = bytes(77);
        changed[40] ^= 1;
        assert_eq!(number(&changed), None);
        assert_eq!(number(&bytes(77)[..63]), None);
        assert_eq!(number(&[]), None);
    }
}
