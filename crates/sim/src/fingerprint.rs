//! A number over everything that happens in a walk, so that two runs of one seed can be compared
//! without keeping either.
//!
//! It covers times and bytes. It is made for speed and against accidents, not against an adversary.

use paxos::Instant;

/// Grows with each happening.
#[derive(Debug, Default)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Something happened at this time; `bytes` tell what.
    pub fn note(&mut self, at: Instant, bytes: &[u8]) {
        self.absorb(at.0);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.absorb(u64::from_le_bytes(last));
        self.absorb(bytes.len() as u64);
    }

    pub fn value(&self) -> u64 {
        self.0
    }

    fn absorb(&mut self, word: u64) {
        // Odd and without a pattern: 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_its_place_and_its_time_count() {
        let of = |at, bytes: &[u8]| {
            let mut fingerprint = Fingerprint::default();
            fingerprint.note(Instant(at), bytes);
            fingerprint.value()
        };
        let bytes: Vec<u8> = (0..40).collect();
        for length in 0..40 {
            assert_ne!(of(1, &bytes[..length]), of(1, &bytes[..=length]));
            assert_ne!(of(1, &bytes[..length]), of(2, &bytes[..length]));
            let mut other = bytes.clone();
            other[length] ^= 1;
            assert_ne!(of(1, &bytes), of(1, &other));
        }
    }
}
