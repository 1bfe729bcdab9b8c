//! The cluster that inputs are addressed to.

use std::collections::BTreeMap;

use paxos::{ClusterId, Configuration, DiskId, Member, NodeId, Roles};

pub(crate) const CLUSTER: ClusterId = ClusterId([0xcc; 16]);

/// Two leaders, three acceptors, a learner, and one that is everything.
pub(crate) fn configuration() -> Configuration {
    let member = |id: u32| {
        let roles = Roles {
            leader: id <= 2 || id == 7,
            acceptor: (3..=5).contains(&id) || id == 7,
            learner: id >= 6,
        };
        (NodeId(id), Member { roles, disk: roles.acceptor.then_some(DiskId([0xdd; 16])) })
    };
    let members: BTreeMap<NodeId, Member> = (1..=7).map(member).collect();
    Configuration::majority(CLUSTER, members).expect("the members are well chosen")
}
