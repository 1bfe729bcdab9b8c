//! Seven processes on loopback, two acceptors and the primary killed while a client appends, all
//! started again, every history compared.
//!
//! `SYNOD_ROUNDS=50 cargo test -p synod --test seven` repeats it.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::proto::Entry;
use client::{Client, Options};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

const VALUES: u32 = 600;
const PATIENCE: Duration = Duration::from_secs(30);
const LEADERS: [&str; 2] = ["l1", "l2"];
const ACCEPTORS: [&str; 5] = ["a1", "a2", "a3", "a4", "a5"];

/// The processes of one cluster. None outlives the test.
struct Cluster {
    directory: PathBuf,
    running: BTreeMap<&'static str, Child>,
}

impl Cluster {
    fn start(directory: &Path) -> Cluster {
        let directory = directory.join("cluster");
        let base_port = free_ports();
        let init = Command::new(env!("CARGO_BIN_EXE_synod"))
            .args(["init", "cluster", "--leaders", "2", "--acceptors", "5", "--base-port"])
            .arg(base_port.to_string())
            .arg("--dir")
            .arg(&directory)
            .output()
            .expect("synod runs");
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let mut cluster = Cluster { directory, running: BTreeMap::new() };
        for node in LEADERS.into_iter().chain(ACCEPTORS) {
            cluster.serve(node);
        }
        cluster
    }

    fn serve(&mut self, node: &'static str) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join(format!("{node}.log")))
            .expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_synod"))
            .arg("serve")
            .arg("--config")
            .arg(self.directory.join(node).join("synod.toml"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("synod runs");
        self.running.insert(node, child);
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    fn kill(&mut self, node: &str) {
        let mut child = self.running.remove(node).expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// Where the n-th leader serves clients.
    fn endpoint(&self, leader: usize) -> String {
        let config = self.directory.join(LEADERS[leader]).join("synod.toml");
        let config = server::config::Config::load(&config).expect("a configuration");
        config.own().clients.to_string()
    }

    fn client(&self, leaders: &[usize]) -> Client {
        let endpoints = leaders.iter().map(|leader| self.endpoint(*leader)).collect();
        let options = Options { timeout: PATIENCE, ..Options::new(endpoints) };
        Client::new(options).expect("a client")
    }

    async fn primary(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for leader in 0..LEADERS.len() {
                let endpoint = self.endpoint(leader);
                let status = self.client(&[leader]).status(&endpoint).await;
                if status.is_ok_and(|status| status.state == "leading") {
                    return leader;
                }
            }
            assert!(Instant::now() < deadline, "nobody leads; see {}", self.directory.display());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn history(&self, leader: usize, end: u64) -> Vec<Entry> {
        let client = self.client(&[leader]);
        let endpoint = self.endpoint(leader);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = client.status(&endpoint).await;
            if status.is_ok_and(|status| status.applied >= end) {
                break;
            }
            assert!(Instant::now() < deadline, "{} does not catch up", LEADERS[leader]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let entries = client.read(0, Some(end), 0).await.expect("readable");
        entries.map(|entry| entry.expect("an entry")).collect().await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// A base port whose next 250 ports look free.
fn free_ports() -> u16 {
    let offset = u16::try_from(std::process::id() % 100).expect("below 100");
    let is_free = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).is_ok()
            && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    // Below the range from which the system draws ports for others.
    let bases = (0..60).map(|n| 10_000 + (offset + n) % 70 * 300);
    let mut free = bases.filter(|base| (*base..*base + 250).all(is_free));
    free.next().expect("free ports")
}

async fn round() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut cluster = Cluster::start(directory.path());
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
        let history = cluster.history(leader, end).await;
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
