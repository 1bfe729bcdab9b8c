//! What a user calls: append, read, tail, status, and faults on purpose.
//!
//! A [`Client`] is a handle; clones share one window, one session and one stream. Reads and node
//! calls have connections of their own, because they are addressed to other nodes and must not wait
//! behind a burst of appends; those of reads are kept, one a node.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_stream::Stream;
use tonic::{Response, Status};

use crate::appender::Appender;
use crate::connection::{self, Connection, Dialler};
use crate::credentials::Credentials;
use crate::endpoints::Endpoints;
use crate::error::{AppendError, CallError, OptionsError};
use crate::follow;
use crate::position::Position;
use crate::proto::chaos_client::ChaosClient;
use crate::proto::cluster_client::ClusterClient;
use crate::proto::{
    Entry, FailRequest, NetworkRequest, NetworkResponse, ReadRequest, RecoverRequest,
    StatusRequest, StatusResponse, TransferLeaderRequest, TransferLeaderResponse,
};
use crate::read::{self, Consistency, Entries};
use crate::save::{self, Saving};
use crate::session::Session;
use crate::window::Call;

/// How a client behaves. `..Options::new(endpoints)` fills in the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// `host:port` of nodes, at least one. Each is as good as the other; leaders are found.
    pub endpoints: Vec<String>,
    /// For an append as a whole: waiting for the window, sending, sending again, the answer. For
    /// other calls: from the call to the answer, or to the first bytes of one.
    pub timeout: Duration,
    /// Appends that may be unanswered at once, from 1 to [`Options::WINDOW_MAX`]. More wait.
    pub window: usize,
    /// A session of which nothing was heard for so long expires, in the cluster's time, which
    /// stands still while nobody leads. From [`Options::LIFETIME_MIN`] to
    /// [`Options::LIFETIME_MAX`]. A client that lives and reaches the cluster keeps its session
    /// alive; this is how long it may be cut off, suspended or stopped in a debugger.
    pub lifetime: Duration,
    /// Who the client is, where nodes are not for everybody. None: connections are plaintext.
    pub credentials: Option<Credentials>,
}

impl Options {
    /// The largest window.
    pub const WINDOW_MAX: usize = 1 << 16;

    /// The shortest lifetime of a session.
    pub const LIFETIME_MIN: Duration = Duration::from_secs(1);

    /// The longest lifetime of a session.
    pub const LIFETIME_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

    /// These endpoints, 10 s, a window of 1024, a session that lives for an hour, no credentials.
    pub fn new(endpoints: Vec<String>) -> Options {
        let (timeout, lifetime) = (Duration::from_secs(10), Duration::from_secs(3600));
        Options { endpoints, timeout, window: 1024, lifetime, credentials: None }
    }
}

/// Where a value stands in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Appended {
    /// Its slot. Also its fencing token: slots only grow, so whoever guards a resource and
    /// remembers the highest slot that it has acted on can turn away an effect that comes too late.
    pub slot: u64,
    /// The client's session: the slot in which it was opened.
    pub session: u64,
    /// Its number within the session.
    pub sequence: u64,
}

/// A handle on a client. Cheap to clone; all clones share one stream of appends.
#[derive(Clone, Debug)]
pub struct Client {
    calls: mpsc::UnboundedSender<Call>,
    window: Arc<Semaphore>,
    window_max: usize,
    endpoints: Endpoints,
    /// The same, beginning with the one that has answered a read.
    readable: Arc<Mutex<Endpoints>>,
    timeout: Duration,
    position: Position,
    /// Counted by the task that appends.
    sent_again: Arc<AtomicU64>,
    /// Ends with the task that appends.
    ended: watch::Receiver<()>,
}

