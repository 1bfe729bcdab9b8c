//! The table of small worlds: `cargo run --release -p sim --example explore [WORLD]`. Fails where a
//! world has another number of states than it should, or one that is wrong.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use sim::explore::{Reduced, WORLDS, World, explore};

/// Worlds that are searched at a time.
const THREADS: usize = 2;

fn main() {
    println!(
        "{:<18}{:>10}{:>12}{:>7}{:>9}  outcome",
        "world", "states", "by name", "depth", "time"
    );
    let (next, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let given = env::args().nth(1);
    let wanted = |world: &&World| given.as_ref().is_none_or(|name| name == world.scene.name);
    let worlds: Vec<&World> = WORLDS.iter().filter(wanted).collect();
    assert!(!worlds.is_empty(), "there is a world of this name");
    let search = || {
        while let Some(world) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
            wrong.fetch_add(usize::from(!row(world)), Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(search);
        }
    });
    assert_eq!(wrong.into_inner(), 0, "worlds that are not as they should be");
}

/// Whether the world is as it should be.
fn row(world: &World) -> bool {
    let start = Instant::now();
    let found = explore(&world.scene, Reduced::FULLY, world.depth_max.unwrap_or(usize::MAX));
    let time = start.elapsed().as_secs_f64();
    let (states, by_name) = (found.states, found.states_by_name);
    let as_expected = (states, by_name) == (world.states, world.states_by_name)
        && found.is_complete == world.depth_max.is_none();
    let outcome = match &found.counterexample {
        Some(counterexample) => counterexample.what.as_str(),
        None if !as_expected => "not as many states as there should be",
        None if found.is_complete => "every state is fine",
        None => "every state up to this depth is fine",
    };
    let (name, depth) = (world.scene.name, found.depth);
    let mut text = format!("{name:<18}{states:>10}{by_name:>12}{depth:>7}{time:>8.1}s  {outcome}");
    for sentence in found.counterexample.iter().flat_map(|found| &found.story) {
        text += &format!("\n  {sentence}");
    }
    println!("{text}");
    as_expected
}
