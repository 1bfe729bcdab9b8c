//! Reading a range of the history, and how much must be shown.
//!
//! Any node that learns can serve any kind of read, so the next one is asked when one is gone, busy
//! or cut off, until the client's patience ends. What a node has begun to answer it also ends.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Response, Streaming};

use crate::connection::{ANSWER_BYTES_MAX, Dialler};
use crate::endpoints::Endpoints;
use crate::error::CallError;
use crate::follow::{ENTRIES_AHEAD_MAX, Item, pass_on};
use crate::position::Position;
use crate::proto::log_client::LogClient;
use crate::proto::{
    Entry, Linearizable, Local, ReadRequest, ReadResponse, Sequential, Stale, read_request,
};

/// How much a read must show.
///
/// | you want | ask for |
/// |---|---|
/// | everything that anybody was told of before you asked | `Linearizable` |
/// | your own writes, and never less than you have seen | `Sequential` from [`Client::position`] |
/// | a cheap answer, and a bound on its age | `Stale` |
/// | an answer in any outage, for a look at one node | `Local` |
///
/// [`Client::position`]: crate::Client::position
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Consistency {
    /// Everything chosen before the read began, whoever knew. Needs a leader that reaches a quorum.
    #[default]
    Linearizable,
    /// Every slot below. The node that is asked waits for it, and asks nobody.
    Sequential {
        /// One past the last slot that must be shown: of an own value, or of what was read.
        at_least: u64,
    },
    /// Everything chosen until so long before the read began, by the node's clock.
    Stale {
        /// How old the answer may be. Precise to a microsecond.
        max_age: Duration,
    },
    /// What the node knows, be it ever so little.
    Local,
}

/// The values of a range of slots, in order.
///
/// A stream that breaks ends with an error. A read from the last slot + 1 goes on from there; with
/// `Sequential { at_least: read_below }` it shows no less, whichever node serves it.
#[derive(Debug)]
pub struct Entries {
    read_below: u64,
    entries: ReceiverStream<Item>,
}

impl Entries {
    /// Exclusive end of what the node had applied when it began to answer: every value below it in
    /// the range comes, unless there is a limit.
    pub fn read_below(&self) -> u64 {
        self.read_below
    }
}

impl Stream for Entries {
    type Item = Result<Entry, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        Pin::new(&mut self.entries).poll_next(context)
    }
}

impl From<Consistency> for read_request::Consistency {
    fn from(consistency: Consistency) -> read_request::Consistency {
        use read_request::Consistency as Wire;
        match consistency {
            Consistency::Linearizable => Wire::Linearizable(Linearizable {}),
            Consistency::Sequential { at_least } => Wire::Sequential(Sequential { at_least }),
            Consistency::Stale { max_age } => {
                let max_age_us = u64::try_from(max_age.as_micros()).unwrap_or(u64::MAX);
                Wire::Stale(Stale { max_age_us })
            }
            Consistency::Local => Wire::Local(Local {}),
        }
    }
}

pub(crate) async fn read(
    kept: &Mutex<Endpoints>,
    time: Duration,
    position: Position,
    request: ReadRequest,
) -> Result<Entries, CallError> {
    // Who has answered lately is asked first.
    let mut endpoints = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let deadline = Instant::now() + time;
    let mut keep_nothing = BTreeSet::new();
    let mut trouble: Option<CallError> = None;
    loop {
        let address = endpoints.current().to_owned();
        // A half: a node that is cut off says so itself before that, and leaves time for others.
        let until = deadline.min(Instant::now() + time / 2);
        let dialler = endpoints.dialler().clone();
        let error = match open(&dialler, &address, request, until).await {
            Ok((first, answers)) => {
                position.saw_below(first.read_below);
                endpoints.on_progress();
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = endpoints;
                let read_below = first.read_below;
                let (entries, reader) = mpsc::channel(ENTRIES_AHEAD_MAX);
                tokio::spawn(async move {
                    let mut next_slot = request.first_slot;
                    let passed =
                        pass_on(&address, first, answers, &entries, &position, &mut next_slot);
                    if let Err(error) = passed.await {
                        let _ = entries.send(Err(error)).await;
                    }
                });
                return Ok(Entries { read_below, entries: ReceiverStream::new(reader) });
            }
            Err(error) => error,
        };
        let pause = match &error {
            CallError::TimedOut { leader: Some(leader), .. } => endpoints.on_hint(leader),
            _ => endpoints.on_failure(),
        };
        if matches!(error, CallError::NotLearning { .. }) {
            keep_nothing.insert(address);
        }
        let is_final = error.is_final() || endpoints.are_all(&keep_nothing);
        if trouble.as_ref().is_none_or(|known| known.weight() <= error.weight()) {
            trouble = Some(error.clone());
        }
        if is_final || Instant::now() + pause >= deadline {
            return Err(trouble.unwrap_or(error));
        }
        sleep(pause).await;
    }
}

/// A node's first response, and what follows it.
async fn open(
    dialler: &Dialler,
    address: &str,
    request: ReadRequest,
    until: Instant,
) -> Result<(ReadResponse, Streaming<ReadResponse>), CallError> {
    let endpoint = || address.to_owned();
    let late = |_| CallError::Unreachable { endpoint: endpoint(), reason: "no answer".to_owned() };
    let channel = timeout_at(until, dialler.keep(address)).await.map_err(late)??;
    let mut log = LogClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    let answer = async {
        let mut answers = log.read(request).await.map(Response::into_inner)?;
        Ok((answers.message().await?, answers))
    };
    let late = |_| CallError::TimedOut { endpoint: endpoint(), leader: None };
    let answered = timeout_at(until, answer).await;
    if !matches!(answered, Ok(Ok(_))) {
        // Perhaps it is the connection.
        dialler.drop_kept(address);
    }
    match answered.map_err(late)? {
        Ok((Some(first), answers)) => Ok((first, answers)),
        Ok((None, _)) => {
            let reason = "an answer that ends before it begins".to_owned();
            Err(CallError::Failed { endpoint: endpoint(), code: Code::Internal, reason })
        }
        Err(status) => Err(CallError::unreadable(address, &status)),
    }
}
