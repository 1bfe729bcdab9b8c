//! What does it cost to be careful? Datagrams, plain streams and streams under TLS, side by side.
//!
//! `cargo run --release -p server --example transports -- [ROUNDS] [DIRECTORY]`
//!
//! Everything runs in this process, on loopback. Each round measures each transport once, one after
//! the other, so that a busy machine is busy for all of them; of each figure the median of the
//! rounds is shown, and its share of what plain streams reach. A time-out is an error, not a
//! figure.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use client::{Client, Options as ClientOptions};
use paxos::{ClusterId, NodeId};
use server::Options;
use server::config::{Storage, Timing, Transport};
use server::file_disk::FileDisk;
use server::local::{Layout, Local, Way};
use server::tls::{Authority, Files, Tls, private};
use server::transport::Outbound;
use server::transport::network::PeerSocket;
use server::transport::secure::Security;
use server::transport::stream::Stream;
use server::transport::udp::{Options as UdpOptions, Udp};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const WAYS: [Way; 3] = [Way::Udp, Way::Tcp, Way::Tls];
const CLUSTER: ClusterId = ClusterId([7; 16]);
const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const PATIENCE: Duration = Duration::from_secs(20);

const ROUND_TRIPS: usize = 5_000;
const MESSAGE_BYTES: usize = 1024;
const MESSAGES: u64 = 200_000;
/// Messages that may be under way: what a kernel's buffer for datagrams holds without a loss.
const WINDOW: u64 = 1_000;
const BATCH: usize = 16;

const VALUES: usize = 60_000;
const VALUE_BYTES: usize = 256;
const CLIENTS: usize = 2_000;
const CLUSTER_NODES: u32 = 3;

/// A line of the table: its name, and which figure it shows.
type Row = (&'static str, fn(&Figures) -> f64);

/// What is measured of a transport, in the order of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    round_trip_us: f64,
    round_trip_p99_us: f64,
    messages_a_second: f64,
    appends_a_second: f64,
    append_alone_us: f64,
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(5), |it| it.parse())?;
    let place = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let mut all: BTreeMap<usize, Vec<Figures>> = BTreeMap::new();
    let mut syncs = Vec::new();
    for round in 1..=rounds {
        syncs.extend(sync_times(&place)?);
        for (index, way) in WAYS.into_iter().enumerate() {
            let figures = measure(way, &place).await?;
            eprintln!("round {round}, {way:?}: {figures:?}");
            all.entry(index).or_default().push(figures);
        }
    }
    syncs.sort_unstable();
    let at = |share: usize| syncs[syncs.len() * share / 100].as_secs_f64() * 1e6;
    println!("the disk's own sync of a sector: {:.0} us (p50), {:.0} us (p99)", at(50), at(99));
    println!("| | {} | TLS / TCP |", WAYS.map(|way| format!("{way:?}")).join(" | "));
    println!("|---|{}---|", "---|".repeat(WAYS.len()));
    let rows: [Row; 5] = [
        ("round trip of 256 B, us (p50)", |it| it.round_trip_us),
        ("round trip of 256 B, us (p99)", |it| it.round_trip_p99_us),
        ("messages of 1 KiB a second", |it| it.messages_a_second),
        ("appends of 256 B a second, 2,000 at once", |it| it.appends_a_second),
        ("one append at a time, us (p50)", |it| it.append_alone_us),
    ];
    for (name, of) in rows {
        let medians: Vec<f64> =
            all.values().map(|it| median(it.iter().map(of).collect())).collect();
        let shown: Vec<String> = medians.iter().map(|it| format!("{it:.0}")).collect();
        // Each round's own share: what slowed the machine down slowed both.
        let shares = all[&2].iter().zip(&all[&1]).map(|(tls, tcp)| of(tls) / of(tcp)).collect();
        println!("| {name} | {} | {:.2} |", shown.join(" | "), median(shares));
    }
    Ok(())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn sync_times(place: &Path) -> Outcome<Vec<Duration>> {
    let directory = tempfile::tempdir_in(place)?;
    Ok(FileDisk::open(directory.path().join("probe"))?.sync_latency(200)?)
}

async fn measure(way: Way, place: &Path) -> Outcome<Figures> {
    let (trips, messages_a_second) = between_two(way).await?;
    let at = |share: usize| trips[trips.len() * share / 100].as_secs_f64() * 1e6;
    let (append_alone_us, appends_a_second) = appends(way, place).await?;
    Ok(Figures {
        round_trip_us: at(50),
        round_trip_p99_us: at(99),
        messages_a_second,
        appends_a_second,
        append_alone_us,
    })
}

/// One end of a transport.
trait End: Outbound {
    fn hear(&self, deliver: Box<dyn Fn(Vec<u8>) + Send + Sync>) -> std::io::Result<()>;
    fn end(&self);
}

impl End for Udp {
    fn hear(&self, deliver: Box<dyn Fn(Vec<u8>) + Send + Sync>) -> std::io::Result<()> {
        self.listen(move |_, message| {
            deliver(message);
            true
        })
    }

    fn end(&self) {
        self.stop();
    }
}

impl End for Stream {
    fn hear(&self, deliver: Box<dyn Fn(Vec<u8>) + Send + Sync>) -> std::io::Result<()> {
        self.listen(move |_, message| {
            deliver(message);
            true
        })
    }

    fn end(&self) {
        self.stop();
    }
}

