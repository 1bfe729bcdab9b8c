//! What does a start make of one flipped byte, anywhere in a node's directory?
//!
//! `cargo run --release -p synod --example byte_flips -- --positions 10000 --dir /dev/shm`
//!
//! A real run of three nodes makes the directory. For each position it is laid out anew with one
//! byte flipped, and recovered as `synod serve` does. Prints a table of what followed; a panic or a
//! wrong journal ends it with exit code 1.

#[path = "../tests/flips/mod.rs"]
mod flips;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flips::Outcome;

/// Flip bytes in a node's directory
#[derive(Debug, Parser)]
struct Args {
    /// How many, one at a time
    #[arg(long, default_value_t = 10_000)]
    positions: usize,
    /// What decides where
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the directories are made; in memory it is quicker
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let args = Args::parse();
    let directory = tempfile::tempdir_in(&args.dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let made = runtime.block_on(flips::make(directory.path()));
    println!("{} bytes, {} flips, seed {}", made.bytes(), args.positions, args.seed);
    let mut is_bad = false;
    for ((kind, outcome, why), count) in made.flip(args.positions, args.seed, directory.path()) {
        println!("{count:>8}  {kind:<9} {outcome:?} {why}");
        is_bad |= matches!(outcome, Outcome::Wrong | Outcome::Panicked);
    }
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
