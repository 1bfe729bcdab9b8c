//! Both halves of one question: is a quorum, disks included, with this leader?
//!
//! A leader collects replies to its heartbeats and so knows how old its last proof of a phase-2
//! quorum is. It says so in each heartbeat; an acceptor counts as progress only what came with a
//! fresh proof. So a leader that still reaches an acceptor but has lost its quorum, or whose
//! acceptors' disks stand still, loses its support, and nobody else has to guess. Liveness only.
//!
//! Source: the idea of electing only quorum-connected leaders is that of Ng, Haridi and Carbone,
//! "Omni-Paxos", EuroSys 2023. Differs from it: failure is detected through the acceptors, since
//! leaders need not reach each other.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use crate::ballot::{NodeId, Slot};
use crate::quorum::{Configuration, Phase1, Phase2, Voters};
use crate::time::Instant;

/// A leader's half: when each acceptor last confirmed its ballot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Contact {
    /// The `sent` time of the latest heartbeat that each acceptor has answered.
    confirmed: BTreeMap<NodeId, Instant>,
    /// The acceptors that may have lost votes at the ballot.
    suspect: BTreeSet<NodeId>,
}

impl Contact {
    /// An acceptor answered the heartbeat that was sent at `sent`.
    pub fn confirm(&mut self, acceptor: NodeId, sent: Instant, now: Instant) {
        // The time came back over the network; it cannot be later than now.
        let sent = sent.min(now);
        let latest = self.confirmed.entry(acceptor).or_insert(sent);
        *latest = sent.max(*latest);
    }

    /// An acceptor may have lost votes at the ballot.
    pub fn suspect(&mut self, acceptor: NodeId) {
        self.suspect.insert(acceptor);
    }

    /// Whether, of the acceptors that have answered lately, a phase-1 quorum has lost nothing.
    pub fn can_do_without_suspects(
        &self,
        configuration: &Configuration,
        now: Instant,
        patience: Duration,
    ) -> bool {
        let mut voters = Voters::<Phase1>::default();
        for (acceptor, sent) in &self.confirmed {
            if now.since(*sent) <= patience && !self.suspect.contains(acceptor) {
                configuration.count(&mut voters, *acceptor);
            }
        }
        configuration.is_quorum(voters)
    }

    /// The age of the last proof that a phase-2 quorum was with this leader, counted from when
    /// the heartbeats were sent.
    pub fn proof_age(&self, configuration: &Configuration, now: Instant) -> Option<Duration> {
        let mut times: Vec<Instant> = self.confirmed.values().copied().collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let oldest_needed = times.get(configuration.quorum_size::<Phase2>() - 1)?;
        Some(now.since(*oldest_needed))
    }

    /// How many acceptors have answered a heartbeat sent within the last `patience`.
    pub fn reachable(&self, now: Instant, patience: Duration) -> usize {
        self.confirmed.values().filter(|sent| now.since(**sent) <= patience).count()
    }

    /// Forgets everything: a new ballot has to prove itself anew.
    pub fn clear(&mut self) {
        self.confirmed.clear();
        self.suspect.clear();
    }
}

/// An acceptor's half: when it last saw progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Witness {
    at: Option<Instant>,
    /// How far the leader of the promised ballot has read our votes.
    page: Slot,
    /// How far everything is chosen, by its word.
    chosen: Option<Slot>,
}

impl Witness {
    /// A new ballot was promised. Its leader gets one patience to prove itself, so that a second
    /// candidate does not overtake it at once.
    pub fn promised(&mut self, now: Instant) {
        self.at = Some(now);
        self.page = Slot::FIRST;
        self.chosen = None;
    }

    /// The leader of the promised ballot asks for votes from a slot on. Reading a long history is
    /// progress, or candidates would overtake each other for ever; asking again is none.
    pub fn asked(&mut self, from: Slot, now: Instant) {
        if from > self.page {
            self.at = Some(now);
            self.page = from;
        }
    }

    /// The leader of the promised ballot says how far everything is chosen. If it gets further, a
    /// quorum is with it, however late its heartbeats are: what it proposes may stand before them.
    pub fn led(&mut self, chosen: Slot, now: Instant) {
        if self.chosen.is_some_and(|before| chosen > before) {
            self.at = Some(now);
        }
        self.chosen = self.chosen.max(Some(chosen));
    }

    /// A heartbeat of the promised ballot arrived. Without a fresh proof it counts for nothing.
    pub fn heard(&mut self, proof_age: Option<Duration>, patience: Duration, now: Instant) {
        if is_fresh(proof_age, patience) {
            self.at = Some(now);
        }
    }

