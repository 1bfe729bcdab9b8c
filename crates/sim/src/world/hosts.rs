//! All machines, each found by its node's number without a search: they are numbered from one.

use std::ops::{Index, IndexMut};

use paxos::{Config, Configuration, Limits, NodeId, Rng, Timing};

use crate::broken::Broken;
use crate::host::Host;
use crate::shape::Shape;
use crate::walk::Options;

/// Every member's machine, in the order of their numbers.
#[derive(Debug)]
pub struct Hosts(Vec<Host>);

impl Hosts {
    /// The machines of nodes 1, 2, 3 and so on.
    fn new(hosts: Vec<Host>) -> Hosts {
        let numbered = (1..).zip(&hosts).all(|(number, host)| host.id() == NodeId(number));
        assert!(numbered, "a shape numbers its members from one");
        Hosts(hosts)
    }

    /// The machines that the options ask for, all of them down.
    pub fn of(options: &Options, configuration: &Configuration, rng: &mut Rng) -> Hosts {
        let apart = Shape { quorums: Some((2, 4)), ..options.shape.clone() };
        let other = Shape { quorums: Some((4, 2)), ..options.shape.clone() };
        let mut host = |id: &NodeId| {
            let configuration = match options.broken {
                Some(Broken::QuorumsApart) => {
                    let shape = if id.0.is_multiple_of(2) { &apart } else { &other };
                    shape.configuration().unwrap_or_else(|_| configuration.clone())
                }
                _ => configuration.clone(),
            };
            let config = Config {
                node: *id,
                incarnation: paxos::Incarnation(0),
                configuration,
                timing: Timing::default(),
                limits: Limits { retained_bytes_max: options.retained_bytes, ..options.limits },
                announce: options.announce,
            };
            Host::new(config, options.snapshot_every_bytes, rng)
        };
        Hosts::new(configuration.members().keys().map(&mut host).collect())
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
