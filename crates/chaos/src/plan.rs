//! Which faults come when: a function of the seed alone.
//!
//! Kinds are dealt like cards, so that each comes as often as its number in the deck says, in every
//! part of a run. To whom a fault is done is drawn when it begins, with dice that lie here: only
//! then it is known who leads and who may be touched.

use std::time::Duration;

use paxos::Rng;

/// Something that is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    KillLeader,
    KillAcceptor,
    KillAny,
    PauseLeader,
    PauseAcceptor,
    CutPair,
    CutOneWay,
    CutHalves,
    IsolateLeader,
    IsolateAcceptor,
    Blackhole,
    Weather,
    Silence,
    FullDisk,
    StalledDisk,
    SlowDisk,
    PowerFailure,
    FailingDisk,
    Corruption,
    LostDisk,
    Strangers,
    QuorumLoss,
}

/// What a kind needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Abilities {
    /// Namespaces, and with them links and addresses.
    pub(crate) spaces: bool,
    /// File systems of our own.
    pub(crate) disks: bool,
}

/// Each kind: its name, how many of its cards are in the deck, the shortest and the longest in ms.
const DECK: [(Kind, &str, u32, u64, u64); 22] = [
    (Kind::KillLeader, "kill-leader", 3, 200, 4000),
    (Kind::KillAcceptor, "kill-acceptor", 3, 100, 6000),
    (Kind::KillAny, "kill-any", 2, 100, 6000),
    (Kind::PauseLeader, "pause-leader", 2, 100, 5000),
    (Kind::PauseAcceptor, "pause-acceptor", 2, 100, 8000),
    (Kind::CutPair, "cut-pair", 2, 500, 8000),
    (Kind::CutOneWay, "cut-one-way", 3, 500, 8000),
    (Kind::CutHalves, "cut-halves", 2, 1000, 8000),
    (Kind::IsolateLeader, "isolate-leader", 2, 500, 6000),
    (Kind::IsolateAcceptor, "isolate-acceptor", 1, 500, 8000),
    (Kind::Blackhole, "blackhole", 1, 500, 8000),
    (Kind::Weather, "weather", 3, 2000, 9000),
    (Kind::Silence, "silence", 1, 500, 6000),
    (Kind::FullDisk, "full-disk", 1, 4000, 12000),
    (Kind::StalledDisk, "stalled-disk", 2, 300, 5000),
    (Kind::SlowDisk, "slow-disk", 1, 2000, 6000),
    (Kind::PowerFailure, "power-failure", 2, 200, 4000),
    (Kind::FailingDisk, "failing-disk", 1, 1000, 5000),
    (Kind::Corruption, "corruption", 2, 200, 2000),
    (Kind::LostDisk, "lost-disk", 1, 200, 3000),
    (Kind::Strangers, "strangers", 2, 2000, 5000),
    (Kind::QuorumLoss, "quorum-loss", 1, 1000, 4000),
];

/// One fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// From the beginning of the run.
    pub(crate) at: Duration,
    /// From its beginning to its end.
    pub(crate) lasts: Duration,
    /// What is done.
    pub(crate) kind: Kind,
    /// Decides the rest.
    pub(crate) dice: u64,
}

impl Kind {
    /// As it is written in logs.
    pub(crate) fn name(self) -> &'static str {
        let row = DECK.iter().find(|row| row.0 == self);
        row.expect("every kind is in the deck").1
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Kind> {
        DECK.iter().find(|row| row.1 == name).map(|row| row.0)
    }

    /// The names of all kinds.
    pub(crate) fn names() -> Vec<&'static str> {
        DECK.iter().map(|row| row.1).collect()
    }

    fn is_possible(self, abilities: Abilities) -> bool {
        match self {
            Kind::IsolateLeader | Kind::IsolateAcceptor | Kind::Blackhole => abilities.spaces,
            Kind::FullDisk
            | Kind::StalledDisk
            | Kind::SlowDisk
            | Kind::PowerFailure
            | Kind::FailingDisk => abilities.disks,
            _ => true,
        }
    }
}

/// The faults of a run, in order. `only`: the kinds that may come; empty: all.
pub(crate) fn plan(
    seed: u64,
    duration: Duration,
    every: Duration,
    abilities: Abilities,
    only: &[Kind],
) -> Vec<Planned> {
    let mut rng = Rng::new(seed);
    let deck: Vec<(Kind, u64, u64)> = DECK
        .iter()
        .filter(|row| row.0.is_possible(abilities))
        .filter(|row| only.is_empty() || only.contains(&row.0))
        .flat_map(|row| (0..row.2).map(|_| (row.0, row.3, row.4)))
        .collect();
    let mut planned = Vec::new();
    let mut hand = Vec::new();
    // Some time for a first leader and first values.
    let mut at = every.min(Duration::from_secs(3));
    while at < duration && !deck.is_empty() {
        if hand.is_empty() {
            hand.clone_from(&deck);
        }
        let (kind, least, most) = hand.swap_remove(rng.index(hand.len()));
        let lasts = Duration::from_millis(least + rng.below(most - least + 1));
        planned.push(Planned { at, lasts, kind, dice: rng.draw() });
        // From a half to one and a half.
        at += every / 2 + rng.jitter(every);
    }
    planned
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const ALL: Abilities = Abilities { spaces: true, disks: true };

    fn half_an_hour(seed: u64, abilities: Abilities) -> Vec<Planned> {
        plan(seed, Duration::from_secs(1800), Duration::from_secs(5), abilities, &[])
    }

    #[test]
    fn a_seed_decides_the_plan() {
        assert_eq!(half_an_hour(7, ALL), half_an_hour(7, ALL));
        assert_ne!(half_an_hour(7, ALL), half_an_hour(8, ALL));
    }

    #[test]
    fn half_an_hour_has_enough_of_everything() {
        for seed in 0..100 {
            let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
            for planned in half_an_hour(seed, ALL) {
                *counts.entry(planned.kind).or_default() += 1;
            }
            let count = |kinds: &[Kind]| kinds.iter().map(|kind| counts[kind]).sum::<u32>();
            assert!(count(&[Kind::KillLeader, Kind::KillAcceptor, Kind::KillAny]) >= 40);
            let cuts = [Kind::CutPair, Kind::CutOneWay, Kind::CutHalves, Kind::IsolateLeader];
            assert!(count(&cuts) >= 40);
            assert!(count(&[Kind::PauseLeader, Kind::PauseAcceptor]) >= 20);
            assert!(count(&[Kind::Corruption]) >= 10 && count(&[Kind::FullDisk]) >= 4);
        }
    }

    #[test]
    fn what_the_machine_cannot_do_is_not_planned() {
        let least = Abilities { spaces: false, disks: false };
        let kinds: Vec<Kind> = half_an_hour(1, least).iter().map(|it| it.kind).collect();
        assert!(kinds.iter().all(|kind| kind.is_possible(least)));
        assert!(kinds.contains(&Kind::KillLeader) && !kinds.contains(&Kind::FullDisk));
        let only = [Kind::Silence];
        let (long, often) = (Duration::from_secs(60), Duration::from_secs(1));
        let silent = plan(1, long, often, ALL, &only);
        assert!(silent.len() > 30 && silent.iter().all(|it| it.kind == Kind::Silence));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for name in Kind::names() {
            assert_eq!(Kind::named(name).expect("a kind").name(), name);
        }
        assert_eq!(Kind::named("nothing"), None);
    }
}
