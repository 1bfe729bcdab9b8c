//! Partial networks, and how long they take to choose a value:
//! `cargo run --release -p sim --example links [SEEDS] [DIRECTED]`.
//!
//! `choose` counts the graphs that must choose, and do; `luck` those that need not, and do: votes
//! can reach a quorum's worth of learners where no single leader hears enough of them.

use std::env;

use sim::links::{Links, SITUATIONS, Situation, TIMEOUT_US, patterns, time_to_choose};

/// Seeds of the table of two-way links, and sampled graphs of one-way links.
const SEEDS: u64 = 8;
const DIRECTED: u64 = 4_000;
/// What a value must be chosen within, and how long it is waited for.
const BOUND_US: u64 = 2 * TIMEOUT_US;
const PATIENCE_US: u64 = 20 * TIMEOUT_US;

fn main() {
    let given = |place: usize| env::args().nth(place).and_then(|argument| argument.parse().ok());
    let seeds = given(1).unwrap_or(SEEDS);
    let directed = given(2).unwrap_or(DIRECTED);
    let two_way = |seed| patterns().into_iter().map(move |row| (seed, row.links));
    let two_way: Vec<(u64, Links)> = (1..=seeds).flat_map(two_way).collect();
    let one_way: Vec<(u64, Links)> =
        (1..=directed).map(|seed| (seed, Links::directed(seed))).collect();
    println!(
        "{:<10}{:<14}{:>7}{:>8}{:>11}{:>11}{:>8}",
        "links", "", "runs", "choose", "median", "worst", "luck"
    );
    for (kind, graphs) in [("two-way", two_way), ("one-way", one_way)] {
        for situation in SITUATIONS {
            row(kind, situation, &graphs);
        }
    }
}

fn row(kind: &str, situation: Situation, graphs: &[(u64, Links)]) {
    let (mut times, mut luck) = (Vec::new(), 0);
    for &(seed, links) in graphs {
        let time = time_to_choose(links, situation, seed, PATIENCE_US);
        if links.has_hope() {
            let time =
                time.unwrap_or_else(|| panic!("seed {seed}: nothing is chosen on {links:?}"));
            times.push((time, seed, links));
        } else {
            luck += u32::from(time.is_some());
        }
    }
    times.sort_unstable();
    let &(worst, seed, links) = times.last().expect("some graphs have a quorum");
    let (median, _, _) = times[times.len() / 2];
    let (runs, chosen) = (graphs.len(), times.len());
    let name = format!("{situation:?}");
    println!("{kind:<10}{name:<14}{runs:>7}{chosen:>8}{median:>8} us{worst:>8} us{luck:>8}");
    assert!(worst <= BOUND_US, "seed {seed}: {links:?}");
}
