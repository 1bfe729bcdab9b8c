//! Which node is asked next, and after which pause.
//!
//! The list is walked round and round; a hint of who leads comes before the list; an endpoint that
//! answers is kept. The first round and the first hint cost no pause, everything after them a
//! growing and jittered one, so that clients of a cluster without a leader do not march in step.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::connection::{self, Dialler};

/// The pause after the first round, before jitter.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// No pause is longer: a new leader takes a third of a second, and to miss it by much would be to
/// double the outage.
const PAUSE_MAX: Duration = Duration::from_millis(80);

#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    /// At least one.
    addresses: Vec<String>,
    /// Modulo the list's length.
    turn: usize,
    /// A node's word of who leads. May lie outside the list.
    hinted: Option<String>,
    /// Attempts since the last answer that was worth something.
    failures: u32,
    /// State of a splitmix64 generator.
    jitter: u64,
    dialler: Dialler,
}

impl Endpoints {
    pub(crate) fn new(addresses: Vec<String>, seed: u64, dialler: Dialler) -> Endpoints {
        assert!(!addresses.is_empty());
        Endpoints { addresses, turn: 0, hinted: None, failures: 0, jitter: seed, dialler }
    }

    /// What opens connections to nodes, in the list or not.
    pub(crate) fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    pub(crate) fn current(&self) -> &str {
        self.hinted.as_deref().unwrap_or(&self.addresses[self.turn])
    }

    /// Whether all of the list are among `these`.
    pub(crate) fn are_all(&self, these: &BTreeSet<String>) -> bool {
        self.addresses.iter().all(|address| these.contains(address))
    }

    pub(crate) fn on_progress(&mut self) {
        self.failures = 0;
    }

    /// The current one is of no use: the next one, after the pause that this returns.
    pub(crate) fn on_failure(&mut self) -> Duration {
        // A hint that failed falls back to the endpoint that gave it, which may know better now;
        // the walk goes on from there.
        self.hinted = None;
        self.turn = (self.turn + 1) % self.addresses.len();
        self.pause()
    }

    /// The current one names another, which is asked after the pause that this returns.
    pub(crate) fn on_hint(&mut self, address: &str) -> Duration {
        if connection::endpoint(address).is_none() || address == self.current() {
            return self.on_failure();
        }
        match self.addresses.iter().position(|known| known == address) {
            Some(turn) => (self.turn, self.hinted) = (turn, None),
            None => self.hinted = Some(address.to_owned()),
        }
        self.pause()
    }

    /// The pause before the same endpoint is asked again, or the next one.
    pub(crate) fn pause(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let free = u32::try_from(self.addresses.len()).unwrap_or(u32::MAX).max(2);
        let Some(doublings) = self.failures.checked_sub(free) else {
            return Duration::ZERO;
        };
        let whole = PAUSE_MIN.saturating_mul(1 << doublings.min(16)).min(PAUSE_MAX);
        // Half of it is certain, half is drawn.
        whole / 2 + (whole / 2).mul_f64(self.draw())
    }

    /// Uniform in 0 to 1, splitmix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        f64::from(u32::try_from(z >> 32).expect("32 bits remain")) / f64::from(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        let dialler = Dialler::new(None).unwrap();
        Endpoints::new(vec!["a:1".into(), "b:1".into(), "c:1".into()], 7, dialler)
    }

    #[test]
    fn the_list_is_walked_round_and_round() {
        let mut endpoints = endpoints();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(endpoints.current().to_owned());
            endpoints.on_failure();
        }
        assert_eq!(seen, ["a:1", "b:1", "c:1", "a:1"]);
    }

    #[test]
    fn a_hint_comes_first_even_from_outside_the_list() {
        let mut endpoints = endpoints();
        assert_eq!(endpoints.on_hint("z:9"), Duration::ZERO);
        assert_eq!(endpoints.current(), "z:9");
        endpoints.on_failure();
        assert_eq!(endpoints.current(), "b:1");
    }

    #[test]
    fn a_hint_that_leads_nowhere_is_a_failure() {
        let mut endpoints = endpoints();
        endpoints.on_hint("not an address");
        assert_eq!(endpoints.current(), "b:1");
        endpoints.on_hint("b:1");
        assert_eq!(endpoints.current(), "c:1");
    }

    #[test]
    fn the_first_round_is_free_and_later_pauses_grow_to_a_bound() {
        let mut endpoints = endpoints();
        assert_eq!(endpoints.on_failure(), Duration::ZERO);
        assert_eq!(endpoints.on_failure(), Duration::ZERO);
        let first = endpoints.on_failure();
        assert!(first >= PAUSE_MIN / 2 && first <= PAUSE_MIN);
        let last = (0..50).map(|_| endpoints.on_failure()).last().unwrap();
        assert!(last >= PAUSE_MAX / 2 && last <= PAUSE_MAX);
        endpoints.on_progress();
        assert_eq!(endpoints.on_failure(), Duration::ZERO);
    }
}
