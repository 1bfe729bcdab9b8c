//! Reads at real nodes, by how much they must show: at nodes that lag, at nodes that are cut off,
//! of ranges of many pages, and by readers that go away.

mod cluster;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::proto::log_client::LogClient;
use client::proto::read_request::Consistency as Asked;
use client::proto::{Linearizable, Local as Whatever, ReadRequest, Sequential, Stale};
use client::{CallError, Client, Code, Consistency, Entries, LEADER};
use cluster::{PATIENCE, client, until};
use paxos::{Limits, NodeId};
use server::Options;
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use server::transport::adversary::Faults;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::Status;

/// A node of each kind, and three votes.
const LAYOUT: Layout = Layout { leaders: 1, acceptors: 1, both: 2, learners: 1 };
const ACCEPTOR: NodeId = NodeId(2);
const LEARNER: NodeId = NodeId(5);
const READABLE: [NodeId; 4] = [NodeId(1), NodeId(3), NodeId(4), LEARNER];

const LINEARIZABLE: Asked = Asked::Linearizable(Linearizable {});

fn start(directory: &tempfile::TempDir, options: Options) -> Local {
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(250),
    };
    let storage = Storage::default();
    Local::start(LAYOUT, directory.path(), timing, storage, options).expect("a cluster")
}

fn address(local: &Local, node: NodeId) -> SocketAddr {
    local.address(node).expect("an address")
}

fn at(local: &Local, node: NodeId) -> Client {
    client(vec![address(local, node).to_string()])
}

async fn values(entries: Entries) -> Vec<(u64, Vec<u8>)> {
    let entries = entries.map(|entry| entry.expect("an entry"));
    entries.map(|entry| (entry.slot, entry.value.to_vec())).collect().await
}

/// One question to one node, asked once: how many values, or what it says instead.
async fn ask(address: SocketAddr, consistency: Asked) -> Result<usize, Status> {
    let mut log = LogClient::connect(format!("http://{address}")).await.expect("it listens");
    let consistency = Some(consistency);
    let request = ReadRequest { consistency, ..ReadRequest::default() };
    let mut responses = log.read(request).await?.into_inner();
    let mut count = 0;
    while let Some(response) = responses.next().await {
        count += response?.entries.len();
    }
    Ok(count)
}

