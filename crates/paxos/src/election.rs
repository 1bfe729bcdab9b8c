//! When to campaign. Liveness only: no answer given here can make anything unsafe.
//!
//! A leader that hears no leader for its patience first probes the acceptors, which changes
//! nothing there. It prepares only when a phase-1 quorum answers that it has seen no progress for
//! as long. So there is no duel, no zombie leader on a stalled disk, no flapping when links are
//! partial, and no disturbance by a node that returns.
//!
//! Source: probing takes the place of the pre-vote of Ongaro, "Consensus: Bridging Theory and
//! Practice", section 9.6, and of check-quorum, in one mechanism.

use core::time::Duration;

use crate::ballot::{Ballot, NodeId};
use crate::config::Timing;
use crate::quorum::{Configuration, Phase1, Voters};
use crate::rng::Rng;
use crate::support::is_fresh;
use crate::time::Instant;

/// One would-be leader's patience.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Election {
    timing: Timing,
    me: NodeId,
    /// How many leaders have a lower id; lower ones are less patient.
    rank: u32,
    state: State,
    /// The highest ballot heard to lead, and when it was last heard with a proof.
    followed: Option<(Ballot, Instant)>,
    /// Campaigns lost in a row. Each doubles the pause before the next.
    lost: u32,
    probe: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Silent until then.
    Waiting(Instant),
    /// Has asked the acceptors; asks again then.
    Probing { quiet: Voters<Phase1>, active: bool, again: Instant },
    /// Phase 1 is under way. Given up then, unless it makes progress.
    Preparing { until: Instant },
    /// Leads. The next heartbeat is due then, and perhaps a new phase 1.
    Leading { heartbeat: Instant, prepare: Option<Instant> },
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send this probe to every acceptor.
    Probe {
        /// The probe's id.
        id: u64,
        /// Whether acceptors answered the last one that somebody leads.
        spared: bool,
    },
    /// Send heartbeats.
    Heartbeat,
    /// Prepare a higher ballot, to win back an acceptor that promised one.
    Prepare,
    /// Phase 1 has come to nothing: become idle.
    GiveUp,
}

/// Doublings of the pause after a lost campaign, at most.
const LOST_MAX: u32 = 5;

impl Election {
    /// A would-be leader that has just started. `rank` is how many leaders have a lower id.
    pub fn new(timing: Timing, me: NodeId, rank: u32, now: Instant, rng: &mut Rng) -> Election {
        let step = timing.election_timeout / 4;
        // Nobody is known to lead yet, and a probe disturbs nobody, so there is little to wait for.
        let start = now.plus(step * rank).plus(rng.jitter(step / 2));
        let state = State::Waiting(start);
        Election { timing, me, rank, state, followed: None, lost: 0, probe: 0 }
    }

    /// When [`Election::due`] wants to be asked next.
    pub fn deadline(&self) -> Instant {
        match &self.state {
            State::Waiting(until) => *until,
            State::Probing { again, .. } => *again,
            State::Preparing { until } => *until,
            State::Leading { heartbeat, prepare } => {
                prepare.map_or(*heartbeat, |at| at.min(*heartbeat))
            }
        }
    }

    /// What is due by now, one thing at a time.
    pub fn due(&mut self, now: Instant, rng: &mut Rng) -> Option<Due> {
        match &mut self.state {
            State::Waiting(until) if *until <= now => Some(self.probe(now, false, rng)),
            State::Probing { active, again, .. } if *again <= now => {
                let spared = *active;
                Some(self.probe(now, spared, rng))
            }
            State::Preparing { until } if *until <= now => Some(Due::GiveUp),
            State::Leading { prepare: Some(at), .. } if *at <= now => Some(Due::Prepare),
            State::Leading { heartbeat, .. } if *heartbeat <= now => {
                *heartbeat = now.plus(self.timing.heartbeat);
                Some(Due::Heartbeat)
            }
            State::Waiting(_)
            | State::Probing { .. }
            | State::Preparing { .. }
            | State::Leading { .. } => None,
        }
    }

    /// Whether a leader should step down: for two patiences no quorum, disks included, has been
    /// with it. Acceptors stop supporting it earlier; this is for its clients, who should look
    /// elsewhere, and be told so.
    pub fn is_forsaken(&self, proof_age: Option<Duration>, now: Instant) -> bool {
        let since_elected = self.followed.map(|(_, at)| now.since(at));
        let age = proof_age.or(since_elected);
        age.is_some_and(|age| age > self.timing.election_timeout * 2)
    }

    /// Whether an acceptor's answer to a probe says that somebody leads.
    pub fn is_supported(&self, progress_age: Option<Duration>) -> bool {
        progress_age.is_some_and(|age| age < self.timing.election_timeout)
    }

