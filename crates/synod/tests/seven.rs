//! Seven processes on loopback, two acceptors and the primary killed while a client appends, all
//! started again, every history compared.
//!
//! `SYNOD_ROUNDS=50 cargo test -p synod --test seven` repeats it.

mod cluster;
#[path = "cluster/seven.rs"]
mod seven;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use client::Consistency;
use client::proto::Entry;
use cluster::{Cluster, PATIENCE};
use seven::{LEADERS, SEVEN};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const VALUES: u32 = 600;

/// A leader's history up to a slot, as soon as it knows so much.
async fn history(cluster: &Cluster, leader: usize, end: u64) -> Vec<Entry> {
    let client = cluster.client(&[leader]);
    let endpoint = cluster.endpoint(leader);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = client.status(&endpoint).await;
        if status.is_ok_and(|status| status.applied >= end) {
            break;
        }
        assert!(Instant::now() < deadline, "{} does not catch up", LEADERS[leader]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let entries = client.read(Consistency::Local, 0, Some(end), 0).await.expect("readable");
    entries.map(|entry| entry.expect("an entry")).collect().await
}

async fn round() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster =
        Cluster::start(Path::new(env!("CARGO_BIN_EXE_synod")), directory.path(), SEVEN);
    let primary = cluster.primary().await;
    let client = cluster.client(&[0, 1]);
    let mut appends = JoinSet::new();
    for number in 0..VALUES {
        let client = client.clone();
        appends.spawn(async move {
            // Over a second or so, so that every fault meets values under way.
            tokio::time::sleep(Duration::from_millis(u64::from(number) * 2)).await;
            (number, client.append(number.to_le_bytes().to_vec()).await)
        });
    }
    let mut slots = BTreeMap::new();
    let mut answered = 0;
    while let Some(joined) = appends.join_next().await {
        let (number, answer) = joined.expect("no panic");
        let slot = answer.unwrap_or_else(|error| panic!("value {number}: {error}")).slot;
        assert!(slots.insert(slot, number).is_none(), "two values in slot {slot}");
        answered += 1;
        match answered {
            100 => cluster.kill("a5"),
            150 => cluster.kill("a4"),
            200 => cluster.kill(LEADERS[primary]),
            350 => cluster.serve("a4"),
            400 => {
                cluster.serve("a5");
                cluster.serve(LEADERS[primary]);
            }
            _ => {}
        }
    }
    let end = slots.keys().next_back().expect("values") + 1;
    for (leader, name) in LEADERS.iter().enumerate() {
        let history = history(&cluster, leader, end).await;
        let found: BTreeMap<u64, u32> = history
            .iter()
            .map(|entry| {
                let number = entry.value[..].try_into().expect("a number");
                (entry.slot, u32::from_le_bytes(number))
            })
            .collect();
        assert_eq!(history.len(), slots.len(), "lost or repeated at {name}");
        assert_eq!(found, slots, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_when_two_acceptors_and_the_primary_are_killed() {
    let rounds = std::env::var("SYNOD_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    for number in 1..=rounds.unwrap_or(2) {
        let start = Instant::now();
        round().await;
        println!("round {number}: {VALUES} values, 0 lost, 0 repeated, {:?}", start.elapsed());
    }
}
