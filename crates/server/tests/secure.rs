//! Whole clusters whose nodes prove to each other who they are.

mod cluster;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use client::{Client, Consistency, Credentials};
use cluster::{PATIENCE, client, until};
use paxos::{ClusterId, NodeId};
use server::config::{Storage, Timing, Transport};
use server::local::{Layout, Local, Way};
use server::tls::{Authority, private};
use server::{Options, Sockets, StartError};
use tokio::net::TcpStream;
use tokio_stream::StreamExt as _;

const DAY: Duration = Duration::from_secs(86_400);
const LAYOUT: Layout = Layout { leaders: 0, acceptors: 0, both: 3, learners: 0 };

fn start(way: Way, directory: &tempfile::TempDir) -> Local {
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(300),
    };
    let storage = Storage::default();
    Local::start_over(way, LAYOUT, directory.path(), timing, storage, Options::default())
        .expect("a cluster")
}

/// A client that may do everything, of the nodes that may lead.
fn client_of(local: &Local) -> Client {
    let Some(credentials) = local.credentials().cloned() else {
        return client(local.leader_endpoints());
    };
    let options = client::Options::new(local.leader_endpoints());
    let (timeout, credentials) = (PATIENCE, Some(credentials));
    Client::new(client::Options { timeout, credentials, ..options }).expect("a client")
}

async fn append(client: &Client, values: std::ops::Range<u32>) {
    for number in values {
        client.append(number.to_le_bytes().to_vec()).await.expect("appended");
    }
}

/// Every value once, and in the order in which they were appended one after the other.
async fn assert_history(local: &Local, count: u32) {
    assert_history_by(&client_of(local), count).await;
}

async fn assert_history_by(client: &Client, count: u32) {
    let entries = client.read(Consistency::Linearizable, 0, None, 0).await.expect("readable");
    let found: Vec<Vec<u8>> =
        entries.map(|it| it.expect("an entry").value.to_vec()).collect().await;
    let expected: Vec<Vec<u8>> = (0..count).map(|it| it.to_le_bytes().to_vec()).collect();
    assert_eq!(found, expected);
}

fn counted(local: &Local, node: NodeId, name: &str) -> u64 {
    local.running()[&node].switches().counters().get(name).copied().unwrap_or_default()
}

