//! `synod init journal`: the empty journal of a disk that has never had one.

use clap::Args;
use paxos::{ClusterId, DiskId};
use server::config::Role;
use server::data_dir;

use super::format::format_journal;
use crate::error::{CliError, Exit};
use crate::node_args::NodeArgs;
use crate::output::{Output, Report, Value};

/// Make the empty journal that a node's configuration names
///
/// For those who write configurations by a program: `synod init cluster` makes journals by itself.
/// Only for a disk id that is new: a journal that is made for the id of a lost one has forgotten
/// what it promised, and two values could be chosen for one slot. Never run it each time that a
/// node starts. Where the journal is there already, nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod init journal --config /etc/synod/synod.toml
  synod init journal --config cluster/synod.toml --id 2 --data-dir /var/lib/synod")]
pub(super) struct InitJournalArgs {
    #[command(flatten)]
    node: NodeArgs,
}

pub(super) fn run(args: &InitJournalArgs, output: &Output) -> Result<Exit, CliError> {
    let config = args.node.layers()?.resolve_offline()?.config;
    let (Some(data_dir), Some(disk)) = (&config.data_dir, config.own().disk) else {
        return Err(CliError::usage(format!("node {} has no disk", config.id)));
    };
    if !config.own().roles.contains(&Role::Acceptor) {
        return Err(CliError::usage(format!("node {} is no acceptor", config.id))
            .hint("a node that only leads or learns makes its files by itself"));
    }
    let is_there =
        data_dir::is_formatted(data_dir, ClusterId(config.cluster), config.id, DiskId(disk))?;
    if !is_there {
        format_journal(data_dir, config.cluster, config.id, disk)?;
    }
    output.show(Report::record(
        "synod.init.journal/1",
        vec![
            ("node", Value::Id(config.id.0.into())),
            ("data_dir", Value::Text(data_dir.display().to_string())),
            ("made", Value::Flag(!is_there)),
        ],
    ))
}
