//! Bytes between nodes: best effort, bounded, and never trusted.
//!
//! A message is bytes; what they mean is none of this module's business. Any message may be lost,
//! repeated, delayed or overtaken, here as on the wire: the protocol is what makes up for it. So a
//! full buffer loses, and nothing here queues without bound or waits for a peer.
//!
//! | file | decides |
//! |---|---|
//! | `datagram` | how messages become datagrams and come back; pure |
//! | `udp` | the socket and the thread that listens to it |
//! | `frame` | how messages become a stream of bytes and come back; pure |
//! | `stream` | connections: who dials, who may come in, when they end |
//! | `secure` | what protects a stream: nothing, or mutual TLS |
//! | `network` | which of these a node is configured for |
//! | `adversary` | faults on purpose, between a node and its transport |

pub mod datagram;
pub mod udp;
pub mod frame;
pub mod stream;
pub mod secure;
pub mod network;
pub mod adversary;

use std::sync::Arc;

pub use paxos::ClusterId;
use paxos::NodeId;

/// The largest message, in bytes. Larger ones are dropped and counted.
pub const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// A way to peers.
pub trait Outbound: Send + Sync {
    /// Sends each message, in this order, to one peer: best effort, without waiting for anybody.
    ///
    /// One call for several messages is cheaper than several calls. A message is not empty and has
    /// at most [`MESSAGE_BYTES_MAX`] bytes; others are dropped and counted, as is everything to an
    /// unknown peer.
    fn send(&self, to: NodeId, messages: &[&[u8]]);
}

impl<T: Outbound + ?Sized> Outbound for Arc<T> {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        T::send(self, to, messages);
    }
}
