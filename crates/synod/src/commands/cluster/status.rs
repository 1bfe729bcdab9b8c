//! `synod cluster status`: a row a node.

use client::proto::{Ballot, StatusResponse};
use paxos::Margin;

use super::survey::{Seen, survey};
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};
use crate::runtime;

const COLUMNS: [&str; 25] = [
    "endpoint",
    "reachable",
    "node",
    "roles",
    "state",
    "ballot",
    "leader",
    "chosen",
    "applied",
    "promised",
    "acceptors_reachable",
    "electing_survives",
    "choosing_survives",
    "stopped",
    "refused",
    "first_held",
    "snapshot",
    "truncated",
    "journal_bytes",
    "snapshot_bytes",
    "disk_full",
    "epoch",
    "other_epoch",
    "suspect",
    "error",
];

pub(super) fn run(args: &EndpointArgs, output: &Output) -> Result<Exit, CliError> {
    runtime::block_on(async {
        let seen = survey(&connection::open_for_states(args)?).await;
        output.show(report(seen))
    })
}

fn report(seen: Vec<Seen>) -> Report {
    let exit = match &seen {
        seen if seen.iter().any(|it| it.status.is_ok()) => Exit::Done,
        seen if seen.iter().any(Seen::is_denied) => Exit::Denied,
        _ => Exit::Unreachable,
    };
    let rows = seen.into_iter().map(row).collect();
    Report::rows("synod.cluster.status/1", "nodes", &COLUMNS, rows).exit(exit)
}

fn row(Seen { endpoint, status }: Seen) -> Vec<Value> {
    let is_reachable = Value::Flag(status.is_ok());
    let (facts, error) = match status {
        Ok(status) => (facts(status), Value::Absent),
        Err(error) => ([const { Value::Absent }; 22], Value::Text(error.to_string())),
    };
    let mut row = vec![Value::Text(endpoint), is_reachable];
    row.extend(facts);
    row.push(error);
    row
}

/// What stands between `reachable` and `error`.
fn facts(status: StatusResponse) -> [Value; 22] {
    let refused = refused(&status);
    // Acceptors alone do not learn, and only a leader counts who answers it.
    let learns = status.roles.iter().any(|role| role != "acceptor");
    let known = |slot: u64| if learns { Value::Id(slot) } else { Value::Absent };
    let is_acceptor = status.roles.iter().any(|role| role == "acceptor");
    let cut = is_acceptor.then_some(status.truncated);
    let leads = status.state == "leading";
    let answering = leads.then_some(status.acceptors_reachable);
    let margin =
        answering.map(|it| Margin::of((it, status.phase1_quorum), (it, status.phase2_quorum)));
    let survives = |phase: fn(Margin) -> Option<u32>| {
        Value::maybe(margin.and_then(phase), |count| Value::Count(count.into()))
    };
    let stopped = |margin| Value::List(super::stopped(margin));
    [
        Value::Id(status.node.into()),
        Value::List(status.roles),
        Value::Text(status.state),
        ballot(status.ballot),
        Value::maybe(status.leader, |leader| Value::Id(leader.node.into())),
        known(status.chosen),
        known(status.applied),
        ballot(status.promised),
        Value::maybe(answering, |count| Value::Count(count.into())),
        survives(|margin| margin.electing),
        survives(|margin| margin.choosing),
        Value::maybe(margin, stopped),
        Value::Id(refused),
        known(status.first_held),
        known(status.snapshot),
        Value::maybe(cut, Value::Id),
        Value::Count(status.journal_bytes),
        Value::Count(status.snapshot_bytes),
        Value::Flag(status.disk_full),
        Value::Id(status.epoch),
        Value::maybe(status.other_epoch, Value::Id),
        Value::maybe(is_acceptor.then_some(status.suspect), Value::Flag),
    ]
}

/// What the node heard and threw away, whatever the cause. Anything but zero is worth a look.
fn refused(status: &StatusResponse) -> u64 {
    let counters = status.counters.iter();
    let refused = counters
        .filter(|(name, _)| name.strip_prefix("network_").unwrap_or(name).starts_with("refused_"));
    refused.fold(0, |sum, (_, count)| sum.saturating_add(*count))
}

fn ballot(ballot: Option<Ballot>) -> Value {
    // A round of 0 is no leader's ballot.
    let real = ballot.filter(|ballot| ballot.round > 0);
    Value::maybe(real, |it| Value::Text(format!("{}·{}", it.round, it.leader)))
}

#[cfg(test)]
mod tests {
    use client::CallError;
    use client::proto::Leader;

    use super::*;
    use crate::output::{Format, rendered};

    fn seen() -> Vec<Seen> {
        let status = StatusResponse {
            node: 1,
            roles: vec!["leader".into()],
            state: "leading".into(),
            ballot: Some(Ballot { round: 7, leader: 1, incarnation: 9 }),
            leader: Some(Leader { node: 1, address: "a:1".into() }),
            chosen: 1000,
            applied: 999,
            acceptors_reachable: 3,
            phase1_quorum: 4,
            phase2_quorum: 2,
            first_held: 700,
            snapshot: 900,
            snapshot_bytes: 4096,
            epoch: 2,
            other_epoch: Some(3),
            counters: [("network_refused_bad_magic", 2), ("refused_message_kind", 1), ("sent", 9)]
                .map(|(name, count)| (name.to_owned(), count))
                .into(),
            ..StatusResponse::default()
        };
        let error = CallError::Unreachable { endpoint: "b:1".into(), reason: "refused".into() };
        vec![
            Seen { endpoint: "a:1".into(), status: Ok(status) },
            Seen { endpoint: "b:1".into(), status: Err(error) },
        ]
    }

    #[test]
    fn an_unreachable_node_is_a_row() {
        let report = report(seen());
        assert_eq!(report.exit, Exit::Done);
        assert_eq!(
            rendered(Format::Plain, &report),
            "a:1\ttrue\t1\tleader\tleading\t7·1\t1\t1000\t999\t\t3\t\t1\telecting\t3\t\
             700\t900\t\t0\t4096\tfalse\t2\t3\t\t\n\
             b:1\tfalse\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\tcannot reach b:1: refused\n"
        );
    }

    #[test]
    fn nothing_reachable_has_its_exit_code() {
        let unreachable = seen().into_iter().skip(1).collect();
        assert_eq!(report(unreachable).exit, Exit::Unreachable);
    }

    #[test]
    fn to_be_known_by_nobody_has_another() {
        let (endpoint, reason) = ("a:1".to_owned(), "no client of this cluster".to_owned());
        let error = CallError::Failed { endpoint, code: client::Code::Unauthenticated, reason };
        let mut all: Vec<Seen> = seen().into_iter().skip(1).collect();
        all.push(Seen { endpoint: "a:1".into(), status: Err(error) });
        assert_eq!(report(all).exit, Exit::Denied);
    }
}
