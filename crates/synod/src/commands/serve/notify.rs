//! What `serve` tells the service manager: that it is ready, what it does, that it lives.
//!
//! The watchdog is fed with the protocol thread's own answer, never by a timer alone: a node whose
//! protocol thread is stuck is restarted, which is as safe as a crash. Without a service manager
//! nothing is said.

use std::convert::Infallible;
use std::time::Duration;

use server::{Server, Status};

/// How often the status line is written, at least.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The watchdog is fed so many times in its patience, so that one late turn is no reason to kill.
const FEEDS_PER_PATIENCE: u32 = 3;

/// The journal is read and the node listens; or it does again, after a reload.
pub(super) fn ready() {
    say(&[State::Ready]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    say(&[State::Reloading]);
}

/// It begins to end.
pub(super) fn stopping() {
    say(&[State::Stopping, State::Status("stopping")]);
}

/// Tells how the node is for as long as it runs.
pub(super) async fn keep(server: &Server) -> Infallible {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return std::future::pending().await;
    }
    let every = pace(patience());
    let mut last = String::new();
    loop {
        tokio::time::sleep(every).await;
        let Some(line) = asked(server.status(), every).await else { continue };
        if line == last {
            say(&[State::Watchdog]);
        } else {
            say(&[State::Watchdog, State::Status(&line)]);
            last = line;
        }
    }
}

fn pace(patience: Option<Duration>) -> Duration {
    patience.map_or(STATUS_EVERY, |it| (it / FEEDS_PER_PATIENCE).min(STATUS_EVERY))
}

/// What the protocol thread says of itself; none if it does not within `patience`.
async fn asked(status: impl Future<Output = Option<Status>>, patience: Duration) -> Option<String> {
    let status = tokio::time::timeout(patience, status).await.ok()??;
    Some(line(&status))
}

/// Role and ballot, and how far it is.
fn line(status: &Status) -> String {
    let part = match status.part {
        paxos::Part::Leading => "leads",
        paxos::Part::Preparing => "asks for promises",
        paxos::Part::Following => "follows",
    };
    let ballot = status.ballot.map(|ballot| format!(", ballot {ballot}")).unwrap_or_default();
    let suspect = if status.is_suspect { ", votes lost" } else { "" };
    let room = if status.storage.has_room { "" } else { ", disk full" };
    format!("{part}{ballot}, applied below slot {}{suspect}{room}", status.applied)
}

/// In our words what the service manager is told.
enum State<'a> {
    Ready,
    Reloading,
    Stopping,
    Watchdog,
    Status(&'a str),
}

#[cfg(unix)]
fn say(states: &[State<'_>]) {
    let states: Vec<sd_notify::NotifyState<'_>> = states
        .iter()
        .map(|state| match state {
            State::Ready => sd_notify::NotifyState::Ready,
            State::Reloading => sd_notify::NotifyState::Reloading,
            State::Stopping => sd_notify::NotifyState::Stopping,
            State::Watchdog => sd_notify::NotifyState::Watchdog,
            State::Status(line) => sd_notify::NotifyState::Status(line),
        })
        .collect();
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(%error, "the service manager cannot be told");
    }
}

#[cfg(unix)]
fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(not(unix))]
fn say(_: &[State<'_>]) {}

#[cfg(not(unix))]
fn patience() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_protocol_thread_that_does_not_turn_feeds_nothing() {
        let stuck = std::future::pending::<Option<Status>>();
        assert_eq!(asked(stuck, Duration::from_millis(1)).await, None);
        assert_eq!(asked(async { None }, Duration::from_secs(9)).await, None);
    }

    #[test]
    fn the_watchdog_is_fed_well_within_its_patience() {
        assert_eq!(pace(Some(Duration::from_millis(300))), Duration::from_millis(100));
        assert_eq!(pace(Some(Duration::from_secs(30))), STATUS_EVERY);
        assert_eq!(pace(None), STATUS_EVERY);
    }
}
