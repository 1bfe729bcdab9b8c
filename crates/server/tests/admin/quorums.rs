//! Quorums of different sizes, with real nodes: a small phase 2 goes on when a majority is gone,
//! and a large phase 1 is what that costs.

use std::time::Duration;

use client::{Client, Options};
use paxos::{NodeId, Part};
use server::config::Quorums;
use server::local::{Layout, Way};
use tokio_stream::StreamExt as _;

use crate::cluster::{PATIENCE, client, until};
use crate::port::{changed, page_until};

/// Long enough for many campaigns: the election timeout is a quarter of a second.
const NOBODY_LEADS_FOR: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn two_of_five_choose_and_four_elect() {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout { leaders: 2, acceptors: 5, ..Layout::default() };
    let mut local = changed(Way::Udp, directory.path(), layout, |config| {
        config.quorums = Quorums { phase1: 4, phase2: 2 };
    });
    let (leader, _) = local.leader(PATIENCE).await.expect("five acceptors elect");
    let client = client(local.leader_endpoints());
    client.append(b"five".to_vec()).await.expect("chosen by five");

    // Three of five fail. Two are enough to choose, though no majority.
    for acceptor in [3, 4, 5] {
        local.kill(NodeId(acceptor)).await;
    }
    until(&local, leader, "two are left", |it| it.acceptors_reachable == 2).await;
    for number in 0..100u8 {
        client.append(vec![number]).await.expect("chosen by two");
    }
    let status = local.running()[&leader].status().await.expect("it runs");
    assert_eq!((status.part, status.acceptors_reachable), (Part::Leading, 2));
    let admin = local.running()[&leader].admin().expect("a port");
    page_until(admin, |page| {
        page.contains("\nsynod_acceptors_spare{phase=\"1\"} -2\n")
            && page.contains("\nsynod_acceptors_spare{phase=\"2\"} 0\n")
    })
    .await;

    // Without the leader, nobody is elected: two are not four.
    local.kill(leader).await;
    assert_eq!(local.leader(NOBODY_LEADS_FOR).await.map(|(id, _)| id), None);
    local.restart(NodeId(3)).expect("it starts");
    assert_eq!(local.leader(NOBODY_LEADS_FOR).await.map(|(id, _)| id), None, "nor are three");
    let hasty =
        Options { timeout: Duration::from_millis(500), ..Options::new(local.leader_endpoints()) };
    let hasty = Client::new(hasty).expect("a client");
    hasty.append(b"nobody".to_vec()).await.expect_err("nobody leads");

    // The fourth returns, and the standby leads, with everything that two had chosen.
    local.restart(NodeId(4)).expect("it starts");
    let (standby, _) = local.leader(PATIENCE).await.expect("four acceptors elect");
    assert_ne!(standby, leader);
    let last = client.append(b"four".to_vec()).await.expect("chosen again").slot;
    let entries = client.read(client::Consistency::Linearizable, 0, None, 0).await;
    let entries: Vec<_> = entries.expect("readable").collect().await;
    let entries = entries.into_iter().map(|entry| entry.expect("an entry"));
    let found: Vec<_> = entries.filter(|it| it.value.len() == 1 && it.slot < last).collect();
    assert!(found.iter().map(|it| it.value[0]).eq(0..100), "each once, in order: {found:?}");
    assert!(local.stop().await.is_empty());
}
