//! The one door: what goes into a replica, and what comes out.
//!
//! A write carries the messages that it unlocks. A driver appends the records, syncs, and then
//! sends `then_send`; it never asks which message waits for what. Filling one [`Effects`] over
//! many steps is group commit: step all that is ready, append once, sync once, one send a peer.

use alloc::vec::Vec;

use crate::ballot::{Ballot, NodeId, Slot};
use crate::digest::{Mark, SnapshotId};
use crate::event::Event;
use crate::handover::{HandOverId, HandOverRefusal};
use crate::message::{Envelope, Message};
use crate::read::ReadId;
use crate::record::Record;
use crate::value::{Command, Value};

/// What a replica reacts to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A message arrived.
    Message {
        /// Its sender, as the transport established it.
        from: NodeId,
        /// What was said.
        message: Message,
    },
    /// Clients' values, to be proposed in this order. Given together, they travel together.
    Propose(Vec<Command>),
    /// There is a snapshot of everything below its slot that others may have, part by part.
    /// Nothing happens if it reaches beyond what was handed out in `chosen`, or is empty or larger
    /// than the limit: nobody could fetch it.
    Kept {
        /// Which.
        snapshot: SnapshotId,
        /// Whether it is on this node's disk, and will be there in its next life.
        is_durable: bool,
    },
    /// The state was restored from a snapshot ([`Effects::restored`], or one of this node's own).
    /// Nothing happens unless it covers more than what was handed out in `chosen`.
    Restored(Mark),
    /// The snapshot of [`Effects::restored`] is of no use here: it is not fetched again.
    Unusable(SnapshotId),
    /// Whether the disk has room for votes. It has, at first.
    Room(bool),
    /// Linearizable reads begin. Each is answered once in this life, in `readable` or `unreadable`.
    Read(Vec<ReadId>),
    /// Another node is to lead in this one's place. Answered once in this life, in `handed_over`.
    HandOver {
        /// Comes back with the answer.
        id: HandOverId,
        /// Who is to lead; none: whoever is the furthest of those that could.
        to: Option<NodeId>,
    },
    /// The deadline has passed.
    Tick,
}

/// What a replica wants done. Reused: clearing keeps the capacity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Effects {
    /// May leave now.
    pub send: Vec<Envelope>,
    /// Append these records; once they are on disk, send these.
    pub write: Write,
    /// Newly chosen: contiguous, in order, each slot exactly once in a replica's life.
    pub chosen: Vec<(Slot, Value)>,
    /// Parts of this node's snapshots to be read and sent, as [`Message::Part`].
    pub parts: Vec<PartWanted>,
    /// Somebody asks for a snapshot, and there is none to give.
    pub snapshot_wanted: bool,
    /// A snapshot has come, whole: restore the state from it and say [`Input::Restored`], or
    /// [`Input::Unusable`].
    pub restored: Option<Restored>,
    /// Values that will not be proposed, or were lost from sight.
    pub refused: Vec<Refusal>,
    /// Reads that may be answered from any state that has applied every slot below: all of them
    /// were handed out in `chosen`, now or before. What was chosen before the read began is there.
    pub readable: Vec<(ReadId, Slot)>,
    /// Reads that will not be answered here.
    pub unreadable: Vec<(ReadId, ReadRefusal)>,
    /// What became of handing over: the ballot that leads now, or why this node goes on.
    pub handed_over: Vec<(HandOverId, Result<Ballot, HandOverRefusal>)>,
    /// What happened.
    pub events: Vec<Event>,
}

/// Records, and the messages that may leave once these *and all earlier records* are on disk. The
/// messages wait for earlier writes even where there are no new records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Write {
    /// To append, in this order.
    pub records: Vec<Record>,
    /// To send afterwards.
    pub then_send: Vec<Envelope>,
}

impl Write {
    /// Whether there is nothing to append and nothing to send.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.then_send.is_empty()
    }
}

