//! The one place where `init` meets the server: an acceptor's empty journal.

use std::path::Path;

use paxos::{ClusterId, DiskId, NodeId};
use server::data_dir;

use crate::error::CliError;

/// Makes the journal of an acceptor. Its identity is what lets the acceptor vote later.
pub(super) fn format_journal(
    path: &Path,
    cluster: [u8; 16],
    node: NodeId,
    disk: [u8; 16],
) -> Result<(), CliError> {
    std::fs::create_dir_all(path).map_err(|error| CliError::file("create", path, &error))?;
    Ok(data_dir::format(path, ClusterId(cluster), node, DiskId(disk))?)
}
