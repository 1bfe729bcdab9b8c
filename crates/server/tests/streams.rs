//! Streams between two nodes: what comes through, what breaks them, and strangers at the door.

mod desk;
mod relay;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use desk::{CLUSTER, DAY, Desk};
use paxos::{ClusterId, NodeId};
use relay::Relay;
use rustls::ClientConfig;
use server::tls::{Authority, Tls, node_name};
use server::transport::frame::{Hello, PULSE, Seal};
use server::transport::secure::Security;
use server::transport::stream::{
    HANDSHAKE_MAX, IDLE_MAX, PULSE_INTERVAL, QUEUE_MESSAGES_MAX, SILENCE_MAX,
    STRANGERS_OF_ONE_SOURCE_MAX, Stream,
};
use server::transport::{MESSAGE_BYTES_MAX, Outbound};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const A: NodeId = NodeId(1);
const B: NodeId = NodeId(2);
const C: NodeId = NodeId(3);
/// Long enough to be reached by a broken build only.
const PATIENCE: Duration = Duration::from_secs(30);

type Heard = Receiver<(NodeId, Vec<u8>)>;

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

fn stream(
    me: NodeId,
    security: &Security,
    listener: TcpListener,
    peers: &[(NodeId, SocketAddr)],
) -> (Stream, Heard) {
    let peers: BTreeMap<_, _> = peers.iter().copied().collect();
    let stream = Stream::new(me, CLUSTER, security.clone(), listener, peers).expect("a stream");
    let (into, heard) = channel();
    stream.listen(move |from, message| into.send((from, message)).is_ok()).expect("it listens");
    (stream, heard)
}

/// Nodes 1 and 2, and what each of them hears.
fn pair(securities: [&Security; 2]) -> [(Stream, Heard); 2] {
    let ((one, at_one), (two, at_two)) = (listener(), listener());
    [stream(A, securities[0], one, &[(B, at_two)]), stream(B, securities[1], two, &[(A, at_one)])]
}

fn both_ways(desk: &Desk) -> [[Security; 2]; 2] {
    let tls = [Security::Tls(desk.node(1)), Security::Tls(desk.node(2))];
    [[Security::Plain, Security::Plain], tls]
}

fn count(stream: &Stream, name: &str) -> u64 {
    stream.counters().into_iter().find(|(known, _)| known == name).map_or(0, |(_, count)| count)
}

