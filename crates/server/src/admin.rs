//! The admin port: metrics and health over plain HTTP, to be read and never written to.
//!
//! It answers from what the node's threads show and count, so it answers in any outage and asks
//! nothing of them. Whoever connects is a stranger: requests are bounded in size and in time, and
//! when there are too many connections the oldest one ends, so that those which only hold their
//! place hold nobody up.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use paxos::{Configuration, Phase2};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config::Config;
use crate::health::{self, Check, Signs};
use crate::metrics::{self, Disk, Exposed};
use crate::sight::Sight;
use crate::switches::Switches;
use crate::threads::Threads;

/// Connections at a time.
const CONNECTIONS_MAX: usize = 64;

/// A request's line and headers: the least that the HTTP library can be told.
const HEAD_BYTES_MAX: usize = 8192;

/// Header lines of a request.
const HEADERS_MAX: usize = 64;

/// From connecting to the end of the headers.
const HEAD_TIME_MAX: Duration = Duration::from_secs(2);

/// From connecting to the end of the answer.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(10);

/// After a connection that the system refused to give, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const PATHS: &str = "/metrics  /livez  /readyz  /startupz\n\
    The last three with ?verbose: every check, and not only those that fail.\n";

/// The port of one node. It closes when this is dropped.
pub struct Admin {
    address: SocketAddr,
    node: Arc<OnceLock<Watched>>,
    accepting: AbortHandle,
}

/// What there is to watch once a node has started.
pub struct Watched {
    config: Arc<Config>,
    configuration: Arc<Configuration>,
    switches: Arc<Switches>,
    disk: Option<Disk>,
    sights: watch::Receiver<Option<Sight>>,
    threads: Threads,
    begun: Instant,
    stopping: watch::Receiver<bool>,
    commit: &'static str,
}

/// What is counted, what the protocol thread shows, the threads, and what turns true when the node
/// stops.
pub type Shown = (Arc<Switches>, watch::Receiver<Option<Sight>>, Threads, watch::Receiver<bool>);

impl Admin {
    /// Answers from now on. Until a node is there, that it has not started.
    pub fn open(listener: TcpListener) -> io::Result<Admin> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let node = Arc::new(OnceLock::new());
        let desk = Arc::new(Desk { started: SystemTime::now(), node: node.clone() });
        let accepting = tokio::spawn(accept(listener, desk)).abort_handle();
        Ok(Admin { address, node, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A node has started.
    pub fn watch(&self, watched: Watched) {
        let is_first = self.node.set(watched).is_ok();
        assert!(is_first, "a port watches one node");
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: tokio::net::TcpListener, desk: Arc<Desk>) {
    let mut open = Connections(VecDeque::new());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => open.add(tokio::spawn(serve(stream, desk.clone())).abort_handle()),
            // Those that wait hold no descriptor of ours, so there is nothing to hurry for.
            Err(error) => {
                tracing::warn!(%error, "the admin port cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// The connections that are open, the oldest first. They end with this.
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn add(&mut self, connection: AbortHandle) {
        self.0.retain(|it| !it.is_finished());
        if self.0.len() >= CONNECTIONS_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection);
    }
}

impl Drop for Connections {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// One connection, one request.
async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let answer = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(&request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_MAX)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    // Whether the stranger was slow, gone or spoke something else is nobody's concern.
    let ended = tokio::time::timeout(CONNECTION_TIME_MAX, connection).await;
    drop(ended);
}

type Answer = Response<Full<Bytes>>;

struct Desk {
    started: SystemTime,
    node: Arc<OnceLock<Watched>>,
}

impl Desk {
    async fn answer(&self, request: &Request<Incoming>) -> Answer {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer =
                text(StatusCode::METHOD_NOT_ALLOWED, "this port is only read\n".into());
            answer.headers_mut().insert(ALLOW, const { HeaderValue::from_static("GET, HEAD") });
            return answer;
        }
        let is_verbose = request.uri().query().is_some_and(is_verbose);
        match (request.uri().path(), self.node.get()) {
            ("/metrics", Some(node)) => self.metrics(node).await,
            ("/livez", Some(node)) => {
                judged(&health::live(&node.signs(), Instant::now()), is_verbose)
            }
            ("/readyz", Some(node)) => {
                judged(&health::ready(&node.signs(), Instant::now()), is_verbose)
            }
            ("/startupz", Some(_)) => judged(&[started(true)], is_verbose),
            // What is read from the disk may take long; that is no reason to begin again.
            ("/livez", None) => judged(&[], is_verbose),
            ("/readyz" | "/startupz", None) => judged(&[started(false)], is_verbose),
            ("/metrics", None) => text(StatusCode::SERVICE_UNAVAILABLE, "starting\n".into()),
            ("/", _) => text(StatusCode::OK, PATHS.into()),
            _ => text(StatusCode::NOT_FOUND, format!("not here; there are {PATHS}")),
        }
    }

    async fn metrics(&self, node: &Watched) -> Answer {
        let space = match &node.disk {
            Some(disk) => disk.look().await,
            None => None,
        };
        let exposed = Exposed {
            config: &node.config,
            switches: &node.switches,
            sight: node.sights.borrow().clone(),
            commit: node.commit,
            started: self.started,
            space,
        };
        let mut answer = text(StatusCode::OK, metrics::expose(&exposed));
        let kind = const { HeaderValue::from_static(metrics::CONTENT_TYPE) };
        answer.headers_mut().insert(CONTENT_TYPE, kind);
        answer
    }
}

impl Watched {
    /// A node that was built from `commit`.
    pub fn new(
        config: Arc<Config>,
        configuration: Arc<Configuration>,
        (switches, sights, threads, stopping): Shown,
        commit: &'static str,
    ) -> Watched {
        let disk = config.data_dir.clone().map(Disk::new);
        let begun = Instant::now();
        Watched { config, configuration, switches, disk, sights, threads, begun, stopping, commit }
    }

    fn signs(&self) -> Signs {
        Signs {
            sight: self.sights.borrow().clone(),
            begun: self.begun,
            threads: self.threads.look(),
            is_stopping: *self.stopping.borrow(),
            roles: self.configuration.roles(self.config.id),
            phase2: self.configuration.quorum_size::<Phase2>(),
        }
    }
}

fn started(is_so: bool) -> Check {
    Check { name: "started", fault: (!is_so).then(|| "what is on the disk is being read".into()) }
}

/// The flag stands alone or has any value, as Kubernetes' own endpoints have it.
fn is_verbose(query: &str) -> bool {
    query.split('&').any(|word| word.split('=').next() == Some("verbose"))
}

fn judged(checks: &[Check], is_verbose: bool) -> Answer {
    let (is_well, words) = health::told(checks, is_verbose);
    text(if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, words)
}

fn text(status: StatusCode, words: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(words)));
    *answer.status_mut() = status;
    let kind = const { HeaderValue::from_static("text/plain; charset=utf-8") };
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
