//! Which clusters are walked over: roles, quorums, and who never starts.

use std::collections::{BTreeMap, BTreeSet};

use paxos::{
    ClusterId, Configuration, ConfigurationError, DiskId, Epoch, Member, NodeId, Phase1, Phase2,
    Roles,
};
use serde::{Deserialize, Serialize};

/// Every disk that nobody has replaced.
const DISK: DiskId = DiskId([7; 16]);

/// The members of a cluster, by number and role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Nodes that are both leader and acceptor.
    pub all_in_one: u32,
    /// Nodes that only lead.
    pub leaders: u32,
    /// Nodes that only remember.
    pub acceptors: u32,
    /// Nodes that only follow.
    pub learners: u32,
    /// Nodes that only follow, and keep snapshots on a disk.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub keepers: u32,
    /// Sizes of both quorums; majorities if none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorums: Option<(usize, usize)>,
    /// Acceptors that never start.
    pub failed: u32,
}

impl Shape {
    /// Nobody.
    pub const EMPTY: Shape = Shape {
        all_in_one: 0,
        leaders: 0,
        acceptors: 0,
        learners: 0,
        keepers: 0,
        quorums: None,
        failed: 0,
    };

    /// The shapes that a walk draws from. The first is the ancestor's.
    pub fn all() -> Vec<Shape> {
        let of = |leaders, acceptors| Shape { leaders, acceptors, ..Shape::EMPTY };
        vec![
            of(2, 5),
            Shape { failed: 1, ..of(2, 5) },
            Shape { failed: 2, ..of(2, 5) },
            of(1, 3),
            Shape { failed: 1, ..of(1, 3) },
            of(3, 3),
            Shape { all_in_one: 3, ..Shape::EMPTY },
            Shape { all_in_one: 3, learners: 1, ..Shape::EMPTY },
            Shape { learners: 1, ..of(2, 3) },
            Shape { keepers: 2, ..of(2, 3) },
            Shape { keepers: 2, quorums: Some((4, 2)), ..of(2, 5) },
            Shape { keepers: 3, learners: 1, failed: 1, ..of(1, 3) },
            Shape { quorums: Some((4, 2)), ..of(2, 5) },
            Shape { quorums: Some((4, 2)), failed: 1, ..of(2, 5) },
            Shape { quorums: Some((2, 3)), ..of(2, 4) },
        ]
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> u32 {
        let Shape { all_in_one, leaders, acceptors, learners, keepers, .. } = self;
        let each = [all_in_one, leaders, acceptors, learners, keepers];
        each.into_iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The configuration that every node is told.
    pub fn configuration(&self) -> Result<Configuration, ConfigurationError> {
        let roles = |leader, acceptor, learner| Roles { leader, acceptor, learner };
        let follows = roles(false, false, true);
        let each = [
            (self.all_in_one, roles(true, true, false), true),
            (self.leaders, roles(true, false, false), false),
            (self.acceptors, roles(false, true, false), true),
            (self.learners, follows, false),
            (self.keepers, follows, true),
        ];
        let all = each.into_iter();
        let all = all.flat_map(|(count, roles, disk)| (0..count).map(move |_| (roles, disk)));
        let members: BTreeMap<NodeId, Member> = (1..)
            .zip(all)
            .map(|(id, (roles, has_disk))| {
                let disk = has_disk.then_some(DISK);
                (NodeId(id), Member { roles, disk })
            })
            .collect();
        let cluster = ClusterId([3; 16]);
        match self.quorums {
            None => Configuration::majority(cluster, members),
            Some((phase1, phase2)) => Configuration::flexible(cluster, members, phase1, phase2),
        }
    }

    /// The nodes that never start: the last acceptors.
    pub fn never_starting(&self, configuration: &Configuration) -> BTreeSet<NodeId> {
        let failed = usize::try_from(self.failed).expect("a few nodes");
        configuration.acceptors().iter().rev().take(failed).copied().collect()
    }
}

/// The configuration that follows this one if an acceptor gets another disk.
///
/// # Panics
/// If it is no member.
pub fn replaced(configuration: &Configuration, acceptor: NodeId) -> Configuration {
    let epoch = Epoch(configuration.epoch().0 + 1);
    let mut members = configuration.members().clone();
    let mut disk = DISK.0;
    disk[..8].copy_from_slice(&epoch.0.to_le_bytes());
    members.get_mut(&acceptor).expect("a member's disk").disk = Some(DiskId(disk));
    let [phase1, phase2] =
        [configuration.quorum_size::<Phase1>(), configuration.quorum_size::<Phase2>()];
    let next = Configuration::flexible(configuration.cluster(), members, phase1, phase2);
    next.expect("nothing but a disk has changed").with_epoch(epoch)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
