//! The socket, and the thread that listens to it.
//!
//! Best effort in both directions: what the kernel or the receiver has no room for is lost and
//! counted. A sender is whom its datagrams name; addresses are data, and only say where to send.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use paxos::{ClusterId, NodeId};
use socket2::SockRef;

use super::Outbound;
use super::datagram::{Assembler, DATAGRAM_BYTES_MAX, Packer};

/// What the kernel is asked to hold for us in each direction. It may grant less.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// How late a stop and an overdue fragment are noticed, at most.
const WAKE: Duration = Duration::from_millis(50);

/// What may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The largest datagram that is sent, in bytes. On a network with a smaller frame the kernel
    /// cuts it up, and one lost piece loses all.
    pub datagram_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { datagram_bytes_max: 60_000 }
    }
}

/// One node's socket.
pub struct Udp {
    socket: UdpSocket,
    peers: BTreeMap<NodeId, SocketAddr>,
    packer: Mutex<Packer>,
    assembler: Mutex<Option<Assembler>>,
    counts: Arc<Counts>,
    stopped: Arc<AtomicBool>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

/// Datagrams and bytes, and what became of them.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    send_errors: AtomicU64,
    left_out: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    dropped_full: AtomicU64,
    given_up: AtomicU64,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Udp {
    /// Takes over a bound socket. `peers` are the other members, and the only ones that are heard.
    pub fn new(
        me: NodeId,
        cluster: ClusterId,
        socket: UdpSocket,
        peers: BTreeMap<NodeId, SocketAddr>,
        options: Options,
    ) -> io::Result<Udp> {
        let kernel = SockRef::from(&socket);
        // A smaller buffer loses more and breaks nothing.
        kernel.set_recv_buffer_size(SOCKET_BUFFER_BYTES).ok();
        kernel.set_send_buffer_size(SOCKET_BUFFER_BYTES).ok();
        socket.set_read_timeout(Some(WAKE))?;
        let first_message = getrandom::u64().map_err(io::Error::other)?;
        let packer = Packer::new(cluster, me, options.datagram_bytes_max, first_message);
        let assembler = Assembler::new(cluster, me, peers.keys().copied());
        Ok(Udp {
            socket,
            peers,
            packer: Mutex::new(packer),
            assembler: Mutex::new(Some(assembler)),
            counts: Arc::default(),
            stopped: Arc::default(),
            listener: Mutex::default(),
        })
    }

    /// Starts to listen: each message is handed to `deliver`, which says whether it had room. Can
    /// be called once; later calls do nothing.
    pub fn listen(
        &self,
        deliver: impl FnMut(NodeId, Vec<u8>) -> bool + Send + 'static,
    ) -> io::Result<()> {
        let Some(assembler) = lock(&self.assembler).take() else {
            return Ok(());
        };
        let socket = self.socket.try_clone()?;
        let (counts, stopped) = (self.counts.clone(), self.stopped.clone());
        let run = move || listen(&socket, assembler, &counts, &stopped, deliver);
        let thread = thread::Builder::new().name("udp".into()).spawn(run)?;
        *lock(&self.listener) = Some(thread);
        Ok(())
    }

    /// Stops listening and waits for the thread to end.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(listener) = lock(&self.listener).take() {
            // A panic of the listener has been printed; there is nothing left to stop.
            listener.join().ok();
        }
    }

    /// Every count, by name.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let counts = &self.counts;
        let mut all: Vec<(&'static str, u64)> = [
            ("datagrams_sent", &counts.sent),
            ("bytes_sent", &counts.sent_bytes),
            ("send_errors", &counts.send_errors),
            ("messages_left_out", &counts.left_out),
            ("datagrams_received", &counts.received),
            ("bytes_received", &counts.received_bytes),
            ("dropped_full", &counts.dropped_full),
            ("fragments_given_up", &counts.given_up),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
        .into();
        all.extend(lock(&counts.refused).iter().map(|(name, count)| (*name, *count)));
        all
    }
}

impl Drop for Udp {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Outbound for Udp {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        let counts = &self.counts;
        let Some(address) = self.peers.get(&to) else {
            counts.left_out.fetch_add(messages.len() as u64, Ordering::Relaxed);
            return;
        };
        let mut emit = |datagram: &[u8]| match self.socket.send_to(datagram, address) {
            Ok(_) => {
                counts.sent.fetch_add(1, Ordering::Relaxed);
                counts.sent_bytes.fetch_add(datagram.len() as u64, Ordering::Relaxed);
            }
            // Whatever the reason (a peer that is down answers with an ICMP error), it is lost.
            Err(_) => {
                counts.send_errors.fetch_add(1, Ordering::Relaxed);
            }
        };
        let left_out = lock(&self.packer).pack(to, messages, &mut emit);
        counts.left_out.fetch_add(left_out as u64, Ordering::Relaxed);
    }
}