    /// An acceptor answered a probe. True when it is time to prepare.
    pub fn probed(
        &mut self,
        configuration: &Configuration,
        acceptor: NodeId,
        id: u64,
        progress_age: Option<Duration>,
        now: Instant,
    ) -> bool {
        let patience = self.timing.election_timeout + self.stagger();
        let supported = progress_age.filter(|age| self.is_supported(Some(*age)));
        let State::Probing { quiet, active, again } = &mut self.state else {
            return false;
        };
        if id != self.probe {
            return false;
        }
        if let Some(age) = supported {
            *active = true;
            // Should nothing more happen there: each moment longer is one in which nobody leads.
            *again = (*again).min(now.plus(patience.saturating_sub(age)));
            return false;
        }
        configuration.count(quiet, acceptor);
        configuration.is_quorum(*quiet)
    }

    /// A leader's heartbeat arrived. Tells whether that leader is new to us.
    pub fn heard(
        &mut self,
        ballot: Ballot,
        proof_age: Option<Duration>,
        now: Instant,
        rng: &mut Rng,
    ) -> bool {
        let known = self.followed.map(|(followed, _)| followed);
        if known.is_some_and(|followed| ballot < followed) {
            // An old leader, or an old message.
            return false;
        }
        let is_new = known != Some(ballot);
        let proven = is_fresh(proof_age, self.timing.election_timeout);
        if is_new || proven {
            self.followed = Some((ballot, now));
            self.state = State::Waiting(now.plus(self.patience(rng)));
        }
        if proven {
            self.lost = 0;
        }
        is_new
    }

    /// Phase 1 has begun, or made progress. It gets one patience from here: an acceptor that it
    /// needs may have promised a higher ballot, or be gone, and then probing is better than
    /// asking the same for ever.
    pub fn preparing(&mut self, now: Instant, rng: &mut Rng) {
        self.state = State::Preparing { until: now.plus(self.patience(rng)) };
    }

    /// Phase 1 is done. The caller sends the first heartbeat at once.
    pub fn elected(&mut self, ballot: Ballot, now: Instant) {
        self.followed = Some((ballot, now));
        self.lost = 0;
        self.state = State::Leading { heartbeat: now.plus(self.timing.heartbeat), prepare: None };
    }

    /// While leading: an acceptor went over to a higher ballot, a quorum did not. Move above it
    /// soon, unless somebody is about to take over anyway.
    pub fn contested(&mut self, now: Instant, rng: &mut Rng) {
        let pause = self.pause(rng);
        if let State::Leading { prepare, .. } = &mut self.state
            && prepare.is_none()
        {
            self.lost = (self.lost + 1).min(LOST_MAX);
            *prepare = Some(now.plus(pause));
        }
    }

    /// Lost the lead or the campaign: a randomised, growing pause.
    pub fn deposed(&mut self, now: Instant, rng: &mut Rng) {
        let pause = self.pause(rng);
        self.lost = (self.lost + 1).min(LOST_MAX);
        self.state = State::Waiting(now.plus(pause));
    }

    /// The leader that is followed, if it was heard lately.
    pub fn leader(&self, now: Instant) -> Option<NodeId> {
        let (ballot, at) = self.followed?;
        let lately = now.since(at) <= self.timing.election_timeout * 2;
        lately.then_some(ballot.leader)
    }

    /// The highest ballot heard to lead.
    pub fn followed(&self) -> Option<Ballot> {
        self.followed.map(|(ballot, _)| ballot)
    }

    /// Whether it follows that very ballot, and has not begun to look for another.
    pub fn follows(&self, ballot: Ballot) -> bool {
        self.followed() == Some(ballot) && matches!(self.state, State::Waiting(_))
    }

    /// The id of a probe that is not about a campaign.
    pub fn ask(&mut self) -> u64 {
        self.probe += 1;
        self.probe
    }

    fn probe(&mut self, now: Instant, spared: bool, rng: &mut Rng) -> Due {
        let step = self.timing.election_timeout / 4;
        let again = now.plus(step).plus(rng.jitter(step / 2));
        self.state = State::Probing { quiet: Voters::default(), active: false, again };
        self.probe += 1;
        Due::Probe { id: self.probe, spared }
    }

    fn patience(&self, rng: &mut Rng) -> Duration {
        let step = self.timing.election_timeout / 4;
        self.timing.election_timeout + self.stagger() + rng.jitter(step / 2)
    }

