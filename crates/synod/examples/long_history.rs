//! Does a node bear a long history in bounded space, and how does it come back?
//!
//! `cargo run --release -p synod --example long_history -- --values 10000000 --bytes 256`
//!
//! Three nodes that lead and remember, each a process of its own with a real disk in a temporary
//! directory, and a client that appends with many values under way. Printed at each tenth: values a
//! second, the memory of each process, the disk of each node. Then one node is killed and started
//! again, and a learner is started with an empty disk while appends go on at a steady pace.

use std::error::Error;
use std::io::BufRead as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use client::proto::StatusResponse;
use client::{Client, Options as ClientOptions};
use paxos::{ClusterId, DiskId, NodeId};
use serde_json::json;
use server::config::{Config, Log, Node, Quorums, Role, Storage, Timing, Transport};
use server::file_disk::FileDisk;
use server::{Options, Server, Sockets, data_dir};

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const PATIENCE: Duration = Duration::from_secs(60);

/// Voters: the ids from 1 on. The learner's is the next.
const VOTERS: u32 = 3;
const LEARNER: usize = VOTERS as usize;

/// Appends a second while latency is measured: what two cores bear without queues.
const STEADY: u32 = 2000;

/// How long latency is measured before anything happens.
const BEFORE: Duration = Duration::from_secs(5);

/// Measure a long history
#[derive(Debug, Parser)]
struct Args {
    /// How many values
    #[arg(long, default_value_t = 1_000_000)]
    values: u64,
    /// How large each of them is
    #[arg(long, default_value_t = 256)]
    bytes: usize,
    /// Values under way
    #[arg(long, default_value_t = 4096)]
    window: usize,
    /// Where the temporary directory is made
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// `json` prints one document at the end instead
    #[arg(short, long, default_value = "table")]
    output: String,
    /// Run the node of this file: what the processes do
    #[arg(long, hide = true)]
    serve: Option<PathBuf>,
}

impl Args {
    fn is_table(&self) -> bool {
        self.output != "json"
    }
}

fn main() -> Outcome<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match &args.serve {
        Some(file) => runtime.block_on(serve(file)),
        None => runtime.block_on(measure(&args)),
    }
}

/// One node, until its standard input ends.
async fn serve(file: &Path) -> Outcome<()> {
    let begun = Instant::now();
    let config = Config::load(file)?;
    let sockets = Sockets::bind(&config)?;
    let server = Server::start(config, sockets, Options::default())?;
    println!("{}", begun.elapsed().as_micros());
    let end = tokio::task::spawn_blocking(|| std::io::stdin().lines().count());
    end.await?;
    drop(server.kill().await);
    Ok(())
}

struct Process {
    child: Child,
    /// From its start until it serves.
    ready: Duration,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

struct Cluster {
    directory: tempfile::TempDir,
    endpoints: Vec<String>,
    processes: Vec<Option<Process>>,
}

impl Cluster {
    fn new(dir: &Path) -> Outcome<Cluster> {
        let directory = tempfile::tempdir_in(dir)?;
        let cluster = random()?;
        let mut nodes = Vec::new();
        let mut held = Vec::new();
        for id in 1..=VOTERS + 1 {
            let peers = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
            let clients = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let roles: &[Role] =
                if id <= VOTERS { &[Role::Leader, Role::Acceptor] } else { &[Role::Learner] };
            nodes.push(Node {
                id: NodeId(id),
                roles: roles.iter().copied().collect(),
                disk: Some(random()?),
                peers: peers.local_addr()?,
                clients: clients.local_addr()?,
            });
            // Held until all are drawn, so that none is drawn twice.
            held.push((peers, clients));
        }
        drop(held);
        for node in &nodes {
            let home = directory.path().join(node.id.to_string());
            std::fs::create_dir_all(&home)?;
            let config = Config {
                cluster,
                epoch: 0,
                id: node.id,
                data_dir: Some("data".into()),
                listen: None,
                shutdown_timeout: server::config::SHUTDOWN_TIMEOUT,
                log: Log::default(),
                quorums: Quorums::majorities(VOTERS),
                timing: Timing {
                    heartbeat: Duration::from_millis(100),
                    election_timeout: Duration::from_secs(1),
                },
                transport: Transport::PlaintextUdp,
                storage: Storage::default(),
                admin: None,
                clients: Vec::new(),
                nodes: nodes.clone(),
            };
            std::fs::write(home.join("synod.toml"), config.to_toml())?;
            if let (true, Some(disk)) = (node.id.0 <= VOTERS, node.disk) {
                data_dir::format(&home.join("data"), ClusterId(cluster), node.id, DiskId(disk))?;
            }
        }
        let endpoints = nodes.iter().map(|node| node.clients.to_string()).collect();
        let processes = nodes.iter().map(|_| None).collect();
        Ok(Cluster { directory, endpoints, processes })
    }

