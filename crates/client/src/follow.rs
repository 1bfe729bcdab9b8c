//! Following the history across broken streams.
//!
//! A task reads batches from a node and hands entries one by one through a short queue, so that a
//! slow reader holds back the node and not this process's memory. It ends when its reader leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Streaming};

use crate::connection::{ANSWER_BYTES_MAX, Dialler};
use crate::endpoints::Endpoints;
use crate::error::CallError;
use crate::position::Position;
use crate::proto::log_client::LogClient;
use crate::proto::{Entry, ReadResponse, TailRequest};

/// Entries between the node's stream and the reader.
pub(crate) const ENTRIES_AHEAD_MAX: usize = 256;

pub(crate) type Item = Result<Entry, CallError>;

pub(crate) fn tail(
    mut endpoints: Endpoints,
    time: Duration,
    position: Position,
    first: u64,
) -> ReceiverStream<Item> {
    let (entries, reader) = mpsc::channel(ENTRIES_AHEAD_MAX);
    tokio::spawn(async move {
        let mut next_slot = first;
        let mut keep_nothing = BTreeSet::new();
        loop {
            let address = endpoints.current().to_owned();
            let request = TailRequest { first_slot: next_slot };
            let before = next_slot;
            let broken = tokio::select! {
                broken = async {
                    let opening = timeout(time, open(endpoints.dialler(), &address, request));
                    match opening.await {
                        Ok(Ok(answers)) => {
                            let none = ReadResponse::default();
                            pass_on(&address, none, answers, &entries, &position, &mut next_slot)
                                .await
                        }
                        Ok(Err(error)) => Err(error),
                        Err(_) => Ok(()),
                    }
                } => broken,
                () = entries.closed() => return,
            };
            if let Err(error) = broken {
                if matches!(error, CallError::NotLearning { .. }) {
                    keep_nothing.insert(address);
                }
                if error.is_final() || endpoints.are_all(&keep_nothing) {
                    let _ = entries.send(Err(error)).await;
                    return;
                }
            }
            if next_slot > before {
                endpoints.on_progress();
            }
            let pause = endpoints.on_failure();
            tokio::select! {
                () = sleep(pause) => {}
                () = entries.closed() => return,
            }
        }
    });
    ReceiverStream::new(reader)
}

async fn open(
    dialler: &Dialler,
    address: &str,
    request: TailRequest,
) -> Result<Streaming<ReadResponse>, CallError> {
    let channel = dialler.connect(address).await?;
    let mut log = LogClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let opened = log.tail(request).await;
    opened.map(Response::into_inner).map_err(|status| CallError::unreadable(address, &status))
}

/// Hands entries on, those of `first` first, until the stream ends or breaks, or the reader leaves.
/// `next_slot` is above every slot that was handed on; what lies below it is a repeat and is left
/// out.
pub(crate) async fn pass_on(
    address: &str,
    first: ReadResponse,
    mut answers: Streaming<ReadResponse>,
    entries: &mpsc::Sender<Item>,
    position: &Position,
    next_slot: &mut u64,
) -> Result<(), CallError> {
    let mut batch = first;
    loop {
        for entry in batch.entries {
            if entry.slot < *next_slot {
                continue;
            }
            let after = entry.slot.saturating_add(1);
            position.saw_below(after);
            if entries.send(Ok(entry)).await.is_err() {
                return Ok(());
            }
            *next_slot = after;
        }
        let answer = tokio::select! {
            answer = answers.message() => answer,
            () = entries.closed() => return Ok(()),
        };
        batch = match answer.map_err(|status| CallError::unreadable(address, &status))? {
            Some(batch) => batch,
            None => return Ok(()),
        };
    }
}
