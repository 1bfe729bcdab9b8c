//! A long history in little space, on real files: snapshots are taken, journals are cut, a node
//! goes on from its snapshot, and one that has nothing is given one.

mod cluster;

use std::path::{Path, PathBuf};
use std::time::Duration;

use client::proto::Entry;
use client::{CallError, Client, Consistency};
use cluster::{client, until};
use paxos::{Limits, NodeId, Slot};
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use server::{Options, Status};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const LAYOUT: Layout = Layout { leaders: 0, acceptors: 0, both: 3, learners: 1 };
const LEARNER: NodeId = NodeId(4);

/// A history of a quarter of a megabyte, with a snapshot four times in each.
const STORAGE: Storage = Storage { history_bytes: 256 << 10, snapshot_bytes: 64 << 10 };

/// What stays below the last snapshot.
const RETAINED: usize = 32 << 10;

const SEGMENT: usize = 64 << 10;

/// Small frames: the journal is cut by some hundreds of them.
const RUN: usize = 4 << 10;

/// Above, acceptors do not vote until snapshots have caught up, however busy the machine is.
const VOTES: usize = 1 << 20;

/// Less than half of what is written in all. Snapshots are three times 320 KiB at most. Votes are
/// in frames of a run, of which each may have a sector to itself. The rest are the frames that wait
/// to be cut, and the journal's spares.
const DISK_BYTES_MAX: u64 = (3 * (320 << 10) + 2 * VOTES + 12 * SEGMENT) as u64;

fn start(directory: &Path) -> Local {
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
    };
    let options = Options {
        limits: Limits {
            retained_bytes_max: RETAINED,
            run_bytes_max: RUN,
            votes_bytes_max: VOTES,
            ..Limits::default()
        },
        journal: journal::Options { segment_bytes: SEGMENT },
        ..Options::default()
    };
    Local::start(LAYOUT, directory, timing, STORAGE, options).expect("a cluster")
}

/// Appends so many values of 200 bytes, many at once; gives back the highest slot.
async fn append(client: &Client, count: usize) -> u64 {
    let mut appends = JoinSet::new();
    for number in 0..count {
        let client = client.clone();
        appends.spawn(async move {
            let mut value = number.to_le_bytes().to_vec();
            value.resize(200, 7);
            client.append(value).await.expect("appended").slot
        });
    }
    let slots = appends.join_all().await;
    slots.into_iter().max().expect("something was appended")
}

async fn status(local: &Local, node: NodeId) -> Status {
    local.running()[&node].status().await.expect("it runs")
}

/// What a node holds from a slot on.
async fn held(local: &Local, node: NodeId, first: Slot) -> Vec<Entry> {
    let reader = client(vec![local.address(node).expect("an address").to_string()]);
    let entries = reader.read(Consistency::Local, first.0, None, 0).await.expect("readable");
    entries.map(|entry| entry.expect("an entry")).collect().await
}

async fn assert_same_histories(local: &Local, slot: u64) {
    let mut first = Slot::FIRST;
    for node in local.running().keys() {
        let status = until(local, *node, "it applies all", |it| it.applied.0 > slot).await;
        first = first.max(status.storage.first_held);
    }
    let expected = held(local, NodeId(1), first).await;
    assert!(!expected.is_empty());
    for node in local.running().keys() {
        assert_eq!(held(local, *node, first).await, expected, "node {node}");
    }
}

fn directory_of(local: &Local, node: NodeId) -> PathBuf {
    local.configs()[&node].data_dir.clone().expect("it has a disk")
}

fn bytes_below(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).expect("a directory");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        match entry.metadata() {
            Ok(it) if it.is_dir() => bytes_below(&entry.path()),
            Ok(it) => it.len(),
            Err(_) => 0, // It was removed a moment ago.
        }
    });
    sizes.sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_stays_within_its_space() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(directory.path());
    let client = client(local.leader_endpoints());
    let mut last = 0;
    for _ in 0..10 {
        last = append(&client, 4000).await;
        for node in 1..=4 {
            let used = bytes_below(&directory_of(&local, NodeId(node)));
            assert!(used <= DISK_BYTES_MAX, "node {node} uses {used} of {DISK_BYTES_MAX} bytes");
        }
    }
    for node in [1, 2, 3].map(NodeId) {
        let is_cut = |it: &Status| it.storage.truncated.0 > last / 2;
        let storage = until(&local, node, "its votes are cut", is_cut).await.storage;
        assert!(storage.first_held > Slot(last / 2), "the oldest values were let go");
        let counters = local.running()[&node].switches().counters();
        assert!(counters["journal_cuts"] > 3, "{counters:?}");
        let used = storage.journal_bytes + storage.snapshot_bytes;
        assert!((200_000..=DISK_BYTES_MAX).contains(&used), "{storage:?}");
    }
    assert_same_histories(&local, last).await;

    // A node starts again: from its snapshot, and with what came after it.
    local.kill(NodeId(1)).await;
    let missed = append(&self::client(local.leader_endpoints()), 100).await;
    local.restart(NodeId(1)).expect("it starts again");
    let begun = status(&local, NodeId(1)).await;
    assert!(begun.storage.snapshot > Slot(last / 2), "{begun:?}");
    assert!(begun.applied >= begun.storage.snapshot);
    assert_same_histories(&local, missed).await;

    // A learner that has lost everything gets a snapshot: the votes are gone.
    local.kill(LEARNER).await;
    std::fs::remove_dir_all(directory_of(&local, LEARNER)).unwrap();
    local.restart(LEARNER).expect("it starts again");
    let all = append(&client, 100).await;
    assert_same_histories(&local, all).await;
    let counters = local.running()[&LEARNER].switches().counters();
    assert_eq!(counters["restored"], 1, "{counters:?}");
    let is_kept = |it: &Status| it.storage.snapshot > Slot::FIRST;
    until(&local, LEARNER, "what it was given is kept", is_kept).await;
    assert!(local.stop().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_what_was_let_go_is_told_where_to_begin() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(directory.path());
    let last = append(&client(local.leader_endpoints()), 3000).await;
    let is_past = |it: &Status| it.applied.0 > last;
    let first = until(&local, LEARNER, "it applies all", is_past).await.storage.first_held;
    assert!(first > Slot::FIRST);
    let endpoint = local.address(LEARNER).expect("an address").to_string();
    let reader = client(vec![endpoint.clone()]);
    let gone = CallError::Gone { endpoint, first_held: first.0 };
    for consistency in [Consistency::Local, Consistency::Linearizable] {
        let read = reader.read(consistency, first.0 - 1, None, 0).await;
        assert_eq!(read.err(), Some(gone.clone()));
    }
    assert_eq!(reader.tail(0).next().await, Some(Err(gone)));
    let next =
        reader.read(Consistency::Local, first.0, None, 1).await.expect("an answer").next().await;
    assert_eq!(next.expect("a row").expect("an entry").slot, first.0);
    assert!(local.stop().await.is_empty());
}