    fn start(&mut self, at: usize) -> Outcome<()> {
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("--serve")
            .arg(self.directory.path().join((at + 1).to_string()).join("synod.toml"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("its output is piped")?;
        let mut line = String::new();
        std::io::BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            return Err(format!("node {} does not start", at + 1).into());
        }
        self.processes[at] = Some(Process { child, ready: begun.elapsed() });
        Ok(())
    }

    fn kill(&mut self, at: usize) {
        self.processes[at] = None;
    }

    /// Resident memory in bytes; zero if it does not run.
    fn memory(&self, at: usize) -> u64 {
        let Some(process) = &self.processes[at] else { return 0 };
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        kib.unwrap_or(0) << 10
    }

    fn client(&self, nodes: std::ops::Range<usize>, window: usize) -> Outcome<Client> {
        let endpoints = self.endpoints[nodes].to_vec();
        Ok(Client::new(ClientOptions {
            timeout: PATIENCE,
            window,
            ..ClientOptions::new(endpoints)
        })?)
    }

    async fn status(&self, client: &Client, at: usize) -> Option<StatusResponse> {
        client.status(&self.endpoints[at]).await.ok()
    }

    /// The highest slot that any voter has applied, and who leads.
    async fn head(&self, client: &Client) -> (u64, Option<usize>) {
        let (mut head, mut leader) = (0, None);
        for at in 0..LEARNER {
            if let Some(status) = self.status(client, at).await {
                head = head.max(status.applied);
                if status.state == "leading" {
                    leader = Some(at);
                }
            }
        }
        (head, leader)
    }

    /// How long until a node has applied so much; with the slot that it had applied when it first
    /// had applied anything, and when that was.
    async fn caught_up(
        &self,
        client: &Client,
        at: usize,
        until: u64,
    ) -> Outcome<(Duration, (u64, Duration))> {
        let begun = Instant::now();
        let mut first = None;
        loop {
            if let Some(status) = self.status(client, at).await {
                if status.applied > 0 && first.is_none() {
                    first = Some((status.applied, begun.elapsed()));
                }
                if let Some(first) = first.filter(|_| status.applied >= until) {
                    return Ok((begun.elapsed(), first));
                }
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("node {} does not catch up", at + 1).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn measure(args: &Args) -> Outcome<()> {
    let is_table = args.is_table();
    let mut cluster = Cluster::new(&args.dir)?;
    let probe = cluster.directory.path().join("probe");
    let mut sync = FileDisk::open(&probe)?.sync_latency(1000)?;
    sync.sort_unstable();
    if is_table {
        println!("disk: a sector and fdatasync: p50 {}, p99 {}", ms(sync[500]), ms(sync[990]));
    }
    for at in 0..LEARNER {
        cluster.start(at)?;
    }

    let client = cluster.client(0..LEARNER, args.window)?;
    let tenths = grow(args, &cluster, &client).await?;

    // One of those that do not lead ends and comes back.
    let (head, leader) = cluster.head(&client).await;
    let follower = (0..LEARNER).find(|at| Some(*at) != leader).ok_or("all lead")?;
    cluster.kill(follower);
    append(&client, (args.values / 100).max(100), args.bytes, args.window).await?;
    let (after, _) = cluster.head(&client).await;
    cluster.start(follower)?;
    let ready = cluster.processes[follower].as_ref().map(|it| it.ready).unwrap_or_default();
    let (restart, _) = cluster.caught_up(&client, follower, after).await?;
    if is_table {
        println!(
            "a node that missed {} slots: ready after {}, caught up after {} more",
            after - head,
            ms(ready),
            ms(restart)
        );
    }

    // A learner with an empty disk comes, while appends go on.
    let steady = Steady::begin(cluster.client(0..LEARNER, 4096)?, args.bytes);
    tokio::time::sleep(BEFORE).await;
    let before = steady.take();
    let (until, _) = cluster.head(&client).await;
    cluster.start(LEARNER)?;
    let (all, (restored, snapshot)) = cluster.caught_up(&client, LEARNER, until).await?;
    let during = steady.take();
    steady.end();
    let bytes = loop {
        // It is kept when it has been restored already.
        let status = cluster.status(&client, LEARNER).await.ok_or("the learner is silent")?;
        if status.snapshot > 0 {
            break status.snapshot_bytes;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let tail = until.saturating_sub(restored) * args.bytes as u64;
    let speed = mb(bytes) / snapshot.as_secs_f64();
    if is_table {
        println!(
            "an empty learner: snapshot of {:.1} MB in {} ({speed:.0} MB/s), then {:.1} MB of \
             values in {}",
            mb(bytes),
            ms(snapshot),
            mb(tail),
            ms(all.saturating_sub(snapshot)),
        );
        println!(
            "appends at {STEADY} a second, before: {}; during: {}",
            before.show(),
            during.show()
        );
    } else {
        let document = json!({
            "values": args.values,
            "bytes": args.bytes,
            "fdatasync_us": { "p50": us(sync[500]), "p99": us(sync[990]) },
            "tenths": tenths,
            "restart": { "ready_us": us(ready), "caught_up_us": us(restart),
                         "missed_slots": after - head },
            "learner": { "snapshot_bytes": bytes, "snapshot_us": us(snapshot),
                         "mb_per_s": speed, "tail_bytes": tail, "all_us": us(all) },
            "latency_before_us": before.json(),
            "latency_during_us": during.json(),
        });
        println!("{document:#}");
    }
    Ok(())
}

/// The long history, and what is seen at each tenth of it.
async fn grow(args: &Args, cluster: &Cluster, client: &Client) -> Outcome<Vec<serde_json::Value>> {
    let mut tenths = Vec::new();
    if args.is_table() {
        println!("{:>12} {:>9}  {:<26}{:<26}", "values", "values/s", "memory, MB", "disk, MB");
    }
    for tenth in 1..=10 {
        let count = args.values / 10;
        let took = append(client, count, args.bytes, args.window).await?;
        let rate = count * 1_000_000 / us(took).max(1);
        let memory: Vec<u64> = (0..LEARNER).map(|at| cluster.memory(at)).collect();
        let mut disk = Vec::new();
        for at in 0..LEARNER {
            let status = cluster.status(client, at).await.ok_or("a node is silent")?;
            disk.push(status.journal_bytes + status.snapshot_bytes);
        }
        let values = tenth * count;
        if args.is_table() {
            let show = |all: &[u64]| {
                all.iter().map(|bytes| format!("{:>8.1}", mb(*bytes))).collect::<String>()
            };
            println!("{values:>12} {rate:>9}  {:<26}{:<26}", show(&memory), show(&disk));
        }
        tenths.push(json!({ "values": values, "values_per_s": rate, "memory_bytes": memory,
                            "disk_bytes": disk }));
    }
    Ok(tenths)
}

/// Appends so many values, a window of them at a time.
async fn append(client: &Client, count: u64, bytes: usize, window: usize) -> Outcome<Duration> {
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..window {
        let (client, next) = (client.clone(), next.clone());
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok(());
                }
                client.append(value(number, bytes)).await?;
            }
        });
    }
    while let Some(done) = workers.join_next().await {
        let done: Result<(), client::AppendError> = done?;
        done?;
    }
    Ok(begun.elapsed())
}

fn value(number: u64, bytes: usize) -> Vec<u8> {
    let mut value = number.to_le_bytes().to_vec();
    value.resize(bytes, 0x5a);
    value
}

/// Appends at a steady pace, whatever becomes of them, and how long each took.
struct Steady {
    latencies: Arc<std::sync::Mutex<Vec<Duration>>>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Latencies(Vec<Duration>);

impl Steady {
    fn begin(client: Client, bytes: usize) -> Steady {
        let latencies = Arc::new(std::sync::Mutex::new(Vec::new()));
        let into = latencies.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            let mut number = 0;
            loop {
                ticks.tick().await;
                for _ in 0..STEADY / 1000 {
                    let (client, into) = (client.clone(), into.clone());
                    number += 1;
                    tokio::spawn(async move {
                        let begun = Instant::now();
                        if client.append(value(number, bytes)).await.is_ok()
                            && let Ok(mut latencies) = into.lock()
                        {
                            latencies.push(begun.elapsed());
                        }
                    });
                }
            }
        });
        Steady { latencies, task }
    }

    /// What was measured since the last time.
    fn take(&self) -> Latencies {
        let taken = self.latencies.lock().map(|mut all| std::mem::take(&mut *all));
        let mut taken = taken.unwrap_or_default();
        taken.sort_unstable();
        Latencies(taken)
    }

    fn end(self) {
        self.task.abort();
    }
}

impl Latencies {
    fn at(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent / 100).min(self.0.len().saturating_sub(1));
        self.0.get(place).copied().unwrap_or_default()
    }

    fn show(&self) -> String {
        format!("p50 {}, p99 {} ({})", ms(self.at(50)), ms(self.at(99)), self.0.len())
    }

    fn json(&self) -> serde_json::Value {
        json!({ "p50": us(self.at(50)), "p99": us(self.at(99)), "count": self.0.len() })
    }
}

fn random() -> Outcome<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn mb(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes / 1000).unwrap_or(u32::MAX)) / 1e3
}
