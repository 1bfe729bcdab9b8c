//! How much of its throughput does a cluster keep while every port of it is scanned?
//!
//! `cargo build --release && cargo run --release -p synod --example under_attack [RATE]`
//!
//! Three processes on this machine, one client with 256 appends under way. In turn for some
//! seconds: quiet, and RATE connections a second (100 by default) to every port, in turn with
//! garbage, with the beginning of a greeting, with nothing; beside them, on every port, connections
//! that say one byte now and then for as long as they are let, and datagrams of garbage.
//!
//! The attackers run on the same processors. So in a third turn they scan as many other ports,
//! behind which nobody does anything: what is lost then, they and the system cost, not the nodes.

#[path = "../tests/cluster/mod.rs"]
mod cluster;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::Client;
use cluster::{Cluster, Layout};
use server::config::Config;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const NODES: [&str; 3] = ["n1", "n2", "n3"];
const THREE: Layout = Layout { options: &["--nodes", "3"], leaders: &NODES, others: &[] };

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(4);
const IN_FLIGHT: usize = 256;
const VALUE: [u8; 256] = [0x5a; 256];

/// Slow ones a port, at every moment.
const SLOW: usize = 16;
const DRIP: Duration = Duration::from_millis(500);

/// How long a decoy listens to anybody.
const DECOY_MAX: Duration = Duration::from_secs(5);

/// How long an attacker waits for anything.
const PATIENCE: Duration = Duration::from_secs(1);

/// The first bytes of a TLS greeting of 512 bytes that never comes.
const HALF_A_GREETING: [u8; 5] = [0x16, 3, 1, 2, 0];

/// What the attackers got through.
#[derive(Default)]
struct Attacks {
    connections: AtomicU64,
    datagrams: AtomicU64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let rate: u32 = std::env::args().nth(1).map_or(Ok(100), |rate| rate.parse())?;
    let directory = tempfile::tempdir()?;
    let mut cluster = Cluster::start(&binary()?, directory.path(), THREE);
    cluster.primary().await;
    let client = cluster.client(&[0, 1, 2]);
    let config = Config::load(&cluster.file("n1"))?;
    let ports: Vec<SocketAddr> =
        config.nodes.iter().flat_map(|node| [node.peers, node.clients]).collect();
    appends_a_second(&client).await;
    let (mut decoys, elsewhere) = decoys(ports.len()).await?;
    let (mut quiet, mut beside, mut attacked) = (Vec::new(), Vec::new(), Vec::new());
    let (attacks, others) = (Arc::new(Attacks::default()), Arc::new(Attacks::default()));
    println!("{:>5} {:>14} {:>14} {:>14}", "round", "quiet /s", "elsewhere /s", "attacked /s");
    for round in 0..ROUNDS {
        quiet.push(appends_a_second(&client).await);
        beside.push(appends_a_second_under(&client, attackers(&elsewhere, rate, &others)).await);
        attacked.push(appends_a_second_under(&client, attackers(&ports, rate, &attacks)).await);
        let (quiet, beside, attacked) = (quiet[round], beside[round], attacked[round]);
        println!("{:>5} {quiet:>14.0} {beside:>14.0} {attacked:>14.0}", round + 1);
    }
    decoys.shutdown().await;
    let connections = attacks.connections.load(Ordering::Relaxed);
    let datagrams = attacks.datagrams.load(Ordering::Relaxed);
    println!("{connections} connections and {datagrams} datagrams at {} ports", ports.len());
    let (quiet, beside, attacked) = (median(quiet), median(beside), median(attacked));
    println!("kept: {:.1} % of the quiet rounds (medians)", 100.0 * attacked / quiet);
    println!("kept: {:.1} % of those with attackers elsewhere", 100.0 * attacked / beside);
    let primary = cluster.primary().await;
    let mut attackers = attackers(&ports, rate, &attacks);
    let killed = Instant::now();
    cluster.kill(NODES[primary]);
    client.append(VALUE.to_vec()).await?;
    println!("the leader killed meanwhile: the next append after {:?}", killed.elapsed());
    attackers.shutdown().await;
    Ok(())
}

fn attackers(ports: &[SocketAddr], rate: u32, attacks: &Arc<Attacks>) -> JoinSet<()> {
    let mut attackers = JoinSet::new();
    for port in ports {
        attackers.spawn(flood(*port, rate, attacks.clone()));
        attackers.spawn(garble(*port, rate, attacks.clone()));
        for _ in 0..SLOW {
            attackers.spawn(drip(*port));
        }
    }
    attackers
}

fn binary() -> Result<PathBuf, Box<dyn Error>> {
    let here = std::env::current_exe()?;
    let build = here.parent().and_then(|examples| examples.parent());
    let binary = build.ok_or("the example runs from its build directory")?.join("synod");
    if binary.is_file() {
        return Ok(binary);
    }
    Err(format!("{} is missing: cargo build --release", binary.display()).into())
}

/// For the length of a round, with so many under way.
async fn appends_a_second(client: &Client) -> f64 {
    let end = Instant::now() + ROUND;
    let mut appenders = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let client = client.clone();
        appenders.spawn(async move {
            let mut done = 0_u32;
            while Instant::now() < end {
                client.append(VALUE.to_vec()).await.expect("appended");
                done += 1;
            }
            done
        });
    }
    let done: u32 = appenders.join_all().await.into_iter().sum();
    f64::from(done) / ROUND.as_secs_f64()
}

async fn appends_a_second_under(client: &Client, mut attackers: JoinSet<()>) -> f64 {
    let rate = appends_a_second(client).await;
    attackers.shutdown().await;
    rate
}

/// So many ports that take connections, hear what is said there and do nothing.
async fn decoys(count: usize) -> std::io::Result<(JoinSet<()>, Vec<SocketAddr>)> {
    let (mut tasks, mut ports) = (JoinSet::new(), Vec::new());
    for _ in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        ports.push(listener.local_addr()?);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // As long as the nodes let strangers.
                    let mut heard = tokio::io::sink();
                    timeout(DECOY_MAX, tokio::io::copy(&mut stream, &mut heard)).await.ok();
                });
            }
        });
    }
    Ok((tasks, ports))
}

/// One short connection after another.
async fn flood(port: SocketAddr, rate: u32, attacks: Arc<Attacks>) {
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for said in [&[0xff; 512][..], &HALF_A_GREETING, b""].iter().cycle() {
        ticks.tick().await;
        let opened = timeout(PATIENCE, TcpStream::connect(port)).await;
        if let Ok(Ok(mut stream)) = opened {
            attacks.connections.fetch_add(1, Ordering::Relaxed);
            // It may be closed in the midst of it.
            timeout(PATIENCE, stream.write_all(said)).await.ok();
        }
    }
}

/// One datagram after another.
async fn garble(port: SocketAddr, rate: u32, attacks: Arc<Attacks>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let mut ticks = interval(Duration::from_secs(1) / rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if socket.send_to(&[0xa5; 700], port).await.is_ok() {
            attacks.datagrams.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One that says something now and then, and another when it is let go.
async fn drip(port: SocketAddr) {
    loop {
        if let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(port)).await {
            while stream.write_all(&[0x16]).await.is_ok() {
                sleep(DRIP).await;
            }
        }
        sleep(DRIP).await;
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
