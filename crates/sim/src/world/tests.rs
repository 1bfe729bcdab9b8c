//! Who is slow slows nobody else, as long as the others are a quorum.

use std::collections::BTreeMap;

use node::Reply;
use paxos::{Instant, Limits, NodeId};

use super::World;
use crate::faults::{DiskSpeed, Faults, Weather};
use crate::recording::What;
use crate::shape::Shape;
use crate::walk::Options;
use crate::workload::Question;

/// An append on its way to the acceptors and back to the leader, and its answer to the client; and
/// the sync before its own. Nobody's queue is in it.
const LONGEST_US: u64 = 3 * Weather::CALM.delay_us_max + 2 * DiskSpeed::STEADY.sync_us_max;

/// How long who is slow is so: longer than clients rest and ask.
const SLOW_US: u64 = 10_000_000;

/// In a world of five acceptors: the longest that an append took, from the leader that took it to
/// the client. The first `slow` acceptors have slow disks, and the learner hears nothing until all
/// is healed.
fn longest_us(seed: u64, slow: usize, quorums: Option<(usize, usize)>) -> u64 {
    let shape = Shape { leaders: 2, acceptors: 5, learners: 1, quorums, ..Shape::EMPTY };
    let faults = Faults { lasts_us: SLOW_US, ..Faults::NONE };
    let limits = Limits::default();
    let options = Options { shape, faults, limits, requests: 40, ..Options::drawn(seed) };
    let mut world = World::new(seed, options);
    let acceptors: Vec<NodeId> = world.configuration.acceptors().to_vec();
    for id in acceptors.into_iter().take(slow) {
        world.hosts[id].slow_until = Instant(u64::MAX);
    }
    let learner = world.configuration.members().keys().next_back().copied();
    world.hosts[learner.expect("a learner")].is_silent = slow > 0;
    world.recording().begin();
    if let Err(wrong) = world.run() {
        panic!("seed {seed}: {wrong:?}");
    }
    let mut asked = BTreeMap::new();
    let mut longest = 0;
    for happened in world.recording().end() {
        match happened.what {
            What::Asked { client, question: Question::Value(value), .. } => {
                asked.insert((client, value), happened.at);
            }
            What::Answered { client, question: Question::Value(value), reply } => {
                let is_refused = matches!(reply, Reply::Busy | Reply::Unknown { .. });
                assert!(!is_refused, "seed {seed}: {reply:?}");
                assert!(happened.at.0 < SLOW_US, "seed {seed}: answered after the healing");
                if let Reply::Done { .. } = reply {
                    longest = longest.max(happened.at.0 - asked[&(client, value)].0);
                }
            }
            _ => {}
        }
    }
    longest
}

#[test]
fn slow_disks_and_a_deaf_learner_slow_nobody_while_the_others_are_a_quorum() {
    for seed in 0..20 {
        let longest = [0, 1, 2, 3].map(|slow| longest_us(seed, slow, None));
        println!("seed {seed}: {longest:?}");
        assert!(longest[..3].iter().all(|us| (1..=LONGEST_US).contains(us)), "{longest:?}");
        assert!(longest[3] > LONGEST_US, "no quorum is fast: {longest:?}");
    }
}

#[test]
fn one_slow_disk_slows_a_quorum_of_all() {
    let (without, with) = (longest_us(1, 0, Some((1, 5))), longest_us(1, 1, Some((1, 5))));
    assert!((1..=LONGEST_US).contains(&without) && with > LONGEST_US, "{without} {with}");
}
