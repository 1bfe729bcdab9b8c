//! What tests of whole clusters share: a client that is in no hurry, and waiting for a node.

use std::time::{Duration, Instant};

use client::{Client, Options};
use paxos::NodeId;
use server::Status;
use server::local::Local;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a node: its threads run on their own, and tell nobody when they get there.
const LOOK: Duration = Duration::from_millis(2);

pub fn client(endpoints: Vec<String>) -> Client {
    let options = Options { timeout: PATIENCE, ..Options::new(endpoints) };
    Client::new(options).expect("a client")
}

/// Waits until a node is as it should be.
pub async fn until(
    local: &Local,
    node: NodeId,
    what: &str,
    is_so: impl Fn(&Status) -> bool,
) -> Status {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = local.running()[&node].status().await.expect("it runs");
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "node {node}: {what}: {status:?}");
        tokio::time::sleep(LOOK).await;
    }
}
