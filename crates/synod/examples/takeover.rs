//! For how long is nothing appended when the leader is killed, and when it hands over?
//!
//! `cargo build --release && cargo run --release -p synod --example takeover`
//!
//! Seven processes on this machine at default settings, and clients that append all the time.
//! Prints the longest time between two acknowledged appends around each of fifty kills (SIGKILL)
//! and fifty transfers of leadership, then the distribution of both; and how long the disk takes to
//! sync, which every append waits for.

#[path = "../tests/cluster/mod.rs"]
mod cluster;

use std::error::Error;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use client::Client;
use cluster::{Cluster, Layout};

const LEADERS: [&str; 2] = ["l1", "l2"];
const SEVEN: Layout = Layout {
    options: &["--leaders", "2", "--acceptors", "5"],
    leaders: &LEADERS,
    others: &["a1", "a2", "a3", "a4", "a5"],
};

const TRIALS: usize = 50;

/// Values in flight at a time.
const APPENDERS: usize = 16;

/// What is looked at before the fault and after it: time for a takeover that goes wrong.
const BEFORE: Duration = Duration::from_millis(300);
const AFTER: Duration = Duration::from_millis(1500);

/// Syncs that are timed.
const SYNCS: usize = 500;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let binary = here.parent().and_then(|examples| examples.parent());
    let binary = binary.ok_or("the example runs from its build directory")?.join("synod");
    if !binary.is_file() {
        return Err(format!("{} is missing: cargo build --release", binary.display()).into());
    }
    let directory = tempfile::tempdir()?;
    let mut syncs = syncs(directory.path())?;
    tell("a sync of 4 KiB", &mut syncs);
    let mut cluster = Cluster::start(&binary, directory.path(), SEVEN);
    let client = cluster.client(&[0, 1]);
    client.append("first").await?;
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..APPENDERS {
        tokio::spawn(load(client.clone(), acknowledged.clone()));
    }
    let (mut idle, mut kills, mut transfers) = (Vec::new(), Vec::new(), Vec::new());
    for number in 1..=TRIALS {
        let primary = ready(&cluster).await;
        idle.push(gap(&acknowledged, async {}).await);
        let endpoint = cluster.endpoint(primary);
        let operator = cluster.client(&[primary]);
        transfers.push(
            gap(&acknowledged, async {
                if let Err(error) = operator.transfer_leader(&endpoint, None).await {
                    println!("{number:>3}  not transferred: {error}");
                }
            })
            .await,
        );
        let primary = ready(&cluster).await;
        kills.push(gap(&acknowledged, async { cluster.kill(LEADERS[primary]) }).await);
        cluster.serve(LEADERS[primary]);
        let (transfer, kill) = (transfers[number - 1], kills[number - 1]);
        println!("{number:>3}  transfer {:>7}  kill {:>8}", show(transfer), show(kill));
    }
    tell("nothing happens", &mut idle);
    tell("transfer", &mut transfers);
    tell("kill", &mut kills);
    Ok(())
}

async fn load(client: Client, acknowledged: Arc<Mutex<Vec<Instant>>>) {
    loop {
        client.append("value").await.expect("no append fails");
        acknowledged.lock().expect("nobody panics").push(Instant::now());
    }
}

/// Who leads, once the other one follows it and has caught up.
async fn ready(cluster: &Cluster) -> usize {
    loop {
        let primary = cluster.primary().await;
        let other = 1 - primary;
        let client = cluster.client(&[other]);
        let leads = client.status(&cluster.endpoint(primary)).await;
        let follows = client.status(&cluster.endpoint(other)).await;
        if let (Ok(leads), Ok(follows)) = (leads, follows)
            && follows.leader.is_some_and(|leader| leader.node == leads.node)
            && follows.applied + 1_000 > leads.applied
        {
            return primary;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The longest time between two acknowledged appends around something that is done.
async fn gap(acknowledged: &Mutex<Vec<Instant>>, done: impl Future<Output = ()>) -> Duration {
    acknowledged.lock().expect("nobody panics").clear();
    tokio::time::sleep(BEFORE).await;
    done.await;
    tokio::time::sleep(AFTER).await;
    let mut times = std::mem::take(&mut *acknowledged.lock().expect("nobody panics"));
    times.push(Instant::now());
    times.sort_unstable();
    times.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(AFTER)
}

fn syncs(directory: &Path) -> Result<Vec<Duration>, std::io::Error> {
    let mut file = File::create(directory.join("syncs"))?;
    let mut times = Vec::new();
    for _ in 0..SYNCS {
        file.write_all(&[7; 4096])?;
        let began = Instant::now();
        file.sync_data()?;
        times.push(began.elapsed());
    }
    Ok(times)
}

fn tell(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: usize| show(times[(times.len() * share / 100).min(times.len() - 1)]);
    println!(
        "{what:<16} {} times: least {}, median {}, 90 % {}, most {}",
        times.len(),
        at(0),
        at(50),
        at(90),
        at(100)
    );
}

fn show(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
