//! What one row says. Fields that a row has nothing to say in are absent.

use sha2::{Digest as _, Sha256};

use crate::header::Values;

/// Times, latencies and slots are below or at this, so that sums of two of them cannot overflow.
pub const LIMIT: u64 = 1 << 62;
/// A longer text is cut.
pub const TEXT_BYTES_MAX: usize = 1024;
/// A longer preview is cut.
pub const PREVIEW_BYTES_MAX: usize = 32;

/// One thing that was said or that happened. Rows have numbers: their places in the trace, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// When, in microseconds of the header's clock; a message: when it left. Never less than in
    /// the row before. At most [`LIMIT`].
    pub at_us: u64,
    /// The sender, or where it happened; zero: the world.
    pub node: u32,
    /// The message that led to it: the number of its row. Less than this row's own.
    pub cause: Option<u64>,
    /// The ballot that it is about.
    pub ballot: Option<Ballot>,
    /// The ballot that stands in its way: promised by an acceptor, or taking over.
    pub promised: Option<Ballot>,
    /// The slots that it is about.
    pub slots: Option<Slots>,
    /// Every slot below is chosen, says the sender. At most [`LIMIT`].
    pub chosen: Option<u64>,
    /// The value of the first of the slots.
    pub value: Option<Value>,
    /// What it is.
    pub what: What,
}

/// A message or an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A message.
    Message {
        /// Which.
        kind: MessageKind,
        /// The receiver.
        to: u32,
        /// What became of it.
        fate: Fate,
    },
    /// Anything else.
    Event {
        /// Which.
        kind: EventKind,
        /// Another node that it is about; zero: none.
        peer: u32,
        /// What is counted; each kind says what.
        numbers: [u64; 2],
        /// In words, at most [`TEXT_BYTES_MAX`] bytes.
        text: String,
    },
}

/// What became of a message. Latencies are in microseconds, at most [`LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It never arrived.
    Lost,
    /// It was heard.
    Once(u64),
    /// It was heard twice.
    Twice(u64, u64),
    /// It came to a node that was down or deaf.
    Unheard(u64),
    /// It was under way when the trace ended.
    Open,
}

/// A proposal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Grows with each attempt to lead.
    pub round: u64,
    /// The leader that owns it.
    pub leader: u32,
    /// Which life of that leader: 64 random bits.
    pub incarnation: u64,
}

/// Consecutive slots. `first + count` is at most [`LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slots {
    /// The first.
    pub first: u64,
    /// How many; zero: from `first` on, without an end.
    pub count: u64,
}

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Nothing: the slot is closed.
    Noop,
    /// A new leader's first own entry.
    LeaderStart,
    /// A client's value.
    Command {
        /// Its length.
        bytes: u64,
        /// What may be seen of it.
        shown: Shown,
    },
}

/// What may be seen of a client's value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shown {
    /// Its length only. Two values that look the same need not be.
    Length,
    /// The first 8 bytes of its SHA-256, big endian: two values that look the same are. Whoever
    /// can guess a value can check the guess.
    Hash(u64),
    /// The hash, and words for a person, at most [`PREVIEW_BYTES_MAX`] bytes.
    Preview(u64, String),
}

impl Value {
    /// A client's value, with all that can be shown of it.
    pub fn command(bytes: &[u8], preview: impl Into<String>) -> Value {
        let digest = Sha256::digest(bytes);
        let head = digest.first_chunk().expect("a digest has 32 bytes");
        let length = u64::try_from(bytes.len()).expect("a length in memory fits in 64 bits");
        Value::Command {
            bytes: length,
            shown: Shown::Preview(u64::from_be_bytes(*head), preview.into()),
        }
    }

    /// The same value, showing no more than it may.
    #[must_use]
    pub fn redacted(&self, values: Values) -> Value {
        let Value::Command { bytes, shown } = self else { return self.clone() };
        let shown = match (shown, values) {
            (Shown::Hash(hash) | Shown::Preview(hash, _), Values::Hash) => Shown::Hash(*hash),
            (_, Values::None) => Shown::Length,
            (shown, Values::Hash | Values::Preview) => shown.clone(),
        };
        Value::Command { bytes: *bytes, shown }
    }
}

/// The kind of a message; its number in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[expect(missing_docs, reason = "each is the message of that name, see docs/protocol.md")]
pub enum MessageKind {
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

impl MessageKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [MessageKind; 23] = [
        MessageKind::Prepare,
        MessageKind::Promise,
        MessageKind::Reject,
        MessageKind::Accept,
        MessageKind::Accepted,
        MessageKind::Chosen,
        MessageKind::Heartbeat,
        MessageKind::HeartbeatReply,
        MessageKind::Probe,
        MessageKind::ProbeReply,
        MessageKind::Fetch,
        MessageKind::Learned,
        MessageKind::Votes,
        MessageKind::Confirm,
        MessageKind::Confirmed,
        MessageKind::ReadIndex,
        MessageKind::ReadIndexReply,
        MessageKind::Kept,
        MessageKind::FetchPart,
        MessageKind::Part,
        MessageKind::Offer,
        MessageKind::Willing,
        MessageKind::HandOver,
    ];

