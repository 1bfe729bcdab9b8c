//! Three nodes in one process, over real sockets, each with a directory of its own. Whichever is
//! asked, a command is applied once everywhere; the one that leads is stopped, and it goes on.
//!
//! ```text
//! cargo run -p synod --example 03_three_nodes
//! ```

use std::error::Error;
use std::net::UdpSocket;

use synod::{Node, Read, Slot, StateMachine};

/// A sum.
#[derive(Default)]
struct Sum(u64);

impl StateMachine for Sum {
    type Command = u64;
    type Output = u64;
    type Snapshot = u64;

    fn apply(&mut self, _slot: Slot, command: u64) -> u64 {
        self.0 += command;
        self.0
    }

    fn snapshot(&self) -> u64 {
        self.0
    }

    fn restore(snapshot: u64) -> Self {
        Sum(snapshot)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Ports that are free; a real cluster has addresses that are known.
    let sockets: Vec<UdpSocket> =
        (0..3).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<Result<_, _>>()?;
    let mut peers = Vec::new();
    for (id, socket) in (1..).zip(&sockets) {
        peers.push((id, socket.local_addr()?.to_string()));
    }
    drop(sockets);

    // The first time they wait for each other, so they are started side by side.
    let directory = tempfile::tempdir()?;
    let mut starts = Vec::new();
    for id in 1..=3 {
        let node = Node::builder(Sum::default())
            .id(id)
            .peers(peers.clone())
            .data_dir(directory.path().join(format!("node-{id}")));
        starts.push(tokio::spawn(node.start()));
    }
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await??);
    }

    for (node, by) in nodes.iter().zip([1, 2, 3]) {
        let done = node.propose(by).await?;
        println!("node {}: sum = {}", node.id(), done.output);
    }

    let leader = nodes[0].status().await?.leader;
    let at = nodes.iter().position(|node| Some(node.id()) == leader).unwrap_or(0);
    let stopped = nodes.remove(at);
    stopped.shutdown().await?;
    println!("the leader has stopped");

    let done = nodes[0].propose(4).await?;
    println!("sum = {}", done.output);
    let seen = nodes[1].read(Read::Linearizable, |sum| sum.0).await?;
    println!("the other one reads {seen}");
    for node in nodes {
        node.shutdown().await?;
    }
    Ok(())
}
