//! A cluster of real processes on loopback.

mod ports;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use client::{Client, Credentials, Options};
use ports::free_ports;

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
        let mut cluster = Cluster::made(binary, &directory, layout);
        cluster.serve_all();
        cluster
    }

    /// One whose directories are there, and whose nodes do not run yet.
    pub fn made(binary: &Path, directory: &Path, layout: Layout) -> Cluster {
        let (binary, directory, running) = (binary.into(), directory.into(), BTreeMap::new());
        Cluster { binary, directory, layout, running }
    }

    /// Starts every node.
    pub fn serve_all(&mut self) {
        for node in [self.layout.leaders, self.layout.others].concat() {
            self.serve(node);
        }
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
        let admin = self.directory.join("admin");
        let credentials = admin.exists().then(|| Credentials::load(&admin).expect("credentials"));
        let options = Options::new(endpoints);
        Client::new(Options { timeout, credentials, ..options }).expect("a client")
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