/// A part of a snapshot that somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PartWanted {
    /// Who asks.
    pub to: NodeId,
    /// Of which snapshot: one that [`Input::Kept`] named.
    pub snapshot: SnapshotId,
    /// The part's first byte.
    pub offset: u64,
    /// Its size, above zero. It lies within the snapshot.
    pub bytes: usize,
}

/// A snapshot that came from another learner. Its bytes are those that its name names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Restored {
    /// Its name.
    pub snapshot: SnapshotId,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A value that this replica does not propose (any more).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// The value.
    pub command: Command,
    /// Why.
    pub reason: RefusalReason,
}

/// Why a value is refused, and what that says about its fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalReason {
    /// Never proposed: another node leads, perhaps this one.
    NotLeading {
        /// The leader that is followed.
        leader: Option<NodeId>,
    },
    /// Never proposed: too many values or bytes are waiting.
    WindowFull,
    /// Never proposed: larger than a value may be.
    TooLarge {
        /// The largest size, in bytes.
        bytes_max: usize,
    },
    /// Proposed, and then another leader took over: it may be chosen or not.
    Deposed {
        /// Who took over.
        leader: NodeId,
    },
}

/// Why a read is not answered. It has changed nothing, and may be asked again anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadRefusal {
    /// This node keeps no history.
    NotLearning,
    /// Too many reads wait here.
    TooMany,
    /// For its patience, no leader could be asked, or none that reaches a quorum, or this node has
    /// not learned what it needs.
    TimedOut {
        /// The leader that is followed.
        leader: Option<NodeId>,
    },
}

impl Effects {
    /// Empties every list and keeps its memory.
    pub fn clear(&mut self) {
        self.send.clear();
        self.write.records.clear();
        self.write.then_send.clear();
        self.chosen.clear();
        self.parts.clear();
        self.snapshot_wanted = false;
        self.restored = None;
        self.refused.clear();
        self.readable.clear();
        self.unreadable.clear();
        self.handed_over.clear();
        self.events.clear();
    }

    /// Files a message where its kind says: at once, or behind the disk.
    pub(crate) fn send(&mut self, to: NodeId, message: Message) {
        let waits = message.waits_for_disk();
        let queue = if waits { &mut self.write.then_send } else { &mut self.send };
        queue.push(Envelope { to, message });
    }

    /// Sends the same message to each.
    pub(crate) fn send_all(&mut self, to: impl Iterator<Item = NodeId>, message: &Message) {
        for node in to {
            self.send(node, message.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_message_is_filed_by_its_kind() {
        let (ballot, to) = (Ballot::NONE, [NodeId(1), NodeId(2)]);
        let mut effects = Effects::default();
        assert!(effects.write.is_empty());
        effects.send_all(to.into_iter(), &Message::Probe { id: 1 });
        assert!(effects.write.is_empty());
        let waits = Message::Accepted { ballot, first: Slot(0), end: Slot(1) };
        effects.send_all(to.into_iter(), &waits);
        assert!(!effects.write.is_empty(), "there is something to send behind the disk");
        let to_whom = |sent: &[Envelope]| sent.iter().map(|it| it.to).collect::<Vec<_>>();
        assert_eq!(to_whom(&effects.send), to);
        assert_eq!(to_whom(&effects.write.then_send), to);
    }

    #[test]
    fn a_cleared_list_is_empty() {
        let command: Command = vec![7].into();
        let mut effects = Effects::default();
        effects.send(NodeId(1), Message::Probe { id: 1 });
        effects.write.records.push(Record::Truncated(Slot(1)));
        assert!(!effects.write.is_empty());
        effects.write.then_send.clone_from(&effects.send);
        effects.chosen.push((Slot(0), Value::Noop));
        effects.refused.push(Refusal { command, reason: RefusalReason::WindowFull });
        effects.readable.push((ReadId(1), Slot(1)));
        effects.unreadable.push((ReadId(2), ReadRefusal::TooMany));
        effects.handed_over.push((HandOverId(3), Ok(Ballot::NONE)));
        effects.events.push(Event::Probed);
        effects.clear();
        assert_eq!(effects, Effects::default());
    }
}
