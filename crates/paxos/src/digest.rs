//! Fingerprints: of the history, so that two learners who disagree find out, and of a snapshot.
//!
//! The history's is a chain: each decided slot's value goes into the digest of all slots before it.
//! Two learners with the same digest below the same slot hold the same history. This guards against
//! our own bugs and broken memory, not against forgers, so the hash is a fast one (XXH3, 128 bits).

use core::fmt;

use xxhash_rust::xxh3::{xxh3_128, xxh3_128_with_seed};

use crate::ballot::Slot;
use crate::value::Value;

/// 128 bits that differ where the digested differs, but for one chance in 2^64 or so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

/// A prefix of the history, and its digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// One past the prefix's last slot.
    pub below: Slot,
    /// The digest of every slot below; zeros where there is none.
    pub digest: Digest,
}

/// Names the bytes of one snapshot. Two with the same name are the same, wherever they came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SnapshotId {
    /// One past the last slot that it covers.
    pub below: Slot,
    /// Its size.
    pub bytes: u64,
    /// The digest of its bytes.
    pub digest: Digest,
}

impl Digest {
    /// The digest of bytes as they stand.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(xxh3_128(bytes).to_le_bytes())
    }
}

impl Mark {
    /// The mark that follows when `value` is decided in the slot after this one.
    #[must_use]
    pub fn extended(self, value: &Value) -> Mark {
        let (kind, bytes): (u8, &[u8]) = match value {
            Value::Noop => (0, &[]),
            Value::LeaderStart => (1, &[]),
            Value::Command(bytes) => (2, bytes),
        };
        let mut link = [0; 16 + 8 + 16];
        link[..16].copy_from_slice(&self.digest.0);
        link[16..24].copy_from_slice(&self.below.0.to_le_bytes());
        link[24..].copy_from_slice(&xxh3_128_with_seed(bytes, kind.into()).to_le_bytes());
        Mark { below: self.below.plus(1), digest: Digest::of(&link) }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    fn digest(values: &[Value]) -> Digest {
        values.iter().fold(Mark::default(), Mark::extended).digest
    }

    #[test]
    fn another_value_kind_or_order_is_another_digest() {
        let command = |bytes: &[u8]| Value::Command(bytes.into());
        let histories: Vec<Vec<Value>> = vec![
            vec![],
            vec![Value::Noop],
            vec![Value::LeaderStart],
            vec![command(b"")],
            vec![command(b"a"), command(b"b")],
            vec![command(b"b"), command(b"a")],
            vec![command(b"ab")],
            vec![command(b"a"), Value::Noop, command(b"b")],
        ];
        let digests: BTreeSet<Digest> = histories.iter().map(Vec::as_slice).map(digest).collect();
        assert_eq!(digests.len(), histories.len());
    }

    #[test]
    fn a_digest_is_these_bytes() {
        // Written down once; a change would set every running cluster against itself.
        let values = [Value::LeaderStart, Value::Noop, Value::Command(b"synod".as_slice().into())];
        assert_eq!(digest(&values).to_string(), "cf37dd016d39d9d0117a0d02b328a4a0");
        assert_eq!(Digest::of(b"synod").to_string(), "1f6fb952bb16fbbcaf4253bcce241471");
        assert_eq!(Mark::default().extended(&Value::Noop).below, Slot(1));
    }
}
