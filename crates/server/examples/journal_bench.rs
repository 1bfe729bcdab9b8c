//! How many frames of 256 bytes a second the journal makes durable, k a sync.
//!
//! `cargo run --release -p server --example journal_bench [directory]`
//!
//! The disk's own latency stands beside it: at k = 1 the journal cannot be faster than that.
//! `fresh` writes into new segments and pays for their zeros; `reused` cuts as it goes, so that
//! segments are recycled, as a node does that takes snapshots.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use journal::{Identity, Journal, Options, Sequence};
use server::file_disk::FileDisk;

const FRAME: [u8; 256] = [0x5a; 256];
const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
const RUN: Duration = Duration::from_secs(2);
const KEPT: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| String::from("."));
    let directory = tempfile::tempdir_in(parent)?;

    let mut samples = FileDisk::open(directory.path().join("probe"))?.sync_latency(1000)?;
    samples.sort_unstable();
    println!("disk: one sector and a sync: p50 {:?}, p99 {:?}", samples[500], samples[990]);

    println!("{:>5} {:>8} {:>14} {:>12}", "k", "segments", "frames/s", "us a sync");
    for k in [1, 16, 256] {
        for is_cutting in [false, true] {
            let name = format!("{k}-{is_cutting}");
            let (frames, syncs, elapsed) = run(&directory.path().join(&name), k, is_cutting)?;
            println!(
                "{k:>5} {:>8} {:>14.0} {:>12.1}",
                if is_cutting { "reused" } else { "fresh" },
                f64::from(frames) / elapsed.as_secs_f64(),
                elapsed.as_secs_f64() * 1e6 / f64::from(syncs),
            );
            std::fs::remove_dir_all(directory.path().join(&name))?;
        }
    }
    Ok(())
}

/// Frames, syncs and the time that they took.
fn run(path: &Path, k: u32, is_cutting: bool) -> Result<(u32, u32, Duration), Box<dyn Error>> {
    let mut disk = FileDisk::open(path)?;
    Journal::format(&mut disk, IDENTITY)?;
    let (mut journal, _) = Journal::open(disk, IDENTITY, Options::default(), |_| {})?;
    let (mut frames, mut syncs) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < RUN {
        for _ in 0..k {
            journal.append(&FRAME)?;
        }
        let durable = journal.sync()?;
        frames += k;
        syncs += 1;
        if is_cutting {
            journal.cut(Sequence(durable.0.saturating_sub(KEPT)))?;
        }
    }
    Ok((frames, syncs, start.elapsed()))
}
