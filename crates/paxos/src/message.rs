//! Every message, and which ones wait for the disk.
//!
//! The protocol's cheat sheet: `docs/protocol.md` draws the same lanes. A sender's id travels
//! beside the message (see [`Envelope`] and the wire format), never inside it.
//!
//! Source: Lamport, "Paxos Made Simple", sections 2.2 and 3; van Renesse and Altinbuken, "Paxos
//! Made Moderately Complex", for one promise over all slots.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::ballot::{Ballot, NodeId, Slot};
use crate::digest::{Mark, SnapshotId};
use crate::runs::Run;
use crate::time::Instant;
use crate::value::Values;

/// A message on its way out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// The receiver. May be the sender itself: a node that is leader and acceptor talks to itself
    /// by messages, without a special case.
    pub to: NodeId,
    /// What is said.
    pub message: Message,
}

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// Phase 1a, leader to acceptors: promise this ballot, and show me your votes at and above
    /// `from`. Asked again with a larger `from` for each further page.
    Prepare {
        /// The ballot to promise.
        ballot: Ballot,
        /// The first slot of the page that is asked for.
        from: Slot,
    },
    /// Phase 1b, acceptor to leader: nothing below `ballot` will be accepted here any more.
    Promise {
        /// The ballot of the Prepare. Counted only by the leader that still prepares exactly it.
        ballot: Ballot,
        /// Votes. Below a promised ballot they are frozen, so pages asked for one after another
        /// fit together. The promise counts when the last page is in.
        page: Page,
    },
    /// Acceptor to leader, either phase: no, I have promised a higher ballot. Always sent; the
    /// ancestor's acceptors stayed silent and its leaders waited for ever.
    Reject {
        /// The ballot that is refused.
        ballot: Ballot,
        /// The acceptor's promise.
        promised: Ballot,
        /// Below this slot the acceptor has cut its votes.
        truncated: Slot,
    },
    /// Phase 2a, leader to acceptors, and to learners for the values.
    Accept {
        /// The values and their ballot.
        run: Run,
        /// Every slot below is chosen, and where the leader proposed in it at the run's ballot,
        /// what it proposed is what was chosen.
        chosen: Slot,
    },
    /// Phase 2b, acceptor to leader and learners: I have accepted what this ballot proposes in
    /// these slots.
    Accepted {
        /// The ballot of the votes.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// One past the last slot; above `first`.
        end: Slot,
    },
    /// Leader to learners: every slot below `chosen` is chosen, as in `Accept`.
    Chosen {
        /// The leader's ballot. Says nothing about values seen at any other ballot: a bare
        /// watermark over local votes is unsafe.
        ballot: Ballot,
        /// One past the last slot of the leader's contiguous chosen prefix.
        chosen: Slot,
    },
    /// Leader to everyone, at intervals: I lead, and this is how lately a quorum confirmed it.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// The leader's time when it was sent; comes back in the reply. Means nothing to others.
        sent: Instant,
        /// Age of the last proof that a phase-2 quorum of acceptors, disks included, is with this
        /// leader; none before the first.
        proof_age: Option<Duration>,
        /// As in `Chosen`.
        chosen: Slot,
        /// The slot of the leader's start entry: from here on, nothing that was proposed at a lower
        /// ballot can be chosen.
        start: Slot,
        /// The leader's digest of a prefix of its history, to be compared with the receiver's.
        mark: Mark,
    },
    /// Acceptor to leader. Waits behind the disk, so that a stalled disk is not taken for a live
    /// acceptor.
    HeartbeatReply {
        /// The ballot of the heartbeat; the acceptor has promised nothing higher.
        ballot: Ballot,
        /// The heartbeat's `sent`.
        sent: Instant,
        /// Votes at this very ballot may be lost here. Only the leader of a higher one can tell
        /// which of them matter.
        is_suspect: bool,
    },
    /// Would-be leader to acceptors: is anybody leading? Changes nothing at the acceptor.
    Probe {
        /// Pairs the reply with the question.
        id: u64,
    },
    /// Acceptor to would-be leader.
    ProbeReply {
        /// The probe's id.
        id: u64,
        /// The acceptor's promise.
        promised: Ballot,
        /// How long ago the acceptor last had a sign of progress: a heartbeat or Accept of the
        /// promised ballot with a fresh proof of its quorum, or the promise itself.
        progress_age: Option<Duration>,
    },
    /// Learner to learners and acceptors, or acceptor that has lost votes to learners: what do you
    /// know at and above `from`?
    Fetch {
        /// The first slot of which the sender does not know what was chosen.
        from: Slot,
    },
    /// Learner to whoever asked: these values are chosen.
    Learned {
        /// The slot of the first value.
        first: Slot,
        /// Chosen values; empty if the sender knows none from `first` on.
        values: Values,
        /// One past the last slot that the sender knows to be chosen.
        chosen: Slot,
        /// Below this slot the sender has only a snapshot.
        truncated: Slot,
    },
    /// Acceptor to learner: these are my votes. They say nothing of what is chosen; a phase-2
    /// quorum of them at one ballot does.
    Votes {
        /// The votes.
        page: Page,
    },
    /// Leader to acceptors, for a read: have you promised anything higher?
    Confirm {
        /// The leader's ballot.
        ballot: Ballot,
        /// Pairs the answer with the question. Grows with each question of a ballot.
        round: u64,
    },
    /// Acceptor to leader: when this was asked, I had promised nothing above `ballot`. Does not
    /// wait for the disk: a promise that is not yet on disk has not been given either.
    Confirmed {
        /// The ballot that was asked about.
        ballot: Ballot,
        /// The question's round.
        round: u64,
    },
    /// Learner to leader: what must I have applied to answer a read that begins now?
    ReadIndex {
        /// Pairs the answer with the question.
        id: u64,
    },
    /// Leader to learner.
    ReadIndexReply {
        /// The question's id.
        id: u64,
        /// One past the last slot that can have been chosen when the question came; none if the
        /// sender does not lead.
        index: Option<Slot>,
    },
    /// Learner to acceptors, at intervals: a snapshot of every slot below is on my disk.
    Kept {
        /// One past the last slot that the snapshot covers.
        below: Slot,
    },
    /// Learner to learner: send me a part of a snapshot.
    FetchPart {
        /// Which one; none: your newest.
        snapshot: Option<SnapshotId>,
        /// The part's first byte. Zero unless a snapshot is named.
        offset: u64,
    },
    /// Learner to learner: a part of a snapshot, the newest if the one asked for is gone.
    Part {
        /// Of which snapshot.
        snapshot: SnapshotId,
        /// The part's first byte.
        offset: u64,
        /// The part. Ends within the snapshot.
        bytes: Arc<[u8]>,
    },
    /// Leader to the other leaders: could you lead in my place? Changes nothing at the receiver.
    Offer {
        /// The sender's ballot.
        ballot: Ballot,
        /// Which offer of that ballot. Grows.
        number: u64,
    },
    /// Would-be leader to leader: I follow that ballot, and a phase-1 quorum of acceptors answers
    /// me.
    Willing {
        /// The ballot of the offer.
        ballot: Ballot,
        /// The offer's number.
        number: u64,
        /// One past the last slot of the sender's contiguous chosen prefix.
        chosen: Slot,
    },
    /// Leader to the one that it has picked: prepare now, as if I were gone. Obeyed once an offer,
    /// and only while the receiver follows that very ballot.
    HandOver {
        /// The sender's ballot.
        ballot: Ballot,
        /// The number of the offer that the receiver has answered.
        number: u64,
    },
}

