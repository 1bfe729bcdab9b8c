//! The one place where `serve` meets the server: from a configuration to an exit code.

use std::time::Duration;

use server::config::Config;
use server::{End, Options, Server, Sockets};

use super::reload::Reloader;
use super::{notify, signals};
use crate::error::{CliError, Exit};

/// How often a node is asked whether it still runs.
const POLL: Duration = Duration::from_millis(100);

const KEEP_EVIDENCE: &str = "stop every node and keep all data directories: they hold the evidence";

/// Runs until a signal, then ends gracefully; or until the node ends by itself.
pub(super) async fn run_server(
    config: Config,
    dev: bool,
    reloader: Reloader,
) -> Result<Exit, CliError> {
    let sockets = Sockets::bind(&config)?;
    let patience = config.shutdown_timeout;
    let commit = super::super::version::COMMIT.unwrap_or_default();
    let server = Server::start(config, sockets, Options { dev, commit, ..Options::default() })?;
    // The journal is read, and it listens.
    notify::ready();
    tokio::select! {
        () = signals::first() => {
            notify::stopping();
            verdict(server.leave(patience).await)
        }
        () = ended(&server) => {
            notify::stopping();
            verdict(server.stop().await)
        }
        never = signals::attend(&server, reloader) => match never? {},
        never = notify::keep(&server) => match never {},
    }
}

async fn ended(server: &Server) {
    while !server.has_ended() {
        tokio::time::sleep(POLL).await;
    }
}

fn verdict(end: End) -> Result<Exit, CliError> {
    match end {
        End::Stopped => Ok(Exit::Done),
        End::Disk(why) => {
            Err(CliError::new("disk", Exit::Failed, format!("the disk failed: {why}"))
                .hint("the node has stopped before saying anything that is not on the disk"))
        }
        End::Conflict(slot) => {
            let message = format!("two values were chosen for slot {slot}: agreement is broken");
            Err(CliError::new("conflict", Exit::Violation, message).hint(KEEP_EVIDENCE))
        }
        End::Diverged { from, below, ours, theirs } => {
            let message = format!(
                "node {from} holds another history below slot {below}, with the digest {theirs} \
                 and not {ours}: agreement is broken"
            );
            Err(CliError::new("diverged", Exit::Violation, message).hint(KEEP_EVIDENCE))
        }
        End::Panicked => Err(CliError::new("bug", Exit::Failed, "an assertion of the node failed")
            .hint("this is a bug of Synod; the log says which assertion it was")),
    }
}

#[cfg(test)]
mod tests {
    use paxos::{Digest, NodeId, Slot};

    use super::*;

    #[test]
    fn each_end_has_its_exit_code() {
        let exit = |end| verdict(end).unwrap_or_else(|error| error.exit);
        assert_eq!(exit(End::Stopped), Exit::Done);
        assert_eq!(exit(End::Disk("no space".into())), Exit::Failed);
        assert_eq!(exit(End::Conflict(7)), Exit::Violation);
        let (from, below, theirs) = (NodeId(2), Slot(9), Digest([1; 16]));
        let diverged = End::Diverged { from, below, ours: Digest::default(), theirs };
        assert_eq!(exit(diverged), Exit::Violation);
        assert_eq!(exit(End::Panicked), Exit::Failed);
    }
}