async fn await_count(stream: &Stream, name: &str, least: u64) {
    let deadline = Instant::now() + PATIENCE;
    while count(stream, name) < least {
        assert!(Instant::now() < deadline, "{name} < {least}: {:?}", stream.counters());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Says it again until it is heard, as the protocol would.
fn hear_again(from: &Stream, to: NodeId, heard: &Heard, message: &[u8]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        from.send(to, &[message]);
        match heard.recv_timeout(Duration::from_millis(5)) {
            Ok((_, it)) if it == message => return,
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(Instant::now() < deadline, "not heard: {:?}", from.counters());
    }
}

async fn stop(stream: Stream) {
    tokio::task::spawn_blocking(move || stream.stop()).await.expect("no panic");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_whole_and_in_order_both_ways() {
    let desk = Desk::new();
    for [one, two] in &both_ways(&desk) {
        let [(a, a_heard), (b, b_heard)] = pair([one, two]);
        let mut messages: Vec<Vec<u8>> = (0..3000_u32)
            .map(|number| number.to_le_bytes().repeat(1 + number as usize % 60))
            .collect();
        messages.push(vec![1; MESSAGE_BYTES_MAX]);
        messages.push(vec![2; 300_000]);
        messages.push(b"last".to_vec());
        for (from, to, heard, me) in [(&a, B, &b_heard, A), (&b, A, &a_heard, B)] {
            let borrowed: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            for some in borrowed.chunks(7) {
                from.send(to, some);
            }
            for message in &messages {
                let (from, heard) = heard.recv_timeout(PATIENCE).expect("it comes");
                assert!(from == me && heard == *message, "{} bytes", message.len());
            }
            assert!(count(from, "writes") < 3000, "what waits leaves together");
            from.send(to, &[b"", &vec![0; MESSAGE_BYTES_MAX + 1], b"x"]);
            from.send(C, &[b"nobody"]);
            assert_eq!(heard.recv_timeout(PATIENCE).unwrap().1, b"x");
            assert_eq!((count(from, "left_out"), count(from, "unknown_peer")), (2, 1));
        }
        stop(a).await;
        stop(b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_is_found_at_once() {
    let desk = Desk::new();
    for [one, two] in &both_ways(&desk) {
        let ((at_a, a_address), (at_b, b_address)) = (listener(), listener());
        let (a, _a_heard) = stream(A, one, at_a, &[(B, b_address)]);
        let (b, b_heard) = stream(B, two, at_b, &[(A, a_address)]);
        hear_again(&a, B, &b_heard, b"before");
        stop(b).await;
        assert!(b_heard.iter().all(|(_, it)| it == b"before"), "the stop lets go of who listens");
        await_count(&a, "dial_failed_unreachable", 4).await;
        let at_b = TcpListener::bind(b_address).expect("the port is free again");
        let (b, b_heard) = stream(B, two, at_b, &[(A, a_address)]);
        let start = Instant::now();
        hear_again(&a, B, &b_heard, b"after");
        let took = start.elapsed();
        println!("heard again after {took:?}");
        assert!(
            took < Duration::from_millis(900),
            "it dials when the peer has come to it: {took:?}"
        );
        b.send(A, &[b"x"]);
        stop(b).await;
        b_heard.iter().for_each(drop);
        stop(a).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_network_is_noticed_and_so_is_its_return() {
    let desk = Desk::new();
    for [one, two] in &both_ways(&desk) {
        let ((at_a, a_address), (at_b, b_address)) = (listener(), listener());
        let relay = Relay::start(b_address).await;
        let (a, _a_heard) = stream(A, one, at_a, &[(B, relay.address())]);
        let (b, b_heard) = stream(B, two, at_b, &[(A, a_address)]);
        hear_again(&a, B, &b_heard, b"before");
        // Nothing comes through, and nobody says so: each side's system still answers.
        relay.set_open(false);
        let start = Instant::now();
        await_count(&a, "lost_silent", 1).await;
        let noticed = start.elapsed();
        await_count(&b, "ended_silent", 1).await;
        await_count(&a, "dial_failed_timed_out", 1).await;
        relay.set_open(true);
        let start = Instant::now();
        hear_again(&a, B, &b_heard, b"after");
        let returned = start.elapsed();
        println!("noticed after {noticed:?}, heard again {returned:?} after its return");
        assert!(noticed < SILENCE_MAX + PULSE_INTERVAL * 4, "{noticed:?}");
        assert!(returned < HANDSHAKE_MAX + Duration::from_millis(1500), "{returned:?}");
        stop(a).await;
        stop(b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_drops_and_counts_and_nobody_waits() {
    let (at_a, _) = listener();
    // Its system takes connections, and that is all.
    let (_deaf, deaf_address) = listener();
    let (a, _heard) = stream(A, &Security::Plain, at_a, &[(B, deaf_address)]);
    let start = Instant::now();
    for _ in 0..3 * QUEUE_MESSAGES_MAX / 64 {
        a.send(B, &[b"small".as_slice(); 64]);
    }
    let large = vec![0; MESSAGE_BYTES_MAX];
    for _ in 0..20 {
        a.send(B, &[&large]);
    }
    assert!(start.elapsed() < Duration::from_secs(2), "no send waits");
    assert!(count(&a, "dropped_queue") >= QUEUE_MESSAGES_MAX as u64);
    await_count(&a, "dial_failed_timed_out", 1).await;
    await_count(&a, "dropped_unreachable", 1).await;
    stop(a).await;
}

/// A stranger at the door of node 1, as far as TLS lets it in.
async fn dial_tls(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> Option<impl AsyncRead + AsyncWrite + Unpin> {
    let tcp = TcpStream::connect(address).await.expect("it listens");
    TlsConnector::from(config).connect(node_name(CLUSTER, A), tcp).await.ok()
}

fn hello(from: NodeId) -> Vec<u8> {
    Hello { cluster: CLUSTER, from, to: A }.encode().to_vec()
}

/// Says something and then listens until the end: what was answered.
async fn say(mut wire: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    if wire.write_all(bytes).await.is_ok() && wire.flush().await.is_ok() {
        let read = wire.read_to_end(&mut answer);
        // An error is an end, too.
        drop(tokio::time::timeout(PATIENCE, read).await.expect("it ends"));
    }
    answer
}

/// A node that has what it needs to be believed, but for one thing.
async fn impostor(me: NodeId, tls: Tls, door: SocketAddr, a: &Stream, cause: &str) {
    let before = count(a, cause);
    let (own, _) = listener();
    let (impostor, heard) = stream(me, &Security::Tls(Arc::new(tls)), own, &[(A, door)]);
    impostor.send(A, &[b"believe me"]);
    await_count(a, cause, before + 1).await;
    assert_eq!(count(&impostor, "dialled"), 0, "{cause}: it is never taken");
    stop(impostor).await;
    assert!(heard.recv().is_err(), "{cause}: it learns nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_believed_to_be_another() {
    let desk = Desk::new();
    let (own, door) = listener();
    let nobody = listener().1;
    let security = Security::Tls(desk.node(1));
    let (a, heard) = stream(A, &security, own, &[(B, nobody), (C, nobody)]);
    let issue = |authority: &Authority, id| authority.node(id, &[], DAY).expect("issued");
    let open = |id, files| Tls::open(id, CLUSTER, files).expect("in order");

    // Node 2's certificate speaks for node 2 alone.
    let files = desk.give("two", &issue(&desk.authority, B), &[&desk.authority]);
    impostor(C, open(B, files), door, &a, "refused_other_name").await;

    // An authority that is none of ours, for our cluster and the right name.
    let other = Authority::draw(CLUSTER).expect("an authority");
    let files = desk.give("other", &issue(&other, B), &[&desk.authority, &other]);
    impostor(B, open(B, files), door, &a, "refused_unknown_authority").await;

    // An authority that does not know ours hangs up on us.
    let files = desk.give("foreign", &issue(&other, B), &[&other]);
    impostor(B, open(B, files), door, &a, "refused_not_trusted").await;

    // A node that was one.
    let issued = desk.authority.node(B, &[], Duration::from_secs(2)).expect("issued");
    let old = open(B, desk.give("old", &issued, &[&desk.authority]));
    while old.material().trusts_dialled(&[], &node_name(CLUSTER, B)).is_ok()
        || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
            <= old.material().expires()
    {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    impostor(B, old, door, &a, "refused_expired").await;

    // No member at all, though of this cluster.
    let files = desk.give("nine", &issue(&desk.authority, NodeId(9)), &[&desk.authority]);
    impostor(NodeId(9), open(NodeId(9), files), door, &a, "refused_unknown_sender").await;

    // A client is no node, whatever it says.
    let client = desk.authority.client("node-2", DAY).expect("issued");
    let files = desk.give("client", &client, &[&desk.authority]);
    let wire = dial_tls(door, client_config(&files, true)).await.expect("TLS lets a client in");
    assert_eq!(say(wire, &hello(B)).await, b"");
    await_count(&a, "refused_other_name", 2).await;

    // Nor is who shows nothing.
    let wire = dial_tls(door, client_config(&files, false)).await;
    if let Some(wire) = wire {
        assert_eq!(say(wire, &hello(B)).await, b"");
    }
    await_count(&a, "refused_no_certificate", 1).await;

    // No TLS at all; some of it looks like the start of it.
    for bytes in [&hello(B)[..], b"GET / HTTP/1.1\r\n\r\n", &[0x16, 3, 1, 0xff, 0xff], &[0; 400]] {
        let tcp = TcpStream::connect(door).await.expect("it listens");
        let answer = say(tcp, bytes).await;
        assert!(!answer.contains(&PULSE) || answer.len() <= 7, "an alert at most: {answer:?}");
    }
    await_count(&a, "refused_bad_handshake", 3).await;

    assert_eq!(count(&a, "accepted"), 0);
    assert_eq!(count(&a, "messages_received"), 0);
    stop(a).await;
    assert!(heard.recv().is_err(), "nothing was believed");
}

fn client_config(files: &server::tls::Files, shows_certificate: bool) -> Arc<ClientConfig> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca).expect("in order")).expect("in order");
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("in order")
            .with_root_certificates(roots);
    Arc::new(if shows_certificate {
        let chain = vec![CertificateDer::from_pem_file(&files.certificate).expect("in order")];
        let key = PrivateKeyDer::from_pem_file(&files.key).expect("in order");
        builder.with_client_auth_cert(chain, key).expect("in order")
    } else {
        builder.with_no_client_auth()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_stream_of_ours_ends_with_its_cause() {
    let (own, door) = listener();
    let nobody = listener().1;
    let (a, heard) = stream(A, &Security::Plain, own, &[(B, nobody)]);
    let taken = |frames: &[u8]| [&hello(B)[..], frames].concat();
    let mut damaged = Vec::new();
    Seal::Checksum.put(b"a message", &mut damaged);
    *damaged.last_mut().unwrap() ^= 1;
    let other_cluster = Hello { cluster: ClusterId([8; 16]), from: B, to: A }.encode();
    let not_for_me = Hello { cluster: CLUSTER, from: B, to: C }.encode();
    let mut bad_version = hello(B);
    bad_version[4] = 9;
    let mut bad_checksum = hello(B);
    bad_checksum[30] ^= 1;
    let too_large = u32::try_from(MESSAGE_BYTES_MAX + 1).unwrap().to_le_bytes();
    for (bytes, cause, is_taken) in [
        (b"GET / HTTP/1.1\r\nHost: somewhere\r\n\r\n".to_vec(), "refused_bad_magic", false),
        (bad_version, "refused_bad_version", false),
        (bad_checksum, "refused_bad_checksum", false),
        (other_cluster.to_vec(), "refused_other_cluster", false),
        (not_for_me.to_vec(), "refused_not_for_me", false),
        (hello(C), "refused_unknown_sender", false),
        (taken(&too_large), "ended_too_large", true),
        (taken(&damaged), "ended_bad_checksum", true),
    ] {
        let tcp = TcpStream::connect(door).await.unwrap();
        let answer = say(tcp, &bytes).await;
        await_count(&a, cause, 1).await;
        assert!(answer.iter().all(|it| *it == PULSE), "{cause}");
        assert!(is_taken || answer.is_empty(), "{cause}: {answer:?}");
    }
    assert_eq!(count(&a, "messages_received"), 0);
    stop(a).await;
    assert!(heard.recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_say_who_he_is_or_says_nothing_more_has_moments() {
    let desk = Desk::new();
    for security in [Security::Plain, Security::Tls(desk.node(1))] {
        let (own, door) = listener();
        let (a, _heard) = stream(A, &security, own, &[(B, listener().1)]);
        let start = Instant::now();
        let silent = TcpStream::connect(door).await.unwrap();
        let mut halfway = TcpStream::connect(door).await.unwrap();
        // A byte now and then is no progress.
        let drip = async {
            for byte in hello(B).into_iter().cycle() {
                if halfway.write_all(&[byte]).await.is_err() || halfway.flush().await.is_err() {
                    break;
                }
                let mut answer = [0; 16];
                let read =
                    tokio::time::timeout(Duration::from_millis(150), halfway.read(&mut answer));
                if matches!(read.await, Ok(Ok(0) | Err(_))) {
                    break;
                }
            }
        };
        tokio::join!(say(silent, b""), drip);
        let took = start.elapsed();
        assert!(took >= HANDSHAKE_MAX && took < HANDSHAKE_MAX * 2, "{took:?}");
        // A connection is closed, and then counted.
        let refused = || count(&a, "refused_timed_out") + count(&a, "refused_bad_handshake");
        let deadline = Instant::now() + PATIENCE;
        while refused() < 2 {
            assert!(Instant::now() < deadline, "{:?}", a.counters());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(refused(), 2, "{:?}", a.counters());
        stop(a).await;
    }
    // Who is known and falls silent: half of a message is waited for, and then no longer.
    let (own, door) = listener();
    let (a, _heard) = stream(A, &Security::Plain, own, &[(B, listener().1)]);
    let start = Instant::now();
    let answer =
        say(TcpStream::connect(door).await.unwrap(), &[&hello(B)[..], &[9, 0]].concat()).await;
    let took = start.elapsed();
    assert!(took >= IDLE_MAX && took < IDLE_MAX * 2, "{took:?}");
    assert!(answer.len() > 5 && answer.iter().all(|it| *it == PULSE), "pulses: {answer:?}");
    await_count(&a, "ended_silent", 1).await;
    stop(a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_latest_connection_of_a_peer_counts() {
    let (own, door) = listener();
    let (a, heard) = stream(A, &Security::Plain, own, &[(B, listener().1)]);
    let first = tokio::spawn(async move {
        let mut bytes = hello(B);
        Seal::Checksum.put(b"first", &mut bytes);
        say(TcpStream::connect(door).await.unwrap(), &bytes).await
    });
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), (B, b"first".to_vec()));
    let mut second = TcpStream::connect(door).await.unwrap();
    second.write_all(&hello(B)).await.unwrap();
    assert_eq!(second.read_u8().await.unwrap(), PULSE);
    first.await.unwrap();
    await_count(&a, "ended_replaced", 1).await;
    let mut bytes = Vec::new();
    Seal::Checksum.put(b"second", &mut bytes);
    second.write_all(&bytes).await.unwrap();
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap().1, b"second");
    stop(a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_keeps_no_peer_out() {
    let desk = Desk::new();
    for [one, two] in &both_ways(&desk) {
        let ((at_a, a_address), (at_b, b_address)) = (listener(), listener());
        let (a, a_heard) = stream(A, one, at_a, &[(B, b_address)]);
        let flooding = Arc::new(std::sync::atomic::AtomicBool::new(true));
        let mut floods = Vec::new();
        // Some say nothing, some say what nobody understands; all come from one address.
        for garbage in [&b""[..], &[0x16, 3, 1, 2, 0, 1][..], &[7; 100][..]] {
            let flooding = flooding.clone();
            floods.push(tokio::spawn(async move {
                let mut held = std::collections::VecDeque::new();
                while flooding.load(std::sync::atomic::Ordering::Relaxed) {
                    if let Ok(mut tcp) = TcpStream::connect(a_address).await {
                        tcp.write_all(garbage).await.ok();
                        held.push_back(tcp);
                    }
                    if held.len() > 100 {
                        held.pop_front();
                    }
                }
            }));
        }
        await_count(&a, "refused_crowded", STRANGERS_OF_ONE_SOURCE_MAX as u64).await;
        let start = Instant::now();
        let (b, _b_heard) = stream(B, two, at_b, &[(A, a_address)]);
        hear_again(&b, A, &a_heard, b"let me in");
        let took = start.elapsed();
        println!("in after {took:?}, past {} strangers", count(&a, "connections"));
        assert!(took < Duration::from_secs(5), "{took:?}");
        flooding.store(false, std::sync::atomic::Ordering::Relaxed);
        for flood in floods {
            flood.await.unwrap();
        }
        stop(a).await;
        stop(b).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_authority_ends_the_streams_that_it_vouched_for() {
    let desk = Desk::new();
    let (one, two) = (desk.node(1), desk.node(2));
    let [(a, a_heard), (b, b_heard)] =
        pair([&Security::Tls(one.clone()), &Security::Tls(two.clone())]);
    hear_again(&a, B, &b_heard, b"old");
    hear_again(&b, A, &a_heard, b"old");
    let new = Authority::draw(CLUSTER).unwrap();
    let both = [&desk.authority, &new];
    let give = |id: u32, by: &Authority, trusted: &[&Authority]| {
        let issued = by.node(NodeId(id), &[], DAY).unwrap();
        desk.give(&format!("node-{id}"), &issued, trusted);
    };
    // First both are trusted, then both nodes are the new one's, then the old one is nobody.
    for id in [1, 2] {
        give(id, &desk.authority, &both);
    }
    assert!(one.reload().unwrap() && two.reload().unwrap());
    for id in [1, 2] {
        give(id, &new, &both);
    }
    assert!(one.reload().unwrap() && two.reload().unwrap());
    hear_again(&a, B, &b_heard, b"both");
    hear_again(&b, A, &a_heard, b"both");
    let withdrawn = |it: &Stream| count(it, "lost_withdrawn") + count(it, "ended_withdrawn");
    assert_eq!((withdrawn(&a), withdrawn(&b)), (0, 0), "so far nothing was interrupted");
    for id in [1, 2] {
        give(id, &new, &[&new]);
    }
    assert!(one.reload().unwrap() && two.reload().unwrap());
    let deadline = Instant::now() + PATIENCE;
    while withdrawn(&a) + withdrawn(&b) < 2 {
        assert!(Instant::now() < deadline, "{:?}", a.counters());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    hear_again(&a, B, &b_heard, b"new");
    hear_again(&b, A, &a_heard, b"new");
    stop(a).await;
    stop(b).await;
}
