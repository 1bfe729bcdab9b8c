//! What faults act upon: the cluster, what is known of it, and which nodes may be touched.
//!
//! The limits stand here. Never are more than [`UNUSABLE_MAX`] acceptors unusable by faults,
//! except where a fault says so itself; and some leader is always left alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use client::proto::{NetworkRequest, StatusResponse};
use paxos::Rng;
use tokio::runtime::Handle;

use crate::Outcome;
use crate::cluster::Cluster;
use crate::configuration::Role;
use crate::notes::Notes;

/// So that three of five remain.
const UNUSABLE_MAX: usize = 2;

/// Everything that a fault may use.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) notes: Notes,
    /// For questions to single nodes.
    pub(crate) client: Client,
    pub(crate) runtime: Handle,
    /// What each node's adversary is told, by receiver of a cut where there is one.
    pub(crate) adversaries: BTreeMap<usize, NetworkRequest>,
    /// Somebody wants the run to end.
    pub(crate) is_stopping: Arc<AtomicBool>,
}

impl World {
    /// What a node sees; none if it does not answer at once.
    pub(crate) fn status(&self, node: usize) -> Option<StatusResponse> {
        let endpoint = self.cluster.endpoint(node);
        self.runtime.block_on(self.client.status(&endpoint)).ok()
    }

    /// Who leads, if it may be touched.
    pub(crate) fn leader(&self) -> Option<usize> {
        let leaders: Vec<usize> = self.free(Role::Leader).collect();
        // Not below two: one has to remain.
        if leaders.len() < 2 {
            return None;
        }
        leaders
            .into_iter()
            .find(|leader| self.status(*leader).is_some_and(|status| status.state == "leading"))
    }

    /// Nodes of a role that run and that no fault has.
    pub(crate) fn free(&self, role: Role) -> impl Iterator<Item = usize> {
        self.cluster.of(role).filter(|node| {
            let state = &self.cluster.nodes[*node];
            !state.is_held && !state.is_damaged && self.cluster.runs(*node)
        })
    }

    /// An acceptor, if one more may be unusable.
    pub(crate) fn acceptor(&self, rng: &mut Rng) -> Option<usize> {
        let free: Vec<usize> = self.free(Role::Acceptor).collect();
        let unusable = self.cluster.of(Role::Acceptor).count() - free.len();
        (unusable < UNUSABLE_MAX && !free.is_empty()).then(|| free[rng.index(free.len())])
    }

    /// A leader or a learner that may be touched, whoever leads.
    pub(crate) fn other(&self, rng: &mut Rng) -> Option<usize> {
        let leaders: Vec<usize> = self.free(Role::Leader).collect();
        let learners: Vec<usize> = self.free(Role::Learner).collect();
        let leaders = if leaders.len() < 2 { Vec::new() } else { leaders };
        // One learner remains as well: somebody must keep snapshots.
        let learners = if learners.len() < 2 { Vec::new() } else { learners };
        let all = [leaders, learners].concat();
        (!all.is_empty()).then(|| all[rng.index(all.len())])
    }

    /// All who show the history.
    pub(crate) fn learners(&self) -> Vec<usize> {
        self.cluster.of(Role::Leader).chain(self.cluster.of(Role::Learner)).collect()
    }

    /// Any node that may be touched.
    pub(crate) fn any(&self, rng: &mut Rng) -> Option<usize> {
        if rng.below(2) == 0 { self.acceptor(rng) } else { self.other(rng) }
    }

    /// No other fault touches it until it is released.
    pub(crate) fn hold(&mut self, node: usize) {
        self.cluster.nodes[node].is_held = true;
    }

    pub(crate) fn release(&mut self, node: usize) {
        self.cluster.nodes[node].is_held = false;
    }

    /// Starts a node after a fault; it forgets what its adversary was told, so that is told anew.
    pub(crate) fn start(&mut self, node: usize) -> Outcome<()> {
        self.cluster.start(node)
    }

    /// Tells a node's adversary what holds now. A node that does not answer has none: false.
    pub(crate) fn tell_adversary(&self, node: usize) -> bool {
        let endpoint = self.cluster.endpoint(node);
        let faults = self.adversaries.get(&node).cloned().unwrap_or_default();
        self.runtime.block_on(self.client.network(&endpoint, faults)).is_ok()
    }

    /// What one node sends to another is lost; by its adversary where there are no namespaces.
    pub(crate) fn cut(&mut self, from: usize, to: usize) -> Outcome<()> {
        let (one, other) = (self.name(from), self.name(to));
        if let Some(spaces) = &mut self.cluster.spaces {
            return spaces.cut(&one, &other);
        }
        let id = u32::try_from(to + 1)?;
        self.adversaries.entry(from).or_default().cut_to.push(id);
        self.tell_adversary(from);
        Ok(())
    }

    /// Ends one such cut.
    pub(crate) fn mend(&mut self, from: usize, to: usize) -> Outcome<()> {
        let (one, other) = (self.name(from), self.name(to));
        if let Some(spaces) = &mut self.cluster.spaces {
            return spaces.mend(&one, &other);
        }
        let id = u32::try_from(to + 1)?;
        if let Some(faults) = self.adversaries.get_mut(&from)
            && let Some(at) = faults.cut_to.iter().position(|it| *it == id)
        {
            faults.cut_to.swap_remove(at);
            self.tell_adversary(from);
        }
        Ok(())
    }

    pub(crate) fn name(&self, node: usize) -> String {
        self.cluster.name(node).to_owned()
    }

    pub(crate) fn names(&self, nodes: &[usize]) -> String {
        nodes.iter().map(|node| self.cluster.name(*node)).collect::<Vec<_>>().join(" ")
    }

    /// Waits until something is so; false if it takes too long, or the run ends.
    pub(crate) fn wait(&self, most: Duration, mut is_so: impl FnMut(&World) -> bool) -> bool {
        let until = Instant::now() + most;
        while !is_so(self) {
            if Instant::now() > until || self.is_stopping.load(Ordering::Relaxed) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}
