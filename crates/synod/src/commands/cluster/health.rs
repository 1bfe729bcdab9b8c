//! `synod cluster health`: can values be chosen, and how much more may fail?

use client::proto::StatusResponse;

use super::survey::survey;
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};
use crate::runtime;

pub(super) fn run(args: &EndpointArgs, output: &Output) -> Result<Exit, CliError> {
    runtime::block_on(async {
        let connection = connection::open_for_states(args)?;
        let seen = survey(&connection).await;
        let statuses: Vec<_> = seen.into_iter().filter_map(|seen| seen.status.ok()).collect();
        if statuses.is_empty() {
            let message = format!("no node answered (asked {})", connection.endpoints.join(", "));
            return Err(CliError::new("unreachable", Exit::Unreachable, message)
                .hint("`synod cluster status` shows what each of them said"));
        }
        output.show(judge(&statuses).report())
    })
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Health {
    is_healthy: bool,
    /// Who leads, as it says itself.
    leader: Option<u32>,
    acceptors: u32,
    reachable: u32,
    /// Enough for either phase: to go on, and to elect a leader when this one fails.
    needed: u32,
    /// Acceptors whose disks are full.
    full: Vec<u32>,
}

/// Only a leader knows whether a quorum answers it, so its word decides; of several that believe
/// to lead, the one with the highest ballot.
fn judge(statuses: &[StatusResponse]) -> Health {
    let ballot = |status: &&StatusResponse| {
        status.ballot.map(|ballot| (ballot.round, ballot.leader, ballot.incarnation))
    };
    let leading = statuses.iter().filter(|status| status.state == "leading").max_by_key(ballot);
    let witness = leading.or_else(|| statuses.iter().max_by_key(|it| it.acceptors_reachable));
    let (acceptors, reachable, needed) = witness.map_or((0, 0, 0), |it| {
        (it.acceptors, it.acceptors_reachable, it.phase1_quorum.max(it.phase2_quorum))
    });
    let full: Vec<u32> = statuses.iter().filter(|it| it.disk_full).map(|it| it.node).collect();
    let has_quorum =
        |it: &StatusResponse| voting(it.acceptors_reachable, &full) >= it.phase2_quorum;
    Health {
        is_healthy: leading.is_some_and(has_quorum),
        leader: leading.map(|it| it.node),
        acceptors,
        reachable,
        needed,
        full,
    }
}

/// Acceptors that answer, without those that do not vote.
fn voting(reachable: u32, full: &[u32]) -> u32 {
    reachable.saturating_sub(u32::try_from(full.len()).unwrap_or(u32::MAX))
}

impl Health {
    /// Acceptors that may still fail. Those that do not vote have failed already.
    fn survivable(&self) -> u32 {
        voting(self.reachable, &self.full).saturating_sub(self.needed)
    }

    fn reason(&self) -> String {
        let Health { acceptors, reachable, needed, .. } = self;
        let quorum = format!("{reachable} of {acceptors} acceptors answer, {needed} are needed");
        let full: Vec<String> = self.full.iter().map(|it| format!("node {it}")).collect();
        let full = match &full[..] {
            [] => String::new(),
            [one] => format!("; disk full: {one} does not vote"),
            many => format!("; disk full: {} do not vote", many.join(", ")),
        };
        let reason = match (self.leader, self.survivable()) {
            (None, _) => format!("no node leads; {quorum}"),
            (Some(leader), _) if !self.is_healthy => format!("node {leader} leads, but {quorum}"),
            (Some(leader), 0) => format!("node {leader} leads; {quorum}: none may fail"),
            (Some(leader), 1) => format!("node {leader} leads; {quorum}: one more may fail"),
            (Some(leader), more) => format!("node {leader} leads; {quorum}: {more} more may fail"),
        };
        reason + &full
    }

    fn report(&self) -> Report {
        let word = if self.is_healthy { "healthy" } else { "not healthy" };
        Report::record(
            "synod.cluster.health/1",
            vec![
                ("healthy", Value::Flag(self.is_healthy)),
                ("reason", Value::Text(self.reason())),
                ("leader", Value::maybe(self.leader, |node| Value::Id(node.into()))),
                ("acceptors", Value::Count(self.acceptors.into())),
                ("acceptors_reachable", Value::Count(self.reachable.into())),
                ("acceptors_needed", Value::Count(self.needed.into())),
                ("failures_survivable", Value::Count(self.survivable().into())),
                ("disks_full", Value::List(self.full.iter().map(ToString::to_string).collect())),
            ],
        )
        .prose(format!("{word}: {}\n", self.reason()))
        .exit(if self.is_healthy { Exit::Done } else { Exit::No })
    }
}

#[cfg(test)]
mod tests {
    use client::proto::Ballot;

    use super::*;

    fn status(node: u32, state: &str, round: u64, reachable: u32) -> StatusResponse {
        StatusResponse {
            node,
            state: state.into(),
            ballot: Some(Ballot { round, leader: node, incarnation: 0 }),
            acceptors: 5,
            acceptors_reachable: reachable,
            phase1_quorum: 3,
            phase2_quorum: 3,
            ..StatusResponse::default()
        }
    }

    fn judged(statuses: &[StatusResponse]) -> (Exit, String) {
        let health = judge(statuses);
        (health.report().exit, health.reason())
    }

    #[test]
    fn health_says_how_much_more_may_fail() {
        let follower = status(2, "following", 1, 0);
        for (reachable, end) in
            [(5, "2 more may fail"), (4, "one more may fail"), (3, "none may fail")]
        {
            let (exit, reason) = judged(&[status(1, "leading", 1, reachable), follower.clone()]);
            assert_eq!(exit, Exit::Done);
            assert!(reason.ends_with(end), "{reason}");
        }
    }

    #[test]
    fn a_leader_without_a_quorum_is_not_healthy() {
        let (exit, reason) = judged(&[status(1, "leading", 1, 2)]);
        assert_eq!(exit, Exit::No);
        assert_eq!(reason, "node 1 leads, but 2 of 5 acceptors answer, 3 are needed");
    }

    #[test]
    fn nobody_leading_is_not_healthy() {
        let (exit, reason) = judged(&[status(1, "preparing", 1, 4), status(2, "failed", 9, 0)]);
        assert_eq!(exit, Exit::No);
        assert_eq!(reason, "no node leads; 4 of 5 acceptors answer, 3 are needed");
    }

    #[test]
    fn an_acceptor_whose_disk_is_full_does_not_count() {
        let full = |node| StatusResponse { disk_full: true, ..status(node, "following", 1, 0) };
        let (exit, reason) = judged(&[status(1, "leading", 1, 5), full(3), full(4)]);
        assert_eq!(exit, Exit::Done);
        assert!(reason.ends_with("none may fail; disk full: node 3, node 4 do not vote"));
        let (exit, reason) = judged(&[status(1, "leading", 1, 3), full(3)]);
        assert_eq!(exit, Exit::No);
        assert!(reason.ends_with("; disk full: node 3 does not vote"), "{reason}");
    }

    #[test]
    fn of_two_that_believe_to_lead_the_highest_ballot_speaks() {
        let health = judge(&[status(1, "leading", 1, 2), status(2, "leading", 2, 5)]);
        assert_eq!(health.leader, Some(2));
        assert!(health.is_healthy);
    }
}