impl Client {
    /// A client that has not connected to anything yet.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers and I/O.
    pub fn new(options: Options) -> Result<Client, OptionsError> {
        let Options { endpoints, timeout, window, lifetime, credentials } = options;
        if endpoints.is_empty() {
            return Err(OptionsError::NoEndpoint);
        }
        if let Some(bad) = endpoints.iter().find(|e| connection::endpoint(e).is_none()) {
            return Err(OptionsError::BadEndpoint { endpoint: bad.clone() });
        }
        if !(1..=Options::WINDOW_MAX).contains(&window) {
            return Err(OptionsError::BadWindow { window, max: Options::WINDOW_MAX });
        }
        let (min, max) = (Options::LIFETIME_MIN, Options::LIFETIME_MAX);
        if !(min..=max).contains(&lifetime) {
            return Err(OptionsError::BadLifetime { lifetime, min, max });
        }
        let no_randomness =
            |error: getrandom::Error| OptionsError::NoRandomness { reason: error.to_string() };
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(no_randomness)?;
        let dialler = Dialler::new(credentials.as_ref())?;
        let seed = getrandom::u64().map_err(no_randomness)?;
        let endpoints = Endpoints::new(endpoints, seed, dialler);
        let (calls, receiver) = mpsc::unbounded_channel();
        // A quarter: time enough for a slow decision, and for three more nodes to be asked.
        let silence_max = timeout / 4;
        let session = Session::new(Bytes::copy_from_slice(&nonce), lifetime);
        let sent_again = Arc::new(AtomicU64::new(0));
        let own = sent_again.clone();
        let appender = Appender::new(session, receiver, endpoints.clone(), silence_max, own);
        let (running, ended) = watch::channel(());
        tokio::spawn(async move {
            appender.run().await;
            drop(running);
        });
        let places = Arc::new(Semaphore::new(window));
        let position = Position::default();
        let readable = Arc::new(Mutex::new(endpoints.clone()));
        Ok(Client {
            calls,
            window: places,
            window_max: window,
            endpoints,
            readable,
            timeout,
            position,
            sent_again,
            ended,
        })
    }

    /// Gives this handle back. If it is the last one, waits until everything is answered and the
    /// session is closed, as far as that works within the time-out; a session that was not closed
    /// expires. Dropping the last handle closes the session as well, if the runtime goes on for
    /// long enough.
    pub async fn close(self) {
        let Client { calls, mut ended, timeout, .. } = self;
        drop(calls);
        // Nothing is ever sent: the channel ends with the task.
        let ended = tokio::time::timeout(timeout, ended.changed()).await;
        drop(ended);
    }

    /// Appends a value: it is applied at most once, and the answer is its slot.
    ///
    /// The first append opens the client's session; nothing else is sent before it is open.
    ///
    /// Waits while the window is full. Numbers are given in the order in which the window lets
    /// appends in, which is the order of the first polls. Appends that are unanswered at the same
    /// time may be applied in another order, as after a fault they may be sent again; to order two
    /// values, await the first.
    ///
    /// Dropping the future does not take a value back: once it has a number it is sent, and sent
    /// again, until it is answered or its time runs out.
    pub async fn append(&self, value: impl Into<Bytes>) -> Result<Appended, AppendError> {
        let value = value.into();
        if value.len() > crate::VALUE_BYTES_MAX {
            let bytes_max = crate::VALUE_BYTES_MAX;
            return Err(AppendError::TooLarge { bytes: value.len(), bytes_max });
        }
        let started = Instant::now();
        let deadline = started + self.timeout;
        let place = Arc::clone(&self.window).acquire_owned();
        let Ok(place) = timeout_at(deadline, place).await else {
            let reason = format!("{} earlier appends are unanswered", self.window_max);
            return Err(AppendError::NotProposed { reason, after: started.elapsed() });
        };
        let place = place.expect("nobody closes the semaphore");
        let (answer, answered) = oneshot::channel();
        let call = Call { value, started, deadline, answer, place };
        self.calls.send(call).map_err(|_| AppendError::Closed)?;
        let appended = answered.await.unwrap_or(Err(AppendError::Closed))?;
        self.position.saw_below(appended.slot.saturating_add(1));
        Ok(appended)
    }

    /// The values from slot `first` to `end` (exclusive; `None`: all that there is), at most
    /// `limit` of them (0: no limit), in order, of a state that shows as much as `consistency`
    /// says.
    ///
    /// Any endpoint may serve it: the next one is asked while one is gone, busy, cut off or keeps
    /// no history, until the time runs out. Then the most telling error is given back.
    pub async fn read(
        &self,
        consistency: Consistency,
        first: u64,
        end: Option<u64>,
        limit: u64,
    ) -> Result<Entries, CallError> {
        // Zero means "no end" on the wire, so an end at zero is sent as another empty range.
        let (first_slot, end_slot) = match end {
            Some(0) => (first.max(1), 1),
            end => (first, end.unwrap_or(0)),
        };
        let consistency = Some(consistency.into());
        let request = ReadRequest { first_slot, end_slot, limit, consistency };
        read::read(&self.readable, self.timeout, self.position.clone(), request).await
    }

