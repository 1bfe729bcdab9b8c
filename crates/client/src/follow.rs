//! Reading the history, and following it across broken streams.
//!
//! A task reads batches from a node and hands entries one by one through a short queue, so that a
//! slow reader holds back the node and not this process's memory. It ends when its reader leaves.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Streaming};

use crate::connection::{self, ANSWER_BYTES_MAX};
use crate::endpoints::Endpoints;
use crate::error::CallError;
use crate::proto::log_client::LogClient;
use crate::proto::{Entry, ReadRequest, ReadResponse, TailRequest};

/// Entries between the node's stream and the reader.
const ENTRIES_AHEAD_MAX: usize = 256;

type Item = Result<Entry, CallError>;

pub(crate) async fn read(
    mut endpoints: Endpoints,
    time: Duration,
    first: u64,
    end: Option<u64>,
    limit: u64,
) -> Result<ReceiverStream<Item>, CallError> {
    // Zero means "no end" on the wire, so an end at zero is sent as another empty range.
    let request = match end {
        Some(0) => ReadRequest { first_slot: first.max(1), end_slot: 1, limit },
        end => ReadRequest { first_slot: first, end_slot: end.unwrap_or(0), limit },
    };
    let deadline = Instant::now() + time;
    loop {
        let address = endpoints.current().to_owned();
        let opening = timeout_at(deadline, open(&address, Kind::Read(request)));
        let error = match opening.await {
            Ok(Ok(answers)) => {
                let (entries, reader) = mpsc::channel(ENTRIES_AHEAD_MAX);
                tokio::spawn(async move {
                    let mut next_slot = first;
                    if let Err(error) = pass_on(&address, answers, &entries, &mut next_slot).await {
                        let _ = entries.send(Err(error)).await;
                    }
                });
                return Ok(ReceiverStream::new(reader));
            }
            Ok(Err(error)) => error,
            Err(_) => CallError::Unreachable {
                endpoint: address,
                reason: format!("no answer within {time:?}"),
            },
        };
        let pause = endpoints.on_failure();
        if error.is_final() || Instant::now() + pause >= deadline {
            return Err(error);
        }
        sleep(pause).await;
    }
}

pub(crate) fn tail(mut endpoints: Endpoints, time: Duration, first: u64) -> ReceiverStream<Item> {
    let (entries, reader) = mpsc::channel(ENTRIES_AHEAD_MAX);
    tokio::spawn(async move {
        let mut next_slot = first;
        loop {
            let address = endpoints.current().to_owned();
            let request = Kind::Tail(TailRequest { first_slot: next_slot });
            let before = next_slot;
            let broken = tokio::select! {
                broken = async {
                    let opening = timeout(time, open(&address, request));
                    match opening.await {
                        Ok(Ok(answers)) => {
                            pass_on(&address, answers, &entries, &mut next_slot).await
                        }
                        Ok(Err(error)) => Err(error),
                        Err(_) => Ok(()),
                    }
                } => broken,
                () = entries.closed() => return,
            };
            if let Err(error) = broken
                && error.is_final()
            {
                let _ = entries.send(Err(error)).await;
                return;
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

enum Kind {
    Read(ReadRequest),
    Tail(TailRequest),
}

async fn open(address: &str, kind: Kind) -> Result<Streaming<ReadResponse>, CallError> {
    let channel = connection::connect(address).await?;
    let mut log = LogClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let opened = match kind {
        Kind::Read(request) => log.read(request).await,
        Kind::Tail(request) => log.tail(request).await,
    };
    opened.map(Response::into_inner).map_err(|status| CallError::failed(address, &status))
}

/// Hands entries on until the stream ends or breaks, or the reader leaves. `next_slot` is above
/// every slot that was handed on; what lies below it is a repeat and is left out.
async fn pass_on(
    address: &str,
    mut answers: Streaming<ReadResponse>,
    entries: &mpsc::Sender<Item>,
    next_slot: &mut u64,
) -> Result<(), CallError> {
    loop {
        let answer = tokio::select! {
            answer = answers.message() => answer,
            () = entries.closed() => return Ok(()),
        };
        let Some(batch) = answer.map_err(|status| CallError::failed(address, &status))? else {
            return Ok(());
        };
        for entry in batch.entries {
            if entry.slot < *next_slot {
                continue;
            }
            let slot = entry.slot;
            if entries.send(Ok(entry)).await.is_err() {
                return Ok(());
            }
            *next_slot = slot.saturating_add(1);
        }
    }
}
