//! Leadership handed over on purpose, in whole clusters in this process.

mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use client::{CallError, Client, Code};
use cluster::{PATIENCE, client, until};
use paxos::{HandOverRefusal, NodeId, Part};
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use server::{End, Options};
use tokio::task::JoinSet;

const APART: Layout = Layout { leaders: 3, acceptors: 3, both: 0, learners: 0 };

fn start(directory: &tempfile::TempDir, layout: Layout) -> Local {
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(250),
    };
    let (storage, options) = (Storage::default(), Options::default());
    Local::start(layout, directory.path(), timing, storage, options).expect("a cluster")
}

/// Clients that append all the time, each one value after the other.
struct Load {
    ends: Arc<AtomicBool>,
    appends: JoinSet<Vec<(Instant, u64)>>,
}

impl Load {
    fn begin(client: &Client) -> Load {
        let ends = Arc::new(AtomicBool::new(false));
        let mut appends = JoinSet::new();
        for _ in 0..16 {
            let (client, ends) = (client.clone(), ends.clone());
            appends.spawn(async move {
                let mut done = Vec::new();
                while !ends.load(Ordering::Relaxed) {
                    let slot = client.append("value").await.expect("no append fails").slot;
                    done.push((Instant::now(), slot));
                }
                done
            });
        }
        Load { ends, appends }
    }

    /// How many were appended; prints the longest time in which none was.
    async fn end(self) -> usize {
        self.ends.store(true, Ordering::Relaxed);
        let mut done: Vec<(Instant, u64)> = self.appends.join_all().await.concat();
        done.sort_unstable();
        let gap = done.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
        println!("{} appends, at most {gap:?} between two", done.len());
        let slots: BTreeSet<u64> = done.iter().map(|(_, slot)| *slot).collect();
        assert_eq!(slots.len(), done.len(), "two values in one slot");
        done.len()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_moves_while_clients_append() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, APART);
    let (mut leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    client.append("first").await.expect("appended");
    let load = Load::begin(&client);
    for round in 0..6 {
        let next = NodeId(leader.0 % 3 + 1);
        // The others have followed the last one for a moment.
        for other in (1..=3).map(NodeId).filter(|other| *other != leader) {
            until(&local, other, "it follows", |it| it.leader == Some(leader)).await;
        }
        let to = (round % 2 == 0).then_some(next);
        let ballot = local.running()[&leader].hand_over(to).await.expect("it runs").expect("done");
        assert!(ballot.leader != leader && to.is_none_or(|to| ballot.leader == to));
        let status = local.running()[&leader].status().await.expect("it runs");
        assert_eq!((status.part, status.leader), (Part::Following, Some(ballot.leader)));
        leader = ballot.leader;
        client.append("it goes on").await.expect("appended");
    }
    assert!(load.end().await > 0);
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_hands_over_first_and_answers_what_is_under_way() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, APART);
    let (leader, before) = local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    client.append("first").await.expect("appended");
    for other in (1..=3).map(NodeId).filter(|other| *other != leader) {
        until(&local, other, "it follows", |it| it.leader == Some(leader)).await;
    }
    let load = Load::begin(&client);
    client.append("under load").await.expect("appended");
    assert_eq!(local.leave(leader).await, Some(End::Stopped));
    let (next, after) = local.leader(PATIENCE).await.expect("another one leads");
    assert!(next != leader && after.ballot > before.ballot);
    let endpoint = local.address(next).expect("an address").to_string();
    let counters = client.status(&endpoint).await.expect("it runs").counters;
    assert_eq!(counters.get("takes_over"), Some(&1), "it was told to: {counters:?}");
    client.append("it goes on").await.expect("appended");
    load.end().await;
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_over_from_the_only_leader_and_it_stops_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout { leaders: 1, acceptors: 3, both: 0, learners: 0 };
    let mut local = start(&directory, layout);
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    let load = Load::begin(&client);
    client.append("under load").await.expect("appended");
    let outcome = local.running()[&leader].hand_over(None).await;
    assert_eq!(outcome, Some(Err(HandOverRefusal::NobodyReady)));
    client.append("it goes on").await.expect("appended");
    load.end().await;
    let began = Instant::now();
    assert_eq!(local.leave(leader).await, Some(End::Stopped));
    assert!(began.elapsed() < local.configs()[&leader].shutdown_timeout, "nobody is waited for");
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_answer_what_is_under_way_stops_in_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut local = start(&directory, APART);
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let endpoint = local.address(leader).expect("an address").to_string();
    let client = client(vec![endpoint]);
    client.append("first").await.expect("appended");
    for acceptor in [4, 5, 6] {
        local.kill(NodeId(acceptor)).await;
    }
    let hangs = tokio::spawn({
        let client = client.clone();
        async move { client.append("nobody votes").await }
    });
    until(&local, leader, "a value is in flight", |it| it.in_flight > 0).await;
    let began = Instant::now();
    assert_eq!(local.leave_within(leader, Duration::from_millis(600)).await, Some(End::Stopped));
    let took = began.elapsed();
    // The second beside it is what streams of clients may take to end.
    assert!(took < Duration::from_millis(600 + 1_500), "{took:?}");
    hangs.abort();
    assert_eq!(local.stop().await, BTreeMap::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_is_told_who_leads_or_why_not() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory, APART);
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let client = client(local.leader_endpoints());
    client.append("first").await.expect("appended");
    let next = NodeId(leader.0 % 3 + 1);
    until(&local, next, "it follows", |it| it.leader == Some(leader)).await;
    let address = |node: NodeId| local.address(node).expect("an address").to_string();
    let refused = |answer| match answer {
        Err(CallError::Failed { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    let wrong = client.transfer_leader(&address(next), None).await;
    assert_eq!(refused(wrong), Code::FailedPrecondition);
    for nobody in [4, 99] {
        let wrong = client.transfer_leader(&address(leader), Some(nobody)).await;
        assert_eq!(refused(wrong), Code::InvalidArgument);
    }
    let moved = client.transfer_leader(&address(leader), Some(next.0)).await.expect("done");
    let told = moved.leader.expect("somebody leads");
    assert_eq!((told.node, told.address), (next.0, address(next)));
    assert_eq!(local.stop().await, BTreeMap::new());
}