async fn await_count(local: &Local, node: NodeId, name: &str, least: u64) {
    let deadline = Instant::now() + PATIENCE;
    while counted(local, node, name) < least {
        let counters = local.running()[&node].switches().counters();
        assert!(Instant::now() < deadline, "node {node}: {name} < {least}: {counters:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_carry_a_cluster_past_the_death_of_its_leader() {
    for way in [Way::Tcp, Way::Tls] {
        let directory = tempfile::tempdir().unwrap();
        let mut local = start(way, &directory);
        let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
        let client = client_of(&local);
        append(&client, 0..100).await;
        local.kill(leader).await;
        append(&client, 100..200).await;
        local.restart(leader).expect("it starts again");
        append(&client, 200..300).await;
        let (_, status) = local.leader(PATIENCE).await.expect("a leader");
        until(&local, leader, "it catches up", |it| it.applied >= status.applied).await;
        assert_history(&local, 300).await;
        assert_eq!(local.stop().await, BTreeMap::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_authorities_change_while_values_are_appended() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(Way::Tls, &directory);
    local.leader(PATIENCE).await.expect("a leader");
    let cluster = ClusterId(local.configs()[&NodeId(1)].cluster);
    let old = std::fs::read_to_string(directory.path().join("ca.crt")).unwrap();
    let new = Authority::draw(cluster).unwrap();
    let itself = new.itself(DAY).unwrap().certificate;
    let nodes: Vec<NodeId> = local.configs().keys().copied().collect();
    let client = client_of(&local);
    let appends = client.clone();
    let appending = tokio::spawn(async move {
        append(&appends, 0..600).await;
    });
    let renewed = async |least: u64| {
        for node in &nodes {
            await_count(&local, *node, "tls_renewed", least).await;
        }
    };
    // All nodes have one file of authorities here. It is found within seconds, with nobody asking.
    let ca = directory.path().join("ca.crt");
    private::write_public(&ca, format!("{old}{itself}").as_bytes()).unwrap();
    renewed(1).await;
    for node in &nodes {
        let Transport::Tls(files) = &local.configs()[node].transport else { panic!("TLS") };
        let issued = new.node(*node, &["127.0.0.1".to_owned()], DAY).unwrap();
        private::write(&files.key, issued.key.as_bytes()).unwrap();
        private::write_public(&files.certificate, issued.certificate.as_bytes()).unwrap();
        local.running()[node].reload().expect("in order");
    }
    renewed(2).await;
    appending.await.expect("each is appended");
    private::write_public(&ca, itself.as_bytes()).unwrap();
    for node in &nodes {
        local.running()[node].reload().expect("in order");
    }
    // Its connection ends with what it rests on.
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    await_count(&local, leader, "clients_withdrawn", 1).await;
    drop(client);
    let broken = nodes[0];
    std::fs::write(&ca, "nonsense").unwrap();
    local.running()[&broken].reload().expect_err("not in order");
    assert!(counted(&local, broken, "tls_renewal_refused") >= 1);
    // A client of the old authority is nobody any more, and one of the new is somebody.
    let options = || client::Options::new(local.leader_endpoints());
    let issued = new.client("admin", DAY).unwrap();
    let certificate = client::Certificate {
        certificate: issued.certificate.clone().into_bytes(),
        key: issued.key.as_bytes().to_vec(),
    };
    let credentials =
        Credentials { ca: itself.into_bytes(), certificate: Some(certificate), token: None };
    let known =
        Client::new(client::Options { credentials: Some(credentials.clone()), ..options() });
    assert_history_by(&known.expect("a client"), 600).await;
    let former = local.credentials().unwrap().certificate.clone();
    let credentials = Credentials { certificate: former, ..credentials };
    let timeout = Duration::from_secs(2);
    let former =
        Client::new(client::Options { credentials: Some(credentials), timeout, ..options() });
    former.expect("a client").append("no more").await.expect_err("refused");
    let refused = |node| counted(&local, node, "clients_refused_handshake");
    assert!(nodes.iter().any(|node| refused(*node) > 0));
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_of_another_authority_changes_nothing_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(Way::Tls, &directory);
    local.leader(PATIENCE).await.expect("a leader");
    let client = client_of(&local);
    append(&client, 0..20).await;
    let third = NodeId(3);
    local.kill(third).await;

    // Node 2's certificate in the hands of node 3: it does not even start.
    let mut config = local.configs()[&third].clone();
    let own = config.transport.clone();
    config.transport = local.configs()[&NodeId(2)].transport.clone();
    local.configure(config.clone());
    let refused = local.restart(third).expect_err("refused");
    assert!(matches!(refused, StartError::Tls(_)), "{refused}");
    assert!(refused.to_string().contains("it is not the certificate of node-3."), "{refused}");

    // Its own id and cluster, by an authority that nobody knows.
    let Transport::Tls(mut files) = own.clone() else { panic!("TLS") };
    let other = Authority::draw(ClusterId(config.cluster)).unwrap();
    let issued = other.node(third, &[], DAY).unwrap();
    let both =
        std::fs::read_to_string(&files.ca).unwrap() + &other.itself(DAY).unwrap().certificate;
    files.ca = directory.path().join("both.crt");
    files.certificate = directory.path().join("forged.crt");
    files.key = directory.path().join("forged.key");
    std::fs::write(&files.ca, both).unwrap();
    std::fs::write(&files.certificate, &issued.certificate).unwrap();
    private::write(&files.key, issued.key.as_bytes()).unwrap();
    config.transport = Transport::Tls(files);
    local.configure(config.clone());
    local.restart(third).expect("its files are in order for itself");
    await_count(&local, NodeId(1), "network_refused_unknown_authority", 2).await;
    await_count(&local, NodeId(2), "network_refused_unknown_authority", 2).await;
    append(&client, 20..40).await;
    let status = local.running()[&third].status().await.expect("it runs");
    assert_eq!(status.applied.0, status.chosen.0);
    assert!(status.leader != Some(third) && status.part != paxos::Part::Leading);
    assert_eq!(counted(&local, third, "network_dialled"), 0, "nobody takes its streams");
    local.kill(third).await;

    // With what it had it is one of them again.
    config.transport = own;
    local.configure(config);
    local.restart(third).expect("it starts");
    append(&client, 40..60).await;
    let (_, status) = local.leader(PATIENCE).await.expect("a leader");
    until(&local, third, "it catches up", |it| it.applied >= status.applied).await;
    assert_history(&local, 60).await;
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_serves_one_node_over_streams_too() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(Way::Tls, &directory);
    let config = local.configs()[&NodeId(1)].clone();
    let taken = Sockets::bind(&config).expect_err("it is in use");
    assert!(matches!(taken, StartError::Listen { .. }), "{taken}");
    let peers = config.own().peers;
    TcpStream::connect(peers).await.expect("it listens");
    assert_eq!(local.stop().await, BTreeMap::new());
    TcpStream::connect(peers).await.expect_err("it is closed");
}
