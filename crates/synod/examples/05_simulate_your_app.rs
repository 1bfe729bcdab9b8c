//! Your own state machine in a painted world: a good one passes, and one that counts with a hash
//! map's order does not.
//!
//! ```text
//! cargo run -p synod --example 05_simulate_your_app
//! ```

use std::collections::{BTreeMap, HashMap};
use std::error::Error;

use serde::{Deserialize, Serialize};
use synod::{Slot, StateMachine, sim};

/// Votes, as they should be counted.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Votes(BTreeMap<String, u64>);

/// The same, and the order of a hash map decides who is ahead where two are.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Careless(HashMap<String, u64>);

impl StateMachine for Votes {
    type Command = String;
    type Output = Option<String>;
    type Snapshot = Self;

    fn apply(&mut self, _slot: Slot, name: String) -> Option<String> {
        *self.0.entry(name).or_default() += 1;
        self.0.iter().max_by_key(|(_, votes)| **votes).map(|(name, _)| name.clone())
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

impl StateMachine for Careless {
    type Command = String;
    type Output = Option<String>;
    type Snapshot = Self;

    fn apply(&mut self, _slot: Slot, name: String) -> Option<String> {
        *self.0.entry(name).or_default() += 1;
        self.0.iter().max_by_key(|(_, votes)| **votes).map(|(name, _)| name.clone())
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vote = |rng: &mut sim::Rng| ["Ada", "Grace", "Barbara"][rng.index(3)].to_owned();
    let checked = sim::check(0..50, Votes::default, vote);
    println!("{} seeds, {} commands: nothing found", checked.seeds, checked.commands);
    match sim::try_check(0..50, Careless::default, vote) {
        Ok(_) => return Err("a hash map's order was not noticed".into()),
        Err(finding) => println!("found: {finding}"),
    }
    Ok(())
}
