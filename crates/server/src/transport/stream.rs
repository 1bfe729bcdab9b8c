//! TCP, plain or under TLS: one ordered stream for each direction between two nodes.
//!
//! A node dials each peer and sends on that stream alone; what it hears comes on streams that peers
//! have dialled. So nobody has to agree which of two connections counts, and a stream that is deaf
//! is noticed by the one who needs it. Messages wait in a bounded queue a peer and leave together,
//! as many as wait, in one write. A stream that breaks costs what was under way, as a network
//! would: the protocol sends again what matters.
//!
//! ```text
//!   send --> queue of a peer --> dialler ====== hello, messages =====> listener --> deliver
//!                                        <=========== pulses =========
//! ```
//!
//! | file | decides |
//! |---|---|
//! | `queue` | what waits for one peer |
//! | `dialler` | when a peer is dialled, and what is said there |
//! | `listener` | who may come in, and what is heard |
//! | `lobby` | how many may be inside who have not proved who they are |
//! | `cause` | why connections are refused and end: names, counts, log lines |
//!
//! It runs on the runtime that the server has; `send` only fills a queue and never waits.

mod cause;
mod dialler;
mod listener;
mod lobby;
mod queue;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use paxos::NodeId;
use tokio::runtime::Handle;
use tokio::sync::watch;

pub use cause::Cause;
use cause::Causes;
pub use lobby::{STRANGERS_MAX, STRANGERS_OF_ONE_SOURCE_MAX};
use queue::Queue;
pub use queue::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};

use super::frame::Hello;
use super::secure::Security;
use super::{ClusterId, MESSAGE_BYTES_MAX, Outbound};
use crate::tls::Tls;

/// How long TCP may take to reach a peer. A lost first packet is sent again sooner so than by the
/// system, which waits a second.
pub const CONNECT_MAX: Duration = Duration::from_millis(500);

/// How long a new connection may take to prove who it is, and that to be taken.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// How often the accepting side says that it is there.
pub const PULSE_INTERVAL: Duration = Duration::from_millis(250);

/// Without a pulse for so long, and where a write makes no progress for so long, a stream is given
/// up and its peer is dialled anew.
pub const SILENCE_MAX: Duration = Duration::from_millis(1500);

/// Who has nothing to send says so after this time, by an empty message.
pub const KEEP_ALIVE: Duration = Duration::from_millis(500);

/// Without a byte for so long the accepting side ends a stream.
pub const IDLE_MAX: Duration = Duration::from_secs(3);

/// The first pause before a peer is dialled again; each further one is twice as long.
pub const PAUSE_MIN: Duration = Duration::from_millis(20);

/// The longest pause. Each is shortened by up to a half, at random.
pub const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long a stop waits for the tasks.
const STOP_MAX: Duration = Duration::from_secs(5);

/// One node's way to its peers, and theirs to it.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    runtime: Handle,
    /// None once it listens, or was stopped.
    listener: Mutex<Option<TcpListener>>,
    stopping: watch::Sender<bool>,
    /// Ends with the last task.
    tasks: Mutex<Option<mpsc::Receiver<()>>>,
}

/// What the tasks share with those that send. It owns no task.
#[derive(Debug)]
struct Shared {
    me: NodeId,
    cluster: ClusterId,
    security: Security,
    peers: BTreeMap<NodeId, Peer>,
    is_stopped: AtomicBool,
    counters: Counters,
}

/// One peer.
#[derive(Debug)]
struct Peer {
    address: SocketAddr,
    queue: Queue,
    /// It has just come here, so it is worth a try to go there.
    seen: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct Counters {
    bytes_sent: AtomicU64,
    writes: AtomicU64,
    bytes_received: AtomicU64,
    messages_received: AtomicU64,
    /// Messages for which the receiver of messages had no room.
    dropped_full: AtomicU64,
    /// Messages for which a peer's queue had no room.
    dropped_queue: AtomicU64,
    /// Messages that waited for a peer that could not be reached.
    dropped_unreachable: AtomicU64,
    /// Messages that are empty or too large.
    left_out: AtomicU64,
    /// Messages to nodes without an address.
    unknown_peer: AtomicU64,
    /// Messages that came after the stop.
    sent_after_stop: AtomicU64,
    /// Streams that peers took.
    dialled: AtomicU64,
    /// Connections that came in.
    connections: AtomicU64,
    /// Those of them that proved to be a peer's.
    accepted: AtomicU64,
    accept_errors: AtomicU64,
    dial_failed: Causes,
    refused: Causes,
    lost: Causes,
    ended: Causes,
}

impl Stream {
    /// Takes a bound socket and the addresses of all other members. Nothing is dialled and nothing
    /// accepted before [`Stream::listen`].
    ///
    /// # Panics
    /// If `me` is among `peers`, and outside of a tokio runtime.
    pub fn new(
        me: NodeId,
        cluster: ClusterId,
        security: Security,
        listener: TcpListener,
        peers: BTreeMap<NodeId, SocketAddr>,
    ) -> io::Result<Stream> {
        assert!(!peers.contains_key(&me));
        listener.set_nonblocking(true)?;
        let seal = security.seal();
        let peer = |(id, address)| {
            (id, Peer { address, queue: Queue::new(seal), seen: tokio::sync::Notify::new() })
        };
        let shared = Shared {
            me,
            cluster,
            security,
            peers: peers.into_iter().map(peer).collect(),
            is_stopped: AtomicBool::new(false),
            counters: Counters::default(),
        };
        Ok(Stream {
            shared: Arc::new(shared),
            runtime: Handle::current(),
            listener: Mutex::new(Some(listener)),
            stopping: watch::channel(false).0,
            tasks: Mutex::new(None),
        })
    }

