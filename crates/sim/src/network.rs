//! When a message arrives: never, once or twice, soon or late. It sees bytes and ends only.
//!
//! Reordering needs no rule of its own: every message draws its own delay.

use std::collections::BTreeMap;

use paxos::{Instant, NodeId, Rng};

use crate::faults::Weather;

/// The links between nodes.
#[derive(Debug)]
pub struct Network {
    weather: Weather,
    /// Directed links that carry nothing, each with how many cuts lie on it.
    cuts: BTreeMap<(NodeId, NodeId), u32>,
    /// Storms that rage now.
    storms: u32,
}

/// What a storm loses.
const STORM_LOSS_PERMILLE: u64 = 700;

impl Network {
    pub fn new(weather: Weather) -> Network {
        Network { weather, cuts: BTreeMap::new(), storms: 0 }
    }

    /// When a message that leaves now arrives; up to two times, none if it is lost.
    pub fn carry(
        &self,
        now: Instant,
        from: NodeId,
        to: NodeId,
        rng: &mut Rng,
    ) -> [Option<Instant>; 2] {
        if self.cuts.contains_key(&(from, to)) || self.loses(rng) {
            return [None; 2];
        }
        let is_repeated = rng.below(1000) < self.weather.repeat_permille;
        let first = Instant(now.0 + self.delay_us(rng));
        [Some(first), is_repeated.then(|| Instant(now.0 + self.delay_us(rng)))]
    }

    /// When something arrives that goes from a client to a node or back; none if it is lost.
    pub fn carry_client(&self, now: Instant, rng: &mut Rng) -> Option<Instant> {
        let lost = self.loses(rng);
        (!lost).then(|| Instant(now.0 + self.delay_us(rng)))
    }

    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        *self.cuts.entry((from, to)).or_insert(0) += 1;
    }

    pub fn mend(&mut self, from: NodeId, to: NodeId) {
        if let Some(cuts) = self.cuts.get_mut(&(from, to)) {
            *cuts -= 1;
            if *cuts == 0 {
                self.cuts.remove(&(from, to));
            }
        }
    }

    pub fn storm(&mut self) {
        self.storms += 1;
    }

    pub fn calm(&mut self) {
        self.storms = self.storms.saturating_sub(1);
    }

    /// Every link carries again, and the weather is another.
    pub fn heal(&mut self, weather: Weather) {
        self.cuts.clear();
        self.storms = 0;
        self.weather = weather;
    }

    fn loses(&self, rng: &mut Rng) -> bool {
        let ordinary = self.weather.loss_permille;
        let loss = if self.storms > 0 { ordinary.max(STORM_LOSS_PERMILLE) } else { ordinary };
        rng.below(1000) < loss
    }

    fn delay_us(&self, rng: &mut Rng) -> u64 {
        let weather = &self.weather;
        if rng.below(1000) < weather.late_permille {
            weather.delay_us_max + rng.below(weather.late_us_max)
        } else {
            let spread = weather.delay_us_max.saturating_sub(weather.delay_us_min);
            weather.delay_us_min + rng.below(spread + 1)
        }
    }
}