/// Several at once.
async fn ask_all(
    address: SocketAddr,
    asked: impl IntoIterator<Item = Asked>,
) -> Vec<Result<usize, Status>> {
    let asked = asked.into_iter().map(|asked| ask(address, asked));
    asked.collect::<JoinSet<_>>().join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_read_at_every_node_at_once() {
    // Each message takes its own time, so learners fall behind what a client has heard.
    let faults = Faults {
        reorder: true,
        delay_max: Duration::from_millis(30),
        seed: Some(1),
        ..Faults::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options { faults, ..Options::default() });
    let writer = client(local.leader_endpoints());
    let readers = READABLE.map(|node| at(&local, node));
    for round in 0..40u32 {
        let value = round.to_le_bytes().to_vec();
        let slot = writer.append(value.clone()).await.expect("appended").slot;
        assert_eq!(writer.position(), slot + 1);
        let at_least = writer.position();
        let mut reads = JoinSet::new();
        for (node, reader) in READABLE.into_iter().zip(readers.clone()) {
            for consistency in [Consistency::Linearizable, Consistency::Sequential { at_least }] {
                let reader = reader.clone();
                reads.spawn(async move {
                    let entries = reader.read(consistency, slot, None, 0).await.expect("readable");
                    assert!(entries.read_below() > slot, "{node}, {consistency:?}");
                    (node, consistency, values(entries).await)
                });
            }
        }
        while let Some(read) = reads.join_next().await {
            let (node, consistency, found) = read.expect("no panic");
            assert_eq!(found, [(slot, value.clone())], "{node}, {consistency:?}, round {round}");
        }
        assert!(readers.iter().all(|reader| reader.position() > slot), "it has seen so much");
    }
    assert_eq!(local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_shows_what_it_knows_and_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options::default());
    let writer = client(local.leader_endpoints());
    let slot = writer.append("known").await.expect("appended").slot;
    // A leader that does not know that it is none, and a learner.
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let other = READABLE.into_iter().find(|node| ![leader, LEARNER].contains(node)).unwrap();
    for node in [leader, LEARNER] {
        at(&local, node).read(Consistency::Linearizable, 0, None, 0).await.expect("readable");
        local.running()[&node].switches().set_failed(true);
    }
    let later = at(&local, other);
    let missed = later.append("missed").await.expect("appended").slot;
    for node in [leader, LEARNER] {
        let stale = |max_age: Duration| {
            Asked::Stale(Stale { max_age_us: u64::try_from(max_age.as_micros()).unwrap() })
        };
        let sequential = |at_least| Asked::Sequential(Sequential { at_least });
        let address = address(&local, node);
        for enough in [Asked::Local(Whatever {}), stale(PATIENCE), sequential(slot + 1)] {
            assert_eq!(ask(address, enough).await.expect("an answer"), 1, "{node} {enough:?}");
        }
        let too_much = [LINEARIZABLE, stale(Duration::ZERO), sequential(missed + 1)];
        let started = Instant::now();
        let refused = ask_all(address, too_much).await;
        assert!(started.elapsed() >= Duration::from_secs(2), "it waits");
        for refused in refused {
            let refused = refused.expect_err("nobody can know");
            assert_eq!(refused.code(), Code::DeadlineExceeded, "{refused}");
            if let Some(hint) = refused.metadata().get(LEADER) {
                let hint = hint.to_str().expect("an address").parse().ok();
                assert!(local.configs().keys().any(|id| local.address(*id) == hint), "{hint:?}");
            }
        }
    }
    // What they refuse, others give: those that know nothing, and then one that does.
    let all = [ACCEPTOR, LEARNER, leader, other];
    let all = all.map(|node| address(&local, node).to_string());
    let read = client(all.to_vec()).read(Consistency::Linearizable, missed, None, 0).await;
    assert_eq!(values(read.expect("readable")).await, [(missed, b"missed".to_vec())]);
    for node in [leader, LEARNER] {
        local.running()[&node].switches().set_failed(false);
    }
    assert_eq!(local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptor_keeps_no_history() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options::default());
    for consistency in [Consistency::Local, Consistency::Linearizable] {
        let refused = at(&local, ACCEPTOR).read(consistency, 0, None, 0).await.err();
        assert!(matches!(refused, Some(CallError::NotLearning { .. })), "{refused:?}");
    }
    assert_eq!(local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequential_read_waits_for_its_slot() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options::default());
    let writer = client(local.leader_endpoints());
    let first = writer.append("first").await.expect("appended").slot;
    let at_least = first + 2;
    let reader = at(&local, LEARNER);
    let mut read = tokio::spawn(async move {
        let entries = reader.read(Consistency::Sequential { at_least }, first, None, 0).await;
        values(entries.expect("readable")).await
    });
    let beyond = Asked::Sequential(Sequential { at_least: u64::MAX });
    let refused = ask(address(&local, LEARNER), beyond).await.expect_err("there is no such slot");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let early = tokio::time::timeout(Duration::from_millis(300), &mut read).await;
    assert!(early.is_err(), "the slot is not chosen yet: {early:?}");
    let second = writer.append("second").await.expect("appended").slot;
    assert_eq!(second + 1, at_least);
    let found = read.await.expect("no panic");
    assert_eq!(found, [(first, b"first".to_vec()), (second, b"second".to_vec())]);
    assert_eq!(local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_of_many_pages_ends_where_its_first_one_says() {
    const VALUES: usize = 5000;
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, Options::default());
    let writer = client(local.leader_endpoints());
    let mut appends = JoinSet::new();
    for _ in 0..VALUES {
        let writer = writer.clone();
        appends.spawn(async move { writer.append("v").await.expect("appended").slot });
    }
    appends.join_all().await;
    let is_whole = |it: &server::Status| it.values == VALUES as u64;
    until(&local, LEARNER, "it learns", is_whole).await;
    // Deaf, so that all readers wait for one slot, and become ready in one turn.
    local.running()[&LEARNER].switches().set_failed(true);
    let last = writer.append("last").await.expect("appended").slot;
    let (stop, mut stopped) = tokio::sync::watch::channel(());
    let going_on = tokio::spawn(async move {
        while !stopped.has_changed().unwrap_or(true) {
            writer.append("more").await.expect("appended");
        }
        stopped.mark_unchanged();
    });
    let mut reads = JoinSet::new();
    // More first pages than one turn of a node has room for.
    for reader in 0..30u64 {
        let address = address(&local, LEARNER);
        reads.spawn(async move {
            let mut log =
                LogClient::connect(format!("http://{address}")).await.expect("it listens");
            let limit = if reader % 2 == 0 { 0 } else { 4500 };
            let consistency = Some(Asked::Sequential(Sequential { at_least: last + 1 }));
            let request = ReadRequest { limit, consistency, ..ReadRequest::default() };
            let mut responses = log.read(request).await.expect("readable").into_inner();
            let (mut slots, mut ends) = (Vec::new(), Vec::new());
            while let Some(response) = responses.next().await {
                let response = response.expect("a page");
                slots.extend(response.entries.iter().map(|entry| entry.slot));
                ends.push(response.read_below);
            }
            assert!(ends.len() > 1, "one page is no range of pages");
            assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
            assert!(ends[0] > last, "it shows all that was acknowledged");
            assert!(slots.is_sorted_by(|one, other| one < other));
            if limit == 0 {
                assert!(slots.iter().all(|slot| *slot < ends[0]), "it ends where it says");
                assert!(slots.contains(&last));
                assert!(slots.len() > VALUES);
            } else {
                assert_eq!(slots.len(), 4500);
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    local.running()[&LEARNER].switches().set_failed(false);
    reads.join_all().await;
    stop.send_replace(());
    going_on.await.expect("no panic");
    // An empty range says as well how far it looked.
    let none = at(&local, LEARNER).read(Consistency::Linearizable, 0, Some(0), 0).await;
    let none = none.expect("readable");
    assert!(none.read_below() > last);
    assert_eq!(values(none).await, []);
    assert_eq!(local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_reads_are_bounded_and_those_that_go_away_make_room() {
    const READS: usize = 4;
    let limits = Limits { reads_max: READS, ..Limits::default() };
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, Options { limits, ..Options::default() });
    client(local.leader_endpoints()).append("v").await.expect("appended");
    until(&local, LEARNER, "it learns", |it| it.values == 1).await;
    local.running()[&LEARNER].switches().set_failed(true);

    let learner = address(&local, LEARNER);
    let refused = ask_all(learner, [LINEARIZABLE; READS + 1]).await.into_iter();
    let codes = refused.map(|it| it.expect_err("it is cut off").code());
    let (late, busy): (Vec<_>, Vec<_>) = codes.partition(|code| *code == Code::DeadlineExceeded);
    assert_eq!((late.len(), &busy[..]), (READS, &[Code::ResourceExhausted][..]), "one too many");

    // Readers fill the node and go away one after the other, many times as many as it has room
    // for. Each makes room again, so at last everybody who stays is answered.
    for _ in 0..READS * 5 {
        let read = ask(learner, LINEARIZABLE);
        let left = tokio::time::timeout(Duration::from_millis(20), read).await;
        if let Ok(refused) = left {
            let refused = refused.expect_err("cut off");
            assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
        }
    }
    let local_read = ask(learner, Asked::Local(Whatever {})).await;
    assert_eq!(local_read.expect("who does not wait needs no room"), 1);
    local.running()[&LEARNER].switches().set_failed(false);
    let reader = at(&local, LEARNER);
    let entries = reader.read(Consistency::Linearizable, 0, None, 0).await.expect("room again");
    assert_eq!(values(entries).await.len(), 1);
    for read in ask_all(learner, [LINEARIZABLE; READS]).await {
        assert_eq!(read.expect("nobody holds a place"), 1);
    }

    // Who waits at a node that stops is told so.
    local.running()[&LEARNER].switches().set_failed(true);
    let waits = tokio::spawn(ask(learner, LINEARIZABLE));
    tokio::time::sleep(Duration::from_millis(50)).await;
    local.kill(LEARNER).await;
    let told = waits.await.expect("no panic").expect_err("it cannot know");
    assert_ne!(told.code(), Code::DeadlineExceeded, "{told}");
    assert_eq!(local.stop().await, [].into());
}
