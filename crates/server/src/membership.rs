//! From the file that an operator wrote to the configuration that the protocol checks.

use paxos::{ClusterId, Configuration, ConfigurationError, DiskId, Epoch, Member, Roles};

use crate::config::{Config, Role};

/// The protocol's view of a configuration file.
pub fn configuration(config: &Config) -> Result<Configuration, ConfigurationError> {
    let member = |node: &crate::config::Node| {
        let roles = Roles {
            leader: node.roles.contains(&Role::Leader),
            acceptor: node.roles.contains(&Role::Acceptor),
            learner: node.roles.contains(&Role::Learner),
        };
        (node.id, Member { roles, disk: node.disk.map(DiskId) })
    };
    let size = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
    let configuration = Configuration::flexible(
        cluster_id(config),
        config.nodes.iter().map(member).collect(),
        size(config.quorums.phase1),
        size(config.quorums.phase2),
    )?;
    if config.epoch > 0 {
        configuration.bears_replacement()?;
    }
    Ok(configuration.with_epoch(Epoch(config.epoch)))
}

/// The cluster's name.
pub fn cluster_id(config: &Config) -> ClusterId {
    ClusterId(config.cluster)
}
