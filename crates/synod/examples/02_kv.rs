//! A key-value store whose errors are answers, a session that asks twice and counts once, and the
//! log as somebody who follows sees it.
//!
//! ```text
//! cargo run -p synod --example 02_kv
//! ```

use std::collections::BTreeMap;
use std::error::Error;

use serde::{Deserialize, Serialize};
use synod::{Node, Read, Slot, StateMachine};
use tokio_stream::StreamExt as _;

#[derive(Clone, Default, Serialize, Deserialize)]
struct Store(BTreeMap<String, String>);

#[derive(Debug, Serialize, Deserialize)]
enum Command {
    Put { key: String, value: String },
    Swap { key: String, from: String, to: String },
}

/// Part of the output: to the log, a swap that does not fit is as good as any other command.
#[derive(Debug, Serialize, Deserialize)]
struct Mismatch {
    found: Option<String>,
}

impl StateMachine for Store {
    type Command = Command;
    type Output = Result<(), Mismatch>;
    type Snapshot = Self;

    fn apply(&mut self, _slot: Slot, command: Command) -> Result<(), Mismatch> {
        match command {
            Command::Put { key, value } => {
                self.0.insert(key, value);
            }
            Command::Swap { key, from, to } => match self.0.get_mut(&key) {
                Some(value) if *value == from => *value = to,
                other => return Err(Mismatch { found: other.cloned() }),
            },
        }
        Ok(())
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
    let alone = [(1, "127.0.0.1:0")];
    let node = Node::builder(Store::default()).id(1).peers(alone).in_memory().start().await?;
    let (key, value) = ("colour".to_owned(), "red".to_owned());
    node.propose(Command::Put { key: key.clone(), value }).await?;

    let swap = |from: &str, to: &str| {
        let (from, to) = (from.to_owned(), to.to_owned());
        Command::Swap { key: "colour".into(), from, to }
    };
    let refused = node.propose(swap("green", "blue")).await?.output;
    println!("{refused:?}");

    // Whoever is not sure whether it was answered asks again under the same sequence.
    let session = node.session().await?;
    let first = session.propose(1, swap("red", "blue")).await?;
    let again = session.propose(1, swap("red", "blue")).await?;
    println!("swapped once: {}", first.slot == again.slot && again.output.is_ok());

    let colour = node.read(Read::Linearizable, move |store| store.0[&key].clone()).await?;
    println!("colour = {colour}");

    let log = node.log(Slot(0)).take(3).collect::<Vec<_>>().await;
    for entry in log {
        let entry = entry?;
        println!("slot {}: {:?}", entry.slot, entry.command);
    }
    node.shutdown().await?;
    Ok(())
}
