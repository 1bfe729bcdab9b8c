//! How long until the next value is chosen after the primary is killed with SIGKILL?
//!
//! `cargo build --release && cargo run --release -p synod --example takeover`
//!
//! Seven processes on this machine at default settings; a client that appends all the time. Prints
//! the least, the median and the most of twenty kills, in milliseconds.

#[path = "../tests/cluster/mod.rs"]
mod cluster;

use std::error::Error;
use std::time::{Duration, Instant};

use cluster::{Cluster, Layout};

const LEADERS: [&str; 2] = ["l1", "l2"];
const SEVEN: Layout = Layout {
    options: &["--leaders", "2", "--acceptors", "5"],
    leaders: &LEADERS,
    others: &["a1", "a2", "a3", "a4", "a5"],
};

const KILLS: usize = 20;

/// Between two kills: time to start again and to catch up.
const REST: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let binary = here.parent().and_then(|examples| examples.parent());
    let binary = binary.ok_or("the example runs from its build directory")?.join("synod");
    if !binary.is_file() {
        return Err(format!("{} is missing: cargo build --release", binary.display()).into());
    }
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&binary, directory.path(), SEVEN);
    let mut times = Vec::new();
    for number in 1..=KILLS {
        let primary = cluster.primary().await;
        let client = cluster.client(&[primary, 1 - primary]);
        client.append("before").await?;
        let killed = Instant::now();
        cluster.kill(LEADERS[primary]);
        client.append("after").await?;
        let took = killed.elapsed();
        println!("{number:>3}  {}  {:>6.1} ms", LEADERS[primary], took.as_secs_f64() * 1e3);
        times.push(took);
        cluster.serve(LEADERS[primary]);
        tokio::time::sleep(REST).await;
    }
    times.sort_unstable();
    let show = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let (least, median, most) = (times[0], times[KILLS / 2], times[KILLS - 1]);
    println!("least {}, median {}, most {}", show(least), show(median), show(most));
    Ok(())
}
