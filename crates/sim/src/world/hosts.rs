//! All machines, each found by its node's number without a search: they are numbered from one.

use std::ops::{Index, IndexMut};

use paxos::NodeId;

use crate::host::Host;

/// Every member's machine, in the order of their numbers.
#[derive(Debug)]
pub struct Hosts(Vec<Host>);

impl Hosts {
    /// The machines of nodes 1, 2, 3 and so on.
    pub fn new(hosts: Vec<Host>) -> Hosts {
        let numbered = (1..).zip(&hosts).all(|(number, host)| host.id() == NodeId(number));
        assert!(numbered, "a shape numbers its members from one");
        Hosts(hosts)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (1..).map(NodeId).take(self.0.len())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Host> {
        self.0.iter()
    }
}

fn place(id: NodeId) -> usize {
    usize::try_from(id.0).expect("a few nodes") - 1
}

impl Index<NodeId> for Hosts {
    type Output = Host;

    fn index(&self, id: NodeId) -> &Host {
        &self.0[place(id)]
    }
}

impl IndexMut<NodeId> for Hosts {
    fn index_mut(&mut self, id: NodeId) -> &mut Host {
        &mut self.0[place(id)]
    }
}
