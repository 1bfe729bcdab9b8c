//! Who may come in, and what is heard: one task that accepts, and one for each connection.
//!
//! A connection is a stranger's until it has proved who it is; strangers are few, and have
//! moments. Of each peer there is one connection: who proves itself anew takes the place of the
//! older one, which may be dead without knowing it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paxos::NodeId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::lobby::Lobby;
use super::{Cause, HANDSHAKE_MAX, IDLE_MAX, PULSE_INTERVAL, SILENCE_MAX, Shared, Task, add, lock};
use crate::transport::frame::{Frames, HELLO_BYTES, Hello, PULSE, Refusal};
use crate::transport::secure::{Proof, Wire, cause};

/// An error of `accept` that stays, such as no more descriptors, must not make us spin.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

type Deliver = Arc<dyn Fn(NodeId, Vec<u8>) -> bool + Send + Sync>;

/// Who is inside.
#[derive(Debug, Default)]
struct House {
    lobby: Mutex<Lobby>,
    /// Of each peer the latest connection: its number, and what ends it.
    peers: Mutex<BTreeMap<NodeId, (u64, oneshot::Sender<()>)>>,
}

/// Accepts until all is to end.
pub(super) async fn run(mut task: Task, listener: TcpListener, deliver: Deliver) {
    let house = Arc::new(House::default());
    loop {
        let accepted = tokio::select! {
            () = task.stopped() => return,
            accepted = listener.accept() => accepted,
        };
        let counters = &task.shared.counters;
        let Ok((tcp, address)) = accepted else {
            add(&counters.accept_errors, 1);
            tokio::time::sleep(ERROR_PAUSE).await;
            continue;
        };
        add(&counters.connections, 1);
        let guest = (task.clone(), house.clone(), deliver.clone());
        let is_crowded = lock(&house.lobby).enter(address.ip(), |number| {
            let (task, house, deliver) = guest;
            tokio::spawn(admit(task, house, deliver, number, tcp, address)).abort_handle()
        });
        if is_crowded {
            let what = "too many connections that do not say who they are";
            counters.refused.count(Cause::Crowded, what, task.shared.me, None, address);
        }
    }
}

/// One connection, from its arrival to its end.
async fn admit(
    mut task: Task,
    house: Arc<House>,
    deliver: Deliver,
    number: u64,
    tcp: TcpStream,
    address: SocketAddr,
) {
    let shared = task.shared.clone();
    let mut claimed = None;
    let proven = tokio::select! {
        () = task.stopped() => return,
        proven = timeout(HANDSHAKE_MAX, prove(&shared, tcp, &mut claimed)) => {
            proven.unwrap_or(Err(Cause::TimedOut))
        }
    };
    // In one step with the proof: who has left the lobby cannot be sent out of it any more.
    if lock(&house.lobby).leave(number).is_none() {
        return;
    }
    let counters = &shared.counters;
    let (wire, proof, from) = match proven {
        Ok(proven) => proven,
        Err(cause) => {
            let what = "a connection is refused";
            return counters.refused.count(cause, what, shared.me, claimed, address);
        }
    };
    add(&counters.accepted, 1);
    let (end, replaced) = oneshot::channel();
    // The older one ends, for its end is dropped.
    drop(lock(&house.peers).insert(from, (number, end)));
    shared.peers[&from].seen.notify_one();
    tracing::debug!(node = shared.me.0, peer = from.0, %address, "a peer's stream is taken");
    let cause = tokio::select! {
        () = task.stopped() => return,
        _ = replaced => Cause::Replaced,
        () = shared.withdrawn(&proof) => Cause::Withdrawn,
        cause = hear(&shared, wire, from, &deliver) => cause,
    };
    let mut peers = lock(&house.peers);
    if peers.get(&from).is_some_and(|(latest, _)| *latest == number) {
        peers.remove(&from);
    }
    drop(peers);
    counters.ended.count(cause, "a peer's stream ends", shared.me, Some(from), address);
}

/// Handshake and hello. `claimed` is whom it says it is, believed or not.
async fn prove(
    shared: &Shared,
    tcp: TcpStream,
    claimed: &mut Option<NodeId>,
) -> Result<(Wire, Proof, NodeId), Cause> {
    tcp.set_nodelay(true).map_err(|_| Cause::Broken)?;
    let (mut wire, proof) = shared.security.accept(tcp).await?;
    let mut bytes = [0; HELLO_BYTES];
    if let Err(error) = wire.read_exact(&mut bytes).await {
        let is_end = error.kind() == std::io::ErrorKind::UnexpectedEof;
        return Err(if is_end { Cause::Closed } else { cause(&error) });
    }
    let hello = Hello::decode(&bytes)?;
    *claimed = Some(hello.from);
    if hello.cluster != shared.cluster {
        return Err(Refusal::OtherCluster.into());
    }
    if hello.to != shared.me {
        return Err(Refusal::NotForMe.into());
    }
    if !shared.peers.contains_key(&hello.from) {
        return Err(Refusal::UnknownSender.into());
    }
    // The certificate is genuine; whether it is that of whom its holder claims to be is asked here.
    if !proof.speaks_for(shared.cluster, hello.from) {
        return Err(Cause::OtherName);
    }
    Ok((wire, proof, hello.from))
}

/// Hears messages, and says from time to time that it does.
async fn hear(shared: &Shared, mut wire: Wire, from: NodeId, deliver: &Deliver) -> Cause {
    let counters = &shared.counters;
    let mut frames = Frames::new(shared.security.seal());
    let mut pulse = interval(PULSE_INTERVAL);
    pulse.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard = Instant::now();
    loop {
        tokio::select! {
            // The first one is due at once: it says that the stream is taken.
            _ = pulse.tick() => {
                if heard.elapsed() >= IDLE_MAX {
                    return Cause::Silent;
                }
                let said = async {
                    wire.write_all(&[PULSE]).await?;
                    wire.flush().await
                };
                match timeout(SILENCE_MAX, said).await {
                    Err(_) => return Cause::Silent,
                    Ok(Err(error)) => return cause(&error),
                    Ok(Ok(())) => {}
                }
            }
            read = wire.read(frames.room()) => match read {
                Ok(0) => return Cause::Closed,
                Ok(count) => {
                    heard = Instant::now();
                    add(&counters.bytes_received, count);
                    frames.filled(count);
                    loop {
                        match frames.take() {
                            Ok(None) => break,
                            Ok(Some([])) => {}
                            Ok(Some(message)) => {
                                add(&counters.messages_received, 1);
                                if !deliver(from, message.to_vec()) {
                                    add(&counters.dropped_full, 1);
                                }
                            }
                            Err(refusal) => return refusal.into(),
                        }
                    }
                }
                Err(error) => return cause(&error),
            },
        }
    }
}