    /// How long ago that was.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.at.map(|at| now.since(at))
    }
}

/// Whether a proof is recent enough to support its leader: half the patience, so that support
/// ends at most one and a half after the quorum does.
pub fn is_fresh(proof_age: Option<Duration>, patience: Duration) -> bool {
    proof_age.is_some_and(|age| age <= patience / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};

    const PATIENCE: Duration = Duration::from_micros(100);

    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id == 1, acceptor: true, learner: false };
            (NodeId(id), Member { roles, disk: Some(DiskId::default()) })
        };
        Configuration::majority(ClusterId::default(), (1..=5).map(member).collect()).unwrap()
    }

    #[test]
    fn a_proof_is_as_old_as_the_last_vote_it_needs() {
        let mut contact = Contact::default();
        let now = Instant(100);
        for (id, sent) in [(1, 90), (2, 50)] {
            contact.confirm(NodeId(id), Instant(sent), now);
        }
        assert_eq!(contact.proof_age(&configuration(), now), None);
        contact.confirm(NodeId(3), Instant(70), now);
        let age = |contact: &Contact| contact.proof_age(&configuration(), now);
        assert_eq!(age(&contact), Some(Duration::from_micros(50)));
        contact.confirm(NodeId(4), Instant(80), now);
        assert_eq!(age(&contact), Some(Duration::from_micros(30)));
        contact.confirm(NodeId(4), Instant(10), now);
        assert_eq!(
            age(&contact),
            Some(Duration::from_micros(30)),
            "a late reply sets nothing back"
        );
        contact.confirm(NodeId(5), Instant(5_000), now);
        assert_eq!(age(&contact), Some(Duration::from_micros(20)), "nobody answers the future");
    }

    #[test]
    fn a_heartbeat_without_a_fresh_proof_is_no_progress() {
        let mut witness = Witness::default();
        witness.heard(None, PATIENCE, Instant(10));
        witness.heard(Some(PATIENCE), PATIENCE, Instant(10));
        assert_eq!(witness.age(Instant(20)), None);
        witness.heard(Some(PATIENCE / 2), PATIENCE, Instant(10));
        assert_eq!(witness.age(Instant(20)), Some(Duration::from_micros(10)));
    }

    #[test]
    fn a_promise_gives_its_leader_time() {
        let mut witness = Witness::default();
        witness.promised(Instant(10));
        assert_eq!(witness.age(Instant(30)), Some(Duration::from_micros(20)));
    }

    #[test]
    fn a_leader_that_has_more_chosen_makes_progress() {
        let mut witness = Witness::default();
        let seen = |witness: &Witness| witness.age(Instant(100)).map(|age| age.as_micros());
        witness.promised(Instant(10));
        witness.led(Slot(7), Instant(20));
        assert_eq!(seen(&witness), Some(90), "what it knew before shows no quorum");
        witness.led(Slot(8), Instant(30));
        witness.led(Slot(8), Instant(40));
        witness.led(Slot(7), Instant(50));
        assert_eq!(seen(&witness), Some(70), "and neither does what was said before");
        witness.promised(Instant(60));
        witness.led(Slot(9), Instant(70));
        assert_eq!(seen(&witness), Some(40), "of a new leader nothing is known");
    }

    #[test]
    fn asking_for_the_same_page_again_is_no_progress() {
        let mut witness = Witness::default();
        witness.promised(Instant(10));
        witness.asked(Slot(0), Instant(20));
        assert_eq!(witness.age(Instant(30)), Some(Duration::from_micros(20)));
        witness.asked(Slot(5), Instant(40));
        witness.asked(Slot(5), Instant(50));
        assert_eq!(witness.age(Instant(60)), Some(Duration::from_micros(20)));
    }

    #[test]
    fn a_leader_knows_whether_it_can_do_without_those_that_lost_votes() {
        let can = |suspects: &[u32], now| {
            let mut contact = Contact::default();
            (1..=4).for_each(|id| contact.confirm(NodeId(id), Instant(0), Instant(0)));
            for id in suspects {
                contact.suspect(NodeId(*id));
            }
            contact.can_do_without_suspects(&configuration(), Instant(now), PATIENCE)
        };
        assert!(can(&[1], 100));
        assert!(!can(&[1, 2], 100), "two are no quorum of five");
        assert!(!can(&[1], 101), "nobody has answered lately");
    }
}
