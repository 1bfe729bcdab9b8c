//! `synod cluster health`: can values be chosen, and how much more may fail?

use std::collections::{BTreeMap, BTreeSet};

use client::proto::StatusResponse;
use paxos::Margin;

use super::survey::{Seen, survey};
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};
use crate::runtime;

pub(super) fn run(args: &EndpointArgs, output: &Output) -> Result<Exit, CliError> {
    runtime::block_on(async {
        let connection = connection::open_for_states(args)?;
        let mut seen = survey(&connection).await;
        let denied = seen.iter().position(Seen::is_denied).map(|at| seen.swap_remove(at));
        let statuses: Vec<_> = seen.into_iter().filter_map(|seen| seen.status.ok()).collect();
        if statuses.is_empty() {
            if let Some(Seen { status: Err(error), .. }) = denied {
                return Err(error.into());
            }
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
    /// Acceptors that must promise, so that one leads.
    phase1: u32,
    /// Acceptors that must vote, so that a value is chosen.
    phase2: u32,
    /// How many may still fail.
    margin: Margin,
    /// Acceptors whose disks are full.
    full: Vec<u32>,
    /// Acceptors that have lost votes and do not have them again yet.
    suspect: Vec<u32>,
    /// Who runs which epoch. Of an epoch that was only heard of, nobody is known.
    epochs: BTreeMap<u64, Vec<u32>>,
}

/// Only a leader knows whether a quorum answers it, so its word decides; of several that believe
/// to lead, the one of the latest epoch with the highest ballot.
///
/// # Panics
/// If there is no status.
fn judge(statuses: &[StatusResponse]) -> Health {
    let ballot = |status: &&StatusResponse| {
        let ballot = status.ballot;
        (status.epoch, ballot.map(|ballot| (ballot.round, ballot.leader, ballot.incarnation)))
    };
    let leading = statuses.iter().filter(|status| status.state == "leading").max_by_key(ballot);
    let witness = leading.or_else(|| statuses.iter().max_by_key(|it| it.acceptors_reachable));
    let witness = witness.expect("somebody has answered");
    let (reachable, phase1, phase2) =
        (witness.acceptors_reachable, witness.phase1_quorum, witness.phase2_quorum);
    // The witness does not count whom it does not hear.
    let heard = || statuses.iter().filter(|it| it.epoch == witness.epoch);
    let full: Vec<u32> = heard().filter(|it| it.disk_full).map(|it| it.node).collect();
    let suspect: Vec<u32> = heard().filter(|it| it.suspect).map(|it| it.node).collect();
    let electing = without(reachable, full.iter().chain(&suspect));
    let voting = without(reachable, full.iter());
    let margin = Margin::of((electing, phase1), (voting, phase2));
    Health {
        is_healthy: leading.is_some() && margin.choosing.is_some(),
        leader: leading.map(|it| it.node),
        acceptors: witness.acceptors,
        reachable,
        phase1,
        phase2,
        margin,
        full,
        suspect,
        epochs: epochs(statuses),
    }
}

/// Acceptors that answer, without those that do not count.
fn without<'a>(reachable: u32, nodes: impl Iterator<Item = &'a u32>) -> u32 {
    let nodes: BTreeSet<&u32> = nodes.collect();
    reachable.saturating_sub(u32::try_from(nodes.len()).unwrap_or(u32::MAX))
}

fn epochs(statuses: &[StatusResponse]) -> BTreeMap<u64, Vec<u32>> {
    let mut epochs = BTreeMap::<u64, Vec<u32>>::new();
    for status in statuses {
        epochs.entry(status.epoch).or_default().push(status.node);
    }
    for heard in statuses.iter().filter_map(|it| it.other_epoch) {
        epochs.entry(heard).or_default();
    }
    epochs
}

/// What is said of nodes, in the singular or the plural; nothing of none.
fn said(nodes: &[u32], before: &str, one: &str, many: &str) -> String {
    match nodes {
        [] => String::new(),
        [node] => format!("{before}node {node} {one}"),
        nodes => format!("{before}{} {many}", named(nodes)),
    }
}

fn named(nodes: &[u32]) -> String {
    nodes.iter().map(|node| format!("node {node}")).collect::<Vec<_>>().join(", ")
}

impl Health {
    fn reason(&self) -> String {
        let Health { acceptors, reachable, phase1, phase2, .. } = self;
        let answer = format!("{reachable} of {acceptors} acceptors answer");
        let quorum = if phase1 == phase2 {
            format!("{answer}, {phase1} are needed")
        } else {
            format!("{answer}, {phase1} elect a leader and {phase2} choose")
        };
        let full = said(&self.full, "; disk full: ", "does not vote", "do not vote");
        let suspect = said(
            &self.suspect,
            "; votes lost: ",
            "counts in no election yet",
            "count in no election yet",
        );
        let reason = match self.leader {
            None => format!("no node leads; {quorum}"),
            Some(leader) if !self.is_healthy => format!("node {leader} leads, but {quorum}"),
            Some(leader) => format!("node {leader} leads; {quorum}: {}", self.survives()),
        };
        reason + &full + &suspect + &self.differing_epochs()
    }

    /// How many more may fail, and what stops then. With quorums of one size it is all the same.
    fn survives(&self) -> String {
        let more = |count| match count {
            0 => "none may fail".to_owned(),
            1 => "one more may fail".to_owned(),
            more => format!("{more} more may fail"),
        };
        let Margin { electing, choosing } = self.margin;
        if self.phase1 == self.phase2 {
            return more(self.margin.survivable());
        }
        let elections = electing.map_or_else(
            || "nobody can be elected in its place".to_owned(),
            |count| format!("{} before nobody can be elected", more(count)),
        );
        let chosen = more(choosing.unwrap_or(0));
        format!("{elections}, {chosen} before nothing is chosen")
    }

    /// What does not go on already.
    fn stopped(&self) -> Value {
        Value::List(super::stopped(self.margin))
    }

    fn differing_epochs(&self) -> String {
        if self.epochs.len() < 2 {
            return String::new();
        }
        let each = self.epochs.iter().map(|(epoch, nodes)| match &nodes[..] {
            [] => format!("somebody runs {epoch}"),
            [node] => format!("node {node} runs {epoch}"),
            nodes => format!("{} run {epoch}", named(nodes)),
        });
        format!("; epochs differ: {}", each.collect::<Vec<_>>().join("; "))
    }

    fn report(&self) -> Report {
        let list = |nodes: &[u32]| Value::List(nodes.iter().map(ToString::to_string).collect());
        let margin = |margin: Option<u32>| Value::maybe(margin, |it| Value::Count(it.into()));
        let word = if self.is_healthy { "healthy" } else { "not healthy" };
        Report::record(
            "synod.cluster.health/1",
            vec![
                ("healthy", Value::Flag(self.is_healthy)),
                ("reason", Value::Text(self.reason())),
                ("leader", Value::maybe(self.leader, |node| Value::Id(node.into()))),
                ("acceptors", Value::Count(self.acceptors.into())),
                ("acceptors_reachable", Value::Count(self.reachable.into())),
                ("acceptors_needed", Value::Count(self.phase1.max(self.phase2).into())),
                ("phase1_quorum", Value::Count(self.phase1.into())),
                ("phase2_quorum", Value::Count(self.phase2.into())),
                ("failures_survivable", Value::Count(self.margin.survivable().into())),
                ("electing_survives", margin(self.margin.electing)),
                ("choosing_survives", margin(self.margin.choosing)),
                ("stopped", self.stopped()),
                ("disks_full", list(&self.full)),
                ("suspect", list(&self.suspect)),
                ("epochs", Value::List(self.epochs.keys().map(ToString::to_string).collect())),
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
    fn an_acceptor_that_has_lost_votes_votes_and_elects_nobody() {
        let suspect = |node| StatusResponse { suspect: true, ..status(node, "following", 1, 0) };
        let (exit, reason) = judged(&[status(1, "leading", 1, 5), suspect(3)]);
        assert_eq!(exit, Exit::Done);
        assert!(
            reason.ends_with("one more may fail; votes lost: node 3 counts in no election yet"),
            "{reason}"
        );
        let (exit, reason) = judged(&[status(1, "leading", 1, 3), suspect(3), suspect(4)]);
        assert_eq!(exit, Exit::Done, "values are chosen");
        assert!(reason.contains("none may fail; votes lost: node 3, node 4 count"), "{reason}");
        // Full and suspect, it is missing once.
        let both = StatusResponse { disk_full: true, ..suspect(3) };
        assert_eq!(judge(&[status(1, "leading", 1, 5), both]).margin.survivable(), 1);
    }

    #[test]
    fn with_quorums_of_two_sizes_it_says_what_stops_first() {
        let flexible = |state: &str, reachable| {
            let status = status(1, state, 1, reachable);
            StatusResponse { phase1_quorum: 4, phase2_quorum: 2, ..status }
        };
        let told = |reachable| judged(&[flexible("leading", reachable)]);
        for (reachable, end) in [
            (5, "one more may fail before nobody can be elected, 3 more may fail before nothing"),
            (4, "none may fail before nobody can be elected, 2 more may fail before nothing"),
            (3, "nobody can be elected in its place, one more may fail before nothing"),
            (2, "nobody can be elected in its place, none may fail before nothing"),
        ] {
            let (exit, reason) = told(reachable);
            let words = format!(
                "node 1 leads; {reachable} of 5 acceptors answer, 4 elect a leader and 2 choose: \
                 {end} is chosen"
            );
            assert_eq!((exit, reason), (Exit::Done, words));
        }
        let (exit, reason) = told(1);
        assert_eq!(exit, Exit::No);
        let words = "node 1 leads, but 1 of 5 acceptors answer, 4 elect a leader and 2 choose";
        assert_eq!(reason, words);
        assert_eq!(
            judge(&[flexible("following", 3)]).stopped(),
            Value::List(vec!["electing".into()])
        );
        let both = Value::List(vec!["electing".into(), "choosing".into()]);
        assert_eq!(judge(&[flexible("following", 1)]).stopped(), both);
    }

    #[test]
    fn nodes_of_different_epochs_are_named() {
        let at = |epoch, status| StatusResponse { epoch, ..status };
        let late = at(0, status(3, "leading", 9, 1));
        let nodes = [at(1, status(1, "leading", 1, 4)), at(1, status(2, "following", 1, 0)), late];
        let (exit, reason) = judged(&nodes);
        assert_eq!(exit, Exit::Done, "the later epoch speaks");
        assert!(
            reason.ends_with("; epochs differ: node 3 runs 0; node 1, node 2 run 1"),
            "{reason}"
        );
        // Its epoch is all that is known of who cannot be asked.
        let heard = StatusResponse { other_epoch: Some(2), ..status(1, "leading", 1, 4) };
        let (_, reason) = judged(&[heard]);
        assert!(reason.ends_with("; epochs differ: node 1 runs 0; somebody runs 2"), "{reason}");
        // Who is suspect in an epoch that the leader does not hear is not missing there.
        let suspect = StatusResponse { suspect: true, ..status(3, "following", 1, 0) };
        assert_eq!(judge(&[at(1, status(1, "leading", 1, 4)), suspect]).suspect, [0u32; 0]);
    }

    #[test]
    fn of_two_that_believe_to_lead_the_highest_ballot_speaks() {
        let health = judge(&[status(1, "leading", 1, 2), status(2, "leading", 2, 5)]);
        assert_eq!(health.leader, Some(2));
        assert!(health.is_healthy);
    }
}
