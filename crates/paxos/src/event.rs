//! What happened, as a closed list: metrics, logs, captions and coverage read the same facts.

use crate::ballot::{Ballot, NodeId, Slot};
use crate::digest::Digest;

/// Something worth counting or telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// Asks the acceptors whether anybody leads.
    Probed,
    /// Acceptors support another leader, so there was no campaign.
    CampaignSpared {
        /// Who leads, as far as the acceptors' promises tell.
        leader: NodeId,
    },
    /// Phase 1 starts.
    Prepared {
        /// The ballot asked for.
        ballot: Ballot,
    },
    /// An acceptor promised.
    Promised {
        /// The ballot promised.
        ballot: Ballot,
    },
    /// A phase-1 quorum has promised; this node leads.
    Elected {
        /// Its ballot.
        ballot: Ballot,
        /// Slots whose value was voted for under an older ballot and is proposed again.
        adopted: u64,
        /// Slots below them without any vote, closed with no-ops.
        noops: u64,
    },
    /// Some acceptor supports a higher ballot, but a quorum is left.
    Contested {
        /// The higher ballot.
        by: Ballot,
    },
    /// No quorum is left for our ballot.
    Deposed {
        /// The ballot that took it.
        by: Ballot,
    },
    /// Phase 1 made no progress for a patience.
    GaveUp {
        /// The ballot given up.
        ballot: Ballot,
    },
    /// No quorum, disks included, was with this leader for two patiences. It leads no more.
    Forsaken {
        /// The ballot given up.
        ballot: Ballot,
    },
    /// A slot was chosen to hold what our ballot did not propose there: a higher one has taken
    /// over, and we lead no more.
    Overtaken {
        /// The first such slot.
        slot: Slot,
    },
    /// An acceptor refused a lower ballot.
    Rejected {
        /// The ballot refused.
        ballot: Ballot,
        /// The acceptor's promise.
        promised: Ballot,
    },
    /// Unanswered messages were sent again.
    SentAgain {
        /// How many.
        messages: u64,
    },
    /// A learner asked for what it missed.
    Fetched {
        /// From this slot on.
        from: Slot,
    },
    /// A new leader is followed.
    Following {
        /// Its ballot.
        ballot: Ballot,
    },
    /// What this node needs was cut elsewhere; it must get a snapshot before it can go on.
    Behind {
        /// Everything below is only in snapshots.
        truncated: Slot,
    },
    /// Bytes were well-formed, but no correct member sends this. Nothing was done.
    Declined {
        /// The sender.
        from: NodeId,
        /// Why.
        why: Decline,
    },
    /// Two values claim to be chosen in one slot. Agreement is broken somewhere: whoever drives
    /// this replica must stop and tell.
    Conflict {
        /// The slot.
        slot: Slot,
    },
    /// Two learners hold different histories. Agreement is broken somewhere: whoever drives this
    /// replica must stop and tell.
    Diverged {
        /// Who holds the other one.
        from: NodeId,
        /// Both histories end before this slot.
        below: Slot,
        /// The digest of ours.
        ours: Digest,
        /// The digest of the other.
        theirs: Digest,
    },
    /// This acceptor has no room for a vote, on its disk or in its budget, and did not vote.
    NoRoom {
        /// The ballot of the Accept.
        ballot: Ballot,
    },
    /// This acceptor may have forgotten votes.
    Suspect {
        /// Below this slot; at the first slot it has mended all that it had lost.
        below: Slot,
    },
    /// A learner goes on from a snapshot.
    Restored {
        /// Everything below is in it.
        below: Slot,
    },
    /// This leader holds back new values and lets another one lead.
    HandsOver {
        /// Who is to lead.
        to: NodeId,
    },
    /// Nobody took over; this leader goes on.
    KeepsLeading {
        /// Its ballot.
        ballot: Ballot,
    },
    /// The leader that this node follows lets it lead: it prepares without a probe.
    TakesOver {
        /// The ballot that is to end.
        from: Ballot,
    },
}

/// Why a well-formed message is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Decline {
    /// The sender or receiver does not have the role that the message needs.
    Role,
    /// The ballot's leader is not the sender, or cannot lead.
    BallotOwner,
    /// The round lies absurdly far above everything seen; believing it would use up the numbers.
    RoundJump,
    /// The slots lie absurdly far above what is chosen, or beyond the last slot.
    SlotRange,
    /// Another value was proposed at that ballot in that slot before. What came first is kept.
    Contradiction,
}

impl Event {
    /// Every name.
    pub const NAMES: [&'static str; 24] = [
        "probed",
        "campaign_spared",
        "prepared",
        "promised",
        "elected",
        "contested",
        "deposed",
        "gave_up",
        "forsaken",
        "overtaken",
        "rejected",
        "sent_again",
        "fetched",
        "following",
        "behind",
        "declined",
        "conflict",
        "diverged",
        "no_room",
        "suspect",
        "restored",
        "hands_over",
        "keeps_leading",
        "takes_over",
    ];

    /// As metrics spell it.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Probed => "probed",
            Event::CampaignSpared { .. } => "campaign_spared",
            Event::Prepared { .. } => "prepared",
            Event::Promised { .. } => "promised",
            Event::Elected { .. } => "elected",
            Event::Contested { .. } => "contested",
            Event::Deposed { .. } => "deposed",
            Event::GaveUp { .. } => "gave_up",
            Event::Forsaken { .. } => "forsaken",
            Event::Overtaken { .. } => "overtaken",
            Event::Rejected { .. } => "rejected",
            Event::SentAgain { .. } => "sent_again",
            Event::Fetched { .. } => "fetched",
            Event::Following { .. } => "following",
            Event::Behind { .. } => "behind",
            Event::Declined { .. } => "declined",
            Event::Conflict { .. } => "conflict",
            Event::Diverged { .. } => "diverged",
            Event::NoRoom { .. } => "no_room",
            Event::Suspect { .. } => "suspect",
            Event::Restored { .. } => "restored",
            Event::HandsOver { .. } => "hands_over",
            Event::KeepsLeading { .. } => "keeps_leading",
            Event::TakesOver { .. } => "takes_over",
        }
    }
}