    /// So much later than the first of those that would take over. The one that is followed will
    /// not.
    fn stagger(&self) -> Duration {
        let is_before = self.followed.is_some_and(|(ballot, _)| ballot.leader < self.me);
        self.timing.election_timeout / 4 * self.rank.saturating_sub(u32::from(is_before))
    }

    fn pause(&self, rng: &mut Rng) -> Duration {
        let step = self.timing.election_timeout / 4;
        step / 2 + rng.jitter(step * 2u32.pow(self.lost))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::ballot::Incarnation;
    use crate::quorum::{ClusterId, DiskId, Member, Roles};

    fn configuration() -> Configuration {
        let member = |id: u32| {
            let roles = Roles { leader: id <= 2, acceptor: id > 2, learner: false };
            (NodeId(id), Member { roles, disk: (id > 2).then(DiskId::default) })
        };
        Configuration::majority(ClusterId::default(), (1..=5).map(member).collect()).unwrap()
    }

    fn ballot(round: u64) -> Ballot {
        Ballot { round, leader: NodeId(2), incarnation: Incarnation(1) }
    }

    /// A would-be leader that has just asked the acceptors, and what it asked.
    fn probing(rng: &mut Rng) -> (Election, u64) {
        let mut election = Election::new(Timing::default(), NodeId(1), 0, Instant(0), rng);
        let at = election.deadline();
        let Some(Due::Probe { id, .. }) = election.due(at, rng) else {
            panic!("it asks before it prepares");
        };
        (election, id)
    }

    #[test]
    fn a_campaign_needs_a_quorum_without_a_leader() {
        let (mut election, id) = probing(&mut Rng::new(1));
        let mut answer = |acceptor, age| {
            election.probed(&configuration(), NodeId(acceptor), id, age, Instant(0))
        };
        assert!(!answer(3, None), "one acceptor may just have lost its link to the leader");
        assert!(!answer(3, None), "nor the same one twice");
        assert!(!answer(4, Some(Duration::ZERO)), "this one has a leader");
        assert!(answer(5, Some(Timing::default().election_timeout)));
    }

    #[test]
    fn an_old_leaders_heartbeat_changes_nothing() {
        let mut rng = Rng::new(1);
        let (mut election, _) = probing(&mut rng);
        assert!(election.heard(ballot(2), Some(Duration::ZERO), Instant(9_000), &mut rng));
        let followed = election.clone();
        assert!(!election.heard(ballot(1), Some(Duration::ZERO), Instant(90_000), &mut rng));
        assert_eq!(election, followed);
    }

    #[test]
    fn a_contested_leader_moves_above_the_one_that_contests() {
        let mut rng = Rng::new(1);
        let (mut election, _) = probing(&mut rng);
        election.elected(ballot(1), Instant(10_000));
        election.contested(Instant(10_000), &mut rng);
        let soon = Instant(10_000).plus(Timing::default().election_timeout);
        assert_eq!(election.due(soon, &mut rng), Some(Due::Prepare));
    }

    #[test]
    fn a_campaign_that_comes_to_nothing_is_given_up() {
        // Two of five acceptors are down and a third has promised the ballot of a leader that is
        // gone: no quorum is left for ours, but none is lost that would depose us.
        let mut rng = Rng::new(1);
        let mut election = Election::new(Timing::default(), NodeId(1), 0, Instant(0), &mut rng);
        election.preparing(Instant(0), &mut rng);
        let at = election.deadline();
        assert_eq!(election.due(Instant(at.0 - 1), &mut rng), None);
        assert_eq!(election.due(at, &mut rng), Some(Due::GiveUp));
    }

    #[test]
    fn an_answer_to_an_earlier_probe_counts_for_nothing() {
        let mut rng = Rng::new(1);
        let (mut election, first) = probing(&mut rng);
        let at = election.deadline();
        let Some(Due::Probe { id, spared: false }) = election.due(at, &mut rng) else {
            panic!("nobody has answered");
        };
        let mut answer = |acceptor, id| {
            election.probed(&configuration(), NodeId(acceptor), id, None, Instant(0))
        };
        assert_eq!([3, 4, 5].map(|acceptor| answer(acceptor, first)), [false; 3]);
        assert_eq!([3, 4].map(|acceptor| answer(acceptor, id)), [false, true]);
    }

    #[test]
    fn a_leader_without_proof_is_waited_for_once() {
        let mut rng = Rng::new(1);
        let (mut election, _) = probing(&mut rng);
        assert!(election.heard(ballot(2), None, Instant(9_000), &mut rng), "it is new");
        let patience = election.deadline();
        assert!(!election.heard(ballot(2), None, Instant(50_000), &mut rng));
        assert_eq!(election.deadline(), patience);
        assert!(!election.heard(ballot(2), Some(Duration::ZERO), Instant(50_000), &mut rng));
        assert!(election.deadline() > patience);
    }

    #[test]
    fn pauses_after_lost_campaigns_grow_and_differ() {
        let pauses = |lost: u32| -> Vec<u64> {
            let pause = |seed| {
                let mut rng = Rng::new(seed);
                let mut election =
                    Election::new(Timing::default(), NodeId(1), 0, Instant(0), &mut rng);
                (0..=lost).for_each(|_| election.deposed(Instant(0), &mut rng));
                election.deadline().0
            };
            (0..100).map(pause).collect()
        };
        let step = 50_000;
        for lost in 0..10 {
            let pauses = pauses(lost);
            let widest = step * 2u64.pow(lost.min(LOST_MAX));
            assert!(pauses.iter().all(|pause| (step / 2..=step / 2 + widest).contains(pause)));
            let wide = |pause: &&u64| **pause > step / 2 + widest / 2;
            assert!((30..70).contains(&pauses.iter().filter(wide).count()), "{pauses:?}");
        }
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let mut rng = Rng::new(1);
        let mut election = Election::new(Timing::default(), NodeId(3), 1, Instant(0), &mut rng);
        let start = election.deadline();
        assert_eq!(election.due(Instant(start.0 - 1), &mut rng), None);
        assert!(election.due(start, &mut rng).is_some());
        assert_eq!(election.due(start, &mut rng), None, "it has asked");
        let again = election.deadline().since(start);
        assert!((50..=75).contains(&again.as_millis()), "{again:?}");
        election.elected(ballot(1), start);
        assert_eq!(election.followed(), Some(ballot(1)));
        election.contested(start, &mut rng);
        assert_eq!(election.due(start, &mut rng), None);
    }

    #[test]
    fn lower_leaders_have_less_patience() {
        let mut rng = Rng::new(1);
        for (rank, least) in [(0, 200), (1, 250), (2, 300)] {
            let me = NodeId(rank + 1);
            let mut election = Election::new(Timing::default(), me, rank, Instant(0), &mut rng);
            election.preparing(Instant(0), &mut rng);
            let patience = election.deadline().since(Instant(0)).as_millis();
            assert!((least..=least + 25).contains(&patience), "{patience}");
            // Node 2 leads, and does not wait for itself.
            election.heard(ballot(1), Some(Duration::ZERO), Instant(0), &mut rng);
            let patience = election.deadline().since(Instant(0)).as_millis();
            let least = if rank > 1 { least - 50 } else { least };
            assert!((least..=least + 25).contains(&patience), "{patience}");
        }
    }

    #[test]
    fn who_is_told_of_progress_asks_again_when_that_is_too_old() {
        let mut rng = Rng::new(1);
        let (mut election, id) = probing(&mut rng);
        let again = election.deadline();
        let asked = Instant(1_000);
        let mut answer = |age| {
            let age = Some(Duration::from_millis(age));
            assert!(!election.probed(&configuration(), NodeId(3), id, age, asked));
            election.deadline()
        };
        assert_eq!(answer(20), again, "the pause is over before");
        assert_eq!(answer(199), asked.plus(Duration::from_millis(1)));
        assert_eq!(answer(190), asked.plus(Duration::from_millis(1)), "the first of them");
    }

    #[test]
    fn a_leader_is_forsaken_after_two_patiences() {
        let mut election =
            Election::new(Timing::default(), NodeId(1), 0, Instant(0), &mut Rng::new(1));
        let twice = Timing::default().election_timeout * 2;
        let more = twice + Duration::from_micros(1);
        assert!(!election.is_forsaken(None, Instant(0).plus(more)), "it never led");
        election.elected(ballot(1), Instant(0));
        assert!(!election.is_forsaken(None, Instant(0).plus(twice)));
        assert!(election.is_forsaken(None, Instant(0).plus(more)));
        let late = Instant(9_000_000);
        assert!(!election.is_forsaken(Some(twice), late), "a proof counts, not the election");
        assert!(election.is_forsaken(Some(more + Duration::from_micros(1)), late));
    }

    #[test]
    fn being_contested_counts_as_a_lost_campaign() {
        let widest = (0..100).map(|seed| {
            let mut rng = Rng::new(seed);
            let mut election = Election::new(Timing::default(), NodeId(1), 0, Instant(0), &mut rng);
            election.elected(ballot(1), Instant(0));
            election.contested(Instant(0), &mut rng);
            election.deposed(Instant(0), &mut rng);
            election.deadline().0
        });
        let longest_after_none = 75_000;
        assert!(widest.max() > Some(longest_after_none));
    }
}