/// A part of an acceptor's votes, in slot order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The slot that was asked for; the page holds every vote from here up to `next`.
    pub from: Slot,
    /// The votes.
    pub votes: Vec<Run>,
    /// Where the next page starts; none if this is the last.
    pub next: Option<Slot>,
    /// Below this slot the acceptor has cut its votes: they are decided, not free.
    pub truncated: Slot,
    /// Below this slot votes may be missing that were lost with a part of the acceptor's disk. It
    /// must not be believed that there is none.
    pub suspect: Slot,
}

/// The kind of a message, for counting and describing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the message of that name")]
pub enum Kind {
    Prepare = 1,
    Promise = 2,
    Reject = 3,
    Accept = 4,
    Accepted = 5,
    Chosen = 6,
    Heartbeat = 7,
    HeartbeatReply = 8,
    Probe = 9,
    ProbeReply = 10,
    Fetch = 11,
    Learned = 12,
    Votes = 13,
    Confirm = 14,
    Confirmed = 15,
    ReadIndex = 16,
    ReadIndexReply = 17,
    Kept = 18,
    FetchPart = 19,
    Part = 20,
    Offer = 21,
    Willing = 22,
    HandOver = 23,
}

impl Kind {
    /// Every kind, in the order of their numbers on the wire.
    pub const ALL: [Kind; 23] = [
        Kind::Prepare,
        Kind::Promise,
        Kind::Reject,
        Kind::Accept,
        Kind::Accepted,
        Kind::Chosen,
        Kind::Heartbeat,
        Kind::HeartbeatReply,
        Kind::Probe,
        Kind::ProbeReply,
        Kind::Fetch,
        Kind::Learned,
        Kind::Votes,
        Kind::Confirm,
        Kind::Confirmed,
        Kind::ReadIndex,
        Kind::ReadIndexReply,
        Kind::Kept,
        Kind::FetchPart,
        Kind::Part,
        Kind::Offer,
        Kind::Willing,
        Kind::HandOver,
    ];

