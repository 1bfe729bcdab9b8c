//! The end of a walk: everything is healed, and the cluster must converge. Whether it has, and what
//! is promised to one that has lost too much, is decided here.

use paxos::{NodeId, Phase1, Phase2, Slot, Voters};

use super::{Happening, LOOK_US, World};
use crate::check::{Checked, Wrong, progress};
use crate::clock::TRUE_PACE;
use crate::faults::Weather;
use crate::host::Fate;

impl World {
    pub fn heal(&mut self) -> Checked {
        if self.healed.is_some() {
            return Ok(());
        }
        self.healed = Some(self.now);
        self.network.heal(Weather::CALM);
        let all: Vec<NodeId> = self.hosts.ids().collect();
        self.tell("everything heals".to_owned());
        for id in all {
            let host = &mut self.hosts[id];
            host.is_silent = false;
            host.paused_until = host.paused_until.min(self.now);
            host.slow_until = host.slow_until.min(self.now);
            host.clock.set_pace(self.now, TRUE_PACE);
            host.wake = None;
            self.plan_wake(id);
            self.has_room(id, true)?;
            if self.hosts[id].node.is_none() {
                self.revive(id)?;
            }
        }
        self.replace_all();
        self.after(LOOK_US, Happening::Look);
        Ok(())
    }

    /// Whoever lost more than the protocol promises to survive is promised no progress: no quorum
    /// of one of the phases is left, or no leader.
    fn is_short(&self) -> bool {
        let (mut phase1, mut phase2) = (Voters::<Phase1>::default(), Voters::<Phase2>::default());
        let lives = |id: &NodeId| {
            self.hosts[*id].disk != Fate::Damaged && !self.never_starting.contains(id)
        };
        for acceptor in self.clean() {
            self.configuration.count(&mut phase1, acceptor);
        }
        for acceptor in self.configuration.acceptors().iter().filter(|id| lives(id)) {
            self.configuration.count(&mut phase2, *acceptor);
        }
        let has_quorums =
            self.configuration.is_quorum(phase1) && self.configuration.is_quorum(phase2);
        !has_quorums || !self.configuration.leaders().any(|id| lives(&id))
    }

    /// Acceptors that live and have lost votes that they have not mended.
    fn suspects(&self) -> Vec<NodeId> {
        let acceptors = self.configuration.acceptors().iter().copied();
        let is_suspect = |id: &NodeId| {
            let acceptor = self.hosts[*id].node.as_ref().and_then(|node| node.replica().acceptor());
            acceptor.is_some_and(|acceptor| acceptor.suspect() > Slot::FIRST)
        };
        acceptors.filter(is_suspect).collect()
    }

    /// Too few are in no doubt, or what others miss is in snapshots too few for any vote to be cut.
    fn may_stay_suspect(&self) -> bool {
        let snapshots = self.options.snapshot_every_bytes > 0;
        self.is_short() || (snapshots && self.configuration.copies().is_none())
    }

    /// Whether it is over: everybody in the newest epoch, no acceptor in doubt of its votes, every
    /// client answered, every learner with the same, whole history, which each has shown to one
    /// more linearizable read.
    pub fn look(&mut self) -> Result<bool, Wrong> {
        let healed = self.healed.expect("the world looks once it is healed");
        let took_us = self.now.0 - healed.0;
        let chosen = Slot(self.checks.agreement.slots());
        let learners: Vec<NodeId> = self.configuration.learners().collect();
        let living = |id: &NodeId| self.hosts[*id].node.as_ref();
        let suspects = self.suspects();
        let mut prefixes = learners.iter().filter_map(living).map(|node| node.replica().chosen());
        let is_over = self.workload.is_done()
            && prefixes.all(|prefix| prefix == chosen)
            && self.all_have_gone_over()
            && self.wishes_are_answered();
        if is_over && (suspects.is_empty() || self.may_stay_suspect()) {
            if self.last_reads.is_none() {
                self.statistics.converged_us = took_us;
            }
            if self.is_short() || self.last_reads_are_answered() {
                for id in &learners {
                    if let Some(node) = &self.hosts[*id].node {
                        self.checks.once.whole(*id, node.machine().entries(), &self.workload)?;
                    }
                }
                self.checks.linearizable.whole(&self.checks.once)?;
                return Ok(true);
            }
        }
        if self.is_short() && took_us > progress::SHORT_OF_NODES_US {
            self.checks.linearizable.whole(&self.checks.once)?;
            return Ok(true);
        }
        if took_us > progress::CONVERGES_US {
            self.checks.linearizable.whole(&self.checks.once)?;
            let open = self.workload.unanswered();
            let parts: Vec<String> = self
                .hosts
                .iter()
                .filter_map(|host| {
                    let replica = host.node.as_ref()?.replica();
                    let (part, ballot) = (replica.part(), replica.ballot());
                    Some(format!("{} {part:?} {ballot:?} {}", host.id(), replica.chosen()))
                })
                .collect();
            return Err(progress::late(format!(
                "{took_us} us after the healing {chosen} slots are chosen, {} values are open, \
                 {:?} wait, {suspects:?} are suspect; {parts:?}",
                open.len(),
                self.last_reads
            )));
        }
        self.after(LOOK_US, Happening::Look);
        Ok(false)
    }
}
