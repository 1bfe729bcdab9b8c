//! The admin port of running nodes: what it says of their health, and what strangers can do to it.

use std::time::{Duration, Instant};

use crate::cluster::PATIENCE;
use crate::port::{Answer, get, say, watched};
use paxos::NodeId;
use server::local::{Layout, Local};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

async fn ask(local: &Local, node: u32, path: &str) -> Answer {
    get(local.running()[&NodeId(node)].admin().expect("a port"), path).await
}

/// Asks until the answer has this code.
async fn ask_until(local: &Local, node: u32, path: &str, code: u16) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask(local, node, path).await;
        if answer.code == code {
            return answer;
        }
        assert!(Instant::now() < deadline, "node {node}: {path}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_quorum_makes_nobody_unready_but_leaders_and_nobody_dead() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout { leaders: 2, acceptors: 3, learners: 1, ..Layout::default() };
    let mut local = watched(directory.path(), layout);
    for node in 1..=6 {
        ask_until(&local, node, "/readyz", 200).await;
        assert_eq!(ask(&local, node, "/startupz").await.code, 200);
    }
    let words = ask(&local, 3, "/readyz?verbose").await.body;
    assert_eq!(
        words,
        "[+] journal\n[+] snapshots\n[+] protocol\n[+] protocol_turns\n[+] not_stopping\n\
         [+] journal_room\n[+] votes_known\nok\n"
    );
    for acceptor in [4, 5] {
        local.kill(NodeId(acceptor)).await;
    }
    for node in [1, 2, 6] {
        let words = ask_until(&local, node, "/readyz", 503).await.body;
        assert!(words.starts_with("[-] quorum_contact: ") && words.ends_with("\nnot ok\n"));
        assert_eq!(ask(&local, node, "/livez").await.body, "ok\n");
    }
    assert_eq!(ask(&local, 3, "/readyz").await.code, 200, "it still votes");
    local.restart(NodeId(4)).expect("it starts");
    for node in [1, 2, 6] {
        ask_until(&local, node, "/readyz", 200).await;
    }
    assert!(local.stop().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_port_is_only_read() {
    let directory = tempfile::tempdir().unwrap();
    let local = watched(directory.path(), Layout { both: 1, ..Layout::default() });
    let address = local.running()[&NodeId(1)].admin().expect("a port");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "FROB"] {
        let request = format!("{method} /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
        let answer = say(address, &(request + "body")).await;
        assert_eq!((answer.code, &*answer.headers["allow"]), (405, "GET, HEAD"), "{method}");
    }
    let head = say(address, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!((head.code, &*head.body), (200, ""));
    assert_eq!(head.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(get(address, "/metrics/x").await.code, 404);
    assert!(get(address, "/").await.body.starts_with("/metrics  /livez"));
    let old = say(address, "GET /livez HTTP/1.0\r\n\r\n").await;
    assert_eq!((old.code, &*old.body), (200, "ok\n"));
    assert!(local.stop().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_and_slow_strangers_end_and_hold_nobody_up() {
    let directory = tempfile::tempdir().unwrap();
    let local = watched(directory.path(), Layout { both: 1, ..Layout::default() });
    let address = local.running()[&NodeId(1)].admin().expect("a port");
    let large = [b"GET / HTTP/1.1\r\nA: ".to_vec(), vec![b'x'; 1 << 20]].concat();
    let many =
        [b"GET / HTTP/1.1\r\n".to_vec(), b"A: b\r\n".repeat(1000), b"\r\n".to_vec()].concat();
    let garbage = [&b"\x16\x03\x01\x02\x00\x01\x00\xff\r\n\r\n"[..], &[0; 4096], &large, &many];
    for bytes in garbage {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may hang up in the midst.
        stream.write_all(bytes).await.ok();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok();
        let answer = String::from_utf8_lossy(&answer);
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{:?}: {answer}", &bytes[..20]);
    }
    // More of them than there is room for, each with half a request.
    let begun = Instant::now();
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost:").await.unwrap();
        slow.push(stream);
    }
    assert_eq!(get(address, "/livez").await.code, 200);
    assert!(begun.elapsed() < Duration::from_millis(1500), "not for want of the slow ones");
    for mut stream in slow {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.ok();
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "half a request ends: {took:?}");
    assert!(local.stop().await.is_empty());
}
