//! How many may be inside who have not proved who they are, and who has to go for the next one.
//!
//! The newest is let in always: a peer proves itself within moments, and whoever floods us pushes
//! out his own. Who goes is the oldest of the source that has the most.

use std::collections::BTreeMap;
use std::net::IpAddr;

use tokio::task::AbortHandle;

/// Connections that have not proved who they are, at most.
pub const STRANGERS_MAX: usize = 128;

/// Those of one address, at most: of a network of 64 bits where addresses have 128.
pub const STRANGERS_OF_ONE_SOURCE_MAX: usize = 64;

/// Connections that have not proved who they are, by their order of arrival.
#[derive(Debug, Default)]
pub(super) struct Lobby {
    strangers: BTreeMap<u64, (IpAddr, AbortHandle)>,
    arrivals: u64,
}

impl Lobby {
    /// Lets one in, and sends another one out if that makes too many: true if it did.
    pub(super) fn enter(&mut self, source: IpAddr, spawn: impl FnOnce(u64) -> AbortHandle) -> bool {
        let source = network(source);
        let leaving = self.leaving(source);
        if let Some((_, handle)) = leaving.and_then(|number| self.strangers.remove(&number)) {
            handle.abort();
        }
        self.arrivals += 1;
        self.strangers.insert(self.arrivals, (source, spawn(self.arrivals)));
        leaving.is_some()
    }

    /// It has proved who it is, or is gone. None if it was sent out.
    pub(super) fn leave(&mut self, number: u64) -> Option<AbortHandle> {
        self.strangers.remove(&number).map(|(_, handle)| handle)
    }

    /// Who has to go for one more from `source`.
    fn leaving(&self, source: IpAddr) -> Option<u64> {
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for (source, _) in self.strangers.values() {
            *counts.entry(*source).or_default() += 1;
        }
        let most = counts.values().copied().max().unwrap_or_default();
        let has_to_go = |of: &IpAddr| {
            if counts.get(&source).is_some_and(|it| *it >= STRANGERS_OF_ONE_SOURCE_MAX) {
                *of == source
            } else {
                self.strangers.len() >= STRANGERS_MAX && counts[of] == most
            }
        };
        self.strangers.iter().find(|(_, (of, _))| has_to_go(of)).map(|(number, _)| *number)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.strangers.len()
    }
}

/// What one sender can have many addresses of counts as one.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        IpAddr::V4(address) => IpAddr::V4(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    /// Lets one in; gives back its number and whether another one had to go.
    fn enter(lobby: &mut Lobby, from: IpAddr) -> (u64, bool) {
        let task = tokio::spawn(std::future::pending::<()>());
        let mut entered = 0;
        let others = lobby.enter(from, |number| {
            entered = number;
            task.abort_handle()
        });
        (entered, others)
    }

    #[tokio::test]
    async fn who_floods_pushes_out_his_own() {
        let mut lobby = Lobby::default();
        let (peer, _) = enter(&mut lobby, source(1));
        for _ in 0..1000 {
            enter(&mut lobby, source(2));
            assert!(lobby.len() <= STRANGERS_OF_ONE_SOURCE_MAX + 1);
        }
        for _ in 0..1000 {
            enter(&mut lobby, source(3));
            assert!(lobby.len() <= STRANGERS_MAX);
        }
        assert!(lobby.leave(peer).is_some(), "it had no part in it");
        // As many sources as there are strangers: then age decides.
        for number in 0..1000_u32 {
            let [_, _, high, low] = number.to_be_bytes();
            enter(&mut lobby, IpAddr::from([11, 0, high, low]));
            assert!(lobby.len() <= STRANGERS_MAX);
        }
        let (peer, _) = enter(&mut lobby, source(1));
        for other in 1..100 {
            enter(&mut lobby, IpAddr::from([12, 0, 0, other]));
        }
        assert!(lobby.leave(peer).is_some(), "older ones went first");
    }

    #[tokio::test]
    async fn the_oldest_of_the_largest_crowd_goes() {
        let mut lobby = Lobby::default();
        assert!(!enter(&mut lobby, source(1)).1, "number 1, alone of its source");
        for _ in 0..STRANGERS_OF_ONE_SOURCE_MAX {
            assert!(!enter(&mut lobby, source(2)).1);
        }
        for other in 3..66 {
            assert!(!enter(&mut lobby, source(other)).1);
        }
        assert_eq!(lobby.len(), STRANGERS_MAX);
        assert!(enter(&mut lobby, source(100)).1);
        assert_eq!(lobby.len(), STRANGERS_MAX);
        assert!(lobby.leave(2).is_none(), "the oldest of the flood");
        assert!(lobby.leave(1).is_some(), "not who came before it");
    }

    #[test]
    fn a_network_of_addresses_counts_as_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1:2:3:4"), of("2001:db8::9"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
