//! The clients, and what one operation is: an append, or a read of what the client knows last.

use std::sync::{Arc, Mutex, PoisonError};

use client::{Client, Consistency, Outcome};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_stream::StreamExt as _;

use super::load::{Ended, Kind, Turn};
use crate::error::{CliError, Exit};

/// Clients that open their session at the same time.
const WARMING_MAX: usize = 64;

/// What the operations are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Workload {
    /// The size of a value.
    pub(super) bytes: usize,
    /// The share of reads.
    pub(super) reads_percent: u8,
    /// How much they must show.
    pub(super) consistency: Consistency,
}

/// Who is measured. Clones share the clients.
#[derive(Clone)]
pub(super) struct Subject {
    clients: Arc<[Client]>,
    workload: Workload,
    first_failure: Arc<Mutex<Option<String>>>,
}

impl Subject {
    pub(super) fn new(clients: Vec<Client>, workload: Workload) -> Subject {
        Subject { clients: clients.into(), workload, first_failure: Arc::default() }
    }

    /// An append of each client, and a read if there are to be any: sessions and connections are
    /// open then, and a cluster that cannot answer is found out.
    pub(super) async fn warm(&self) -> Result<(), CliError> {
        let room = Arc::new(Semaphore::new(WARMING_MAX));
        let mut warming = JoinSet::new();
        for client in &*self.clients {
            warming.spawn(warm(client.clone(), self.workload, room.clone()));
        }
        while let Some(warmed) = warming.join_next().await {
            warmed.map_err(|error| CliError::new("failed", Exit::Failed, error.to_string()))??;
        }
        Ok(())
    }

    /// Does one operation.
    pub(super) async fn operate(self, turn: Turn) -> (Kind, Ended) {
        let client = &self.clients[turn.client];
        if is_read(turn.number, self.workload.reads_percent) {
            let ended = match read(client, self.workload.consistency).await {
                Ok(()) => Ended::Done,
                Err(error) => {
                    self.note(&error);
                    Ended::NotApplied
                }
            };
            return (Kind::Read, ended);
        }
        let mut value = turn.number.to_le_bytes().to_vec();
        value.resize(self.workload.bytes, 0x5a);
        let ended = match client.append(value).await {
            Ok(_) => Ended::Done,
            Err(error) => {
                self.note(&error);
                match error.outcome() {
                    Outcome::NotApplied => Ended::NotApplied,
                    Outcome::Unknown => Ended::Unknown,
                }
            }
        };
        (Kind::Append, ended)
    }

    fn note(&self, error: &impl ToString) {
        let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| error.to_string());
    }

    /// What the first failure was, if there was one.
    pub(super) fn first_failure(&self) -> Option<String> {
        self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often a client sent something again.
    pub(super) fn sent_again(&self) -> u64 {
        self.clients.iter().map(Client::sent_again).sum()
    }

    /// Closes the sessions.
    pub(super) async fn close(self) {
        let mut closing = JoinSet::new();
        for client in self.clients.iter().cloned() {
            closing.spawn(client.close());
        }
        drop(self.clients);
        while closing.join_next().await.is_some() {}
    }
}

async fn warm(client: Client, workload: Workload, room: Arc<Semaphore>) -> Result<(), CliError> {
    let place = room.acquire().await.expect("nobody closes it");
    client.append(vec![0; workload.bytes]).await?;
    if workload.reads_percent > 0 {
        read(&client, workload.consistency).await?;
    }
    drop(place);
    Ok(())
}

/// The newest value that this client knows of, to its end.
async fn read(client: &Client, consistency: Consistency) -> Result<(), client::CallError> {
    let position = client.position();
    let consistency = match consistency {
        Consistency::Sequential { .. } => Consistency::Sequential { at_least: position },
        other => other,
    };
    let mut entries = client.read(consistency, position.saturating_sub(1), None, 1).await?;
    while let Some(entry) = entries.next().await {
        entry?;
    }
    Ok(())
}

/// Whether the operation with this number reads: spread evenly, and the same in each run.
fn is_read(number: u64, percent: u8) -> bool {
    let reads_below = |number: u64| u128::from(number) * u128::from(percent) / 100;
    reads_below(number.saturating_add(1)) > reads_below(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_have_their_share_and_are_spread() {
        for percent in [0, 1, 30, 50, 99, 100] {
            let reads = (0..1000).filter(|number| is_read(*number, percent)).count();
            assert_eq!(reads, 10 * usize::from(percent));
        }
        let first: Vec<bool> = (0..6).map(|number| is_read(number, 50)).collect();
        assert_eq!(first, [false, true, false, true, false, true]);
        assert!(!is_read(u64::MAX, 0));
    }
}
