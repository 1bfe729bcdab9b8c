//! When a peer is dialled, and what is said there: one task a peer, for as long as the node runs.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use paxos::{NodeId, Rng};
use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{
    CONNECT_MAX, Cause, HANDSHAKE_MAX, KEEP_ALIVE, PAUSE_MAX, PAUSE_MIN, Peer, SILENCE_MAX, Shared,
    Task, add,
};
use crate::transport::frame::PULSE;
use crate::transport::secure::{Proof, Wire, cause};

/// A connection that lasted so long was a good one: the next pause is a short one again.
const GOOD: Duration = Duration::from_secs(1);

/// Keeps a stream to `to`, until all is to end.
pub(super) async fn run(mut task: Task, to: NodeId) {
    let shared = task.shared.clone();
    let peer = &shared.peers[&to];
    tokio::select! {
        () = task.stopped() => {}
        () = dial_for_ever(&shared, to, peer) => {}
    }
}

async fn dial_for_ever(shared: &Shared, to: NodeId, peer: &Peer) {
    // Without randomness all pauses are of one length, which is worse and works.
    let mut rng = Rng::new(getrandom::u64().unwrap_or_default() ^ u64::from(to.0));
    let mut pause = PAUSE_MIN;
    let mut buffer = Vec::new();
    loop {
        match dial(shared, to, peer).await {
            Ok((wire, proof)) => {
                let since = Instant::now();
                add(&shared.counters.dialled, 1);
                tracing::debug!(node = shared.me.0, peer = to.0, "a peer takes this node's stream");
                let cause = speak(shared, peer, wire, &proof, &mut buffer).await;
                let (causes, what) = (&shared.counters.lost, "the stream to a peer is lost");
                causes.count(cause, what, shared.me, Some(to), peer.address);
                if since.elapsed() >= GOOD {
                    pause = PAUSE_MIN;
                }
            }
            Err(cause) => {
                let (causes, what) = (&shared.counters.dial_failed, "a peer cannot be dialled");
                causes.count(cause, what, shared.me, Some(to), peer.address);
                // What has waited for a whole attempt is old; the protocol says it again.
                let dropped = peer.queue.take(&mut buffer);
                add(&shared.counters.dropped_unreachable, dropped);
            }
        }
        let shortened = pause / 2 + rng.jitter(pause / 2);
        // A peer that has just come here is there: its return is no reason to wait.
        timeout(shortened, peer.seen.notified()).await.ok();
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Dials, proves who this node is, makes sure of the peer, and waits until it takes the stream.
async fn dial(shared: &Shared, to: NodeId, peer: &Peer) -> Result<(Wire, Proof), Cause> {
    let Ok(Ok(tcp)) = timeout(CONNECT_MAX, TcpStream::connect(peer.address)).await else {
        return Err(Cause::Unreachable);
    };
    // Messages are small and many: none of them may wait for a larger packet to fill.
    tcp.set_nodelay(true).map_err(|_| Cause::Broken)?;
    let taken = async {
        let (mut wire, proof) = shared.security.dial(tcp, shared.cluster, to).await?;
        let broken = |error| cause(&error);
        wire.write_all(&shared.hello(to).encode()).await.map_err(broken)?;
        wire.flush().await.map_err(broken)?;
        match wire.read_u8().await {
            Ok(PULSE) => Ok((wire, proof)),
            Ok(_) => Err(Cause::BadPulse),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Cause::Closed),
            Err(error) => Err(cause(&error)),
        }
    };
    timeout(HANDSHAKE_MAX, taken).await.unwrap_or(Err(Cause::TimedOut))
}

/// Sends what waits, as it comes, until the stream is of no use any more.
async fn speak(
    shared: &Shared,
    peer: &Peer,
    wire: Wire,
    proof: &Proof,
    buffer: &mut Vec<u8>,
) -> Cause {
    let (reading, mut writing) = tokio::io::split(wire);
    tokio::select! {
        cause = hear_pulses(reading) => cause,
        cause = write(shared, peer, &mut writing, buffer) => cause,
        () = shared.withdrawn(proof) => Cause::Withdrawn,
    }
}

/// Returns when the other side is silent, or says what it never says.
async fn hear_pulses(mut reading: ReadHalf<Wire>) -> Cause {
    let mut pulses = [0; 64];
    loop {
        match timeout(SILENCE_MAX, reading.read(&mut pulses)).await {
            Err(_) => return Cause::Silent,
            Ok(Ok(0)) => return Cause::Closed,
            Ok(Ok(count)) if pulses[..count].iter().all(|it| *it == PULSE) => {}
            Ok(Ok(_)) => return Cause::BadPulse,
            Ok(Err(error)) => return cause(&error),
        }
    }
}

async fn write(
    shared: &Shared,
    peer: &Peer,
    writing: &mut (impl AsyncWrite + Unpin),
    buffer: &mut Vec<u8>,
) -> Cause {
    let counters = &shared.counters;
    loop {
        if peer.queue.take(buffer) == 0 {
            if timeout(KEEP_ALIVE, peer.queue.some()).await.is_ok() {
                continue;
            }
            shared.security.seal().put(&[], buffer);
        }
        let mut left = &buffer[..];
        while !left.is_empty() {
            match timeout(SILENCE_MAX, writing.write(left)).await {
                Err(_) => return Cause::Silent,
                Ok(Ok(0)) => return Cause::Closed,
                Ok(Ok(count)) => left = &left[count..],
                Ok(Err(error)) => return cause(&error),
            }
        }
        match timeout(SILENCE_MAX, writing.flush()).await {
            Err(_) => return Cause::Silent,
            Ok(Ok(())) => {}
            Ok(Err(error)) => return cause(&error),
        }
        counters.writes.fetch_add(1, Ordering::Relaxed);
        add(&counters.bytes_sent, buffer.len());
    }
}
