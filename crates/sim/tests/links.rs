//! Every pattern of links between five acceptors and three leaders, and the time until a value is
//! chosen on it.

use sim::links::time_to_choose;
use sim::links::{ACCEPTORS, LEADERS, Links, SITUATIONS, Situation, TIMEOUT_US, patterns};

/// From the moment at which the links change until the value is chosen.
const BOUND_US: u64 = 2 * TIMEOUT_US;

/// Graphs of one-way links.
const DIRECTED: u64 = 300;

/// Values are chosen on exactly the patterns that the contract promises, and in time.
fn check(situation: Situation) {
    let (mut chosen, mut hopeless, mut worst_us) = (0, 0, 0);
    for row in patterns() {
        let time = time_to_choose(row.links, situation, 1, BOUND_US);
        assert_eq!(time.is_some(), row.links.has_hope(), "{:015b}: {time:?}", row.links.up);
        worst_us = worst_us.max(time.unwrap_or(0));
        *if time.is_some() { &mut chosen } else { &mut hopeless } += row.graphs;
    }
    println!("{situation:?}: {chosen} graphs choose, {hopeless} cannot; slowest {worst_us} us");
    assert_eq!((chosen, hopeless), (28_672, 4_096));
}

#[test]
fn the_patterns_stand_for_every_graph() {
    let all = patterns();
    assert_eq!(all.len(), 792);
    assert_eq!(all.iter().map(|row| row.graphs).sum::<u64>(), 1 << (LEADERS * ACCEPTORS));
}

#[test]
fn where_nobody_leads_every_graph_with_a_quorum_chooses() {
    check(Situation::NobodyLeads);
}

#[test]
fn where_the_first_led_every_graph_with_a_quorum_chooses() {
    check(Situation::Leads(0));
}

#[test]
fn where_the_second_led_every_graph_with_a_quorum_chooses() {
    check(Situation::Leads(1));
}

#[test]
fn where_the_third_led_every_graph_with_a_quorum_chooses() {
    check(Situation::Leads(2));
}

#[test]
fn where_links_work_one_way_a_quorum_both_ways_is_enough() {
    for situation in SITUATIONS {
        for seed in 1..=DIRECTED {
            let links = Links::directed(seed);
            let time = time_to_choose(links, situation, seed, BOUND_US);
            // Other graphs may choose, too: learners together can hear what no leader hears alone.
            let is_well = time.is_some() || !links.has_hope();
            assert!(is_well, "{situation:?}, seed {seed}: {links:?}");
        }
    }
}
