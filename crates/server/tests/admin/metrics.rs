//! The list of metrics against what running nodes tell, and against `docs/metrics.md`.
//!
//! After a change on purpose, `SYNOD_REWRITE=1 cargo test -p server --test admin` writes the page
//! anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use client::{Client, Options};

use crate::cluster::{PATIENCE, until};
use crate::port::{Sample, changed, get, page_until, samples, watched};
use paxos::NodeId;
use server::local::{Layout, Local, Way};
use server::metrics::{FAMILIES, Family, Kind, table};

/// What histograms and nothing else may end in.
const ENDINGS: [&str; 3] = ["_bucket", "_sum", "_count"];

#[test]
fn the_page_of_metrics_is_as_the_list_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/metrics.md");
    if std::env::var_os("SYNOD_REWRITE").is_some() {
        std::fs::write(&path, table()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), table());
}

/// A cluster that has done a bit of everything.
async fn busy(directory: &Path) -> Local {
    let layout = Layout { leaders: 1, both: 3, learners: 1, ..Layout::default() };
    let local = changed(Way::Tls, directory, layout, |_| {});
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let endpoint = local.address(leader).expect("an address").to_string();
    let credentials = local.credentials().cloned();
    let options =
        Options { timeout: PATIENCE, credentials, ..Options::new(vec![endpoint.clone()]) };
    let client = Client::new(options).expect("a client");
    client.append(b"one".to_vec()).await.expect("appended");
    let read = client.read(client::Consistency::Linearizable, 0, None, 0).await;
    drop(read.expect("readable"));
    client.status(&endpoint).await.expect("it answers");
    let is_shown = |page: &str| {
        page.contains("\nsynod_acceptors_reachable 3\n") && page.contains("\nsynod_sessions 1\n")
    };
    page_until(local.running()[&leader].admin().expect("a port"), is_shown).await;
    local
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_tell_what_is_listed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let local = busy(directory.path()).await;
    let (leader, _) = local.leader(PATIENCE).await.expect("a leader");
    let mut without_samples: BTreeSet<&str> = FAMILIES.iter().map(|it| it.name).collect();
    for (id, server) in local.running() {
        let answer = get(server.admin().expect("a port"), "/metrics").await;
        assert_eq!(answer.code, 200);
        let page = answer.body;
        let told: Vec<(&str, &str)> =
            page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let kind = |family: &&Family| (family.name, family.kind.to_string());
        let listed: Vec<(&str, String)> = FAMILIES.iter().map(kind).collect();
        assert!(told.iter().copied().eq(listed.iter().map(|(name, kind)| (*name, &**kind))));
        for sample in samples(&page) {
            let family = family_of(&sample);
            check_labels(&sample, family);
            without_samples.remove(family.name);
            assert!(*id != leader || is_as_it_should_be(&sample), "{sample:?}");
        }
    }
    assert_eq!(without_samples, BTreeSet::new());
    assert_eq!(local.stop().await, BTreeMap::new());
}

fn family_of(sample: &Sample) -> &'static Family {
    let all = FAMILIES.iter().filter(|family| match family.kind {
        Kind::Histogram => {
            let rest = sample.name.strip_prefix(family.name);
            rest.is_some_and(|rest| ENDINGS.contains(&rest))
        }
        _ => sample.name == family.name,
    });
    let all: Vec<_> = all.collect();
    assert_eq!(all.len(), 1, "{sample:?}");
    all[0]
}

fn check_labels(sample: &Sample, family: &Family) {
    let is_bucket = sample.name.ends_with("_bucket") && family.kind == Kind::Histogram;
    let mut names: Vec<&str> = family.labels.iter().map(|label| label.name).collect();
    names.extend(is_bucket.then_some("le"));
    assert!(sample.labels.iter().map(|(name, _)| name).eq(&names), "{sample:?}");
    for (label, (_, value)) in family.labels.iter().zip(&sample.labels) {
        let is_listed = label.values.is_empty() || label.values.contains(&&**value);
        assert!(is_listed, "{sample:?}");
    }
}

/// Figures of a leader that must not be zero, or must be, after what `busy` did.
fn is_as_it_should_be(sample: &Sample) -> bool {
    let is = |name: &str, labels: &[&str]| {
        sample.name == name
            && sample.labels.iter().map(|(_, value)| &**value).eq(labels.iter().copied())
    };
    let expected: [(&str, &[&str], f64); 9] = [
        ("synod_is_leader", &[], 1.0),
        ("synod_has_leader", &[], 1.0),
        ("synod_acceptors", &[], 3.0),
        ("synod_acceptors_reachable", &[], 3.0),
        ("synod_quorum_acceptors", &["1"], 2.0),
        ("synod_acceptors_spare", &["2"], 1.0),
        ("synod_requests_total", &["read", "done"], 1.0),
        ("synod_slot_gaps", &[], 0.0),
        ("synod_sessions", &[], 1.0),
    ];
    let at_least_one: [(&str, &[&str]); 8] = [
        ("synod_certificate_expires_seconds", &[]),
        ("synod_leader_changes_total", &["elected"]),
        ("synod_prepares_total", &["elected"]),
        ("synod_requests_total", &["append", "done"]),
        ("synod_commit_duration_seconds_count", &[]),
        ("synod_apply_duration_seconds_count", &[]),
        ("synod_messages_total", &["accept", "sent"]),
        ("synod_message_bytes_total", &["received"]),
    ];
    expected
        .iter()
        .all(|(name, labels, value)| !is(name, labels) || (sample.value - *value).abs() < 1e-9)
        && at_least_one.iter().all(|(name, labels)| !is(name, labels) || sample.value >= 1.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptor_counts_its_syncs_and_knows_its_disk() {
    let directory = tempfile::tempdir().unwrap();
    let local = watched(directory.path(), Layout { leaders: 1, acceptors: 1, ..Layout::default() });
    until(&local, NodeId(1), "it leads", |it| it.acceptors_reachable == 1).await;
    let acceptor = local.running()[&NodeId(2)].admin().expect("a port");
    let page = get(acceptor, "/metrics").await.body;
    let value = |name: &str| {
        let found = samples(&page).into_iter().find(|sample| sample.name == name);
        found.unwrap_or_else(|| panic!("{name} is not there")).value
    };
    assert!(value("synod_wal_fsync_duration_seconds_count") >= 1.0);
    assert!(value("synod_wal_fsync_duration_seconds_sum") > 0.0);
    assert!(value("synod_wal_records_total") >= 1.0);
    assert!(value("synod_disk_size_bytes") > value("synod_disk_available_bytes"));
    assert!(value("synod_wal_bytes") > 0.0);
    // The leader measures the way to it.
    let leader = local.running()[&NodeId(1)].admin().expect("a port");
    let page = get(leader, "/metrics").await.body;
    let round_trips = samples(&page).into_iter().find(|sample| {
        sample.name == "synod_peer_round_trip_seconds_count" && sample.labels[0].1 == "2"
    });
    assert!(round_trips.is_some_and(|sample| sample.value >= 1.0));
}
