//! Why connections are refused and end: names, counts, and log lines that a flood cannot multiply.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use paxos::NodeId;

use super::lock;
use crate::transport::frame::Refusal;

/// One line of the log for each cause in this time, at most.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Why a connection did not come about, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Nobody answers at the address.
    Unreachable,
    /// The other side hung up.
    Closed,
    /// The network broke it.
    Broken,
    /// It did not say in time who it is, or was not taken in time.
    TimedOut,
    /// Too many others that have not said who they are.
    Crowded,
    /// Not the protocol that is spoken here: no TLS, or a broken one.
    BadHandshake,
    /// It has no certificate.
    NoCertificate,
    /// No authority of ours has issued its certificate.
    UnknownAuthority,
    /// Its certificate has expired, or does not count yet.
    Expired,
    /// Its certificate is damaged, or for another purpose.
    BadCertificate,
    /// Its certificate is somebody else's.
    OtherName,
    /// The other side does not trust our certificate.
    NotTrusted,
    /// The stream does not begin as ours do.
    BadMagic,
    /// A layout that this build does not know.
    BadVersion,
    /// Damaged on the way.
    BadChecksum,
    /// A neighbour's.
    OtherCluster,
    /// It was meant for another node.
    NotForMe,
    /// Its sender is no member.
    UnknownSender,
    /// A message above the bound.
    TooLarge,
    /// The accepting side says what it never says.
    BadPulse,
    /// Nothing came for too long, or nothing could be sent.
    Silent,
    /// The same peer came anew.
    Replaced,
    /// Its certificate, which counted once, counts no more.
    Withdrawn,
}

impl Cause {
    /// All of them, in the order of their declaration.
    pub const ALL: [Cause; 23] = [
        Cause::Unreachable,
        Cause::Closed,
        Cause::Broken,
        Cause::TimedOut,
        Cause::Crowded,
        Cause::BadHandshake,
        Cause::NoCertificate,
        Cause::UnknownAuthority,
        Cause::Expired,
        Cause::BadCertificate,
        Cause::OtherName,
        Cause::NotTrusted,
        Cause::BadMagic,
        Cause::BadVersion,
        Cause::BadChecksum,
        Cause::OtherCluster,
        Cause::NotForMe,
        Cause::UnknownSender,
        Cause::TooLarge,
        Cause::BadPulse,
        Cause::Silent,
        Cause::Replaced,
        Cause::Withdrawn,
    ];

    /// What counters call it.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Unreachable => "unreachable",
            Cause::Closed => "closed",
            Cause::Broken => "broken",
            Cause::TimedOut => "timed_out",
            Cause::Crowded => "crowded",
            Cause::BadHandshake => "bad_handshake",
            Cause::NoCertificate => "no_certificate",
            Cause::UnknownAuthority => "unknown_authority",
            Cause::Expired => "expired",
            Cause::BadCertificate => "bad_certificate",
            Cause::OtherName => "other_name",
            Cause::NotTrusted => "not_trusted",
            Cause::BadMagic => "bad_magic",
            Cause::BadVersion => "bad_version",
            Cause::BadChecksum => "bad_checksum",
            Cause::OtherCluster => "other_cluster",
            Cause::NotForMe => "not_for_me",
            Cause::UnknownSender => "unknown_sender",
            Cause::TooLarge => "too_large",
            Cause::BadPulse => "bad_pulse",
            Cause::Silent => "silent",
            Cause::Replaced => "replaced",
            Cause::Withdrawn => "withdrawn",
        }
    }
}

impl From<Refusal> for Cause {
    fn from(refusal: Refusal) -> Cause {
        match refusal {
            Refusal::BadMagic => Cause::BadMagic,
            Refusal::BadVersion => Cause::BadVersion,
            Refusal::BadChecksum => Cause::BadChecksum,
            Refusal::OtherCluster => Cause::OtherCluster,
            Refusal::NotForMe => Cause::NotForMe,
            Refusal::UnknownSender => Cause::UnknownSender,
            Refusal::TooLarge => Cause::TooLarge,
        }
    }
}

/// How often what happened for which cause.
#[derive(Debug, Default)]
pub(super) struct Causes {
    counts: [AtomicU64; Cause::ALL.len()],
    logged: Mutex<[Option<Instant>; Cause::ALL.len()]>,
}

impl Causes {
    /// Counts one, and says so in the log if that has not been said lately. `what` happened at
    /// `node`, with `peer`, if that is known, at `address`.
    pub(super) fn count(
        &self,
        cause: Cause,
        what: &'static str,
        node: NodeId,
        peer: Option<NodeId>,
        address: SocketAddr,
    ) {
        let count = self.counts[cause as usize].fetch_add(1, Ordering::Relaxed) + 1;
        let now = Instant::now();
        let last = &mut lock(&self.logged)[cause as usize];
        if last.is_some_and(|last| now.duration_since(last) < LOG_INTERVAL) {
            return;
        }
        *last = Some(now);
        let (cause, peer) = (cause.name(), peer.map_or(0, |peer| peer.0));
        tracing::warn!(node = node.0, peer, %address, cause, count, "{what}");
    }

    /// Those that occurred.
    pub(super) fn counted(&self) -> Vec<(Cause, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Cause::ALL.into_iter().zip(counts).filter(|(_, count)| *count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_its_place_and_its_name() {
        for (place, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(cause as usize, place);
            assert!(Cause::ALL[..place].iter().all(|other| other.name() != cause.name()));
        }
    }
}
