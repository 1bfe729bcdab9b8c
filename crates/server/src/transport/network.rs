//! The transport that a node is configured for, whichever it is.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use paxos::NodeId;
use tokio::sync::watch;

use super::secure::Security;
use super::stream::Stream;
use super::udp::{self, Udp};
use super::{ClusterId, Outbound};
use crate::config::{Config, Transport};
use crate::tls::{Tls, TlsError};

/// What a node listens to its peers with, bound before it starts.
#[derive(Debug)]
pub enum PeerSocket {
    /// For datagrams.
    Udp(UdpSocket),
    /// For streams.
    Tcp(TcpListener),
}

/// The transport between nodes.
#[derive(Debug)]
pub enum Network {
    /// Datagrams.
    Udp(Udp),
    /// Streams, plain or under TLS.
    Stream(Stream),
}

impl PeerSocket {
    /// Binds an address for the transport that is configured.
    pub fn bind(transport: &Transport, address: impl Into<SocketAddr>) -> io::Result<PeerSocket> {
        let address = address.into();
        match transport {
            Transport::PlaintextUdp => UdpSocket::bind(address).map(PeerSocket::Udp),
            Transport::PlaintextTcp | Transport::Tls(_) => {
                TcpListener::bind(address).map(PeerSocket::Tcp)
            }
        }
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            PeerSocket::Udp(socket) => socket.local_addr(),
            PeerSocket::Tcp(listener) => listener.local_addr(),
        }
    }
}

/// A node's certificates, where its transport has some.
pub fn open_tls(config: &Config) -> Result<Option<Arc<Tls>>, TlsError> {
    match &config.transport {
        Transport::PlaintextUdp | Transport::PlaintextTcp => Ok(None),
        Transport::Tls(files) => {
            let tls = Tls::open(config.id, ClusterId(config.cluster), files.clone())?;
            Ok(Some(Arc::new(tls)))
        }
    }
}

impl Network {
    /// The way to all other members of a configuration. Must be called within a tokio runtime.
    ///
    /// # Panics
    /// If the socket is not of the configured transport, or `tls` is not there where it is due.
    pub fn new(config: &Config, socket: PeerSocket, tls: Option<Arc<Tls>>) -> io::Result<Network> {
        let (me, cluster) = (config.id, ClusterId(config.cluster));
        let others = config.nodes.iter().filter(|node| node.id != me);
        let peers: BTreeMap<_, _> = others.map(|node| (node.id, node.peers)).collect();
        match (socket, &config.transport, tls) {
            (PeerSocket::Udp(socket), Transport::PlaintextUdp, None) => {
                Udp::new(me, cluster, socket, peers, udp::Options::default()).map(Network::Udp)
            }
            (PeerSocket::Tcp(socket), Transport::PlaintextTcp, None) => {
                Stream::new(me, cluster, Security::Plain, socket, peers).map(Network::Stream)
            }
            (PeerSocket::Tcp(socket), Transport::Tls(_), Some(tls)) => {
                Stream::new(me, cluster, Security::Tls(tls), socket, peers).map(Network::Stream)
            }
            _ => panic!("the socket was bound for another transport"),
        }
    }

    /// Starts to listen; see [`Udp::listen`] and [`Stream::listen`].
    pub fn listen(
        &self,
        deliver: impl Fn(NodeId, Vec<u8>) -> bool + Send + Sync + 'static,
    ) -> io::Result<()> {
        match self {
            Network::Udp(udp) => udp.listen(deliver),
            Network::Stream(stream) => stream.listen(deliver),
        }
    }

    /// Renews the node's certificates as their files change, if it has any, until `stopping`.
    pub fn renew(&self, stopping: watch::Receiver<bool>) {
        if let Some(tls) = self.tls() {
            tokio::spawn(tls.clone().watch(stopping));
        }
    }

    /// Ends it, and waits for that. Not for asynchronous code: it blocks.
    pub fn stop(&self) {
        match self {
            Network::Udp(udp) => udp.stop(),
            Network::Stream(stream) => stream.stop(),
        }
    }

    /// What was counted since the start, by name.
    pub fn counters(&self) -> Vec<(String, u64)> {
        let own = |(name, count): (&str, u64)| (name.to_owned(), count);
        match self {
            Network::Udp(udp) => udp.counters().into_iter().map(own).collect(),
            Network::Stream(stream) => stream.counters(),
        }
    }

    /// The node's certificates, where its transport has some.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        match self {
            Network::Udp(_) => None,
            Network::Stream(stream) => stream.tls(),
        }
    }
}

impl Outbound for Network {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        match self {
            Network::Udp(udp) => udp.send(to, messages),
            Network::Stream(stream) => stream.send(to, messages),
        }
    }
}
