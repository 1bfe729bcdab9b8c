//! A disk is lost after votes were cut: what its acceptor has forgotten is in snapshots of an older
//! epoch only.

mod cluster;

use std::path::PathBuf;
use std::time::Duration;

use client::proto::Entry;
use client::{Client, Consistency};
use cluster::{client, until};
use paxos::{Limits, NodeId, Slot};
use server::config::{Config, Storage, Timing};
use server::local::{Layout, Local};
use server::replacement::replace;
use server::{Options, StartError};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const NODES: [NodeId; 3] = [NodeId(1), NodeId(2), NodeId(3)];
const LOST: NodeId = NodeId(2);

/// Appends so many values of 200 bytes, many at once; gives back the highest slot.
async fn append(client: &Client, count: usize) -> u64 {
    let mut appends = JoinSet::new();
    for number in 0..count {
        let client = client.clone();
        appends.spawn(async move {
            let value = number.to_le_bytes().repeat(25);
            client.append(value).await.expect("appended").slot
        });
    }
    appends.join_all().await.into_iter().max().expect("something was appended")
}

fn only(local: &Local, nodes: &[NodeId]) -> Client {
    let address = |node: &NodeId| local.address(*node).expect("an address").to_string();
    client(nodes.iter().map(address).collect())
}

async fn held(local: &Local, node: NodeId) -> Vec<Entry> {
    let entries =
        only(local, &[node]).read(Consistency::Local, 0, None, 0).await.expect("readable");
    entries.map(|entry| entry.expect("an entry")).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_comes_back_from_snapshots_of_an_older_epoch() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout { both: 3, ..Layout::default() };
    let storage = Storage { history_bytes: 4 << 20, snapshot_bytes: 64 << 10 };
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
    };
    let limits =
        Limits { retained_bytes_max: 32 << 10, run_bytes_max: 4 << 10, ..Limits::default() };
    let journal = journal::Options { segment_bytes: 64 << 10 };
    let options = Options { limits, journal, ..Options::default() };
    let mut local = Local::start(layout, directory.path(), timing, storage, options).unwrap();
    append(&only(&local, &NODES), 4000).await;
    for node in NODES {
        until(&local, node, "votes are cut", |it| it.storage.truncated > Slot::FIRST).await;
    }

    local.kill(LOST).await;
    let path = local.configs()[&LOST].data_dir.clone().expect("it has a disk");
    std::fs::remove_dir_all(path).unwrap();
    let refused = local.restart(LOST).expect_err("it has no journal");
    let StartError::DataDir(refused) = refused else { panic!("{refused}") };
    assert!(
        refused.hint().contains("`synod init replacement --node 2 --running EPOCH FILE`"),
        "{refused}"
    );
    append(&only(&local, &[NODES[0], NODES[2]]), 10).await;

    let files: Vec<PathBuf> =
        NODES.iter().map(|node| directory.path().join(format!("{node}.toml"))).collect();
    for (file, config) in files.iter().zip(local.configs().values()) {
        std::fs::write(file, config.to_toml()).unwrap();
    }
    replace(&files, LOST, None, None).unwrap();
    for (file, node) in files.iter().zip(NODES) {
        local.configure(Config::load(file).unwrap());
        local.kill(node).await;
        local.restart(node).expect("it starts in the new epoch");
        let status = local.running()[&node].status().await.expect("it runs");
        assert_eq!(status.is_suspect, node == LOST);
        let snapshot = status.storage.snapshot;
        assert_eq!(snapshot > Slot::FIRST, node != LOST, "one of the old epoch is gone on from");
    }
    let last = append(&only(&local, &NODES), 10).await;
    until(&local, LOST, "it has its votes again", |it| !it.is_suspect).await;
    let counters = local.running()[&LOST].switches().counters();
    assert!(counters["restored"] > 0, "what was cut is in no vote: {counters:?}");

    // Its votes are needed now.
    until(&local, LOST, "it catches up", |it| it.applied.0 > last).await;
    local.kill(NODES[2]).await;
    let last = append(&only(&local, &NODES[..2]), 100).await;
    local.restart(NODES[2]).expect("it starts again");
    let expected = held(&local, NODES[0]).await;
    assert_eq!(expected.len(), 4000 + 10 + 10 + 100, "every value, once");
    for node in NODES {
        until(&local, node, "it applies all", |it| it.applied.0 > last).await;
        assert_eq!(held(&local, node).await, expected, "node {node}");
    }
    assert!(local.stop().await.is_empty());
}
