//! How many messages a second one core walks through, and the first seed that shows each event.
//!
//! `cargo run --release -p sim --example throughput [seeds] [first]`

use std::collections::BTreeMap;
use std::time::Instant;

use sim::{Options, Statistics, walk};

fn main() {
    let mut arguments = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (seeds, first): (u64, u64) =
        (arguments.next().unwrap_or(1_000), arguments.next().unwrap_or(0));
    let mut total = Statistics::default();
    let mut seen = BTreeMap::new();
    let start = Instant::now();
    for seed in first..first + seeds {
        let outcome = walk(seed, &Options::drawn(seed));
        if let Some(violation) = outcome.violation {
            println!("{violation}");
        }
        for event in outcome.statistics.events.keys() {
            seen.entry(*event).or_insert(seed);
        }
        total.add(&outcome.statistics);
    }
    let took = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "rates for a reader")]
    let rate = |count: u64| count as f64 / took;
    println!(
        "{seeds} walks in {took:.1} s: {:.0} walks/s, {:.0} messages/s sent, {:.0}/s heard",
        rate(seeds),
        rate(total.sent),
        rate(total.delivered)
    );
    println!("first seeds: {seen:?}");
}
