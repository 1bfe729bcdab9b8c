//! The layouts of docs/layouts.md: each failure that it says a layout survives, and each that it
//! says ends service, on real nodes.

mod cluster;

use std::time::Duration;

use client::{CallError, Client, Consistency, Options as ClientOptions, Outcome};
use cluster::{PATIENCE, client, until};
use paxos::NodeId;
use server::Options;
use server::config::{Storage, Timing};
use server::local::{Layout, Local};
use tokio_stream::StreamExt;

/// Long enough for an election, were one possible: nothing may be acknowledged within.
const NO_QUORUM: Duration = Duration::from_secs(2);

/// A layout at work: what was acknowledged so far is asked for after each failure.
struct Running {
    local: Local,
    acknowledged: Vec<u64>,
    _directory: tempfile::TempDir,
}

impl Running {
    fn start(layout: Layout) -> Running {
        let directory = tempfile::tempdir().expect("a directory");
        let timing = Timing {
            heartbeat: Duration::from_millis(50),
            election_timeout: Duration::from_millis(250),
        };
        let (storage, options) = (Storage::default(), Options::default());
        let local =
            Local::start(layout, directory.path(), timing, storage, options).expect("a cluster");
        Running { local, acknowledged: Vec::new(), _directory: directory }
    }

    async fn leader(&self) -> NodeId {
        self.local.leader(PATIENCE).await.expect("a leader").0
    }

    /// It serves: a value is chosen, and nothing that was acknowledged is missing.
    async fn serves(&mut self) {
        let client = client(self.local.leader_endpoints());
        self.acknowledged.push(client.append("a value").await.expect("appended").slot);
        self.shows_all(&client, Consistency::Linearizable).await;
    }

    /// Nothing that was acknowledged is missing there. There may be more: what a client gave up.
    async fn shows_all(&self, client: &Client, consistency: Consistency) {
        let found = slots(client, consistency).await;
        let missing = self.acknowledged.iter().find(|slot| !found.contains(slot));
        assert_eq!(missing, None, "{found:?}");
    }

    /// It does not serve: nothing is acknowledged, and nothing is said that is not known.
    async fn stands_still(&self) {
        let client = hasty(self.local.leader_endpoints());
        let error = client.append("a value too many").await.expect_err("no quorum");
        assert!(matches!(error.outcome(), Outcome::NotApplied | Outcome::Unknown), "{error}");
        client.read(Consistency::Linearizable, 0, None, 0).await.expect_err("nobody confirms it");
    }

    async fn kill(&mut self, nodes: &[u32]) {
        for node in nodes {
            self.local.kill(NodeId(*node)).await;
        }
    }

    fn restart(&mut self, nodes: &[u32]) {
        for node in nodes {
            self.local.restart(NodeId(*node)).expect("it starts again");
        }
    }

    fn address(&self, node: u32) -> Vec<String> {
        vec![self.local.address(NodeId(node)).expect("an address").to_string()]
    }
}

/// A client that does not wait for better times.
fn hasty(endpoints: Vec<String>) -> Client {
    let options = ClientOptions { timeout: NO_QUORUM, ..ClientOptions::new(endpoints) };
    Client::new(options).expect("a client")
}

async fn slots(client: &Client, consistency: Consistency) -> Vec<u64> {
    let entries = client.read(consistency, 0, None, 0).await.expect("readable");
    entries.map(|entry| entry.expect("an entry").slot).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn three_that_do_everything_survive_any_one() {
    let mut it = Running::start(Layout { both: 3, ..Layout::default() });
    let leader = it.leader().await.0;
    it.serves().await;
    for node in [leader, leader % 3 + 1] {
        it.kill(&[node]).await;
        it.serves().await;
        it.restart(&[node]);
    }
    it.kill(&[1, 2]).await;
    it.stands_still().await;
    it.restart(&[2]);
    it.serves().await;
    assert_eq!(it.local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_leaders_and_three_acceptors_survive_one_of_each() {
    let mut it = Running::start(Layout { leaders: 2, acceptors: 3, ..Layout::default() });
    let leader = it.leader().await.0;
    it.serves().await;
    it.kill(&[leader, 5]).await;
    it.serves().await;
    // A leader owns nothing: it comes back empty, and learns.
    it.restart(&[leader]);
    until(&it.local, NodeId(leader), "it learns", |status| status.values >= 2).await;
    it.kill(&[4]).await;
    it.stands_still().await;
    it.restart(&[4]);
    it.serves().await;
    assert_eq!(it.local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_sites_and_a_witness_survive_any_site() {
    const WITNESS: u32 = 1;
    let mut it = Running::start(Layout { acceptors: 1, both: 2, ..Layout::default() });
    let leader = it.leader().await.0;
    it.serves().await;
    // The site that leads is lost; what it has acknowledged is at the other, or learned from the
    // witness.
    it.kill(&[leader]).await;
    it.serves().await;
    it.restart(&[leader]);
    until(&it.local, NodeId(leader), "it has all again", |status| status.values >= 2).await;
    it.kill(&[WITNESS]).await;
    it.serves().await;
    it.kill(&[leader]).await;
    it.stands_still().await;
    it.restart(&[WITNESS]);
    it.serves().await;
    // The witness votes, and knows nothing of what the values mean.
    let status =
        until(&it.local, NodeId(WITNESS), "it has voted", |it| it.promised.is_some()).await;
    assert_eq!((status.values, status.applied.0), (0, 0), "it has no state machine");
    let read = hasty(it.address(WITNESS)).read(Consistency::Local, 0, None, 0).await;
    assert!(matches!(read, Err(CallError::NotLearning { .. })), "{:?}", read.err());
    assert_eq!(it.local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn read_replicas_serve_reads_and_carry_nothing() {
    const REPLICAS: [u32; 2] = [4, 5];
    let mut it = Running::start(Layout { both: 3, learners: 2, ..Layout::default() });
    it.serves().await;
    for replica in REPLICAS {
        it.shows_all(&client(it.address(replica)), Consistency::Linearizable).await;
    }
    it.kill(&REPLICAS).await;
    it.serves().await;
    it.restart(&REPLICAS);
    for replica in REPLICAS {
        it.shows_all(&client(it.address(replica)), Consistency::Linearizable).await;
    }
    // Without a quorum they show what they know, to who asks for no more.
    it.kill(&[1, 2]).await;
    it.stands_still().await;
    it.shows_all(&client(it.address(4)), Consistency::Local).await;
    let read = hasty(it.address(4)).read(Consistency::Linearizable, 0, None, 0).await;
    read.expect_err("nobody confirms it");
    assert_eq!(it.local.stop().await, [].into());
}