    /// As metrics and captions spell it.
    pub fn name(self) -> &'static str {
        match self {
            MessageKind::Prepare => "prepare",
            MessageKind::Promise => "promise",
            MessageKind::Reject => "reject",
            MessageKind::Accept => "accept",
            MessageKind::Accepted => "accepted",
            MessageKind::Chosen => "chosen",
            MessageKind::Heartbeat => "heartbeat",
            MessageKind::HeartbeatReply => "heartbeat_reply",
            MessageKind::Probe => "probe",
            MessageKind::ProbeReply => "probe_reply",
            MessageKind::Fetch => "fetch",
            MessageKind::Learned => "learned",
            MessageKind::Votes => "votes",
            MessageKind::Confirm => "confirm",
            MessageKind::Confirmed => "confirmed",
            MessageKind::ReadIndex => "read_index",
            MessageKind::ReadIndexReply => "read_index_reply",
            MessageKind::Kept => "kept",
            MessageKind::FetchPart => "fetch_part",
            MessageKind::Part => "part",
            MessageKind::Offer => "offer",
            MessageKind::Willing => "willing",
            MessageKind::HandOver => "hand_over",
        }
    }
}

/// The kind of an event; its number in the file. The names of what a node tells are those of its
/// metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// A node begins a life; numbers: which.
    Started = 64,
    /// A life ends.
    Ended = 65,
    /// A promise of `ballot` is on disk.
    PromisePersisted = 66,
    /// Acceptances at `ballot` of `slots` are on disk.
    AcceptedPersisted = 67,
    /// Votes below the first of `slots` are cut, on disk.
    TruncatedPersisted = 68,
    /// A learner knows `slots` to be chosen, and all below.
    SlotsLearned = 69,
    /// A client's request reaches a node; numbers: client, and which of its values, or zero for
    /// what concerns its session.
    Called = 70,
    /// A client hears an answer, in words; numbers as above. `slots`: where its value is.
    Returned = 71,
    /// Something befalls the world, in words.
    Misfortune = 72,
    /// A promise of the protocol is broken, in words.
    Violation = 73,
    /// A remark, in words.
    Note = 74,
    /// An acceptor has lost votes, and does not know which.
    SuspectPersisted = 75,
    /// What it has lost matters only below the first of `slots`, on disk.
    SettledPersisted = 76,
    /// A node asks whether anybody leads.
    Probed = 96,
    /// There was no campaign, for `peer` leads.
    CampaignSpared = 97,
    /// Phase 1 starts.
    Prepared = 98,
    /// An acceptor promised.
    Promised = 99,
    /// Leadership gained; numbers: adopted slots, no-ops.
    Elected = 100,
    /// Some acceptor supports `promised`, but a quorum is left.
    Contested = 101,
    /// Leadership lost to `promised`.
    Deposed = 102,
    /// Phase 1 made no progress.
    GaveUp = 103,
    /// Leadership lost, as no quorum was with it.
    Forsaken = 104,
    /// Leadership lost, as another value was chosen in the first of `slots`.
    Overtaken = 105,
    /// An acceptor refused a ballot.
    Rejected = 106,
    /// Unanswered messages were sent again; numbers: how many.
    SentAgain = 107,
    /// A learner asked for what it missed.
    Fetched = 108,
    /// A new leader is followed.
    Following = 109,
    /// What a node needs was cut elsewhere.
    Behind = 110,
    /// A message of `peer` that no correct node sends, and why.
    Declined = 111,
    /// Two values claim to be chosen in one slot.
    Conflict = 112,
    /// Two histories differ below the first of `slots`: this node's, and that of `peer`.
    Diverged = 113,
    /// An acceptor has no room for a vote, and did not vote.
    NoRoom = 114,
    /// A learner goes on from a snapshot; everything below the first of `slots` is in it.
    Restored = 115,
    /// An acceptor may have forgotten votes below the first of `slots`; at the first slot, none.
    Suspect = 116,
    /// A leader holds back new values and lets the `peer` lead.
    HandsOver = 117,
    /// Nobody took over from it at `ballot`; it goes on.
    KeepsLeading = 118,
    /// A node prepares, because the leader at `ballot` lets it.
    TakesOver = 119,
}

