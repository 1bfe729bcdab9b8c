//! Machines and clusters for the tests of embedded nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use synod::storage::Memory;
use synod::transport::Network;
use synod::{Builder, Node, Slot, StateMachine};

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counters(pub BTreeMap<String, i64>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Add {
    pub key: String,
    pub by: i64,
}

impl StateMachine for Counters {
    type Command = Add;
    type Output = i64;
    type Snapshot = Self;

    fn apply(&mut self, _slot: Slot, command: Add) -> i64 {
        let n = self.0.entry(command.key).or_default();
        *n += command.by;
        *n
    }

    fn snapshot(&self) -> Self {
        self.clone()
    }

    fn restore(snapshot: Self) -> Self {
        snapshot
    }
}

/// Panics at one.
pub struct Panics;

impl StateMachine for Panics {
    type Command = u8;
    type Output = ();
    type Snapshot = ();

    fn apply(&mut self, _slot: Slot, command: u8) {
        assert!(command == 0, "one is too many");
    }

    fn snapshot(&self) {}

    fn restore((): ()) -> Self {
        Panics
    }
}

/// One machine in several versions.
pub struct Versioned<const V: u32>(u64);

impl<const V: u32> StateMachine for Versioned<V> {
    type Command = u64;
    type Output = u64;
    type Snapshot = u64;
    const VERSION: u32 = V;

    fn apply(&mut self, _slot: Slot, command: u64) -> u64 {
        self.0 += command;
        self.0
    }

    fn snapshot(&self) -> u64 {
        self.0
    }

    fn restore(snapshot: u64) -> Self {
        Versioned(snapshot)
    }
}

/// A machine whose commands can be written and not read.
pub struct Poison;

pub struct Unreadable;

impl Serialize for Unreadable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|_| Unreadable)
    }
}

impl StateMachine for Poison {
    type Command = Unreadable;
    type Output = ();
    type Snapshot = ();

    fn apply(&mut self, _slot: Slot, _command: Unreadable) {}

    fn snapshot(&self) {}

    fn restore((): ()) -> Self {
        Poison
    }
}

/// One of so many nodes.
pub fn node(id: u32, of: u32, network: &Network, disk: &Memory) -> Builder<Counters> {
    described(Node::builder(Counters::default()), id, of, network, disk)
}

pub fn versioned<const V: u32>(
    id: u32,
    of: u32,
    network: &Network,
    disk: &Memory,
) -> Builder<Versioned<V>> {
    described(Node::builder(Versioned(0)), id, of, network, disk)
}

fn described<S: StateMachine>(
    builder: Builder<S>,
    id: u32,
    of: u32,
    network: &Network,
    disk: &Memory,
) -> Builder<S> {
    let peers = (1..=of).map(|id| (id, "in memory"));
    builder.id(id).peers(peers).storage(disk.clone()).transport(network.clone())
}

/// So many nodes that run.
pub async fn cluster(of: u32) -> (Vec<Node<Counters>>, Network, Vec<Memory>) {
    let network = Network::new();
    let disks: Vec<Memory> = (0..of).map(|_| Memory::new()).collect();
    let mut starts = Vec::new();
    for (id, disk) in (1..).zip(&disks) {
        starts.push(tokio::spawn(node(id, of, &network, disk).start()));
    }
    let mut nodes = Vec::new();
    for start in starts {
        nodes.push(start.await.expect("no panic").expect("it starts"));
    }
    (nodes, network, disks)
}
