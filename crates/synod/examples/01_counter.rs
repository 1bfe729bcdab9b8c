//! One node, one counter: the smallest thing that is agreed on. Kept in a directory, so it goes on
//! counting when it is started again.
//!
//! ```text
//! cargo run -p synod --example 01_counter -- /tmp/counter
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use serde::{Deserialize, Serialize};
use synod::{Node, Read, Slot, StateMachine};

#[derive(Clone, Default, Serialize, Deserialize)]
struct Counters(BTreeMap<String, i64>);

#[derive(Serialize, Deserialize)]
struct Add {
    key: String,
    by: i64,
}

impl StateMachine for Counters {
    type Command = Add;
    type Output = i64;
    type Snapshot = Self;

    fn apply(&mut self, _slot: Slot, add: Add) -> i64 {
        let n = self.0.entry(add.key).or_default();
        *n += add.by;
        *n
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).unwrap_or("counter".into());
    let node = Node::builder(Counters::default())
        .id(1)
        .peers([(1, "127.0.0.1:0")]) // Alone: nobody needs to find it.
        .data_dir(directory)
        .start()
        .await?;

    let done = node.propose(Add { key: "visits".into(), by: 1 }).await?;
    println!("slot {}, visits = {}", done.slot, done.output);

    let all = node.read(Read::Linearizable, |counters| counters.0.len()).await?;
    println!("{all} counter");
    node.shutdown().await?;
    Ok(())
}
