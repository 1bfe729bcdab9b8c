//! A crowd at the clients' port that means no good: it gets nothing, and is in nobody's way.

mod cluster;

use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use cluster::{PATIENCE, client, until};
use paxos::{NodeId, Part};
use server::Options;
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use tokio::io::AsyncWriteExt as _;

/// Far more than are let in at once.
const CROWD: usize = 1200;

/// What they say: nothing, nonsense, another protocol, and a greeting that is not gone on with.
const SAID: [&[u8]; 4] =
    [b"", &[0xff; 4096], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"];

/// Opens one connection after another, and keeps each as long as it is let.
async fn crowd(address: SocketAddr) -> Vec<tokio::net::TcpStream> {
    let mut all = Vec::new();
    for said in SAID.iter().cycle().take(CROWD) {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        // It may be let go in the midst of it.
        let written = stream.write_all(said).await;
        drop(written);
        all.push(stream);
    }
    all
}

fn is_closed(stream: tokio::net::TcpStream) -> bool {
    let mut stream: TcpStream = stream.into_std().expect("a stream");
    stream.set_nonblocking(false).expect("a setting");
    stream.set_read_timeout(Some(PATIENCE)).expect("a setting");
    let mut bytes = Vec::new();
    // An answer in the terms of HTTP may come first; then it ends, or is reset.
    let ended = stream.read_to_end(&mut bytes);
    ended.map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_strangers_is_counted_and_keeps_nobody_out() {
    let directory = tempfile::tempdir().unwrap();
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(250),
    };
    let layout = Layout { both: 1, ..Layout::default() };
    let (storage, options) = (Storage::default(), Options::default());
    let local = Local::start(layout, directory.path(), timing, storage, options).unwrap();
    let address = local.address(NodeId(1)).unwrap();
    let known = client(vec![address.to_string()]);
    known.append("before").await.expect("appended");
    let crowds = tokio::spawn(async move { crowd(address).await });
    for _ in 0..20 {
        known.append("meanwhile").await.expect("appended");
        // One that comes now is let in, too.
        client(vec![address.to_string()]).append("a new one").await.expect("appended");
    }
    let crowd = crowds.await.unwrap();
    let closed = crowd.into_iter().map(|it| tokio::task::spawn_blocking(move || is_closed(it)));
    for closed in closed.collect::<Vec<_>>() {
        assert!(closed.await.unwrap(), "nobody stays who asks for nothing");
    }
    known.append("after").await.expect("appended");
    until(&local, NodeId(1), "it has led throughout", |it| it.part == Part::Leading).await;
    let counters = local.running()[&NodeId(1)].switches().counters();
    let turned_away = ["clients_evicted", "clients_refused_slow"].map(|name| counters.get(name));
    assert!(turned_away.iter().flatten().any(|count| **count > 0), "{counters:?}");
    assert_eq!(local.stop().await, [].into());
}
