//! Every node of a cluster of real processes is stopped with SIGTERM and started again, one after
//! the other, while clients append. No append fails, and every value is in the history once.
#![cfg(unix)]

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::{Client, Consistency};
use cluster::{Cluster, Layout, PATIENCE};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const THREE: Layout = Layout { options: &["--nodes", "3"], leaders: &NODES, others: &[] };

/// Clients' values in flight at a time.
const APPENDERS: u64 = 8;

/// Until the node knows everything below a slot again.
async fn caught_up(cluster: &Cluster, node: usize, slot: u64) {
    let (client, endpoint) = (cluster.client(&[node]), cluster.endpoint(node));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = client.status(&endpoint).await;
        if status.is_ok_and(|it| it.applied >= slot && it.leader.is_some() && !it.suspect) {
            return;
        }
        assert!(Instant::now() < deadline, "{} does not catch up", NODES[node]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// SIGTERM; the process's exit code.
fn terminate(mut child: Child) -> Option<i32> {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success(), "it is there to be told");
    child.wait().expect("gone").code()
}

/// Appends its own numbers one after the other until it is told to end; the slot of each.
async fn append(
    client: Client,
    mut number: u64,
    ends: Arc<AtomicBool>,
    last: Arc<AtomicU64>,
) -> BTreeMap<u64, u64> {
    let mut slots = BTreeMap::new();
    while !ends.load(Ordering::Relaxed) {
        let answer = client.append(number.to_le_bytes().to_vec()).await;
        let slot = answer.unwrap_or_else(|error| panic!("value {number}: {error}")).slot;
        last.fetch_max(slot + 1, Ordering::Relaxed);
        assert_eq!(slots.insert(slot, number), None, "two values in slot {slot}");
        number += APPENDERS;
    }
    slots
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_is_restarted_and_no_append_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster =
        Cluster::start(Path::new(env!("CARGO_BIN_EXE_synod")), directory.path(), THREE);
    let client = cluster.client(&[0, 1, 2]);
    client.append("first").await.expect("appended");
    for node in 0..NODES.len() {
        caught_up(&cluster, node, 1).await;
    }
    let (ends, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut appends = JoinSet::new();
    for number in 0..APPENDERS {
        appends.spawn(append(client.clone(), number, ends.clone(), last.clone()));
    }
    let mut led = BTreeSet::new();
    for (node, name) in NODES.into_iter().enumerate() {
        led.insert(cluster.primary().await);
        let before = last.load(Ordering::Relaxed);
        let code = terminate(cluster.take(name));
        assert_eq!(code, Some(0), "{name} stops in order");
        cluster.serve(name);
        caught_up(&cluster, node, before).await;
    }
    led.insert(cluster.primary().await);
    ends.store(true, Ordering::Relaxed);
    let mut expected = BTreeMap::new();
    for slots in appends.join_all().await {
        expected.extend(slots);
    }
    assert!(led.len() > 1, "somebody who led was restarted");
    let entries = client.read(Consistency::Linearizable, 0, None, 0).await.expect("readable");
    let entries: Vec<_> = entries.map(|entry| entry.expect("an entry")).collect().await;
    let found: BTreeMap<u64, u64> = entries
        .iter()
        .filter_map(|entry| {
            Some((entry.slot, u64::from_le_bytes(entry.value[..].try_into().ok()?)))
        })
        .collect();
    assert_eq!(found, expected, "what was appended is there, once");
    // For comparison: one that dies without a word costs a moment, and no append either.
    let leader = cluster.primary().await;
    cluster.kill(NODES[leader]);
    client.append("after a death").await.expect("appended");
    println!("{} values, over {} restarts", found.len(), NODES.len());
}
