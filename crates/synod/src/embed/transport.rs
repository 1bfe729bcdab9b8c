//! The way between nodes.

use std::collections::BTreeMap;
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use paxos::{ClusterId, NodeId};
use server::transport::udp;

pub use server::transport::{MESSAGE_BYTES_MAX, Outbound};

/// Is given each message and its sender. Must not be made to wait for long; false says that there
/// was no room, and the message is lost.
pub type Deliver = Box<dyn FnMut(NodeId, Vec<u8>) -> bool + Send>;

/// A way to peers that is not open yet.
///
/// Best effort is all that is asked: any message may be lost, repeated, delayed or overtaken. But
/// whom a message is from must be true: where anybody may speak, the transport authenticates.
pub trait Transport: Send + 'static {
    /// Opens the way: from now on `deliver` is given what arrives, until [`Link::stop`]. Called on
    /// a thread that may wait.
    fn start(self: Box<Self>, whom: Whom, deliver: Deliver) -> io::Result<Arc<dyn Link>>;
}

/// A way to peers that is open.
pub trait Link: Outbound {
    /// Closes it. `deliver` is not called any more, and is dropped.
    fn stop(&self);
}

/// Who speaks with whom.
#[derive(Clone, Debug)]
pub struct Whom {
    /// This node.
    pub me: NodeId,
    /// What keeps clusters apart that reach each other by mistake.
    pub cluster: ClusterId,
    /// Every member's address, this node's included, as the builder was given them.
    pub addresses: BTreeMap<NodeId, String>,
}

/// Datagrams, in clear text: for networks that are trusted. The default.
#[derive(Clone, Debug, Default)]
pub struct Udp {
    listen: Option<String>,
}

/// Who is given what arrives; nobody once the node has stopped.
type Receiver = Arc<Mutex<Option<Deliver>>>;

/// Messages and their receivers, on their way.
type Queue = crossbeam_channel::Sender<(NodeId, Vec<u8>)>;

/// A network in memory, for tests. Clones are the same network; each node is given one.
#[derive(Clone, Default)]
pub struct Network {
    nodes: Arc<Mutex<BTreeMap<NodeId, Receiver>>>,
}

struct UdpLink(udp::Udp);

struct NetworkLink {
    me: NodeId,
    network: Network,
    own: Receiver,
    queue: Mutex<Option<Queue>>,
}

/// Messages of one node that are on their way. More are lost.
const QUEUE_MAX: usize = 1 << 14;

impl Udp {
    /// Listens at this node's own address among the peers'.
    pub fn new() -> Udp {
        Udp::default()
    }

    /// Listens here instead, as where the address that others know is translated.
    #[must_use]
    pub fn listen(self, address: impl Into<String>) -> Udp {
        Udp { listen: Some(address.into()) }
    }
}

impl Transport for Udp {
    fn start(self: Box<Self>, whom: Whom, deliver: Deliver) -> io::Result<Arc<dyn Link>> {
        let resolve = |address: &str| {
            let first = address.to_socket_addrs().map(|mut all| all.next());
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
            first.and_then(|first| first.ok_or_else(none)).map_err(|error| {
                io::Error::new(error.kind(), format!("the address {address}: {error}"))
            })
        };
        let Whom { me, cluster, addresses } = whom;
        let own = addresses.get(&me).cloned().unwrap_or_default();
        let own = resolve(&self.listen.unwrap_or(own))?;
        let socket = UdpSocket::bind(own)
            .map_err(|error| io::Error::new(error.kind(), format!("listen on {own}: {error}")))?;
        let peers = addresses.iter().filter(|(id, _)| **id != me);
        let peers: io::Result<BTreeMap<_, _>> =
            peers.map(|(id, address)| Ok((*id, resolve(address)?))).collect();
        let udp = udp::Udp::new(me, cluster, socket, peers?, udp::Options::default())?;
        udp.listen(deliver)?;
        Ok(Arc::new(UdpLink(udp)))
    }
}

impl Outbound for UdpLink {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        self.0.send(to, messages);
    }
}

impl Link for UdpLink {
    fn stop(&self) {
        self.0.stop();
    }
}

impl Network {
    /// A network without nodes.
    pub fn new() -> Network {
        Network::default()
    }
}

impl Transport for Network {
    fn start(self: Box<Self>, whom: Whom, deliver: Deliver) -> io::Result<Arc<dyn Link>> {
        let own = Arc::new(Mutex::new(Some(deliver)));
        lock(&self.nodes).insert(whom.me, own.clone());
        let (sender, queue) = crossbeam_channel::bounded::<(NodeId, Vec<u8>)>(QUEUE_MAX);
        let (network, me) = (self.clone(), whom.me);
        // A thread, as a network has: who sends never runs what the receiver does.
        std::thread::Builder::new().name(format!("network-{me}")).spawn(move || {
            while let Ok((to, message)) = queue.recv() {
                let receiver = lock(&network.nodes).get(&to).cloned();
                if let Some(receiver) = receiver
                    && let Some(deliver) = lock(&receiver).as_mut()
                {
                    deliver(me, message);
                }
            }
        })?;
        let queue = Mutex::new(Some(sender));
        Ok(Arc::new(NetworkLink { me, network: *self, own, queue }))
    }
}

impl Outbound for NetworkLink {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        if let Some(queue) = &*lock(&self.queue) {
            for message in messages {
                // What finds no room is lost, as on a wire.
                queue.try_send((to, message.to_vec())).ok();
            }
        }
    }
}

impl Link for NetworkLink {
    fn stop(&self) {
        lock(&self.queue).take();
        lock(&self.own).take();
        let mut nodes = lock(&self.network.nodes);
        // Another one may have taken its place since.
        if nodes.get(&self.me).is_some_and(|now| Arc::ptr_eq(now, &self.own)) {
            nodes.remove(&self.me);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("nodes", &lock(&self.nodes).len()).finish()
    }
}
