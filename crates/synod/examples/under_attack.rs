//! How much of its throughput does a cluster keep while every port of it is scanned?
//!
//! `cargo build --release && cargo run --release -p synod --example under_attack [RATE]`
//!
//! Three processes on this machine, one client with 256 appends under way. In turn for some
//! seconds: quiet, and RATE connections a second (100 by default) to every port, in turn with
//! garbage, with the beginning of a greeting, with nothing; beside them, on every port, connections
//! that say one byte now and then for as long as they are let, and datagrams of garbage. What the
//! attackers cost in time of the same two processors is part of the loss.

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
use tokio::net::{TcpStream, UdpSocket};
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
    let (mut quiet, mut attacked) = (Vec::new(), Vec::new());
    let attacks = Arc::new(Attacks::default());
    println!("{:>5} {:>14} {:>14}", "round", "quiet /s", "attacked /s");
    for round in 1..=ROUNDS {
        quiet.push(appends_a_second(&client).await);
        let mut attackers = attackers(&ports, rate, &attacks);
        attacked.push(appends_a_second(&client).await);
        attackers.shutdown().await;
        println!("{round:>5} {:>14.0} {:>14.0}", quiet[round - 1], attacked[round - 1]);
    }
    let connections = attacks.connections.load(Ordering::Relaxed);
    let datagrams = attacks.datagrams.load(Ordering::Relaxed);
    println!("{connections} connections and {datagrams} datagrams at {} ports", ports.len());
    println!("kept: {:.1} % (medians)", 100.0 * median(attacked) / median(quiet));
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
