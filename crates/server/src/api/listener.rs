//! The clients' listener: how many may come in, and how long they may take to ask for something.
//!
//! Nothing here is trusted: who connects and says nothing, or says it slowly, or is silent in the
//! midst of a handshake, is let go. See [`Strangers`] for how a crowd of them is kept from being in
//! the way of others.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::either::Either;
use tonic::transport::server::Connected;

use super::strangers::{Standing, Strangers};
use crate::counters::Counters;
use crate::tls::{Identity, Tls};

/// How many may come in.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Connections at once, at most: known ones, and strangers.
    connections: usize,
    /// Strangers among them, at most. As many clients may start at the same moment.
    strangers: usize,
}

const BOUNDS: Bounds = Bounds { connections: 2048, strangers: 512 };

/// So long after it was opened a connection must have asked for something that it may have.
const STRANGE_MAX: Duration = Duration::from_secs(5);

/// After a failed accept: most likely the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// HTTP/2, in a handshake's words.
const PROTOCOL: &[u8] = b"h2";

/// Connections that wait to be served.
const WAITING_MAX: usize = 64;

/// Whose connection it is, as far as its requests can tell.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What its certificate names it; none if it has shown none.
    pub certified: Option<Arc<str>>,
    /// To be told once it is known.
    pub standing: Arc<Standing>,
}

/// In plain text, or not.
type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A client's connection.
pub struct Connection {
    stream: Stream,
    caller: Caller,
    /// Returns when a stranger has to go; none once it is known, or had to.
    strange: Option<Pin<Box<Time>>>,
    /// Returns when its certificate does not count any more; none without one.
    withdrawn: Option<Pin<Box<Time>>>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

/// Until somebody has to go.
type Time = dyn Future<Output = ()> + Send;

/// Takes connections until the stream that it gives back is dropped. With `tls` each begins with a
/// handshake, in which a client may show a certificate.
pub fn listen(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    counters: Arc<Counters>,
) -> ReceiverStream<io::Result<Connection>> {
    listen_within(BOUNDS, listener, tls, counters)
}

fn listen_within(
    bounds: Bounds,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    counters: Arc<Counters>,
) -> ReceiverStream<io::Result<Connection>> {
    let (out, incoming) = mpsc::channel(WAITING_MAX);
    tokio::spawn(async move {
        tokio::select! {
            () = out.closed() => {}
            () = accept(bounds, &listener, tls.as_ref(), &counters, &out) => {}
        }
    });
    ReceiverStream::new(incoming)
}

async fn accept(
    bounds: Bounds,
    listener: &TcpListener,
    tls: Option<&Arc<Tls>>,
    counters: &Arc<Counters>,
    out: &mpsc::Sender<io::Result<Connection>>,
) {
    let places = Arc::new(Semaphore::new(bounds.connections));
    let strangers = Strangers::default();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            counters.count("clients_not_accepted");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counters.count("clients_refused_full");
            continue;
        };
        let (standing, evicts) = strangers.admit(bounds.strangers);
        if evicts {
            counters.count("clients_evicted");
        }
        // Answers are small and many: none of them may wait for a larger packet to fill.
        if stream.set_nodelay(true).is_err() {
            continue; // It is gone already.
        }
        let strange = Box::pin(strange(standing.clone(), counters.clone()));
        let newcomer = Newcomer { stream, standing, strange, place };
        let connection = match tls {
            None => newcomer.in_plain_text(),
            Some(tls) => {
                // As many of these wait as there are strangers.
                let (tls, counters, out) = (tls.clone(), counters.clone(), out.clone());
                tokio::spawn(async move {
                    if let Some(connection) = newcomer.secured(&tls, &counters).await {
                        // An error says that nobody serves any more.
                        out.send(Ok(connection)).await.ok();
                    }
                });
                continue;
            }
        };
        if out.send(Ok(connection)).await.is_err() {
            return;
        }
    }
}

/// A connection of which nothing is known yet.
struct Newcomer {
    stream: TcpStream,
    standing: Arc<Standing>,
    strange: Pin<Box<Time>>,
    place: OwnedSemaphorePermit,
}

impl Newcomer {
    fn in_plain_text(self) -> Connection {
        let Newcomer { stream, standing, strange, place } = self;
        let caller = Caller { certified: None, standing };
        let stream = Either::Left(stream);
        let strange = Some(strange);
        Connection { stream, caller, strange, withdrawn: None, is_over: false, _place: place }
    }