    /// Starts to dial and to accept, and gives `deliver` each message and its sender. `deliver`
    /// must not wait; it answers false if it has no room, which drops the message.
    ///
    /// `deliver` is dropped by [`Stream::stop`]. If it owns this `Stream`, however indirectly,
    /// nothing else does.
    ///
    /// # Errors
    /// If it is stopped or listens already, or if the runtime does not take the socket.
    pub fn listen(
        &self,
        deliver: impl Fn(NodeId, Vec<u8>) -> bool + Send + Sync + 'static,
    ) -> io::Result<()> {
        let Some(listener) = lock(&self.listener).take() else {
            let why = "the transport listens already, or is stopped";
            return Err(io::Error::new(ErrorKind::AlreadyExists, why));
        };
        let _runtime = self.runtime.enter();
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (alive, tasks) = mpsc::channel();
        *lock(&self.tasks) = Some(tasks);
        let task = |alive: &mpsc::Sender<()>| Task {
            shared: self.shared.clone(),
            stopping: self.stopping.subscribe(),
            _alive: alive.clone(),
        };
        for peer in self.shared.peers.keys() {
            tokio::spawn(dialler::run(task(&alive), *peer));
        }
        tokio::spawn(listener::run(task(&alive), listener, Arc::new(deliver)));
        Ok(())
    }

    /// Ends all tasks, waits for them and closes the socket. Later sends are dropped and counted.
    /// To call it again does nothing. Not for asynchronous code: it blocks.
    pub fn stop(&self) {
        self.signal();
        let tasks = lock(&self.tasks).take();
        // Nothing is ever sent: it ends when the last task has gone.
        let ended = tasks.map(|tasks| tasks.recv_timeout(STOP_MAX));
        if ended == Some(Err(mpsc::RecvTimeoutError::Timeout)) {
            tracing::error!(node = self.shared.me.0, "streams to peers did not end");
        }
    }

    fn signal(&self) {
        self.shared.is_stopped.store(true, Ordering::Relaxed);
        drop(lock(&self.listener).take());
        self.stopping.send_replace(true);
    }

    /// The certificates, if there are any.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.shared.security.tls()
    }

    /// What was counted since the start, by name. Causes appear once they have been counted.
    pub fn counters(&self) -> Vec<(String, u64)> {
        self.shared.counters.all()
    }
}

impl Outbound for Stream {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        let Shared { peers, is_stopped, counters, .. } = &*self.shared;
        let Some(peer) = peers.get(&to) else {
            return add(&counters.unknown_peer, messages.len());
        };
        if is_stopped.load(Ordering::Relaxed) {
            return add(&counters.sent_after_stop, messages.len());
        }
        let fits = |message: &&[u8]| !message.is_empty() && message.len() <= MESSAGE_BYTES_MAX;
        let left_out = messages.iter().filter(|message| !fits(message)).count();
        let dropped = peer.queue.push(messages.iter().copied().filter(|message| fits(message)));
        add(&counters.left_out, left_out);
        add(&counters.dropped_queue, dropped);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.signal();
    }
}

/// What each task owns.
#[derive(Clone, Debug)]
struct Task {
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
    /// Dropped with the task: so it is seen that all have ended.
    _alive: mpsc::Sender<()>,
}

impl Task {
    /// Returns once all is to end.
    async fn stopped(&mut self) {
        // An error says that the transport is gone, which is as good as a word.
        self.stopping.wait_for(|stopping| *stopping).await.ok();
    }
}

impl Shared {
    fn hello(&self, to: NodeId) -> Hello {
        Hello { cluster: self.cluster, from: self.me, to }
    }

    /// Returns once a connection with this proof would not be made any more.
    async fn withdrawn(&self, proof: &super::secure::Proof) {
        match self.security.tls() {
            Some(tls) => tls.while_trusted(|material| proof.is_good_for(material)).await,
            None => std::future::pending().await,
        }
    }
}

impl Counters {
    fn all(&self) -> Vec<(String, u64)> {
        let named = [
            ("bytes_sent", &self.bytes_sent),
            ("writes", &self.writes),
            ("bytes_received", &self.bytes_received),
            ("messages_received", &self.messages_received),
            ("dropped_full", &self.dropped_full),
            ("dropped_queue", &self.dropped_queue),
            ("dropped_unreachable", &self.dropped_unreachable),
            ("left_out", &self.left_out),
            ("unknown_peer", &self.unknown_peer),
            ("sent_after_stop", &self.sent_after_stop),
            ("dialled", &self.dialled),
            ("connections", &self.connections),
            ("accepted", &self.accepted),
            ("accept_errors", &self.accept_errors),
        ];
        let named = named.map(|(name, count)| (name.to_owned(), count.load(Ordering::Relaxed)));
        let causes = [
            ("dial_failed", &self.dial_failed),
            ("refused", &self.refused),
            ("lost", &self.lost),
            ("ended", &self.ended),
        ];
        let counted = |(what, causes): (&'static str, &Causes)| {
            let all = causes.counted().into_iter();
            all.map(move |(cause, count)| (format!("{what}_{}", cause.name()), count))
        };
        named.into_iter().chain(causes.into_iter().flat_map(counted)).collect()
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// A panic of another holder leaves nothing half done here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
