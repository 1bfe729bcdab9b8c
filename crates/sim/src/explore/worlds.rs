//! The small worlds that are searched, and how many states each has.
//!
//! Each adds one thing to the ones before: a second campaign, rejections, crashes, following,
//! fetching, reads, lost votes, snapshots. The counts are asserted, so that a change of the core
//! that makes anything else reachable is seen.

use paxos::Announce;

use super::scene::Scene;

/// A scene and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct World {
    /// What may happen there.
    pub scene: Scene,
    /// How many moves deep it is searched; none if every state is looked at.
    pub depth_max: Option<usize>,
    /// States that differ by more than the names of acceptors.
    pub states: usize,
    /// States with the names of acceptors told apart.
    pub states_by_name: u64,
}

/// One value of the first leader; slots 0 and 1.
const VALUE: Scene = Scene { name: "one value", values: &[1, 0], rejects: false, ..Scene::DUEL };
/// The same, but slot 0 is closed and the first leader leads: all is about slot 1.
const SETTLED: Scene = Scene { name: "one slot", settled: true, ..VALUE };
/// Each leader has a value.
const VALUES: Scene = Scene { name: "two values", values: &[1, 1], ..VALUE };

const fn all(scene: Scene, states: usize, states_by_name: u64) -> World {
    World { scene, depth_max: None, states, states_by_name }
}

const fn to_depth(depth: usize, scene: Scene, states: usize, states_by_name: u64) -> World {
    World { scene, depth_max: Some(depth), states, states_by_name }
}

/// Every world of the table.
pub const WORLDS: [World; 27] = [
    all(Scene { name: "starts", values: &[0, 0], slots: 4, ..VALUE }, 310, 1_341),
    all(VALUE, 2_141, 11_153),
    all(VALUES, 2_469, 12_721),
    all(
        Scene {
            name: "three leaders",
            leaders: 3,
            campaigns: &[1, 1, 1],
            values: &[1, 0, 0],
            ..SETTLED
        },
        1_258,
        5_888,
    ),
    all(Scene { name: "four acceptors", acceptors: 4, quorums: (3, 2), ..VALUE }, 10_105, 182_721),
    all(Scene { name: "five campaigns", campaigns: &[3, 2], ..SETTLED }, 44_083, 230_301),
    all(Scene { name: "a campaign more", campaigns: &[2, 1], ..VALUES }, 95_347, 531_507),
    all(Scene { name: "two campaigns", campaigns: &[2, 2], ..VALUES }, 2_079_288, 11_984_417),
    all(
        Scene { name: "rejections", campaigns: &[2, 1], rejects: true, ..VALUES },
        678_388,
        3_922_042,
    ),
    all(
        Scene { name: "rejections, slot", campaigns: &[2, 2], rejects: true, ..SETTLED },
        1_296_019,
        7_480_624,
    ),
    all(Scene { name: "acceptor crashes", acceptor_crashes: 2, ..VALUE }, 19_676, 111_530),
    all(
        Scene { name: "crash, campaigns", campaigns: &[2, 2], acceptor_crashes: 1, ..SETTLED },
        39_047,
        213_976,
    ),
    all(
        Scene { name: "leader crash", campaigns: &[2, 1], leader_crashes: 1, ..VALUES },
        458_641,
        2_558_956,
    ),
    all(
        Scene { name: "following leader", following: Some(Announce::LeaderOnly), ..VALUE },
        91_663,
        497_024,
    ),
    all(
        Scene {
            name: "following votes",
            campaigns: &[2, 1],
            following: Some(Announce::EveryLearner),
            ..SETTLED
        },
        64_115,
        349_247,
    ),
    to_depth(
        14,
        Scene { name: "following, slots", following: Some(Announce::EveryLearner), ..VALUE },
        65_375,
        370_338,
    ),
    all(Scene { name: "fetching", fetches: true, ..SETTLED }, 586_322, 3_470_447),
    all(Scene { name: "reading", reads: &[1, 0], slots: 3, ..SETTLED }, 9_488, 50_287),
    all(Scene { name: "reading twice", values: &[0, 0], reads: &[2, 0], ..SETTLED }, 438, 1_537),
    all(
        Scene {
            name: "reading at both",
            campaigns: &[2, 1],
            values: &[0, 0],
            reads: &[1, 1],
            ..SETTLED
        },
        331_111,
        1_839_348,
    ),
    all(Scene { name: "lost votes", campaigns: &[2, 1], losses: 1, ..SETTLED }, 34_078, 182_858),
    all(Scene { name: "lost twice", campaigns: &[1, 2], losses: 2, ..SETTLED }, 149_344, 848_093),
    all(Scene { name: "lost votes, slots", losses: 1, ..VALUE }, 1_337_628, 7_920_174),
    all(Scene { name: "snapshots", keeps: true, ..SETTLED }, 28_787, 152_462),
    all(Scene { name: "snapshots, slots", keeps: true, ..VALUE }, 103_598, 569_996),
    all(
        Scene { name: "snapshots, twice", campaigns: &[1, 2], keeps: true, ..SETTLED },
        411_195,
        2_319_280,
    ),
    to_depth(
        8,
        Scene {
            name: "crashes, rejections",
            campaigns: &[2, 1],
            rejects: true,
            acceptor_crashes: 1,
            leader_crashes: 1,
            ..SETTLED
        },
        2_524_617,
        14_820_303,
    ),
];
