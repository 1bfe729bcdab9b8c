//! Worlds that break a promise on purpose, from outside of the core: the checkers must notice.
//!
//! A checker that was never seen to fail is not known to work. Each of these breaks one rule that
//! the driver or the network owes to the core (its contract is in that crate's first page).

use paxos::{Ballot, Configuration, Message, NodeId, Page, Rng, Run, Slot, Value};

/// What is wrong with the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broken {
    /// Messages that wait for the disk leave at once.
    SendsBeforeSync,
    /// A leader's second life has the bits of its first, and the same luck.
    SameIncarnation,
    /// An acceptor comes back with a part of its records only.
    Amnesia,
    /// An acceptor comes back with an empty disk.
    EmptyDisk,
    /// Some Accepts carry another value than their leader sent.
    TwistedAccept,
    /// Some Accepted are counted for another acceptor, too.
    BorrowedVote,
    /// Promises show no votes.
    HiddenVotes,
    /// Nodes disagree on the quorums: some think 4 and 2 of 5, some 2 and 4.
    QuorumsApart,
    /// Leaders are quoted as knowing more to be chosen than they said.
    LyingWatermark,
    /// A learner is told of values that nobody chose.
    FalseTeacher,
    /// A leader's index is taken for confirmed, whatever acceptors would say.
    UnconfirmedIndex,
    /// Who has confirmed a ballot once is counted in each later round of it.
    OldConfirmation,
    /// An index is what the leader knows to be chosen, not what it has proposed.
    LowIndex,
    /// Acceptors that have lost votes are quoted as if they had not.
    TrustedSuspect,
    /// Acceptors that have lost votes take them for lost at the beginning of their journal, so that
    /// leaders settle the loss who counted some of those votes.
    EarlyLoss,
    /// A lost disk is replaced by an empty one, as if nothing had been lost.
    ForgottenLoss,
}

impl Broken {
    /// Every broken world.
    pub const ALL: [Broken; 16] = [
        Broken::SendsBeforeSync,
        Broken::SameIncarnation,
        Broken::Amnesia,
        Broken::EmptyDisk,
        Broken::TwistedAccept,
        Broken::BorrowedVote,
        Broken::HiddenVotes,
        Broken::QuorumsApart,
        Broken::LyingWatermark,
        Broken::FalseTeacher,
        Broken::UnconfirmedIndex,
        Broken::OldConfirmation,
        Broken::LowIndex,
        Broken::TrustedSuspect,
        Broken::EarlyLoss,
        Broken::ForgottenLoss,
    ];

    /// What becomes of a message on its way, and who seems to have sent copies of it.
    pub(crate) fn twist(
        self,
        configuration: &Configuration,
        from: NodeId,
        message: &mut Message,
        rng: &mut Rng,
    ) -> Option<NodeId> {
        match (self, message) {
            (Broken::TwistedAccept, Message::Accept { run, .. }) if rng.below(20) == 0 => {
                *run = twisted(run);
                None
            }
            (Broken::BorrowedVote, Message::Accepted { .. }) => {
                let acceptors = configuration.acceptors();
                let other = acceptors[rng.index(acceptors.len())];
                (other != from).then_some(other)
            }
            (Broken::HiddenVotes, Message::Promise { page, .. }) => {
                *page = Page { votes: Vec::new(), next: None, ..page.clone() };
                None
            }
            (Broken::TrustedSuspect, Message::Promise { page, .. }) => {
                page.suspect = Slot::FIRST;
                None
            }
            (Broken::LyingWatermark, Message::Heartbeat { chosen, ballot, .. })
                if *ballot != Ballot::NONE =>
            {
                *chosen = chosen.plus(2);
                None
            }
            (Broken::FalseTeacher, Message::Learned { values, .. }) if !values.is_empty() => {
                *values = vec![Value::Noop; values.len()].into();
                None
            }
            _ => None,
        }
    }
}

fn twisted(run: &Run) -> Run {
    let values: Vec<Value> = run.values.iter().map(|_| Value::Noop).collect();
    Run { ballot: run.ballot, first: run.first, values: values.into() }
}
