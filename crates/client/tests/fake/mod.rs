//! A node that is only a script: what it answers to each request, on a real loopback socket.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use client::proto::append_request::About;
use client::proto::append_response::Outcome;
use client::proto::log_server::{Log, LogServer};
use client::proto::{
    AppendRequest, AppendResponse, Busy, Closed, Done, Entry, Expired, Kept, Leader, NotLeading,
    Opened, ReadRequest, ReadResponse, TailRequest,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

/// What a node does with one request.
pub(crate) enum Act {
    Answer(Outcome),
    Silence,
    BreakStream,
}

pub(crate) fn done(slot: u64) -> Act {
    Act::Answer(Outcome::Done(Done { slot }))
}

/// The name of every session that is opened here.
pub(crate) const SESSION: u64 = 7;

/// The same in the words of what was asked.
fn worded(outcome: Outcome, request: &AppendRequest) -> Outcome {
    match (outcome, &request.about) {
        (Outcome::Done(_), Some(About::Open(_))) => Outcome::Opened(Opened { session: SESSION }),
        (Outcome::Done(Done { slot }), Some(About::KeepAlive(_))) => Outcome::Kept(Kept { slot }),
        (Outcome::Done(Done { slot }), Some(About::Close(_))) => Outcome::Closed(Closed { slot }),
        (outcome, _) => outcome,
    }
}

pub(crate) fn expired() -> Act {
    Act::Answer(Outcome::Expired(Expired { reason: "long ago".into() }))
}

pub(crate) fn busy() -> Act {
    Act::Answer(Outcome::Busy(Busy { reason: "full".into() }))
}

pub(crate) fn not_leading(leader: Option<&str>) -> Act {
    let leader = leader.map(|address| Leader { node: 9, address: address.into() });
    Act::Answer(Outcome::NotLeading(NotLeading { leader }))
}

type Script = Box<dyn FnMut(&AppendRequest) -> Act + Send>;

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: String,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Vec<AppendRequest>>>,
    tails: Arc<Mutex<Vec<u64>>>,
    reads: Arc<Mutex<Vec<ReadRequest>>>,
    readers: Arc<Mutex<BTreeSet<SocketAddr>>>,
    appenders: Arc<Mutex<BTreeSet<SocketAddr>>>,
    refusals: Arc<Mutex<VecDeque<Status>>>,
    tail_refusal: Arc<Mutex<Option<Status>>>,
    /// Streams of appends that are let in yet.
    allowed: Arc<Mutex<usize>>,
}

impl Fake {
    /// Serves until the test's runtime ends.
    pub(crate) async fn start(script: impl FnMut(&AppendRequest) -> Act + Send + 'static) -> Fake {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = tokio::net::TcpListener::bind(any_port).await.unwrap();
        let fake = Fake {
            address: listener.local_addr().unwrap().to_string(),
            script: Arc::new(Mutex::new(Box::new(script))),
            seen: Arc::default(),
            tails: Arc::default(),
            reads: Arc::default(),
            readers: Arc::default(),
            appenders: Arc::default(),
            refusals: Arc::default(),
            tail_refusal: Arc::default(),
            allowed: Arc::new(Mutex::new(usize::MAX)),
        };
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let service = LogServer::new(fake.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(incoming));
        fake
    }

    /// Lets nobody append.
    pub(crate) async fn denying() -> Fake {
        Fake::denying_after(0, |_| Act::Silence).await
    }

    /// Lets so many streams in, and nobody after them.
    pub(crate) async fn denying_after(
        streams: usize,
        script: impl FnMut(&AppendRequest) -> Act + Send + 'static,
    ) -> Fake {
        let fake = Fake::start(script).await;
        *fake.allowed.lock().unwrap() = streams;
        fake
    }

    /// (sequence, `first_unanswered`) of every value so far, in order.
    pub(crate) fn seen(&self) -> Vec<(u64, u64)> {
        let seen = self.seen.lock().unwrap();
        let values = seen.iter().filter(|request| request.about.is_none());
        values.map(|request| (request.sequence, request.first_unanswered)).collect()
    }

    /// What was asked about sessions so far, in order.
    pub(crate) fn abouts(&self) -> Vec<About> {
        self.seen.lock().unwrap().iter().filter_map(|request| request.about.clone()).collect()
    }

