//! `synod bench` against a cluster in this process, and against one of its own: every format, and
//! what it leaves behind.

#[cfg(unix)]
use std::io::{BufRead as _, BufReader};
#[cfg(unix)]
use std::process::Stdio;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use server::config::{Storage, Timing};
use server::local::{Layout, Local};

const PATIENCE: Duration = Duration::from_secs(30);

fn bench(endpoints: &str, options: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for name in ["SYNOD_CONFIG", "SYNOD_LOG", "RUST_LOG", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.env("SYNOD_ENDPOINTS", endpoints).env("LC_ALL", "C.UTF-8");
    command.arg("bench").args(options.split_whitespace()).output().expect("the binary runs")
}

fn text(output: &Output) -> &str {
    let said = std::str::from_utf8(&output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}");
    std::str::from_utf8(&output.stdout).expect("text")
}

/// Runs `check` beside a cluster in this process, with the addresses of its leaders.
async fn beside_a_cluster(check: impl FnOnce(&str) + Send + 'static) {
    let directory = tempfile::tempdir().expect("a directory");
    let layout = Layout { both: 3, ..Layout::default() };
    let cluster = Local::start(
        layout,
        directory.path(),
        Timing::default(),
        Storage::default(),
        server::Options::default(),
    );
    let cluster = cluster.expect("a cluster");
    cluster.leader(PATIENCE).await.expect("a leader");
    let endpoints = cluster.leader_endpoints().join(",");
    tokio::task::spawn_blocking(move || check(&endpoints)).await.expect("the check holds");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_says_the_same_of_appends_and_reads() {
    beside_a_cluster(|endpoints| {
        let options = "--clients 3 --window 2 --reads 50 --duration 400ms --warmup 100ms \
                       --sync-probe . --timeout 20s -o";
        let json = bench(endpoints, &format!("{options} json"));
        let document: Value = serde_json::from_str(text(&json)).expect("a document");
        assert_eq!(document["schema"], "synod.bench/1");
        assert_eq!(document["loop"], "closed");
        let count = |key: &str| document[key].as_str().expect(key).parse::<u64>().expect(key);
        assert!(count("appended") > 0);
        assert!(count("read") > 0);
        for none in ["not_applied", "unknown", "unanswered"] {
            assert_eq!(count(none), 0, "{none}");
        }
        for kind in ["append", "read"] {
            let us = |name: &str| document[format!("{kind}_{name}_us")].as_u64().expect(name);
            let percentiles = ["p50", "p90", "p99", "p99_9", "max"].map(us);
            assert!(percentiles[0] > 0);
            assert!(percentiles.is_sorted(), "{percentiles:?}");
            let buckets = document[format!("{kind}_histogram")].as_object().expect("buckets");
            let in_buckets: u64 =
                buckets.values().map(|it| it.as_str().unwrap().parse::<u64>().unwrap()).sum();
            assert_eq!(in_buckets, count(if kind == "append" { "appended" } else { "read" }));
        }
        assert!(document["disk_sync_p50_us"].as_u64().expect("a disk") > 0);
        assert!(json.stderr.is_empty(), "in JSON stderr holds errors only");

        let jsonl = bench(endpoints, &format!("{options} jsonl"));
        let lines: Vec<Value> =
            text(&jsonl).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 1);
        let keys = |of: &Value| of.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(keys(&lines[0]), keys(&document));

        let plain = bench(endpoints, &format!("{options} plain"));
        let fields: Vec<&str> =
            text(&plain).lines().filter_map(|line| line.split('\t').next()).collect();
        assert!(fields.contains(&"operations_per_second") && fields.contains(&"append_p99_us"));

        let table = bench(endpoints, &format!("{options} table"));
        for word in ["3 clients, 2 under way each", "append  p50", "read  p50", "fdatasync", "█"]
        {
            assert!(text(&table).contains(word), "{word}: {}", text(&table));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_begins_as_many_as_it_says_and_one_too_high_is_called_so() {
    beside_a_cluster(|endpoints| {
        let options = "--clients 2 --rate 50 --duration 1s --warmup 0s --timeout 20s -o json";
        let output = bench(endpoints, options);
        let document: Value = serde_json::from_str(text(&output)).expect("a document");
        assert_eq!(document["loop"], "open");
        assert_eq!(document["appended"], "50");
        assert!(document["latest_start_us"].is_u64());

        // Ten million a second, with two under way.
        let options = "--clients 2 --rate 10000000 --window 1 --duration 200ms --warmup 0s -o json";
        let output = bench(endpoints, options);
        assert_eq!(output.status.code(), Some(3));
        let document: Value = serde_json::from_slice(&output.stdout).expect("a document");
        assert_eq!(document["overloaded"], true);
        assert!(document["append_p99_us"].as_u64() > document["append_p50_us"].as_u64());
        assert!(document["latest_start_us"].as_u64() > Some(10_000));
    })
    .await;
}

#[test]
fn a_cluster_of_its_own_leaves_nothing_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().to_str().expect("text");
    let options = format!(
        "--local 3 --data-dir {path} --clients 2 --duration 300ms --warmup 0s --timeout 20s -o json"
    );
    let output = bench("127.0.0.1:1", &options);
    let document: Value = serde_json::from_str(text(&output)).expect("a document");
    assert_ne!(document["appended"], "0");
    assert_eq!(document["disk"], path);
    assert_eq!(std::fs::read_dir(path).expect("it is there").count(), 0);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_prints_what_was_measured_so_far() {
    beside_a_cluster(|endpoints| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_synod"))
            .args([
                "bench",
                "-e",
                endpoints,
                "--clients",
                "1",
                "--warmup",
                "0s",
                "--duration",
                "1h",
            ])
            .args(["--timeout", "20s", "-o", "plain"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().expect("it is piped"));
        stderr.read_line(&mut said).expect("a line");
        assert_eq!(said, "measures for 3600 s\n");
        let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(interrupted.expect("kill runs").success());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(130));
        let text = std::str::from_utf8(&output.stdout).expect("text");
        let took = text.lines().find_map(|line| line.strip_prefix("took_us\t"));
        assert!(took.expect("a report").parse::<u64>().expect("a time") < 3_600_000_000);
    })
    .await;
}

#[test]
fn nobody_to_be_measured_is_exit_code_4() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let output = bench(&address, "--clients 2 --timeout 300ms -o json");
    assert_eq!(output.status.code(), Some(4));
    let error: Value = serde_json::from_slice(&output.stderr).expect("an envelope");
    assert_eq!(error["error"]["code"], "unreachable");
}
