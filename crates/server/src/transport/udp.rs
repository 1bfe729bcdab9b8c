//! The socket, and the thread that listens to it.
//!
//! Knows addresses and system calls; what a datagram holds is `datagram`'s business. An error of
//! the network is a loss and a count, never a reason to stop: the protocol sends again what
//! matters. Who sent a datagram is what the datagram says, not its source address: a node may move,
//! and an address proves as little as an unsigned name.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use paxos::NodeId;
use socket2::SockRef;

use super::datagram::{Assembler, Packer, Refusal};
use super::{ClusterId, Outbound};

/// How long the listener waits before it looks whether it should stop, and what has expired.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// How long one send may wait for room in this machine's own buffer. Not zero: a short wait saves
/// a large message, which one lost fragment would cost.
const SEND_WAIT_MAX: Duration = Duration::from_millis(1);

/// Less than this is not asked for: every system gives it unasked.
const BUFFER_BYTES_MIN: usize = 64 << 10;

/// More than any datagram, so that none is ever truncated.
const RECEIVE_BYTES: usize = 1 << 16;

/// What a socket is tuned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest datagram, in bytes, within [`DATAGRAM_BYTES_MIN`] and [`DATAGRAM_BYTES_MAX`].
    ///
    /// Large ones cost the fewest system calls; where a path drops IP fragments, it must fit the
    /// path.
    ///
    /// [`DATAGRAM_BYTES_MIN`]: super::datagram::DATAGRAM_BYTES_MIN
    /// [`DATAGRAM_BYTES_MAX`]: super::datagram::DATAGRAM_BYTES_MAX
    pub datagram_bytes_max: usize,
    /// The kernel's buffer that is asked for in each direction, in bytes; it may give less.
    ///
    /// A message that is much larger than the receiver's buffer seldom arrives: of messages of
    /// 1 MiB on loopback, all did with 4 MiB, and one in five with what Linux allows by default
    /// (`net.core.rmem_max`, 208 KiB).
    pub buffer_bytes: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { datagram_bytes_max: 60_000, buffer_bytes: 4 << 20 }
    }
}

/// One node's way to its peers, and theirs to it.
#[derive(Debug)]
pub struct Udp {
    me: NodeId,
    cluster: ClusterId,
    peers: BTreeMap<NodeId, SocketAddr>,
    counters: Arc<Counters>,
    /// Shared with the listener, and by nobody else: the listener never holds the whole.
    is_stopping: Arc<AtomicBool>,
    /// None once stopped, so that the port is free again.
    sender: Mutex<Option<Sender>>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Sender {
    packer: Packer,
    socket: Arc<UdpSocket>,
}

#[derive(Debug, Default)]
struct Counters {
    datagrams_sent: AtomicU64,
    bytes_sent: AtomicU64,
    datagrams_received: AtomicU64,
    bytes_received: AtomicU64,
    messages_received: AtomicU64,
    /// Messages for which the receiver of messages had no room.
    dropped_full: AtomicU64,
    /// Messages that are empty or too large.
    left_out: AtomicU64,
    /// Messages to nodes without an address.
    unknown_peer: AtomicU64,
    /// Messages that came after the stop.
    sent_after_stop: AtomicU64,
    /// Datagrams that the system did not take.
    send_errors: AtomicU64,
    receive_errors: AtomicU64,
    /// Messages of which fragments are missing for good.
    given_up: AtomicU64,
    /// In the order of [`Refusal::ALL`].
    refused: [AtomicU64; Refusal::ALL.len()],
}

impl Udp {
    /// Takes a bound socket and the addresses of all other members. Nothing is received before
    /// [`Udp::listen`], except into the kernel's buffer.
    ///
    /// # Panics
    /// If `me` is among `peers`, or if `options.datagram_bytes_max` is out of its range.
    pub fn new(
        me: NodeId,
        cluster: ClusterId,
        socket: UdpSocket,
        peers: BTreeMap<NodeId, SocketAddr>,
        options: Options,
    ) -> io::Result<Udp> {
        assert!(!peers.contains_key(&me));
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(POLL_INTERVAL))?;
        socket.set_write_timeout(Some(SEND_WAIT_MAX))?;
        let sizes = SockRef::from(&socket);
        widen(options.buffer_bytes, |bytes| sizes.set_recv_buffer_size(bytes));
        widen(options.buffer_bytes, |bytes| sizes.set_send_buffer_size(bytes));
        let first_message = getrandom::u64().map_err(io::Error::other)?;
        let packer = Packer::new(cluster, me, options.datagram_bytes_max, first_message);
        Ok(Udp {
            me,
            cluster,
            peers,
            counters: Arc::default(),
            is_stopping: Arc::default(),
            sender: Mutex::new(Some(Sender { packer, socket: Arc::new(socket) })),
            listener: Mutex::new(None),
        })
    }