    /// One past the highest slot that this client and its clones know of: of their own values that
    /// were answered, and of what they have read. A read of any node with
    /// `Consistency::Sequential { at_least: client.position() }` shows all that, and is cheaper
    /// than a linearizable one. Handed to another client, it lets that one see as much.
    pub fn position(&self) -> u64 {
        self.position.get()
    }

    /// How often this client and its clones sent a value again, because its answer was lost from
    /// sight or a node declined it for the time being. Where this grows, leaders change or nodes
    /// are full.
    pub fn sent_again(&self) -> u64 {
        self.sent_again.load(Ordering::Relaxed)
    }

    /// The values from slot `first` on, in order, as they are chosen, each once.
    ///
    /// Has no end: a broken stream is opened again, at this node or another, after the last slot
    /// that was seen. An error is the last item, and one that asking again would not cure.
    pub fn tail(
        &self,
        first: u64,
    ) -> impl Stream<Item = Result<Entry, CallError>> + Send + Unpin + use<> {
        follow::tail(self.endpoints.clone(), self.timeout, self.position.clone(), first)
    }

    /// The whole state of a node, part by part: everything that was chosen before this call, or, if
    /// `is_local`, what the first node that answers knows, as for a look in an outage.
    ///
    /// Any endpoint may give it, as for a read.
    pub async fn save(&self, is_local: bool) -> Result<Saving, CallError> {
        let endpoints = self.readable.lock().unwrap_or_else(PoisonError::into_inner).clone();
        save::save(endpoints, self.timeout, is_local).await
    }

    /// What the node at `endpoint` sees.
    pub async fn status(&self, endpoint: &str) -> Result<StatusResponse, CallError> {
        let ask = async |channel| ClusterClient::new(channel).status(StatusRequest {}).await;
        self.call(endpoint, ask).await
    }

    /// Has another node lead in the place of the one at `endpoint`, which must lead: node `to`, or
    /// whichever could. Returns once it does.
    pub async fn transfer_leader(
        &self,
        endpoint: &str,
        to: Option<u32>,
    ) -> Result<TransferLeaderResponse, CallError> {
        let request = TransferLeaderRequest { to: to.unwrap_or_default() };
        let ask = async |channel| ClusterClient::new(channel).transfer_leader(request).await;
        self.call(endpoint, ask).await
    }

    /// The node neither hears nor speaks to its peers until it recovers. Needs a node in dev mode.
    pub async fn fail(&self, endpoint: &str) -> Result<(), CallError> {
        let ask = async |channel| ChaosClient::new(channel).fail(FailRequest {}).await;
        self.call(endpoint, ask).await.map(|_| ())
    }

    /// Ends what [`Client::fail`] began.
    pub async fn recover(&self, endpoint: &str) -> Result<(), CallError> {
        let ask = async |channel| ChaosClient::new(channel).recover(RecoverRequest {}).await;
        self.call(endpoint, ask).await.map(|_| ())
    }

    /// Replaces the faults on what the node sends to its peers. Needs a node in dev mode.
    pub async fn network(
        &self,
        endpoint: &str,
        faults: NetworkRequest,
    ) -> Result<NetworkResponse, CallError> {
        let ask = async |channel| ChaosClient::new(channel).network(faults).await;
        self.call(endpoint, ask).await
    }

    /// One question to one node, within the time.
    async fn call<T>(
        &self,
        endpoint: &str,
        ask: impl AsyncFnOnce(Connection) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        let answer = async {
            let channel = self.endpoints.dialler().connect(endpoint).await?;
            ask(channel).await.map_err(|status| CallError::failed(endpoint, &status))
        };
        match timeout(self.timeout, answer).await {
            Ok(answer) => answer.map(Response::into_inner),
            Err(_) => Err(CallError::Unreachable {
                endpoint: endpoint.to_owned(),
                reason: format!("no answer within {:?}", self.timeout),
            }),
        }
    }
}
