//! A small seeded generator, for jitter only.
//!
//! Nothing that must be unpredictable or unique comes from here; incarnations and identities are
//! drawn by the driver. Source: Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators" (SplitMix64).

use core::time::Duration;

use crate::time::micros;

/// Same seed, same sequence, on every machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rng(u64);

impl Rng {
    /// A generator that only the seed decides.
    pub fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; zero if the bound is zero. The bias is below `bound / 2^64`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.draw()) * u128::from(bound);
        u64::try_from(wide >> 64).expect("the high half of a product of two u64 fits in one")
    }

    /// An index into `length` things.
    ///
    /// # Panics
    /// If there are none.
    pub fn index(&mut self, length: usize) -> usize {
        assert!(length > 0);
        let below = self.below(length as u64);
        usize::try_from(below).expect("below a length in memory")
    }

    /// A span from zero up to `span`.
    pub fn jitter(&mut self, span: Duration) -> Duration {
        Duration::from_micros(self.below(micros(span).saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            [rng.draw(), rng.draw(), rng.below(10)]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        // The published first output for seed 0.
        assert_eq!(Rng::new(0).draw(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn a_bound_is_never_reached() {
        let mut rng = Rng::new(1);
        assert!((0..1000).all(|_| rng.below(3) < 3));
        assert_eq!(rng.below(0), 0);
    }

    #[test]
    fn every_index_is_drawn() {
        let mut rng = Rng::new(1);
        let mut drawn = [0; 4];
        (0..100).for_each(|_| drawn[rng.index(4)] += 1);
        assert!(drawn.iter().all(|count| *count > 10), "{drawn:?}");
    }
}