    /// None if the handshake fails or takes too long; that is counted.
    async fn secured(self, tls: &Arc<Tls>, counters: &Arc<Counters>) -> Option<Connection> {
        let Newcomer { stream, standing, mut strange, place } = self;
        let config = tls.material().accepting_strangers(&[PROTOCOL]);
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = tokio::select! {
            shaken = handshake => shaken,
            () = &mut strange => return None,
        };
        let Ok(stream) = stream else {
            counters.count("clients_refused_handshake");
            return None;
        };
        let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certified = match shown.first().map(|own| Identity::of(own, tls.cluster())) {
            None => None,
            Some(Some(Identity::Client(name))) => Some(name.into()),
            Some(_) => {
                // A node's, or another cluster's: nobody is whom it names here.
                counters.count("clients_refused_certificate");
                return None;
            }
        };
        let chain: Vec<_> = shown.iter().cloned().map(CertificateDer::into_owned).collect();
        let withdrawn = (!chain.is_empty()).then(|| -> Pin<Box<Time>> {
            Box::pin(withdrawn(tls.clone(), chain, counters.clone()))
        });
        let caller = Caller { certified, standing };
        let (stream, strange) = (Either::Right(Box::new(stream)), Some(strange));
        Some(Connection { stream, caller, strange, withdrawn, is_over: false, _place: place })
    }
}

async fn withdrawn(tls: Arc<Tls>, chain: Vec<CertificateDer<'static>>, counters: Arc<Counters>) {
    tls.while_trusted(|material| material.trusts_dialler(&chain).is_ok()).await;
    counters.count("clients_withdrawn");
}

async fn strange(standing: Arc<Standing>, counters: Arc<Counters>) {
    let deadline = Instant::now() + STRANGE_MAX;
    tokio::select! {
        () = standing.evicted() => {}
        () = sleep_until(deadline) => {
            if !standing.is_known() {
                counters.count("clients_refused_slow");
            }
        }
    }
}

impl Connection {
    fn must_go(&mut self, cx: &mut Context<'_>) -> bool {
        if self.is_over {
            return true;
        }
        let mut is_due = |time: &mut Option<Pin<Box<Time>>>| {
            time.as_mut().is_some_and(|time| time.as_mut().poll(cx).is_ready())
        };
        let is_withdrawn = is_due(&mut self.withdrawn);
        let is_late = is_due(&mut self.strange);
        let is_known = self.caller.standing.is_known();
        if is_known {
            self.strange = None;
        }
        self.is_over = is_withdrawn || (is_late && !is_known);
        self.is_over
    }
}

impl Connected for Connection {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.must_go(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;

    const FEW: Bounds = Bounds { connections: 20, strangers: 8 };

    struct Listening {
        address: SocketAddr,
        incoming: ReceiverStream<io::Result<Connection>>,
        counters: Arc<Counters>,
    }

    async fn listening() -> Listening {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let counters = Arc::new(Counters::default());
        Listening {
            address,
            incoming: listen_within(FEW, listener, None, counters.clone()),
            counters,
        }
    }

    impl Listening {
        async fn connected(&mut self) -> (TcpStream, Connection) {
            let client = TcpStream::connect(self.address).await.unwrap();
            (client, self.incoming.next().await.unwrap().unwrap())
        }

        fn count(&self, name: &str) -> u64 {
            self.counters.all().get(name).copied().unwrap_or(0)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_that_counts_has_to_go() {
        let mut it = listening().await;
        let (mut client, mut connection) = it.connected().await;
        let started = Instant::now();
        // A byte each second is not silence, and no request.
        let drip = tokio::spawn(async move {
            while client.write_all(b"P").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let mut bytes = Vec::new();
        let error = connection.read_to_end(&mut bytes).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(started.elapsed() >= STRANGE_MAX && started.elapsed() < 2 * STRANGE_MAX);
        assert_eq!(it.count("clients_refused_slow"), 1);
        // It is not served again, whatever it says.
        connection.read_u8().await.unwrap_err();
        drip.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_known_may_be_silent() {
        let mut it = listening().await;
        let (mut client, mut connection) = it.connected().await;
        connection.connect_info().standing.vouch();
        tokio::time::sleep(10 * STRANGE_MAX).await;
        client.write_all(b"a").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'a');
        assert_eq!(it.count("clients_refused_slow"), 0);
    }

    #[tokio::test]
    async fn a_crowd_of_strangers_keeps_nobody_out() {
        let mut it = listening().await;
        let (_first, mut oldest) = it.connected().await;
        let mut crowd = Vec::new();
        for _ in 0..FEW.strangers {
            crowd.push(it.connected().await);
        }
        oldest.read_u8().await.unwrap_err();
        assert_eq!(it.count("clients_evicted"), 1);
        let (mut client, mut connection) = it.connected().await;
        client.write_all(b"a").await.unwrap();
        assert_eq!(connection.read_u8().await.unwrap(), b'a');
    }

    #[tokio::test]
    async fn connections_are_bounded_and_their_places_come_back() {
        let mut it = listening().await;
        let mut known = Vec::new();
        for _ in 0..FEW.connections {
            let pair = it.connected().await;
            pair.1.connect_info().standing.vouch();
            known.push(pair);
        }
        let mut refused = TcpStream::connect(it.address).await.unwrap();
        assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0, "closed");
        assert_eq!(it.count("clients_refused_full"), 1);
        known.pop();
        it.connected().await;
    }
}
