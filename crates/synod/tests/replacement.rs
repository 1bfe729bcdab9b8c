//! Three processes on loopback. The disk of one is lost, and replaced by the command; all are
//! started again one by one; then the new disk's votes are needed.

mod cluster;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use client::Consistency;
use client::proto::{Entry, StatusResponse};
use cluster::{Cluster, Layout, PATIENCE};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const THREE: Layout = Layout { options: &["--nodes", "3"], leaders: &NODES, others: &[] };

const VALUES: u32 = 300;

fn synod(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.args(arguments).env_remove("SYNOD_ENDPOINTS").env_remove("SYNOD_CONFIG");
    // Beside the nodes' files lie the operator's.
    let file = arguments.iter().find_map(|it| it.strip_suffix("/synod.toml"));
    if let Some(cluster) = file.and_then(|home| Path::new(home).parent()) {
        command.env("SYNOD_CREDENTIALS", cluster.join("admin"));
    }
    command.output().expect("the binary runs")
}

fn json(output: &Output) -> Value {
    let document = serde_json::from_slice(&output.stdout);
    document.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

/// Appends numbered values, many at once.
async fn append(cluster: &Cluster, nodes: &[usize], numbers: std::ops::Range<u32>) {
    let client = cluster.client(nodes);
    let mut appends = JoinSet::new();
    for number in numbers {
        let client = client.clone();
        appends.spawn(async move {
            client.append(number.to_le_bytes().to_vec()).await.expect("appended")
        });
    }
    appends.join_all().await;
}

/// Waits until a node is as it should be.
async fn until(
    cluster: &Cluster,
    node: usize,
    what: &str,
    is_so: impl Fn(&StatusResponse) -> bool,
) -> StatusResponse {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = cluster.client(&[node]).status(&cluster.endpoint(node)).await;
        if let Ok(status) = &status
            && is_so(status)
        {
            return status.clone();
        }
        assert!(Instant::now() < deadline, "{}: {what}: {status:?}", NODES[node]);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The numbers in a node's history, in its order.
async fn numbers(cluster: &Cluster, node: usize) -> Vec<u32> {
    let entries =
        cluster.client(&[node]).read(Consistency::Local, 0, None, 0).await.expect("readable");
    let entries: Vec<Entry> = entries.map(|entry| entry.expect("an entry")).collect().await;
    let number = |entry: &Entry| entry.value[..].try_into().expect("four bytes");
    entries.iter().map(|entry| u32::from_le_bytes(number(entry))).collect()
}

fn restart(cluster: &mut Cluster, node: usize) {
    cluster.kill(NODES[node]);
    cluster.serve(NODES[node]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_replaced_and_its_votes_count_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let binary = Path::new(env!("CARGO_BIN_EXE_synod"));
    let mut cluster = Cluster::start(binary, directory.path(), THREE);
    let files = NODES.map(|node| cluster.file(node));
    let paths = files.each_ref().map(|path| path.to_str().expect("text"));
    cluster.primary().await;
    append(&cluster, &[0, 1, 2], 0..VALUES).await;

    // The disk is lost. Node 2 does not start, and says what to do.
    cluster.kill("n2");
    let data = files[1].with_file_name("data");
    fs::remove_dir_all(&data).expect("removed");
    let refused = synod(&["serve", "--config", paths[1]]);
    assert_eq!(refused.status.code(), Some(7));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(words.contains("`synod init replacement --node 2 --running EPOCH FILE`"), "{words}");
    append(&cluster, &[0, 2], VALUES..VALUES + 100).await;

    // Refused, the command leaves everything as it was.
    let before = files.each_ref().map(|path| fs::read_to_string(path).expect("a file"));
    let refused = synod(&["init", "replacement", "--node", "3", paths[2], "-o", "json"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("node 3 runs"), "{refused:?}");
    assert_eq!(before, files.each_ref().map(|path| fs::read_to_string(path).expect("a file")));

    let replaced =
        synod(&[&["init", "replacement", "--node", "2", "-o", "json"], &paths[..]].concat());
    let report = json(&replaced);
    assert_eq!(report["schema"], "synod.init.replacement/1");
    let rows = report["files"].as_array().expect("rows").clone();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["epoch"] == "1" && row["changed"] == true), "{report}");

    // Alone in the new epoch it stays suspect, and can say that the others are in another.
    cluster.serve("n2");
    let alone = until(&cluster, 1, "it runs", |_| true).await;
    assert!(alone.suspect && alone.epoch == 1, "{alone:?}");
    let seen = until(&cluster, 1, "it hears the others", |it| it.other_epoch == Some(0)).await;
    assert!(seen.suspect, "nobody of the old epoch mends it: {seen:?}");
    let health = json(&synod(&["cluster", "health", "--config", paths[0], "-o", "json"]));
    assert_eq!(health["epochs"], serde_json::json!(["0", "1"]), "{health}");
    assert_eq!(health["healthy"], true, "the old epoch still has its quorum: {health}");

    for node in [0, 2] {
        restart(&mut cluster, node);
    }
    append(&cluster, &[0, 1, 2], VALUES + 100..VALUES + 200).await;
    until(&cluster, 1, "it has its votes again", |it| !it.suspect).await;
    let health = json(&synod(&["cluster", "health", "--config", paths[0], "-o", "json"]));
    assert_eq!(
        (&health["suspect"], &health["failures_survivable"]),
        (&serde_json::json!([]), &1.into())
    );

    // Its votes are needed now, for a leader and for every value.
    cluster.kill("n3");
    append(&cluster, &[0, 1], VALUES + 200..VALUES + 300).await;
    cluster.serve("n3");
    append(&cluster, &[0, 1, 2], VALUES + 300..VALUES + 301).await;
    let applied = until(&cluster, 0, "it applies all", |it| it.values == u64::from(VALUES) + 301)
        .await
        .applied;
    let history = numbers(&cluster, 0).await;
    let mut sorted = history.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..VALUES + 301).collect::<Vec<_>>(), "every value, once");
    for node in [1, 2] {
        until(&cluster, node, "it catches up", |it| it.applied >= applied).await;
        assert_eq!(numbers(&cluster, node).await, history, "{}", NODES[node]);
    }
}
