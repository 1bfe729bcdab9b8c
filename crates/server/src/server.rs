//! One node in this process: start, stop, kill.
//!
//! ```text
//!   peers ---- network ----+                        +-- adversary -- network -- peers
//!                          +-- inbox -- protocol ---+
//!   clients ----- api -----+     thread             +-- journal thread --+-- adversary ...
//!                                                            disk
//! ```
//!
//! Beside them a snapshot thread keeps what the protocol thread froze, and gives away parts of it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use client::proto::chaos_server::ChaosServer;
use client::proto::cluster_server::ClusterServer;
use client::proto::log_server::LogServer;
use client::proto::snapshots_server::SnapshotsServer;
use node::History;
use paxos::{Announce, Ballot, ConfigurationError, Digest, HandOverRefusal, Limits, NodeId, Slot};
use thiserror::Error;
use tokio::sync::watch;

use crate::admin::{Admin, Watched};
use crate::api::Api;
use crate::api::access::{Access, Guard};
use crate::api::listener::listen;
use crate::api::save::Saves;
use crate::config::{Config, Transport};
use crate::counters::Counters;
use crate::data_dir::DataDirError;
use crate::inbox::{Inbox, Job, Status};
use crate::membership::configuration;
use crate::recovery;
use crate::runtime::{Parts, Runtime};
use crate::switches::Switches;
use crate::tls::TlsError;
use crate::transport::adversary::{Adversary, Faults};
use crate::transport::network::{Network, PeerSocket, open_tls};

/// How long streams and calls of clients may take to end after a stop.
const DRAIN_MAX: Duration = Duration::from_secs(1);

/// Calls of one client's connection at once, at most.
const STREAMS_MAX: u32 = 256;

/// What a request may say before it begins.
const HEADER_BYTES_MAX: u32 = 16 << 10;

/// How often a client must prove that it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What is decided when a node starts, beside its configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether clients may cause faults on purpose.
    pub dev: bool,
    /// The network's faults from the start.
    pub faults: Faults,
    /// Whom acceptors tell of their votes.
    pub announce: Announce,
    /// The protocol's bounds. How large a value may be is not decided here.
    pub limits: Limits,
    /// The journal's files.
    pub journal: journal::Options,
    /// Which commit this was built from, for the metrics; empty if that is not known.
    pub commit: &'static str,
}

