//! Embedded nodes as an embedder sees them: from the first start to the last.

mod machines;

use std::time::Duration;

use machines::{Add, Counters, cluster, node};
use synod::storage::Memory;
use synod::transport::Network;
use synod::{Event, Node, Outcome, ProposeError, Read, Role, StartError, TransferError};
use tokio_stream::StreamExt as _;

fn add(key: &str, by: i64) -> Add {
    Add { key: key.into(), by }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_applies_and_answers() {
    let node = Node::builder(Counters::default())
        .id(1)
        .peers([(1, "alone")])
        .in_memory()
        .transport(Network::new())
        .start()
        .await
        .expect("it starts");
    let first = node.propose(add("visits", 2)).await.expect("it leads");
    let second = node.propose(add("visits", 3)).await.expect("it leads");
    assert_eq!((first.output, second.output), (2, 5));
    assert!(second.slot > first.slot);
    let keys = node.read(Read::Linearizable, |counters| counters.0.len()).await.unwrap();
    assert_eq!(keys, 1);
    let status = node.status().await.unwrap();
    assert_eq!((status.role, status.commands), (Role::Leading, 2));
    node.clone().shutdown().await.expect("in order");
    let error = node.propose(add("visits", 1)).await.expect_err("it has stopped");
    assert!(matches!(error, ProposeError::Stopped(_)), "{error}");
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_node_is_asked_each_command_is_applied_once() {
    let (nodes, _, _) = cluster(3).await;
    let mut proposals = Vec::new();
    for round in 0..300 {
        proposals.push(tokio::spawn(nodes[round % 3].propose(add("sum", 1))));
    }
    let mut seen: Vec<i64> = Vec::new();
    for proposal in proposals {
        seen.push(proposal.await.unwrap().expect("it is applied").output);
    }
    seen.sort_unstable();
    assert!(seen.iter().copied().eq(1..=300), "each sum is an answer, once");
    for node in &nodes {
        let sum = node.read(Read::Linearizable, |counters| counters.0["sum"]).await.unwrap();
        assert_eq!(sum, 300);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_answered_alike_however_often_it_asks_and_where() {
    let (nodes, _, _) = cluster(3).await;
    let session = nodes[0].session().await.expect("a quorum runs");
    let done = session.propose(1, add("once", 1)).await.unwrap();
    assert_eq!(session.propose(1, add("once", 1)).await.unwrap(), done);
    let elsewhere = nodes[2].resume(session.id());
    assert_eq!(elsewhere.propose(1, add("once", 1)).await.unwrap(), done, "by another process");
    assert_eq!(elsewhere.propose(2, add("once", 1)).await.unwrap().output, 2);
    elsewhere.keep_alive().await.expect("it is open");
    session.acknowledge(3);
    assert_eq!(session.propose(3, add("once", 1)).await.unwrap().output, 3);
    let answered = elsewhere.propose(1, add("once", 1)).await;
    assert_eq!(answered, Err(ProposeError::Answered));
    session.close().await.expect("it is open");
    let gone = elsewhere.propose(4, add("once", 1)).await;
    assert_eq!(gone, Err(ProposeError::SessionExpired));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_what_was_applied_and_goes_on() {
    let (nodes, _, _) = cluster(3).await;
    let log = nodes[1].log(synod::Slot(0));
    tokio::pin!(log);
    for by in 1..=5 {
        nodes[0].propose(add("log", by)).await.unwrap();
    }
    for by in 1..=5 {
        let entry = log.next().await.expect("it has no end").expect("all is held");
        assert_eq!(entry.command, add("log", by));
    }
    let next = nodes[2].propose(add("log", 6));
    assert_eq!(log.next().await.unwrap().unwrap().command.by, 6);
    next.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_leads_when_the_leader_stops_and_the_events_say_so() {
    let (mut nodes, _, _) = cluster(3).await;
    nodes[0].propose(add("before", 1)).await.unwrap();
    let leader = nodes[0].status().await.unwrap().leader.expect("it has answered");
    let at = nodes.iter().position(|node| node.id() == leader).unwrap();
    let leader = nodes.remove(at);
    let mut events = Vec::new();
    for node in &nodes {
        events.push(Box::pin(node.events()));
    }
    leader.shutdown().await.expect("in order");
    let done = nodes[0].propose(add("before", 1)).await.expect("two of three are a quorum");
    assert_eq!(done.output, 2);
    let new = nodes[0].status().await.unwrap().leader.expect("it has answered");
    let at = nodes.iter().position(|node| node.id() == new).unwrap();
    let gained =
        async { while !matches!(events[at].next().await, Some(Event::LeadershipGained { .. })) {} };
    tokio::time::timeout(Duration::from_secs(10), gained).await.expect("it was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over_when_it_is_asked_for() {
    let (nodes, _, _) = cluster(3).await;
    nodes[0].propose(add("x", 1)).await.unwrap();
    let leader = nodes[0].status().await.unwrap().leader.expect("it has answered");
    let (leads, others): (Vec<&Node<_>>, Vec<_>) =
        nodes.iter().partition(|node| node.id() == leader);
    let to = others[0].id();
    leads[0].transfer_leadership(to).await.expect("it is up to date");
    assert_eq!(others[0].status().await.unwrap().role, Role::Leading);
    let error = leads[0].transfer_leadership(leader).await.expect_err("it leads no more");
    assert!(matches!(error, TransferError::NotLeading { .. }), "{error}");
    assert_eq!(leads[0].propose(add("x", 1)).await.unwrap().output, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_starts_again_has_everything_and_one_that_lost_its_disk_does_not_vote() {
    let (mut nodes, network, mut disks) = cluster(3).await;
    for by in 1..=20 {
        nodes[0].propose(add("kept", by)).await.unwrap();
    }
    let last = nodes.remove(2);
    last.shutdown().await.expect("in order");
    let again = node(3, 3, &network, &disks[2]).start().await.expect("its disk is there");
    let sum = again.read(Read::Linearizable, |counters| counters.0["kept"]).await.unwrap();
    assert_eq!(sum, 210);
    again.shutdown().await.expect("in order");

    disks[2] = Memory::new();
    let lost = node(3, 3, &network, &disks[2]).start().await.expect_err("it is empty");
    assert!(matches!(lost, StartError::LostDirectory { .. }), "{lost}");
    // And again: that it was tried does not make it one of them.
    let lost = node(3, 3, &network, &disks[2]).start().await.expect_err("it is still empty");
    assert!(matches!(lost, StartError::LostDirectory { .. }), "{lost}");
    assert_eq!(nodes[0].propose(add("kept", 1)).await.unwrap().output, 211);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_votes_before_everybody_was_there() {
    let network = Network::new();
    let disks: Vec<Memory> = (0..3).map(|_| Memory::new()).collect();
    let mut first = tokio::spawn(node(1, 3, &network, &disks[0]).start());
    let second = tokio::spawn(node(2, 3, &network, &disks[1]).start());
    let early = tokio::time::timeout(Duration::from_millis(300), &mut first).await;
    assert!(early.is_err() && !second.is_finished(), "two of three could be a quorum");
    let third = node(3, 3, &network, &disks[2]).start().await.expect("all are there");
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    first.expect("all are there").propose(add("x", 1)).await.expect("they are a cluster");
    drop((second, third));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_nodes_all_stop_goes_on_from_their_disks() {
    let (nodes, network, disks) = cluster(3).await;
    nodes[0].propose(add("kept", 7)).await.unwrap();
    for node in nodes {
        node.shutdown().await.expect("in order");
    }
    let mut starts = Vec::new();
    for (id, disk) in (1..).zip(&disks) {
        starts.push(tokio::spawn(node(id, 3, &network, disk).start()));
    }
    let mut again = Vec::new();
    for start in starts {
        again.push(start.await.unwrap().expect("its disk is there"));
    }
    assert_eq!(again[1].propose(add("kept", 1)).await.unwrap().output, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_apply_stops_the_node_and_names_the_slot() {
    let network = Network::new();
    let node = Node::builder(machines::Panics).id(1).peers([(1, "alone")]).in_memory();
    let node = node.transport(network).start().await.expect("it starts");
    let slot = node.propose(0).await.expect("zero is harmless").slot;
    let error = node.propose(1).await.expect_err("one is not");
    let expected = format!("the state machine panicked in apply, in slot {}", slot.0 + 1);
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(error.to_string().contains("one is too many"), "{error}");
    assert!(node.stopped().await.reason().contains(&expected));
    let error = node.read(Read::Local, |_| ()).await.expect_err("it has stopped");
    assert!(error.to_string().contains(&expected), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_a_machine_do_not_mix() {
    let network = Network::new();
    let disk = Memory::new();
    let old = machines::versioned::<1>(1, 1, &network, &disk).start().await.expect("it starts");
    old.propose(5).await.unwrap();
    old.shutdown().await.unwrap();
    let error = machines::versioned::<2>(1, 1, &network, &disk).start().await.expect_err("older");
    assert!(matches!(error, StartError::Version { theirs: 1, ours: 2, .. }), "{error}");

    // Many times: who is heard before it has said anything once left the other one waiting.
    for _ in 0..30 {
        let disks = [Memory::new(), Memory::new()];
        let one = tokio::spawn(machines::versioned::<1>(1, 2, &network, &disks[0]).start());
        let two = tokio::spawn(machines::versioned::<2>(2, 2, &network, &disks[1]).start());
        let errors = [one.await.unwrap().map(drop), two.await.unwrap().map(drop)];
        let refuse =
            |error: &Result<(), StartError>| matches!(error, Err(StartError::PeerVersion { .. }));
        assert!(errors.iter().all(refuse), "{errors:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_what_a_late_node_begins_with() {
    let network = Network::new();
    let disks: Vec<Memory> = (0..3).map(|_| Memory::new()).collect();
    let small = |id| node(id, 3, &network, &disks[id as usize - 1]).snapshot_bytes(1 << 12);
    let starts: Vec<_> = (1..=3).map(|id| tokio::spawn(small(id).start())).collect();
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await.unwrap().expect("it starts"));
    }
    for by in 1..=500 {
        nodes[0].propose(add("snap", by)).await.unwrap();
    }
    let last = nodes.remove(2);
    last.shutdown().await.unwrap();
    let again = small(3).start().await.expect("its disk is there");
    let status = again.status().await.unwrap();
    assert!(status.snapshot > synod::Slot(0), "it began with a snapshot: {status:?}");
    assert_eq!(again.propose(add("snap", 0)).await.unwrap().output, 125_250);
    let log = again.log(synod::Slot(0));
    tokio::pin!(log);
    let gone = log.next().await.expect("an answer").expect_err("not before the snapshot");
    assert!(matches!(gone, synod::LogError::Gone { .. }), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_builder_says_what_is_missing() {
    let start = Node::builder(Counters::default()).id(1).peers([(1, "alone")]).start();
    let error = start.await.expect_err("nowhere to keep anything");
    assert!(matches!(error, StartError::NoDataDir), "{error}");
    let start = Node::builder(Counters::default()).peers([(1, "alone")]).in_memory().start();
    assert!(start.await.expect_err("who?").to_string().contains(".id("));
    let start = Node::builder(Counters::default()).id(2).peers([(1, "a")]).in_memory().start();
    assert!(start.await.expect_err("not a member").to_string().contains("node 2 is missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_has_no_bytes_is_not_proposed() {
    let (nodes, _, _) = cluster(1).await;
    let limit = synod::COMMAND_BYTES_MAX;
    let error = nodes[0].propose(add(&"x".repeat(limit + 1), 1)).await.expect_err("too large");
    assert!(matches!(error, ProposeError::TooLarge { .. }), "{error}");
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::NotApplied, false));
    let largest = "x".repeat(limit - 4);
    assert_eq!(nodes[0].propose(add(&largest, 1)).await.expect("it fits").output, 1);

    let poison = Node::builder(machines::Poison).id(1).peers([(1, "alone")]).in_memory();
    let poison = poison.transport(Network::new()).start().await.unwrap();
    let error = poison.propose(machines::Unreadable).await.expect_err("nobody could read it");
    assert!(matches!(error, ProposeError::Encode { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_it_is_said_what_is_known() {
    let network = Network::new();
    let disks: Vec<Memory> = (0..3).map(|_| Memory::new()).collect();
    let quick = |id| {
        let node = node(id, 3, &network, &disks[id as usize - 1]);
        node.timeout(Duration::from_millis(700))
    };
    let starts: Vec<_> = (1..=3).map(|id| tokio::spawn(quick(id).start())).collect();
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await.unwrap().expect("it starts"));
    }
    nodes[0].propose(add("x", 1)).await.unwrap();
    for node in nodes.drain(1..) {
        node.shutdown().await.unwrap();
    }
    let error = nodes[0].propose(add("x", 1)).await.expect_err("one of three");
    assert!(error.is_retryable(), "{error}");
    let error = nodes[0].read(Read::Linearizable, |_| ()).await.expect_err("one of three");
    assert!(matches!(error, synod::ReadError::Timeout { .. }), "{error}");
    assert_eq!(nodes[0].read(Read::Local, |counters| counters.0["x"]).await, Ok(1));
}