    /// Starts the listener: a thread that gives `deliver` each message and its sender. `deliver`
    /// must not wait; it answers false if it has no room, which drops the message.
    ///
    /// `deliver` is dropped by [`Udp::stop`]. If it owns this `Udp`, however indirectly, nothing
    /// else does.
    ///
    /// # Errors
    /// If it is stopped, if it listens already, or if there is no thread to be had.
    pub fn listen(
        &self,
        deliver: impl FnMut(NodeId, Vec<u8>) -> bool + Send + 'static,
    ) -> io::Result<()> {
        // In this order: a stop that comes in between finds the thread.
        let mut running = lock(&self.listener);
        let Some(socket) = lock(&self.sender).as_ref().map(|sender| sender.socket.clone()) else {
            return Err(io::Error::new(ErrorKind::NotConnected, "the transport is stopped"));
        };
        if running.is_some() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "the transport listens already"));
        }
        let listener = Listener {
            socket,
            assembler: Assembler::new(self.cluster, self.me, self.peers.keys().copied()),
            counters: self.counters.clone(),
            is_stopping: self.is_stopping.clone(),
            deliver,
        };
        let name = format!("udp-{}", self.me);
        *running = Some(thread::Builder::new().name(name).spawn(move || listener.run())?);
        Ok(())
    }

    /// Ends the listener, waits for it and closes the socket. Later sends are dropped and counted.
    /// To call it again does nothing.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        drop(lock(&self.sender).take());
        let Some(listener) = lock(&self.listener).take() else { return };
        // What the listener delivers to may own this transport; then the thread that drops the last
        // owner can be the listener itself.
        if listener.thread().id() != thread::current().id() && listener.join().is_err() {
            tracing::error!(node = self.me.0, "the listener to peers panicked");
        }
    }

    /// What was counted since the start, by name.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        self.counters.all()
    }
}

impl Outbound for Udp {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        let counters = &self.counters;
        let Some(address) = self.peers.get(&to) else {
            return add(&counters.unknown_peer, messages.len());
        };
        let mut sender = lock(&self.sender);
        let Some(Sender { packer, socket }) = sender.as_mut() else {
            return add(&counters.sent_after_stop, messages.len());
        };
        let mut is_full = false;
        let left_out = packer.pack(to, messages, &mut |datagram| {
            // Once is enough to wait for room in a call.
            if is_full {
                return add(&counters.send_errors, 1);
            }
            match socket.send_to(datagram, address) {
                Ok(_) => {
                    add(&counters.datagrams_sent, 1);
                    add(&counters.bytes_sent, datagram.len());
                }
                Err(error) => {
                    is_full = is_timeout(&error);
                    add(&counters.send_errors, 1);
                }
            }
        });
        add(&counters.left_out, left_out);
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What the listening thread owns.
struct Listener<F> {
    socket: Arc<UdpSocket>,
    assembler: Assembler,
    counters: Arc<Counters>,
    is_stopping: Arc<AtomicBool>,
    deliver: F,
}

impl<F: FnMut(NodeId, Vec<u8>) -> bool> Listener<F> {
    fn run(mut self) {
        let mut buffer = vec![0; RECEIVE_BYTES];
        let mut expired = Instant::now();
        while !self.is_stopping.load(Ordering::Relaxed) {
            let received = self.socket.recv_from(&mut buffer);
            let now = Instant::now();
            match received {
                Ok((length, _)) => self.accept(now, &buffer[..length]),
                Err(error) if is_timeout(&error) => {}
                Err(error) => {
                    add(&self.counters.receive_errors, 1);
                    // The first two pass by themselves; an error that stays must not make us spin.
                    let passes = [ErrorKind::Interrupted, ErrorKind::ConnectionRefused];
                    if !passes.contains(&error.kind()) {
                        thread::sleep(POLL_INTERVAL);
                    }
                }
            }
            if now.saturating_duration_since(expired) >= POLL_INTERVAL {
                expired = now;
                self.assembler.expire(now);
            }
            self.counters.given_up.store(self.assembler.given_up(), Ordering::Relaxed);
        }
    }