impl EventKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [EventKind; 37] = [
        EventKind::Started,
        EventKind::Ended,
        EventKind::PromisePersisted,
        EventKind::AcceptedPersisted,
        EventKind::TruncatedPersisted,
        EventKind::SlotsLearned,
        EventKind::Called,
        EventKind::Returned,
        EventKind::Misfortune,
        EventKind::Violation,
        EventKind::Note,
        EventKind::SuspectPersisted,
        EventKind::SettledPersisted,
        EventKind::Probed,
        EventKind::CampaignSpared,
        EventKind::Prepared,
        EventKind::Promised,
        EventKind::Elected,
        EventKind::Contested,
        EventKind::Deposed,
        EventKind::GaveUp,
        EventKind::Forsaken,
        EventKind::Overtaken,
        EventKind::Rejected,
        EventKind::SentAgain,
        EventKind::Fetched,
        EventKind::Following,
        EventKind::Behind,
        EventKind::Declined,
        EventKind::Conflict,
        EventKind::Diverged,
        EventKind::NoRoom,
        EventKind::Restored,
        EventKind::Suspect,
        EventKind::HandsOver,
        EventKind::KeepsLeading,
        EventKind::TakesOver,
    ];

    /// As exports and captions spell it.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Started => "started",
            EventKind::Ended => "ended",
            EventKind::PromisePersisted => "promise_persisted",
            EventKind::AcceptedPersisted => "accepted_persisted",
            EventKind::TruncatedPersisted => "truncated_persisted",
            EventKind::SlotsLearned => "slots_learned",
            EventKind::Called => "called",
            EventKind::Returned => "returned",
            EventKind::Misfortune => "misfortune",
            EventKind::Violation => "violation",
            EventKind::Note => "note",
            EventKind::SuspectPersisted => "suspect_persisted",
            EventKind::SettledPersisted => "settled_persisted",
            EventKind::Probed => "probed",
            EventKind::CampaignSpared => "campaign_spared",
            EventKind::Prepared => "prepared",
            EventKind::Promised => "promised",
            EventKind::Elected => "elected",
            EventKind::Contested => "contested",
            EventKind::Deposed => "deposed",
            EventKind::GaveUp => "gave_up",
            EventKind::Forsaken => "forsaken",
            EventKind::Overtaken => "overtaken",
            EventKind::Rejected => "rejected",
            EventKind::SentAgain => "sent_again",
            EventKind::Fetched => "fetched",
            EventKind::Following => "following",
            EventKind::Behind => "behind",
            EventKind::Declined => "declined",
            EventKind::Conflict => "conflict",
            EventKind::Diverged => "diverged",
            EventKind::NoRoom => "no_room",
            EventKind::Restored => "restored",
            EventKind::Suspect => "suspect",
            EventKind::HandsOver => "hands_over",
            EventKind::KeepsLeading => "keeps_leading",
            EventKind::TakesOver => "takes_over",
        }
    }
}

impl What {
    /// The name of the kind.
    pub fn name(&self) -> &'static str {
        match self {
            What::Message { kind, .. } => kind.name(),
            What::Event { kind, .. } => kind.name(),
        }
    }
}

impl Fate {
    /// As exports and captions spell it.
    pub fn name(self) -> &'static str {
        match self {
            Fate::Lost => "lost",
            Fate::Once(_) => "once",
            Fate::Twice(..) => "twice",
            Fate::Unheard(_) => "unheard",
            Fate::Open => "open",
        }
    }

    /// The latencies of the copies that were heard.
    pub fn heard(self) -> impl Iterator<Item = u64> {
        let (first, second) = match self {
            Fate::Once(first) => (Some(first), None),
            Fate::Twice(first, second) => (Some(first), Some(second)),
            Fate::Lost | Fate::Unheard(_) | Fate::Open => (None, None),
        };
        first.into_iter().chain(second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_number_and_a_name_of_its_own() {
        let messages = MessageKind::ALL.map(|kind| (kind as u8, kind.name()));
        let events = EventKind::ALL.map(|kind| (kind as u8, kind.name()));
        let all: Vec<(u8, &str)> = messages.into_iter().chain(events).collect();
        assert!(all.is_sorted_by(|one, next| one.0 < next.0));
        let names: std::collections::BTreeSet<&str> = all.iter().map(|(_, name)| *name).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn a_value_is_known_by_the_hash_that_others_compute() {
        // The SHA-256 of "abc", from FIPS 180-4, begins ba7816bf8f01cfea.
        let shown = Shown::Preview(0xba78_16bf_8f01_cfea, "abc".into());
        assert_eq!(Value::command(b"abc", "abc"), Value::Command { bytes: 3, shown });
    }
}
