//! Clusters of real processes that go on from a snapshot of another: with its history and its
//! sessions, whoever holds a disk, and whoever is killed on the way.

mod cluster;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use client::proto::{Entry, StatusResponse};
use client::{AppendError, Client, Consistency};
use cluster::{Cluster, Layout, PATIENCE};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_stream::StreamExt;

/// Without certificates, so that the same clients may ask both clusters: an authority is one's own.
const THREE: Layout =
    Layout { options: &["--nodes", "3", "--plaintext"], leaders: &["n1", "n2", "n3"], others: &[] };

/// Leaders own no disk; one learner holds the state.
const APART: Layout = Layout {
    options: &["--leaders", "2", "--acceptors", "3", "--learners", "1"],
    leaders: &["l1", "l2"],
    others: &["a1", "a2", "a3", "r1"],
};

/// Slots that are left out behind a snapshot.
const SKIPPED: u64 = 1_000_000_000_000;

/// One at a time: they draw ports from one range.
static TURN: Mutex<()> = Mutex::const_new(());

fn synod(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.args(arguments).env_remove("SYNOD_ENDPOINTS").env_remove("SYNOD_CREDENTIALS");
    command.output().expect("the binary runs")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// The answer to a command that succeeds.
fn told(arguments: &[&str]) -> Value {
    let output = synod(&[arguments, &["-o", "json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("a document")
}

/// The error of a command that fails with this code.
fn refused(arguments: &[&str], exit: i32) -> Value {
    let output = synod(&[arguments, &["-o", "json"]].concat());
    assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {output:?}");
    let document: Value = serde_json::from_slice(&output.stderr).expect("a document");
    document["error"].clone()
}

fn slot(value: &Value) -> u64 {
    value.as_str().expect("a slot").parse().expect("a number")
}

async fn append(client: &Client, words: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        client.append(format!("{words} {number}")).await.expect("appended");
    }
}

/// Makes a cluster, has values appended to it, and saves it.
async fn saved(directory: &Path, values: u32) -> (Cluster, Client, PathBuf) {
    let binary = Path::new(env!("CARGO_BIN_EXE_synod"));
    let cluster = Cluster::start(binary, directory, THREE);
    cluster.primary().await;
    let client = cluster.client(&[0, 1, 2]);
    append(&client, "before", 0..values).await;
    let file = directory.join("backup.synod");
    let config = cluster.file("n1");
    let report = told(&["snapshot", "save", text(&file), "--config", text(&config)]);
    assert_eq!(report["values"], values.to_string(), "all that was acknowledged is in it");
    assert_eq!(report["sha256"], told(&["snapshot", "verify", text(&file)])["sha256"]);
    (cluster, client, file)
}

/// Makes the directories of a cluster that goes on from a file.
fn restore(directory: &Path, file: &Path, base_port: u16, layout: Layout) -> Cluster {
    let directory = directory.join("restored");
    let port = base_port.to_string();
    let own = ["snapshot", "restore", text(file), "--dir", text(&directory), "--base-port", &port];
    told(&[&own, layout.options].concat());
    Cluster::made(Path::new(env!("CARGO_BIN_EXE_synod")), &directory, layout)
}

fn base_port(cluster: &Cluster) -> u16 {
    let config = server::config::Config::load(&cluster.file("n1")).expect("a configuration");
    config.own().peers.port() - 1
}

/// A node's whole history, as soon as it holds so many values.
async fn history(cluster: &Cluster, leader: usize, values: usize) -> Vec<(u64, String)> {
    until(cluster, leader, |it| it.values == values as u64).await;
    let client = cluster.client(&[leader]);
    let entries = client.read(Consistency::Local, 0, None, 0).await.expect("readable");
    let entries: Vec<Entry> = entries.map(|entry| entry.expect("an entry")).collect().await;
    let each = |it: Entry| (it.slot, String::from_utf8(it.value.to_vec()).expect("words"));
    entries.into_iter().map(each).collect()
}

async fn until(
    cluster: &Cluster,
    leader: usize,
    is_so: impl Fn(&StatusResponse) -> bool,
) -> StatusResponse {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = cluster.client(&[leader]).status(&cluster.endpoint(leader)).await;
        match status {
            Ok(status) if is_so(&status) => return status,
            status => assert!(Instant::now() < deadline, "leader {leader}: {status:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_goes_on_from_a_snapshot_and_so_do_its_clients() {
    let _turn = TURN.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (old, client, file) = saved(directory.path(), 50).await;
    // What comes after the snapshot is lost: values of a session that is in it, and a session.
    append(&client, "lost", 0..5).await;
    let late = old.client(&[0, 1, 2]);
    append(&late, "lost, too", 0..5).await;
    let base_port = base_port(&old);
    drop(old);

    let mut new = restore(directory.path(), &file, base_port, THREE);
    new.serve_all();
    // The same clients: to them, nothing but time has passed. The one that the snapshot knows goes
    // on; the other one is told that its session is gone, although its name lies in slots that the
    // old cluster had used, and that the new one has not.
    let appended = client.append("after 0").await.expect("its session is in the snapshot");
    assert!(appended.slot >= SKIPPED, "{appended:?}");
    let error = late.append("nowhere").await.expect_err("its session is in no snapshot");
    assert!(matches!(error, AppendError::SessionExpired { .. }), "{error}");
    append(&client, "after", 1..10).await;

    let seen = history(&new, 0, 60).await;
    let words: Vec<String> = seen.iter().map(|(_, word)| word.clone()).collect();
    let before = (0..50).map(|it| format!("before {it}"));
    let after = (0..10).map(|it| format!("after {it}"));
    assert_eq!(words, before.chain(after).collect::<Vec<_>>());
    assert!(seen[..50].iter().all(|(slot, _)| *slot < 1000), "their slots are what they were");
    for leader in [1, 2] {
        assert_eq!(history(&new, leader, 60).await, seen);
    }

    // A node of the new one that was stopped can be looked at, and saved from.
    new.kill("n3");
    let data = new.file("n3").with_file_name("data");
    let verified = told(&["inspect", "verify", "--data-dir", text(&data)]);
    let rows = verified["files"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["state"] != "damaged"), "{verified}");
    let rescue = directory.path().join("rescue.synod");
    let report = told(&["snapshot", "save", text(&rescue), "--data-dir", text(&data)]);
    assert_eq!(report["values"], "50", "it holds what was restored, and nothing newer");
    assert!(slot(&report["below"]) > SKIPPED);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leads_without_the_state_whoever_is_killed_on_the_way() {
    let _turn = TURN.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (old, _, file) = saved(directory.path(), 200).await;
    let base_port = base_port(&old);
    drop(old);
    let mut new = restore(directory.path(), &file, base_port, APART);

    // Every leader and every acceptor, and nobody who has the state: nobody may propose.
    for node in ["l1", "l2", "a1", "a2", "a3"] {
        new.serve(node);
    }
    let behind = until(&new, 0, |it| it.counters.get("behind").is_some_and(|count| *count > 0));
    let behind = behind.await;
    assert!(behind.state != "leading" && behind.applied == 0, "{behind:?}");

    // It comes, and others go, in the middle of fetching or just after.
    new.serve("r1");
    for node in ["l1", "a1", "r1", "l2", "a2", "r1"] {
        new.kill(node);
        new.serve(node);
    }
    let client = new.client(&[0, 1]);
    for (node, round) in ["l1", "a3", "l2", "r1", "a1"].into_iter().zip(0..) {
        append(&client, "after", round * 20..round * 20 + 10).await;
        new.kill(node);
        append(&client, "after", round * 20 + 10..round * 20 + 20).await;
        new.serve(node);
    }
    let seen = history(&new, 0, 300).await;
    let words: Vec<String> = seen.iter().map(|(_, word)| word.clone()).collect();
    let before = (0..200).map(|it| format!("before {it}"));
    let after = (0..100).map(|it| format!("after {it}"));
    assert_eq!(words, before.chain(after).collect::<Vec<_>>());
    assert!(seen[200..].iter().all(|(slot, _)| *slot > SKIPPED), "no old slot is used again");
    assert_eq!(history(&new, 1, 300).await, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_restored_leaves_nothing_behind() {
    let _turn = TURN.lock().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (old, _, file) = saved(directory.path(), 3).await;
    let to = directory.path().join("restored");
    let restore = ["snapshot", "restore", text(&file), "--dir", text(&to)];
    let error = refused(&[&restore[..], &["--leaders", "2", "--acceptors", "3"]].concat(), 2);
    assert_eq!(error["code"], "nobody_keeps");
    assert!(!to.exists());
    let many = u64::MAX.to_string();
    let error = refused(&[&restore[..], &["--nodes", "1", "--skip", &many]].concat(), 2);
    assert!(error["message"].as_str().expect("words").contains("no slots are left"), "{error}");
    assert!(!to.exists());

    let good = fs::read(&file).expect("a file");
    let damaged = directory.path().join("damaged.synod");
    let cut = &good[..good.len() - 1];
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bytes in [cut, &flipped, &flipped[1..]] {
        fs::write(&damaged, bytes).expect("written");
        let error = refused(&["snapshot", "verify", text(&damaged)], 7);
        assert_eq!(error["code"], "damaged");
        refused(&["snapshot", "restore", text(&damaged), "--nodes", "3", "--dir", text(&to)], 7);
        assert!(!to.exists());
    }
    let error = refused(&["snapshot", "save", text(&damaged), "-e", "127.0.0.1:1"], 4);
    assert_eq!(error["code"], "unreachable");
    let config = old.file("n1");
    let error = refused(&["snapshot", "save", text(&damaged), "--config", text(&config)], 1);
    assert_eq!(error["code"], "exists", "nothing is overwritten");
}