fn listen(
    socket: &UdpSocket,
    mut assembler: Assembler,
    counts: &Counts,
    stopped: &AtomicBool,
    mut deliver: impl FnMut(NodeId, Vec<u8>) -> bool,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
    let mut expired = Instant::now();
    while !stopped.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now.duration_since(expired) >= WAKE {
            assembler.expire(now);
            counts.given_up.store(assembler.given_up(), Ordering::Relaxed);
            expired = now;
        }
        let length = match socket.recv_from(&mut buffer) {
            Ok((length, _)) => length,
            Err(error) => {
                // Time to look around, or the echo of a send to a peer that is down.
                let is_usual = matches!(
                    error.kind(),
                    ErrorKind::WouldBlock
                        | ErrorKind::TimedOut
                        | ErrorKind::Interrupted
                        | ErrorKind::ConnectionRefused
                );
                if !is_usual {
                    tracing::warn!(%error, "cannot receive");
                    thread::sleep(WAKE);
                }
                continue;
            }
        };
        counts.received.fetch_add(1, Ordering::Relaxed);
        counts.received_bytes.fetch_add(length as u64, Ordering::Relaxed);
        let mut hand_over = |from, message| {
            if !deliver(from, message) {
                counts.dropped_full.fetch_add(1, Ordering::Relaxed);
            }
        };
        if let Err(refusal) = assembler.accept(now, &buffer[..length], &mut hand_over) {
            *lock(&counts.refused).entry(refusal.name()).or_default() += 1;
        }
    }
}

/// Nothing is left half done under any of these locks, so a poisoned one is as good as another.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const CLUSTER: ClusterId = ClusterId([5; 16]);
    const PATIENCE: Duration = Duration::from_secs(10);

    fn pair() -> (Udp, Udp) {
        let sockets = [0; 2].map(|_| UdpSocket::bind("127.0.0.1:0").unwrap());
        let addresses = [0, 1].map(|i| sockets[i].local_addr().unwrap());
        let [one, two] = sockets;
        let options = Options::default();
        let udp = |me, socket, peer, at| {
            Udp::new(NodeId(me), CLUSTER, socket, [(NodeId(peer), at)].into(), options).unwrap()
        };
        (udp(1, one, 2, addresses[1]), udp(2, two, 1, addresses[0]))
    }

    fn inbox(udp: &Udp) -> mpsc::Receiver<(NodeId, Vec<u8>)> {
        let (sender, receiver) = mpsc::channel();
        udp.listen(move |from, message| sender.send((from, message)).is_ok()).unwrap();
        receiver
    }

    #[test]
    fn small_and_large_messages_arrive_whole() {
        let (one, two) = pair();
        let arrived = inbox(&two);
        let large: Vec<u8> = (0..1u32 << 20).map(|i| i.to_le_bytes()[0]).collect();
        one.send(NodeId(2), &[b"small", b"also small", &large]);
        let mut messages: Vec<Vec<u8>> = (0..3)
            .map(|_| {
                let (from, message) = arrived.recv_timeout(PATIENCE).unwrap();
                assert_eq!(from, NodeId(1));
                message
            })
            .collect();
        messages.sort_by_key(Vec::len);
        assert_eq!(messages, [b"small".to_vec(), b"also small".to_vec(), large]);
        two.stop();
        two.stop();
    }

    #[test]
    fn garbage_is_counted_and_nothing_else_happens() {
        let (one, two) = pair();
        let arrived = inbox(&two);
        let at = two.socket.local_addr().unwrap();
        one.socket.send_to(b"hello, is anybody there?", at).unwrap();
        one.send(NodeId(2), &[b"real"]);
        assert_eq!(arrived.recv_timeout(PATIENCE).unwrap().1, b"real");
        let refused: u64 = two
            .counters()
            .iter()
            .filter(|(name, _)| name.starts_with("refused_"))
            .map(|(_, count)| count)
            .sum();
        assert_eq!(refused, 1);
    }

    #[test]
    fn a_stranger_cannot_be_sent_to() {
        let (one, _two) = pair();
        one.send(NodeId(9), &[b"who?"]);
        assert!(one.counters().contains(&("messages_left_out", 1)));
    }
}
