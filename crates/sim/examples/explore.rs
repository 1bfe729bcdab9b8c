//! The long search: `cargo run --release -p sim --example explore [STATES_MAX]`.

use std::env;
use std::time::Instant;

use paxos::Announce;
use sim::explore::{Reduced, Scene, explore};

/// States of one scene, unless the first argument says otherwise.
const STATES_MAX: usize = 20_000_000;

fn main() {
    let duel = Scene::DUEL;
    let quiet = Scene { rejects: false, values: &[1, 0], ..duel };
    let scenes = [
        Scene { name: "starts", values: &[0, 0], ..quiet },
        Scene { name: "one value", ..quiet },
        Scene { name: "leader crash", leader_crashes: 1, campaigns: &[2, 0], ..quiet },
        Scene { name: "acceptor crash", values: &[0, 0], acceptor_crashes: 1, ..quiet },
        Scene { name: "following", following: Some(Announce::LeaderOnly), ..quiet },
        Scene { name: "fetching", fetches: true, ..quiet },
        duel,
    ];
    let given = env::args().nth(1).and_then(|argument| argument.parse().ok());
    println!(
        "{:<16}{:>12}{:>14}{:>7}{:>9}  outcome",
        "world", "states", "by name", "depth", "time"
    );
    for scene in scenes {
        let start = Instant::now();
        let found = explore(&scene, Reduced::FULLY, given.unwrap_or(STATES_MAX));
        let outcome = match &found.counterexample {
            Some(counterexample) => counterexample.what.as_str(),
            None if found.is_complete => "every state is fine",
            None => "fine so far; not every state was seen",
        };
        let (states, by_name, depth) = (found.states, found.states_by_name, found.depth);
        let time = start.elapsed().as_secs_f64();
        println!("{:<16}{states:>12}{by_name:>14}{depth:>7}{time:>8.1}s  {outcome}", scene.name);
        for sentence in found.counterexample.iter().flat_map(|found| &found.story) {
            println!("  {sentence}");
        }
    }
}