    /// The slots from which a tail was asked for.
    pub(crate) fn tails(&self) -> Vec<u64> {
        self.tails.lock().unwrap().clone()
    }

    /// The next reads are answered so, each with one, and those after them with entries.
    pub(crate) fn refuse_reads(&self, refusals: impl IntoIterator<Item = Status>) {
        self.refusals.lock().unwrap().extend(refusals);
    }

    /// So is every tail.
    pub(crate) fn refuse_tails(&self, refusal: Status) {
        *self.tail_refusal.lock().unwrap() = Some(refusal);
    }

    pub(crate) fn forgive_reads(&self) {
        self.refusals.lock().unwrap().clear();
    }

    /// What was asked to be read so far, refused or not.
    pub(crate) fn reads(&self) -> Vec<ReadRequest> {
        self.reads.lock().unwrap().clone()
    }

    /// Connections that anything was appended over.
    pub(crate) fn append_connections(&self) -> usize {
        self.appenders.lock().unwrap().len()
    }

    /// Connections that anything was read over.
    pub(crate) fn read_connections(&self) -> usize {
        self.readers.lock().unwrap().len()
    }
}

pub(crate) fn entry(slot: u64) -> Entry {
    Entry { slot, ..Entry::default() }
}

#[tonic::async_trait]
impl Log for Fake {
    type AppendStream = ReceiverStream<Result<AppendResponse, Status>>;
    type ReadStream = ReceiverStream<Result<ReadResponse, Status>>;
    type TailStream = ReceiverStream<Result<ReadResponse, Status>>;

    async fn append(
        &self,
        requests: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStream>, Status> {
        {
            let mut allowed = self.allowed.lock().unwrap();
            let left = allowed.checked_sub(1);
            *allowed = left.ok_or_else(|| Status::unauthenticated("nobody of ours"))?;
        }
        self.appenders.lock().unwrap().extend(requests.remote_addr());
        let mut requests = requests.into_inner();
        let (answers, stream) = mpsc::channel(64);
        let fake = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let act = (fake.script.lock().unwrap())(&request);
                let sequence = request.sequence;
                let act = match act {
                    Act::Answer(outcome) => Act::Answer(worded(outcome, &request)),
                    other => other,
                };
                fake.seen.lock().unwrap().push(request);
                let answer = match act {
                    Act::Answer(outcome) => Ok(AppendResponse { sequence, outcome: Some(outcome) }),
                    Act::Silence => continue,
                    Act::BreakStream => Err(Status::unavailable("broken on purpose")),
                };
                let is_over = answer.is_err();
                if answers.send(answer).await.is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    /// Slots 0 to 4 exist, two a batch.
    async fn read(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        self.readers.lock().unwrap().extend(request.remote_addr());
        let request = request.into_inner();
        self.reads.lock().unwrap().push(request);
        if let Some(refusal) = self.refusals.lock().unwrap().pop_front() {
            return Err(refusal);
        }
        let end = if request.end_slot == 0 { 5 } else { request.end_slot.min(5) };
        let slots: Vec<u64> = (request.first_slot..end).collect();
        let (answers, stream) = mpsc::channel(64);
        if slots.is_empty() {
            let none = ReadResponse { entries: Vec::new(), read_below: 5 };
            answers.send(Ok(none)).await.unwrap();
        }
        for batch in slots.chunks(2) {
            let entries = batch.iter().map(|&slot| entry(slot)).collect();
            answers.send(Ok(ReadResponse { entries, read_below: 5 })).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    /// Gives two slots, the second one twice, and breaks.
    async fn tail(
        &self,
        request: Request<TailRequest>,
    ) -> Result<Response<Self::TailStream>, Status> {
        let first = request.into_inner().first_slot;
        self.tails.lock().unwrap().push(first);
        if let Some(refusal) = self.tail_refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        let (answers, stream) = mpsc::channel(64);
        let entries = vec![entry(first), entry(first + 1), entry(first + 1)];
        answers.send(Ok(ReadResponse { entries, read_below: 5 })).await.unwrap();
        answers.send(Err(Status::unavailable("broken on purpose"))).await.unwrap();
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}
