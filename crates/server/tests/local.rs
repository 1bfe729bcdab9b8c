//! Whole clusters in this process: real threads, sockets and disks, and clients that do not look
//! inside.

mod cluster;

use std::collections::BTreeMap;
use std::time::Duration;

use client::proto::append_request::About;
use client::proto::append_response::Outcome;
use client::proto::log_client::LogClient;
use client::proto::{AppendRequest, Close, Entry, Open};
use client::{Client, Consistency};
use cluster::{PATIENCE, client, until};
use paxos::{Announce, NodeId};
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use server::transport::adversary::Faults;
use server::{Options, Server, Sockets, StartError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

const LAYOUT: Layout = Layout { leaders: 2, acceptors: 5, both: 0, learners: 0 };

fn timing() -> Timing {
    Timing { heartbeat: Duration::from_millis(50), election_timeout: Duration::from_millis(250) }
}

/// Appends `count` numbered values, all at once; gives back their slots.
async fn append_all(client: &Client, count: u32) -> Vec<u64> {
    let mut appends = JoinSet::new();
    for number in 0..count {
        let client = client.clone();
        appends.spawn(async move {
            let value = number.to_le_bytes().to_vec();
            (number, client.append(value).await.expect("appended").slot)
        });
    }
    let mut slots = vec![0; count as usize];
    while let Some(joined) = appends.join_next().await {
        let (number, slot) = joined.expect("no panic");
        slots[number as usize] = slot;
    }
    slots
}

async fn history(local: &Local, node: u32, slot: u64) -> Vec<Entry> {
    until(local, NodeId(node), "it catches up", |it| it.applied.0 > slot).await;
    let endpoint = local.address(NodeId(node)).expect("an address").to_string();
    let reader = client(vec![endpoint]);
    let entries = reader.read(Consistency::Local, 0, Some(slot + 1), 0).await.expect("readable");
    entries.map(|entry| entry.expect("an entry")).collect().await
}

/// Every value stands exactly where its client was told, once, in every leader's history.
async fn assert_histories(local: &Local, slots: &[u64]) {
    let until = slots.iter().copied().max().expect("something was appended");
    let mut expected = BTreeMap::new();
    for (number, slot) in (0u32..).zip(slots) {
        assert!(expected.insert(*slot, number).is_none(), "two values in slot {slot}");
    }
    for node in local.running().keys().filter(|node| node.0 <= LAYOUT.leaders) {
        let history = history(local, node.0, until).await;
        let found: BTreeMap<u64, u32> = history
            .iter()
            .map(|entry| {
                (entry.slot, u32::from_le_bytes(entry.value[..].try_into().expect("a number")))
            })
            .collect();
        assert_eq!(history.len(), slots.len(), "a value is lost or repeated at node {node}");
        assert_eq!(found, expected, "node {node}");
    }
}

fn start(directory: &tempfile::TempDir, options: Options) -> Local {
    let storage = Storage::default();
    Local::start(LAYOUT, directory.path(), timing(), storage, options).expect("a cluster")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_values_with_two_acceptors_down() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, Options::default());
    local.kill(NodeId(7)).await;
    local.kill(NodeId(6)).await;
    local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    let slots = append_all(&client, 1000).await;
    assert_histories(&local, &slots).await;
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_dies_in_the_midst_and_comes_back_on_a_bad_network() {
    for announce in [Announce::EveryLearner, Announce::LeaderOnly] {
        let directory = tempfile::tempdir().unwrap();
        let faults = Faults {
            loss_ppm: 100_000,
            duplicate_ppm: 100_000,
            reorder: true,
            seed: Some(1),
            ..Faults::default()
        };
        let options = Options { faults, announce, ..Options::default() };
        let mut local = start(&directory, options);
        local.kill(NodeId(7)).await;
        let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
        let client = client(local.leader_endpoints());
        let burst = client.clone();
        let burst = tokio::spawn(async move { append_all(&burst, 600).await });
        // The first value of another client shows that the burst is under way.
        let other = self::client(local.leader_endpoints());
        other.append(u32::MAX.to_le_bytes().to_vec()).await.expect("appended");
        local.kill(leader).await;
        local.kill(NodeId(6)).await;
        let slots = burst.await.expect("no panic");
        local.restart(leader).expect("it starts again");
        local.restart(NodeId(6)).expect("it starts again");
        let until = slots.iter().copied().max().expect("values");
        let one = history(&local, 1, until).await;
        let two = history(&local, 2, until).await;
        assert_eq!(one, two);
        let session = one.iter().find(|entry| entry.slot == slots[0]).expect("it is there").session;
        assert_eq!(one.iter().filter(|entry| entry.session == session).count(), 600);
        assert_eq!(local.stop().await, BTreeMap::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_crash_of_everything() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, Options::default());
    let slots = append_all(&client(local.leader_endpoints()), 200).await;
    let all: Vec<NodeId> = local.running().keys().copied().collect();
    for node in &all {
        local.kill(*node).await;
    }
    for node in &all {
        local.restart(*node).expect("it starts again");
    }
    local.leader(PATIENCE).await.expect("a leader");
    assert_histories(&local, &slots).await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_follows_across_a_change_of_leader() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, Options::default());
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    let mut tail = client.tail(0);
    append_all(&client, 10).await;
    for _ in 0..10 {
        tail.next().await.expect("no end").expect("an entry");
    }
    local.kill(leader).await;
    client.append(b"last".to_vec()).await.expect("appended");
    let entry = tail.next().await.expect("no end").expect("an entry");
    assert_eq!(&entry.value[..], b"last");
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptor_without_its_journal_does_not_vote() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, Options::default());
    local.kill(NodeId(3)).await;
    let config = local.configs()[&NodeId(3)].clone();
    let path = config.data_dir.clone().expect("an acceptor has a directory");
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let sockets = Sockets::bind(&config).unwrap();
    let refused = Server::start(config, sockets, Options::default()).err().expect("refused");
    assert!(matches!(refused, StartError::DataDir(_)), "{refused}");
    // Another acceptor's journal in its place is no better.
    let other = local.configs()[&NodeId(4)].data_dir.clone().expect("a directory");
    local.kill(NodeId(4)).await;
    std::fs::remove_dir_all(&path).unwrap();
    std::fs::rename(&other, &path).unwrap();
    let refused = local.restart(NodeId(3)).expect_err("refused");
    assert!(refused.to_string().contains("does not vote"), "{refused}");
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_leader_is_replaced_and_returns_as_a_follower() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options::default());
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    let mut slots = append_all(&client, 10).await;
    local.running()[&leader].switches().set_failed(true);
    let other = self::client(local.leader_endpoints());
    slots.push(other.append(10u32.to_le_bytes().to_vec()).await.expect("appended").slot);
    local.running()[&leader].switches().set_failed(false);
    assert_histories(&local, &slots).await;
    local.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_opened_used_and_closed_over_one_stream() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options::default());
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let address = local.address(leader).expect("an address");
    let mut log = LogClient::connect(format!("http://{address}")).await.expect("it listens");
    let (requests, stream) = mpsc::channel(1);
    let lifetime_us = 3_600_000_000;
    let open = |nonce: &[u8]| {
        let nonce = nonce.to_vec().into();
        let about = Some(About::Open(Open { nonce, lifetime_us }));
        AppendRequest { about, ..AppendRequest::default() }
    };
    requests.send(open(b"short")).await.unwrap();
    let mut answers = log.append(ReceiverStream::new(stream)).await.expect("a stream").into_inner();
    let mut next = async || answers.next().await.expect("no end").expect("an answer").outcome;
    assert!(matches!(next().await, Some(Outcome::Refused(_))), "a nonce has 16 bytes");
    requests.send(open(&[7; 16])).await.unwrap();
    let Some(Outcome::Opened(opened)) = next().await else { panic!("it is opened") };
    let session = opened.session;
    let append = |sequence| AppendRequest {
        session,
        sequence,
        first_unanswered: 1,
        value: "v".into(),
        about: None,
    };
    requests.send(append(1)).await.unwrap();
    let Some(Outcome::Done(done)) = next().await else { panic!("it is done") };
    assert!(done.slot > session, "its slot is above its session's");
    requests.send(append(1)).await.unwrap();
    assert_eq!(next().await, Some(Outcome::Done(done)), "a repeat is answered with the same");
    let close = AppendRequest { about: Some(About::Close(Close {})), ..append(0) };
    requests.send(close).await.unwrap();
    assert!(matches!(next().await, Some(Outcome::Closed(_))));
    requests.send(append(2)).await.unwrap();
    assert!(matches!(next().await, Some(Outcome::Expired(_))), "it is told, and not replaced");
    local.stop().await;
}
