//! The client API: gRPC calls in, jobs for the protocol thread out. Knows no rule of consensus.

pub mod access;
mod answers;
pub mod asked;
pub mod listener;
mod pages;
pub mod save;
mod transfer;
mod strangers;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use client::proto::chaos_server::Chaos;
use client::proto::cluster_server::Cluster;
use client::proto::log_server::Log;
use client::proto::{self, AppendRequest, AppendResponse, ReadRequest, ReadResponse};
use node::Reply;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::{ReceiverStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Response, Status, Streaming};

use crate::config::{Config, Role};
use crate::inbox::{Answer, Inbox, Job, Replied, ReplyTo};
use crate::metrics::{Method, Outcome};
use crate::switches::Switches;

/// Requests of one stream that wait for an answer, at most. Then it is not read further.
const STREAM_WINDOW: usize = 1 << 14;

/// Answers of one stream that wait to be sent.
const ANSWERS_WAITING_MAX: usize = 4;

/// What every call needs.
#[derive(Clone)]
pub struct Api {
    /// Where jobs go.
    pub inbox: Inbox,
    /// Who is who.
    pub config: Arc<Config>,
    /// How much the node has applied.
    pub applied: watch::Receiver<u64>,
    /// Faults on purpose, and counters.
    pub switches: Arc<Switches>,
    /// When the process started.
    pub origin: Instant,
    /// Turns true when the node stops: streams end then.
    pub stopping: watch::Receiver<bool>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Log for Api {
    type AppendStream = Answers<AppendResponse>;
    type ReadStream = Answers<ReadResponse>;
    type TailStream = Answers<ReadResponse>;

    async fn append(
        &self,
        request: tonic::Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        let (replies, answers) = mpsc::unbounded_channel();
        let window = Arc::new(Semaphore::new(STREAM_WINDOW));
        tokio::spawn(take(self.clone(), request.into_inner(), replies, window.clone()));
        let config = self.config.clone();
        let answers = UnboundedReceiverStream::new(answers).map(move |replied: Replied| {
            window.add_permits(1);
            Ok(answers::response(&config, replied))
        });
        Ok(Response::new(self.until_stopped(answers)))
    }

    async fn read(
        &self,
        request: tonic::Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        let range = asked::range(request.get_ref())?;
        // A reader that goes away takes this future along.
        let answers = self.counted(Method::Read, self.range(range)).await?;
        Ok(Response::new(answers))
    }

    async fn tail(
        &self,
        request: tonic::Request<proto::TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let first = asked::slot(request.get_ref().first_slot)?;
        let answers = self.counted(Method::Tail, async { Ok(self.follow(first)) }).await?;
        Ok(Response::new(answers))
    }
}

#[tonic::async_trait]
impl Cluster for Api {
    async fn status(
        &self,
        _: tonic::Request<proto::StatusRequest>,
    ) -> Result<Response<proto::StatusResponse>, Status> {
        let asked = async {
            let (answer, status) = oneshot::channel();
            self.inbox.offer(Job::Status(answer)).map_err(|_| overloaded())?;
            status.await.map_err(|_| stopped())
        };
        let status = self.counted(Method::Status, asked).await?;
        Ok(Response::new(answers::status(self, &status)))
    }

    async fn transfer_leader(
        &self,
        request: tonic::Request<proto::TransferLeaderRequest>,
    ) -> Result<Response<proto::TransferLeaderResponse>, Status> {
        self.transfer(request.get_ref()).await.map(Response::new)
    }
}

#[tonic::async_trait]
impl Chaos for Api {
    async fn fail(
        &self,
        _: tonic::Request<proto::FailRequest>,
    ) -> Result<Response<proto::FailResponse>, Status> {
        self.dev_only()?;
        self.switches.set_failed(true);
        Ok(Response::new(proto::FailResponse {}))
    }

    async fn recover(
        &self,
        _: tonic::Request<proto::RecoverRequest>,
    ) -> Result<Response<proto::RecoverResponse>, Status> {
        self.dev_only()?;
        self.switches.set_failed(false);
        Ok(Response::new(proto::RecoverResponse {}))
    }

    async fn network(
        &self,
        request: tonic::Request<proto::NetworkRequest>,
    ) -> Result<Response<proto::NetworkResponse>, Status> {
        self.dev_only()?;
        let faults = asked::faults(request.get_ref())?;
        let seed = self.switches.set_faults(faults);
        Ok(Response::new(proto::NetworkResponse { seed }))
    }
}

impl Api {
    /// Counts a call, and how long it takes to begin its answer.
    async fn counted<T>(
        &self,
        method: Method,
        call: impl Future<Output = Result<T, Status>>,
    ) -> Result<T, Status> {
        let asked = Instant::now();
        let answer = call.await;
        let code = answer.as_ref().map_or_else(Status::code, |_| tonic::Code::Ok);
        let figures = &self.switches.counters.figures;
        figures.on_request(method, Outcome::from(code), asked.elapsed());
        answer
    }

    fn dev_only(&self) -> Result<(), Status> {
        if self.switches.dev {
            return Ok(());
        }
        Err(Status::permission_denied("this node does not run with --dev"))
    }

    /// Ends the stream when the node stops.
    fn until_stopped<T: Send + 'static>(
        &self,
        stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    ) -> Answers<T> {
        let (out, answers) = mpsc::channel(ANSWERS_WAITING_MAX);
        let mut stopping = self.stopping.clone();
        tokio::spawn(async move {
            tokio::pin!(stream);
            loop {
                let item = tokio::select! {
                    // What is answered is said before the stream ends.
                    biased;
                    item = stream.next() => item,
                    _ = stopping.wait_for(|stopping| *stopping) => Some(Err(stopped())),
                };
                let Some(item) = item else { return };
                let is_end = item.is_err();
                if out.send(item).await.is_err() || is_end {
                    return;
                }
            }
        });
        Box::pin(ReceiverStream::new(answers))
    }
}

/// Reads a client's stream and hands each request to the protocol thread.
async fn take(
    api: Api,
    mut requests: Streaming<AppendRequest>,
    replies: mpsc::UnboundedSender<Replied>,
    window: Arc<Semaphore>,
) {
    loop {
        let room = tokio::select! {
            room = window.acquire() => room,
            // Who asked has gone, and so have the answers that would have made room.
            () = replies.closed() => return,
        };
        let Ok(room) = room else { return };
        room.forget(); // It comes back with the answer.
        let Ok(Some(message)) = requests.message().await else {
            return;
        };
        let (sequence, asked) = (message.sequence, Instant::now());
        let answer = match asked::append(&message) {
            Err(why) => Answer::Malformed(why),
            Ok(request) => {
                let to = ReplyTo { replies: replies.clone(), sequence, asked };
                match api.inbox.offer(Job::Append(request, to)) {
                    Ok(()) => continue,
                    Err(_) => Answer::Node(Reply::Busy),
                }
            }
        };
        let outcome = match &answer {
            Answer::Malformed(_) => Outcome::Refused,
            Answer::Node(reply) => Outcome::from(reply),
        };
        api.switches.counters.figures.on_request(Method::Append, outcome, asked.elapsed());
        if replies.send(Replied { sequence, answer }).is_err() {
            return;
        }
    }
}

fn overloaded() -> Status {
    Status::resource_exhausted("the node's inbox is full")
}

fn stopped() -> Status {
    Status::unavailable("the node is stopping")
}