    fn accept(&mut self, now: Instant, datagram: &[u8]) {
        let Listener { assembler, counters, deliver, .. } = self;
        add(&counters.datagrams_received, 1);
        add(&counters.bytes_received, datagram.len());
        let accepted = assembler.accept(now, datagram, &mut |from, message| {
            add(&counters.messages_received, 1);
            if !deliver(from, message) {
                add(&counters.dropped_full, 1);
            }
        });
        if let Err(refusal) = accepted {
            add(&counters.refused[refusal as usize], 1);
        }
    }
}

impl Counters {
    fn all(&self) -> Vec<(&'static str, u64)> {
        let named = [
            ("datagrams_sent", &self.datagrams_sent),
            ("bytes_sent", &self.bytes_sent),
            ("datagrams_received", &self.datagrams_received),
            ("bytes_received", &self.bytes_received),
            ("messages_received", &self.messages_received),
            ("dropped_full", &self.dropped_full),
            ("left_out", &self.left_out),
            ("unknown_peer", &self.unknown_peer),
            ("sent_after_stop", &self.sent_after_stop),
            ("send_errors", &self.send_errors),
            ("receive_errors", &self.receive_errors),
            ("given_up", &self.given_up),
        ];
        let refused = Refusal::ALL.into_iter().map(Refusal::name).zip(&self.refused);
        named
            .into_iter()
            .chain(refused)
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Asks for a buffer, and for half as much while the system refuses. Linux grants what its limit
/// allows without a word, others refuse what is above it.
fn widen(bytes: usize, set: impl Fn(usize) -> io::Result<()>) {
    let mut bytes = bytes;
    while bytes >= BUFFER_BYTES_MIN && set(bytes).is_err() {
        bytes /= 2;
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

/// A panic of another sender leaves nothing half done here that the next one does not start anew.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;
    use crate::transport::MESSAGE_BYTES_MAX;

    const CLUSTER: ClusterId = ClusterId([7; 16]);
    const A: NodeId = NodeId(1);
    const B: NodeId = NodeId(2);
    /// Long enough to be reached by a broken build only.
    const PATIENCE: Duration = Duration::from_secs(20);

    type Heard = Receiver<(NodeId, Vec<u8>)>;

    fn pair(options: Options) -> [Udp; 2] {
        let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (a, b) = (bind(), bind());
        let addresses = [a.local_addr().unwrap(), b.local_addr().unwrap()];
        [(A, a, (B, addresses[1])), (B, b, (A, addresses[0]))].map(|(me, socket, peer)| {
            Udp::new(me, CLUSTER, socket, BTreeMap::from([peer]), options).unwrap()
        })
    }

    fn listen(udp: &Udp) -> Heard {
        let (into, heard) = channel();
        udp.listen(move |from, message| into.send((from, message)).is_ok()).unwrap();
        heard
    }

    fn count(udp: &Udp, name: &str) -> u64 {
        udp.counters().into_iter().find(|(known, _)| *known == name).expect(name).1
    }

    /// Waits until a counter has reached a value.
    fn await_count(udp: &Udp, name: &str, least: u64) {
        let start = Instant::now();
        while count(udp, name) < least {
            assert!(start.elapsed() < PATIENCE, "{name} of {:?}", udp.counters());
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn address(udp: &Udp) -> SocketAddr {
        lock(&udp.sender).as_ref().unwrap().socket.local_addr().unwrap()
    }

    #[test]
    fn two_nodes_exchange_small_messages() {
        let [a, b] = pair(Options::default());
        let (heard_by_a, heard_by_b) = (listen(&a), listen(&b));
        a.send(B, &[b"one", b"two"]);
        for message in [b"one", b"two"] {
            assert_eq!(heard_by_b.recv_timeout(PATIENCE).unwrap(), (A, message.to_vec()));
        }
        b.send(A, &[b"three"]);
        assert_eq!(heard_by_a.recv_timeout(PATIENCE).unwrap(), (B, b"three".to_vec()));
        assert_eq!(count(&a, "datagrams_sent"), 1);
        assert_eq!(count(&b, "messages_received"), 2);
        assert_eq!(count(&a, "bytes_sent"), count(&b, "bytes_received"));
    }

    /// A megabyte overruns the buffers of a busy machine, so it is sent until it comes, as the
    /// protocol does.
    #[test]
    fn a_message_of_a_mebibyte_arrives_whole() {
        let [a, b] = pair(Options::default());
        let heard = listen(&b);
        let message: Vec<u8> = (0..1_u32 << 18).flat_map(u32::to_le_bytes).collect();
        let start = Instant::now();
        let arrived = loop {
            assert!(start.elapsed() < PATIENCE, "{:?} {:?}", a.counters(), b.counters());
            a.send(B, &[&message]);
            if let Ok(arrived) = heard.recv_timeout(Duration::from_millis(100)) {
                break arrived;
            }
        };
        assert!(arrived == (A, message));
    }

    #[test]
    fn garbage_is_counted_by_name_and_nothing_else_happens() {
        let [a, b] = pair(Options::default());
        let heard = listen(&b);
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut packer = Packer::new(ClusterId([8; 16]), A, 1_200, 0);
        let mut neighbour = Vec::new();
        packer.pack(B, &[b"x"], &mut |datagram| neighbour = datagram.to_vec());
        let damaged = [&neighbour[..], b"x"].concat();
        for garbage in [&b""[..], b"SY", b"GET / HTTP/1.1", b"SYND\x02", &neighbour, &damaged] {
            stranger.send_to(garbage, address(&b)).unwrap();
        }
        await_count(&b, "datagrams_received", 6);
        a.send(B, &[b"fine"]);
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (A, b"fine".to_vec()));
        assert!(heard.try_recv().is_err());
        assert_eq!(count(&b, "messages_received"), 1);
        assert_eq!(count(&b, "refused_too_short"), 2);
        for name in ["bad_magic", "bad_version", "other_cluster", "bad_checksum"] {
            assert_eq!(count(&b, &format!("refused_{name}")), 1, "{name}");
        }
    }

    #[test]
    fn the_source_address_proves_nothing() {
        let [_, b] = pair(Options::default());
        let heard = listen(&b);
        let moved = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut packer = Packer::new(CLUSTER, A, 1_200, 0);
        packer.pack(B, &[b"moved"], &mut |datagram| {
            moved.send_to(datagram, address(&b)).unwrap();
        });
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (A, b"moved".to_vec()));
    }

    #[test]
    fn a_full_receiver_loses_and_counts() {
        let [a, b] = pair(Options::default());
        b.listen(|_, _| false).unwrap();
        a.send(B, &[b"x", b"y"]);
        await_count(&b, "dropped_full", 2);
    }

    #[test]
    fn what_cannot_be_sent_is_counted() {
        let [a, _b] = pair(Options::default());
        a.send(NodeId(9), &[b"x", b"y"]);
        a.send(B, &[b"", &vec![0; MESSAGE_BYTES_MAX + 1], b"fine"]);
        assert_eq!(count(&a, "unknown_peer"), 2);
        assert_eq!(count(&a, "left_out"), 2);
        assert_eq!(count(&a, "datagrams_sent"), 1);
    }

    #[test]
    fn a_peer_that_is_gone_does_no_harm() {
        let [a, b] = pair(Options::default());
        let heard = listen(&a);
        let port = address(&b);
        drop(b);
        for _ in 0..100 {
            a.send(B, &[b"x"]);
        }
        let back = UdpSocket::bind(port).unwrap();
        let peers = BTreeMap::from([(A, address(&a))]);
        let b = Udp::new(B, CLUSTER, back, peers, Options::default()).unwrap();
        b.send(A, &[b"back"]);
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (B, b"back".to_vec()));
    }

    #[test]
    fn stop_ends_the_thread_and_frees_the_port() {
        let [a, _b] = pair(Options::default());
        let port = address(&a);
        let owned = Arc::new(());
        let held = owned.clone();
        a.listen(move |_, _| Arc::strong_count(&held) > 0).unwrap();
        assert_eq!(a.listen(|_, _| true).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(Arc::strong_count(&owned), 2);
        a.stop();
        assert_eq!(Arc::strong_count(&owned), 1, "the thread has dropped what it owned");
        UdpSocket::bind(port).unwrap();
        a.stop();
        a.send(B, &[b"x"]);
        assert_eq!(count(&a, "sent_after_stop"), 1);
        assert_eq!(a.listen(|_, _| true).unwrap_err().kind(), ErrorKind::NotConnected);
    }

    #[test]
    fn a_listener_that_owns_its_transport_lets_go_at_the_stop() {
        let [a, _b] = pair(Options::default());
        let a = Arc::new(a);
        let owner = a.clone();
        a.listen(move |_, _| Arc::strong_count(&owner) > 0).unwrap();
        a.stop();
        assert_eq!(Arc::strong_count(&a), 1);
    }
}