fn pair(way: Way, directory: &Path) -> Outcome<[Arc<dyn End>; 2]> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let transport = if way == Way::Udp { Transport::PlaintextUdp } else { Transport::PlaintextTcp };
    let sockets = [PeerSocket::bind(&transport, free)?, PeerSocket::bind(&transport, free)?];
    let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
    let authority = Authority::draw(CLUSTER)?;
    let make = |(socket, me, peer, at): (PeerSocket, NodeId, NodeId, SocketAddr)| {
        let peers = BTreeMap::from([(peer, at)]);
        let end: Arc<dyn End> = match socket {
            PeerSocket::Udp(socket) => {
                Arc::new(Udp::new(me, CLUSTER, socket, peers, UdpOptions::default())?)
            }
            PeerSocket::Tcp(listener) => {
                let security = match way {
                    Way::Tls => Security::Tls(tls(&authority, me, directory)?),
                    Way::Udp | Way::Tcp => Security::Plain,
                };
                Arc::new(Stream::new(me, CLUSTER, security, listener, peers)?)
            }
        };
        Outcome::Ok(end)
    };
    let [one, two] = sockets;
    Ok([make((one, A, B, addresses[1]))?, make((two, B, A, addresses[0]))?])
}

fn tls(authority: &Authority, me: NodeId, directory: &Path) -> Outcome<Arc<Tls>> {
    let day = Duration::from_secs(86_400);
    let at = |name: String| directory.join(name);
    let files = Files {
        ca: at("ca".into()),
        certificate: at(format!("{me}.crt")),
        key: at(format!("{me}.key")),
    };
    let issued = authority.node(me, &[], day)?;
    std::fs::write(&files.ca, authority.itself(day)?.certificate)?;
    std::fs::write(&files.certificate, issued.certificate)?;
    private::write(&files.key, issued.key.as_bytes())?;
    Ok(Arc::new(Tls::open(me, CLUSTER, files)?))
}

/// Round trips one after the other, sorted; and messages a second, one way.
async fn between_two(way: Way) -> Outcome<(Vec<Duration>, f64)> {
    let directory = tempfile::tempdir()?;
    let [a, b] = pair(way, directory.path())?;
    let (into, echoed) = channel();
    a.hear(Box::new(move |message| {
        // Whoever counts may have gone.
        into.send(message.len()).ok();
    }))?;
    let count = Arc::new(AtomicU64::new(0));
    let (counts, back) = (count.clone(), b.clone());
    b.hear(Box::new(move |message| {
        if message.len() == MESSAGE_BYTES {
            counts.fetch_add(1, Ordering::Relaxed);
        } else {
            back.send(A, &[&message]);
        }
    }))?;
    let measured = tokio::task::spawn_blocking(move || -> Outcome<(Vec<Duration>, f64)> {
        // The first one waits for the streams.
        let mut trips = Vec::new();
        for _ in 0..=ROUND_TRIPS {
            let start = Instant::now();
            a.send(B, &[&[1; 256]]);
            echoed.recv_timeout(PATIENCE)?;
            trips.push(start.elapsed());
        }
        trips.remove(0);
        trips.sort_unstable();
        let message = [2; MESSAGE_BYTES];
        let start = Instant::now();
        let mut sent = 0;
        while sent < MESSAGES {
            while sent - count.load(Ordering::Relaxed) > WINDOW {
                std::thread::sleep(Duration::from_micros(20));
                if start.elapsed() > PATIENCE {
                    return Err("messages were lost".into());
                }
            }
            a.send(B, &[message.as_slice(); BATCH]);
            sent += BATCH as u64;
        }
        while count.load(Ordering::Relaxed) < sent {
            std::thread::sleep(Duration::from_micros(20));
            if start.elapsed() > PATIENCE {
                return Err("messages were lost".into());
            }
        }
        let took = start.elapsed().as_secs_f64();
        a.end();
        b.end();
        #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
        let rate = sent as f64 / took;
        Ok((trips, rate))
    });
    measured.await?
}

/// One append at a time, and many at once, through the client API of a whole cluster.
async fn appends(way: Way, place: &Path) -> Outcome<(f64, f64)> {
    let directory = tempfile::tempdir_in(place)?;
    let layout = Layout { both: CLUSTER_NODES, ..Layout::default() };
    // Slow enough that a busy machine changes no leader.
    let timing =
        Timing { heartbeat: Duration::from_millis(100), election_timeout: Duration::from_secs(2) };
    let options = Options::default();
    let local =
        Local::start_over(way, layout, directory.path(), timing, Storage::default(), options)?;
    let (leader, _) = local.leader(PATIENCE).await.ok_or("nobody leads")?;
    let endpoint = local.address(leader).ok_or("it has no address")?.to_string();
    let (timeout, window, credentials) = (PATIENCE, CLIENTS, local.credentials().cloned());
    let options =
        ClientOptions { timeout, window, credentials, ..ClientOptions::new(vec![endpoint]) };
    let client = Client::new(options)?;
    let mut alone = Vec::new();
    for _ in 0..1_000 {
        let start = Instant::now();
        client.append(vec![1; VALUE_BYTES]).await?;
        alone.push(start.elapsed().as_secs_f64() * 1e6);
    }
    let start = Instant::now();
    let mut appending = JoinSet::new();
    for _ in 0..CLIENTS {
        let client = client.clone();
        appending.spawn(async move {
            for _ in 0..VALUES / CLIENTS {
                client.append(vec![2; VALUE_BYTES]).await?;
            }
            Ok::<(), client::AppendError>(())
        });
    }
    while let Some(done) = appending.join_next().await {
        done??;
    }
    let took = start.elapsed().as_secs_f64();
    drop(client);
    if !local.stop().await.is_empty() {
        return Err("a node did not end as it was asked to".into());
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
    let rate = (VALUES / CLIENTS * CLIENTS) as f64 / took;
    Ok((median(alone), rate))
}
