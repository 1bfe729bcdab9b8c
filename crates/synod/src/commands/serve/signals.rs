//! What `serve` does with signals: the first that ends it, the second that ends it at once, and
//! those that end nothing.

use std::convert::Infallible;
use std::fmt::Write as _;

use server::{Server, Status};

use super::notify;
use super::reload::Reloader;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::runtime;

/// Returns when the node is to stop in order.
pub(super) async fn first() {
    // If signals cannot be heard, the other listener ends the process with that error.
    if runtime::stop_signal().await.is_ok() {
        tracing::info!("stopping; a second signal stops at once");
    }
}

/// Returns when the node is to stop at once.
pub(super) async fn second() -> Result<Exit, CliError> {
    let mut signals = runtime::StopSignals::listen()?;
    signals.next().await;
    Ok(signals.next().await)
}

/// Obeys SIGHUP and SIGQUIT for as long as the node runs.
#[cfg(unix)]
pub(super) async fn attend(
    server: &Server,
    mut reloader: Reloader,
) -> Result<Infallible, CliError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut reload = signal(SignalKind::hangup()).map_err(|error| runtime::refused(&error))?;
    let mut dump = signal(SignalKind::quit()).map_err(|error| runtime::refused(&error))?;
    loop {
        tokio::select! {
            _ = reload.recv() => {
                notify::reloading();
                // Reads files, and asks what names stand for.
                tokio::task::block_in_place(|| {
                    reloader.reload();
                    certificates(server);
                });
                notify::ready();
            }
            _ = dump.recv() => Output::note(dumped(server).await.trim_end()),
        }
    }
}

/// There are no such signals.
#[cfg(not(unix))]
pub(super) async fn attend(_: &Server, _: Reloader) -> Result<Infallible, CliError> {
    Ok(std::future::pending().await)
}

/// They are looked for every few seconds; who has just written new ones need not wait.
fn certificates(server: &Server) {
    match server.reload() {
        Ok(true) => tracing::info!("new certificates are in force"),
        Ok(false) => {}
        Err(error) => {
            tracing::error!(%error, "the certificates are not in order; the old ones stay");
        }
    }
}

/// What the node sees of itself, and what it has counted: facts a line, no client's bytes.
async fn dumped(server: &Server) -> String {
    let config = server.config();
    let status = server.status().await;
    let mut text = format!("state of node {}\n", config.id);
    state(&mut text, status.as_ref());
    for (name, count) in server.switches().counters() {
        line(&mut text, &name, &count);
    }
    text
}

fn state(text: &mut String, status: Option<&Status>) {
    let Some(status) = status else {
        // The protocol thread is gone, or has more to do than it can.
        return line(text, "protocol_thread", &"does not answer");
    };
    let known = |fact: Option<String>| fact.unwrap_or_else(|| "none".to_owned());
    let storage = &status.storage;
    line(text, "part", &format!("{:?}", status.part).to_lowercase());
    line(text, "ballot", &known(status.ballot.map(|it| it.to_string())));
    line(text, "leader", &known(status.leader.map(|it| it.to_string())));
    line(text, "promised", &known(status.promised.map(|it| it.to_string())));
    line(text, "chosen", &status.chosen);
    line(text, "applied", &status.applied);
    line(text, "values", &status.values);
    line(text, "in_flight", &status.in_flight);
    line(text, "acceptors_reachable", &status.acceptors_reachable);
    line(text, "suspect", &status.is_suspect);
    line(text, "other_epoch", &known(status.other_epoch.map(|it| it.to_string())));
    line(text, "first_held", &storage.first_held);
    line(text, "snapshot", &storage.snapshot);
    line(text, "truncated", &storage.truncated);
    line(text, "journal_bytes", &storage.journal_bytes);
    line(text, "snapshot_bytes", &storage.snapshot_bytes);
    line(text, "disk_has_room", &storage.has_room);
}

fn line(text: &mut String, name: &str, fact: &dyn std::fmt::Display) {
    writeln!(text, "  {name} {fact}").expect("writing to a string cannot fail");
}
