//! What can be changed while a node runs: its failing on purpose, and its network's faults. Only
//! where the operator has said `--dev`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::counters::Counters;
use crate::transport::adversary::{Adversary, Faults};
use crate::transport::network::Network;

/// The switches of one node.
pub struct Switches {
    /// Whether faults on purpose are allowed.
    pub dev: bool,
    /// While set, the node neither hears nor speaks to its peers. Its state stays, and so do its
    /// timers: to itself it looks like a network that is gone.
    pub failed: Arc<AtomicBool>,
    /// Between the node and its network.
    pub adversary: Arc<Adversary<Arc<Network>>>,
    /// The network.
    pub network: Arc<Network>,
    /// What is counted.
    pub counters: Arc<Counters>,
}

impl Switches {
    /// Whether it is failed on purpose.
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Fails on purpose, or recovers.
    pub fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }

    /// Sets the network's faults; returns the seed that decides them.
    pub fn set_faults(&self, faults: Faults) -> u64 {
        self.adversary.set(faults)
    }

    /// Every counter of the node, its transport's included.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut all = self.counters.all();
        all.extend(self.network());
        all
    }

    /// What has no metric of its own.
    pub(crate) fn named(&self) -> BTreeMap<String, u64> {
        let named = self.counters.named().into_iter();
        named.map(|(name, count)| (name.to_owned(), count)).chain(self.network()).collect()
    }

    fn network(&self) -> impl Iterator<Item = (String, u64)> {
        let adversary = self.adversary.counters();
        let adversary = adversary.into_iter().map(|(name, count)| (name.to_owned(), count));
        let transport = self.network.counters().into_iter().chain(adversary);
        let tls = self.network.tls().map(|tls| tls.counters()).unwrap_or_default();
        let tls = tls.into_iter().map(|(name, count)| (format!("tls_{name}"), count));
        transport.map(|(name, count)| (format!("network_{name}"), count)).chain(tls)
    }
}