    /// As metrics and captions spell it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Prepare => "prepare",
            Kind::Promise => "promise",
            Kind::Reject => "reject",
            Kind::Accept => "accept",
            Kind::Accepted => "accepted",
            Kind::Chosen => "chosen",
            Kind::Heartbeat => "heartbeat",
            Kind::HeartbeatReply => "heartbeat_reply",
            Kind::Probe => "probe",
            Kind::ProbeReply => "probe_reply",
            Kind::Fetch => "fetch",
            Kind::Learned => "learned",
            Kind::Votes => "votes",
            Kind::Confirm => "confirm",
            Kind::Confirmed => "confirmed",
            Kind::ReadIndex => "read_index",
            Kind::ReadIndexReply => "read_index_reply",
            Kind::Kept => "kept",
            Kind::FetchPart => "fetch_part",
            Kind::Part => "part",
            Kind::Offer => "offer",
            Kind::Willing => "willing",
            Kind::HandOver => "hand_over",
        }
    }
}

impl Message {
    /// Which message it is.
    pub fn kind(&self) -> Kind {
        match self {
            Message::Prepare { .. } => Kind::Prepare,
            Message::Promise { .. } => Kind::Promise,
            Message::Reject { .. } => Kind::Reject,
            Message::Accept { .. } => Kind::Accept,
            Message::Accepted { .. } => Kind::Accepted,
            Message::Chosen { .. } => Kind::Chosen,
            Message::Heartbeat { .. } => Kind::Heartbeat,
            Message::HeartbeatReply { .. } => Kind::HeartbeatReply,
            Message::Probe { .. } => Kind::Probe,
            Message::ProbeReply { .. } => Kind::ProbeReply,
            Message::Fetch { .. } => Kind::Fetch,
            Message::Learned { .. } => Kind::Learned,
            Message::Votes { .. } => Kind::Votes,
            Message::Confirm { .. } => Kind::Confirm,
            Message::Confirmed { .. } => Kind::Confirmed,
            Message::ReadIndex { .. } => Kind::ReadIndex,
            Message::ReadIndexReply { .. } => Kind::ReadIndexReply,
            Message::Kept { .. } => Kind::Kept,
            Message::FetchPart { .. } => Kind::FetchPart,
            Message::Part { .. } => Kind::Part,
            Message::Offer { .. } => Kind::Offer,
            Message::Willing { .. } => Kind::Willing,
            Message::HandOver { .. } => Kind::HandOver,
        }
    }

    /// Whether it may leave only when everything written before it is on disk.
    ///
    /// What waits is what others will rely on after our crash: promises and votes. A Reject may
    /// leave at once, for it commits us to nothing. A `HeartbeatReply` waits although it tells of
    /// no record: it is to prove that the disk still moves.
    pub fn waits_for_disk(&self) -> bool {
        match self.kind() {
            Kind::Promise | Kind::Accepted | Kind::Votes | Kind::HeartbeatReply => true,
            Kind::Prepare
            | Kind::Reject
            | Kind::Accept
            | Kind::Chosen
            | Kind::Heartbeat
            | Kind::Probe
            | Kind::ProbeReply
            | Kind::Fetch
            | Kind::Learned
            | Kind::Confirm
            | Kind::Confirmed
            | Kind::ReadIndex
            | Kind::ReadIndexReply
            | Kind::Kept
            | Kind::FetchPart
            | Kind::Part
            | Kind::Offer
            | Kind::Willing
            | Kind::HandOver => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_heartbeat_proves_that_the_disk_moves() {
        let (ballot, sent) = (Ballot::NONE, Instant(1));
        assert!(Message::HeartbeatReply { ballot, sent, is_suspect: false }.waits_for_disk());
        let promised = ballot;
        let (id, progress_age) = (1, None);
        assert!(!Message::ProbeReply { id, promised, progress_age }.waits_for_disk());
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(names.contains("heartbeat_reply"));
    }
}
