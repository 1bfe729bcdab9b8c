//! The whole state, given away: frozen between two steps of the protocol, made into bytes and sent
//! beside it. One at a time, for its bytes are in memory until the last one is sent; whoever stops
//! taking them is given up.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use client::Bytes;
use client::proto::save_request;
use client::proto::save_response::Part;
use client::proto::snapshots_server::Snapshots;
use client::proto::{SaveRequest, SaveResponse, SnapshotHead};
use node::{Consistency, Frozen, History};
use paxos::{Slot, SnapshotId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status};

use super::asked::Range;
use super::{Api, overloaded, stopped};
use crate::inbox::Job;

/// Bytes of one message.
const CHUNK: usize = 256 << 10;

/// Messages that wait to be sent.
const CHUNKS_WAITING_MAX: usize = 4;

/// Whoever takes nothing for so long has gone.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Gives the state away.
#[derive(Clone)]
pub struct Saves {
    api: Api,
    one: Arc<Semaphore>,
}

type Parts = mpsc::Sender<Result<SaveResponse, Status>>;

impl Saves {
    /// For a node.
    pub fn new(api: Api) -> Saves {
        Saves { api, one: Arc::new(Semaphore::new(1)) }
    }
}

#[tonic::async_trait]
impl Snapshots for Saves {
    type SaveStream = Pin<Box<dyn Stream<Item = Result<SaveResponse, Status>> + Send>>;

    async fn save(
        &self,
        request: tonic::Request<SaveRequest>,
    ) -> Result<Response<Self::SaveStream>, Status> {
        let busy = |_| Status::resource_exhausted("this node is giving a snapshot away already");
        let only = self.one.clone().try_acquire_owned().map_err(busy)?;
        let consistency = match request.get_ref().consistency {
            Some(save_request::Consistency::Local(_)) => None,
            _ => Some(Consistency::Linearizable),
        };
        // No entries are wanted: only that everything chosen by now is applied.
        let (first, end) = (Slot::LIMIT, Slot::LIMIT);
        self.api.page(Range { first, end, limit: 0, consistency: None }, consistency).await?;
        let (answer, frozen) = oneshot::channel();
        self.api.inbox.offer(Job::Freeze(answer)).map_err(|_| overloaded())?;
        let frozen = frozen.await.map_err(|_| stopped())?;
        if frozen.below() == Slot::FIRST {
            return Err(Status::not_found("nothing has been chosen yet"));
        }
        let encoded = tokio::task::spawn_blocking(move || Frozen::<History>::encode(frozen));
        let (snapshot, bytes) = encoded.await.map_err(|_| stopped())?;
        let (parts, answers) = mpsc::channel(CHUNKS_WAITING_MAX);
        tokio::spawn(send(self.api.clone(), snapshot, bytes.into(), parts, only));
        Ok(Response::new(Box::pin(ReceiverStream::new(answers))))
    }
}

/// Sends it, until that is done, the receiver is gone, or the node stops.
async fn send(
    api: Api,
    snapshot: SnapshotId,
    bytes: Bytes,
    parts: Parts,
    _only: OwnedSemaphorePermit,
) {
    let head = SnapshotHead {
        cluster: api.config.cluster.to_vec().into(),
        epoch: api.config.epoch,
        below: snapshot.below.0,
        bytes: snapshot.bytes,
        digest: snapshot.digest.0.to_vec().into(),
    };
    let chunks = (0..bytes.len()).step_by(CHUNK);
    let chunks = chunks.map(|at| Part::Bytes(bytes.slice(at..bytes.len().min(at + CHUNK))));
    let mut stopping = api.stopping.clone();
    for part in std::iter::once(Part::Head(head)).chain(chunks) {
        let response = Ok(SaveResponse { part: Some(part) });
        tokio::select! {
            sent = timeout(STALL_MAX, parts.send(response)) => match sent {
                Ok(Ok(())) => {}
                _ => return,
            },
            _ = stopping.wait_for(|stopping| *stopping) => {
                // If there is no room for a word, it is missed by nobody: the end comes early.
                parts.try_send(Err(stopped())).ok();
                return;
            }
        }
    }
    let (node, below) = (api.config.id.0, snapshot.below.0);
    tracing::info!(node, below, bytes = snapshot.bytes, "a snapshot was given away");
}
