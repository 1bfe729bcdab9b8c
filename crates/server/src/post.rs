//! From envelopes to bytes on their way: one send a peer, however many messages.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use node::{History, StateMachine};
use paxos::wire::encode_message;
use paxos::{Configuration, Envelope, NodeId};

use crate::counters::Counters;
use crate::inbox::{Inbox, Job};
use crate::transport::Outbound;

/// What the protocol thread and the journal thread send with. Each has its own, for its buffers.
pub struct Post<M: StateMachine = History> {
    me: NodeId,
    configuration: Arc<Configuration>,
    outbound: Arc<dyn Outbound>,
    inbox: Inbox<M>,
    counters: Arc<Counters>,
    /// While it is set, nothing leaves: the node has failed on purpose, or was killed.
    silenced: Arc<AtomicBool>,
    parcels: BTreeMap<NodeId, Parcel>,
}

/// Messages for one peer, end to end in one buffer.
#[derive(Default)]
struct Parcel {
    bytes: Vec<u8>,
    messages: Vec<Range<usize>>,
}

impl<M: StateMachine> Post<M> {
    /// Posts for node `me`.
    pub fn new(
        me: NodeId,
        configuration: Arc<Configuration>,
        outbound: Arc<dyn Outbound>,
        inbox: Inbox<M>,
        counters: Arc<Counters>,
        silenced: Arc<AtomicBool>,
    ) -> Post<M> {
        let parcels = BTreeMap::new();
        Post { me, configuration, outbound, inbox, counters, silenced, parcels }
    }

    /// Sends everything. What is addressed to this node goes into its own inbox.
    pub fn send(&mut self, envelopes: impl Iterator<Item = Envelope>) {
        for Envelope { to, message } in envelopes {
            let parcel = self.parcels.entry(to).or_default();
            let start = parcel.bytes.len();
            encode_message(&self.configuration, self.me, to, &message, &mut parcel.bytes);
            parcel.messages.push(start..parcel.bytes.len());
            self.counters.sent(message.kind());
        }
        let silenced = self.silenced.load(Ordering::Relaxed);
        for (to, parcel) in &mut self.parcels {
            let bytes = &parcel.bytes;
            self.counters.figures.bytes_sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let messages: Vec<&[u8]> =
                parcel.messages.iter().map(|range| &bytes[range.clone()]).collect();
            if *to == self.me {
                for bytes in messages {
                    let job = Job::Message { from: self.me, bytes: bytes.to_vec() };
                    if self.inbox.offer(job).is_err() {
                        // To wait here could be to wait for ourselves. It will be sent again.
                        self.counters.count("inbox_full");
                    }
                }
            } else if !silenced && !messages.is_empty() {
                self.outbound.send(*to, &messages);
            }
            parcel.messages.clear();
            parcel.bytes.clear();
        }
    }
}