/// The sockets of a node, bound before it starts.
#[derive(Debug)]
pub struct Sockets {
    /// Between nodes.
    pub peers: PeerSocket,
    /// For clients.
    pub clients: TcpListener,
    /// Metrics and health, where the configuration has a place for them.
    pub admin: Option<TcpListener>,
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration makes no cluster.
    #[error("the configuration makes no cluster: {0}")]
    Configuration(#[from] ConfigurationError),
    /// An address could not be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The node's certificates are not in order.
    #[error("the certificates of this node are not in order: {0}")]
    Tls(#[from] TlsError),
    /// The acceptor's directory cannot be used. It does not vote.
    #[error("this acceptor does not vote: {0}")]
    DataDir(#[from] DataDirError),
    /// The system gave no random bits or no thread.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
}

/// A node that runs.
pub struct Server {
    config: Arc<Config>,
    switches: Arc<Switches>,
    runtime: Runtime,
    stopping: watch::Sender<bool>,
    api: tokio::task::JoinHandle<()>,
    admin: Option<Admin>,
}

/// How a node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// As it was asked to.
    Stopped,
    /// Its disk failed. What it has said is on the disk; nothing else is certain.
    Disk(String),
    /// Two values claim one slot. Agreement is broken.
    Conflict(u64),
    /// Another node holds another history. Agreement is broken.
    Diverged {
        /// Who.
        from: NodeId,
        /// Both histories end before this slot.
        below: Slot,
        /// The digest of this node's.
        ours: Digest,
        /// The digest of the other's.
        theirs: Digest,
    },
    /// An assertion failed: our bug.
    Panicked,
}

impl Sockets {
    /// Binds the addresses of a configuration's own node.
    pub fn bind(config: &Config) -> Result<Sockets, StartError> {
        let own = config.own();
        let (peers, clients) = (config.listens_at(own.peers), config.listens_at(own.clients));
        let failed = |address: SocketAddr| move |source| StartError::Listen { address, source };
        Ok(Sockets {
            peers: PeerSocket::bind(&config.transport, peers).map_err(failed(peers))?,
            clients: TcpListener::bind(clients).map_err(failed(clients))?,
            admin: match config.admin {
                Some(admin) => Some(TcpListener::bind(admin).map_err(failed(admin))?),
                None => None,
            },
        })
    }
}

impl Server {
    /// Starts a node. Everything that can be wrong is found before anything is sent.
    ///
    /// Must be called within a tokio runtime: the client API runs on it.
    pub fn start(config: Config, sockets: Sockets, options: Options) -> Result<Server, StartError> {
        let origin = Instant::now();
        // First: to read what is on the disk may take long, and somebody may ask how it goes.
        let admin = sockets.admin.map(Admin::open).transpose()?;
        let config = Arc::new(config);
        let configuration = Arc::new(configuration(&config)?);
        let (me, own) = (config.id, config.own().clone());
        let tls = open_tls(&config)?;
        let recovered = recovery::recover(&config, &configuration, &options, origin, &mut 0)?;
        let snapshot = recovered.snapshot;
        let ready = origin.elapsed();

        let counters = Arc::new(Counters::default());
        let (inbox, jobs) = Inbox::new();
        let network = Arc::new(Network::new(&config, sockets.peers, tls)?);
        let adversary = Arc::new(Adversary::new(network.clone(), options.faults)?);
        let failed = Arc::new(AtomicBool::new(false));
        let runtime = Runtime::start(Parts {
            member: (me, configuration.clone()),
            recovered,
            like: History::within(config.storage.history_bytes),
            inbox: (inbox.clone(), jobs),
            outbound: adversary.clone(),
            counters: counters.clone(),
            events: None,
            failed: failed.clone(),
            origin,
        })?;

        let switches =
            Arc::new(Switches { dev: options.dev, failed, adversary, network, counters });
        let (stopping, stopping_seen) = watch::channel(false);
        let api = Api {
            inbox: inbox.clone(),
            config: config.clone(),
            applied: runtime.applied(),
            switches: switches.clone(),
            origin,
            stopping: stopping_seen.clone(),
        };
        switches.network.renew(stopping_seen.clone());
        let api = serve(api, sockets.clients, stopping_seen.clone())?;

        let heard = switches.adversary.clone();
        let into = inbox;
        // Last: from here on the listener holds on to everything, until it is stopped.
        switches.network.listen(move |from, bytes| {
            // A cut link is silent; that is no reason to count a full inbox.
            !heard.hears(from) || into.offer(Job::Message { from, bytes }).is_ok()
        })?;
        if let Some(admin) = &admin {
            let shown = (switches.clone(), runtime.sights(), runtime.threads(), stopping_seen);
            admin.watch(Watched::new(config.clone(), configuration, shown, options.commit));
        }
        let (peers, clients) = (own.peers, own.clients);
        tracing::info!(node = me.0, %peers, %clients, %snapshot, ?ready, "started");
        Ok(Server { config, switches, runtime, stopping, api, admin })
    }

    /// The node's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Where it tells metrics and health, if it does.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// What can be changed while it runs.
    pub fn switches(&self) -> &Switches {
        &self.switches
    }

    /// Looks for new certificates now, as it does by itself every few seconds. Says whether there
    /// were any; false for a node that has none at all. Reads files: not for asynchronous code.
    ///
    /// # Errors
    /// If they are not in order. Those that were in force stay so.
    pub fn reload(&self) -> Result<bool, TlsError> {
        self.switches.network.tls().map_or(Ok(false), |tls| tls.reload())
    }

    /// What it sees of itself; none once it has ended.
    pub async fn status(&self) -> Option<Status> {
        self.runtime.status().await
    }

    /// Whether it has ended by itself: its disk failed, or agreement is broken.
    pub fn has_ended(&self) -> bool {
        self.runtime.has_ended()
    }

    /// Stops in order: what was asked before is done, and what was written is synced, unless the
    /// disk is full.
    pub async fn stop(self) -> End {
        self.runtime.ask_to_stop().await;
        self.end().await
    }

    /// Stops and lets the cluster go on: another node leads first, then what is under way is
    /// answered, then it stops as [`Server::stop`] does. Once `patience` is over it stops all the
    /// same.
    pub async fn leave(self, patience: Duration) -> End {
        self.runtime.leave(patience).await;
        self.stop().await
    }

    /// Has another node lead, and says at which ballot it does, or why it does not. None if this
    /// node has ended or is overloaded.
    pub async fn hand_over(&self, to: Option<NodeId>) -> Option<Result<Ballot, HandOverRefusal>> {
        self.runtime.hand_over(to).await
    }

    /// Ends at once, as a crash would: nothing more is written, synced or sent.
    pub async fn kill(self) -> End {
        self.runtime.kill();
        self.switches.set_failed(true);
        self.end().await
    }

    async fn end(self) -> End {
        self.stopping.send_replace(true);
        let Server { runtime, switches, api, .. } = self;
        let joined = tokio::task::spawn_blocking(move || {
            let end = runtime.join();
            switches.network.stop();
            switches.adversary.stop();
            end
        });
        let abort = api.abort_handle();
        if tokio::time::timeout(DRAIN_MAX, api).await.is_err() {
            abort.abort();
        }
        joined.await.unwrap_or(End::Panicked)
    }
}

fn serve(
    api: Api,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<tokio::task::JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let counters = api.switches.counters.clone();
    let tls = api.switches.network.tls().cloned();
    let incoming = listen(tokio::net::TcpListener::from_std(listener)?, tls, counters.clone());
    let access = match &api.config.transport {
        Transport::Tls(_) => Access::Granted(api.config.clients[..].into()),
        Transport::PlaintextTcp | Transport::PlaintextUdp => Access::Open,
    };
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .layer(Guard { access, counters })
        .add_service(LogServer::new(api.clone()))
        .add_service(ClusterServer::new(api.clone()))
        .add_service(SnapshotsServer::new(Saves::new(api.clone())))
        .add_service(ChaosServer::new(api))
        .serve_with_incoming_shutdown(incoming, async move {
            // An error says that the server is gone, which is as good as a word.
            stopping.wait_for(|stopping| *stopping).await.ok();
        });
    Ok(tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the client API ended");
        }
    }))
}

pub(crate) fn random() -> io::Result<u64> {
    getrandom::u64().map_err(io::Error::other)
}
