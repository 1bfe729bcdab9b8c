//! A cluster of real processes on loopback.

use std::collections::BTreeMap;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::{Client, Credentials, Options};

/// How long anything may take before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Which nodes: what `synod init cluster` is told, and the directories that it makes.
pub struct Layout {
    pub options: &'static [&'static str],
    pub leaders: &'static [&'static str],
    pub others: &'static [&'static str],
}

/// The processes of one cluster. None outlives the test.
pub struct Cluster {
    binary: PathBuf,
    directory: PathBuf,
    layout: Layout,
    running: BTreeMap<&'static str, Child>,
}

impl Cluster {
    /// Makes the nodes below `directory` and starts them.
    pub fn start(binary: &Path, directory: &Path, layout: Layout) -> Cluster {
        let directory = directory.join("cluster");
        let base_port = free_ports();
        let init = Command::new(binary)
            .args(["init", "cluster", "--base-port", &base_port.to_string()])
            .args(layout.options)
            .arg("--dir")
            .arg(&directory)
            .output()
            .expect("synod runs");
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let nodes = [layout.leaders, layout.others].concat();
        let (binary, running) = (binary.to_owned(), BTreeMap::new());
        let mut cluster = Cluster { binary, directory, layout, running };
        for node in nodes {
            cluster.serve(node);
        }
        cluster
    }

    /// Starts a node, perhaps again.
    pub fn serve(&mut self, node: &'static str) {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.directory.join(format!("{node}.log")))
            .expect("a log");
        let child = Command::new(&self.binary)
            .arg("serve")
            .arg("--config")
            .arg(self.file(node))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("synod runs");
        self.running.insert(node, child);
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill(&mut self, node: &str) {
        let mut child = self.take(node);
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// A node's process, which is the caller's to end from now on.
    pub fn take(&mut self, node: &str) -> Child {
        self.running.remove(node).expect("it runs")
    }

    /// A node's configuration file.
    pub fn file(&self, node: &str) -> PathBuf {
        self.directory.join(node).join("synod.toml")
    }

    /// Where the n-th leader serves clients.
    pub fn endpoint(&self, leader: usize) -> String {
        let config = self.file(self.layout.leaders[leader]);
        let config = server::config::Config::load(&config).expect("a configuration");
        config.own().clients.to_string()
    }

    /// A client that knows some of the leaders.
    pub fn client(&self, leaders: &[usize]) -> Client {
        self.client_within(leaders, PATIENCE)
    }

    /// The same with less patience.
    pub fn client_within(&self, leaders: &[usize], timeout: Duration) -> Client {
        let endpoints = leaders.iter().map(|leader| self.endpoint(*leader)).collect();
        let credentials = Credentials::load(&self.directory.join("admin")).expect("credentials");
        let options = Options::new(endpoints);
        Client::new(Options { timeout, credentials: Some(credentials), ..options })
            .expect("a client")
    }

    /// Which leader leads.
    pub async fn primary(&self) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for leader in 0..self.layout.leaders.len() {
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
