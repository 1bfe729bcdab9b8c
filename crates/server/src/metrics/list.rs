//! Every metric of a node, once. What is exposed, `docs/metrics.md`, the dashboard and the alerts
//! are all held against this list by tests.

use std::fmt::{self, Write as _};

use super::figures::{METHODS, OUTCOMES};

/// One metric, or several that differ in their labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Family {
    /// As Prometheus knows it: a prefix, base units, `_total` for what only grows.
    pub name: &'static str,
    /// What may be done with it.
    pub kind: Kind,
    /// What its samples differ in.
    pub labels: &'static [Label],
    /// What it means: one line.
    pub help: &'static str,
    /// The first version that has it.
    pub since: &'static str,
    /// Whether name, labels and meaning stay as they are until the next major version.
    pub is_stable: bool,
}

/// The kinds that Prometheus knows, as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations in buckets; a sum and a count beside them.
    Histogram,
}

/// What samples of one family differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// All that it can be; empty where that is not decided here.
    pub values: &'static [&'static str],
    /// What it can be, in words, where `values` does not say.
    pub meaning: &'static str,
}

impl Label {
    pub(super) const fn closed(name: &'static str, values: &'static [&'static str]) -> Label {
        Label { name, values, meaning: "" }
    }

    pub(super) const fn open(name: &'static str, meaning: &'static str) -> Label {
        Label { name, values: &[], meaning }
    }
}

impl Family {
    pub(super) const fn new(name: &'static str, kind: Kind, help: &'static str) -> Family {
        Family { name, kind, labels: &[], help, since: "0.1.0", is_stable: true }
    }

    pub(super) const fn labels(self, labels: &'static [Label]) -> Family {
        Family { labels, ..self }
    }

    const fn unstable(self) -> Family {
        Family { is_stable: false, ..self }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        })
    }
}

/// Names each metric, and puts it into the list.
macro_rules! families {
    ($($name:ident = $family:expr;)*) => {
        $(pub(super) static $name: Family = $family;)*

        /// Every metric, in the order in which a node tells them.
        pub static FAMILIES: &[&Family] = &[$(&$name),*];
    };
}

const PHASE: Label = Label::closed("phase", &["1", "2"]);
const DIRECTION: Label = Label::closed("direction", &["sent", "received"]);
const METHOD: Label = Label::closed("method", &METHODS);
const PEER: Label = Label::open("peer", "a node's id");
const KIND: Label = Label::open("kind", "a message of docs/protocol.md");
const EVENT: Label = Label::open("event", "what was counted");

pub(super) const CHANGES: [&str; 5] = ["elected", "following", "deposed", "forsaken", "overtaken"];
pub(super) const PREPARES: [&str; 3] = ["elected", "deposed", "gave_up"];

families! {
    BUILD_INFO = Family::new(
        "synod_build_info", Kind::Gauge,
        "Always 1; which build runs.",
    ).labels(&[
        Label::open("version", "of Synod"),
        Label::open("commit", "empty unless whoever built it said so"),
    ]);
    NODE_INFO = Family::new(
        "synod_node_info", Kind::Gauge,
        "Always 1; which node this is.",
    ).labels(&[
        Label::open("node", "its id"),
        Label::open("cluster", "the cluster's id"),
        Label::open("roles", "what it does, joined by +"),
    ]);
    EPOCH = Family::new("synod_epoch", Kind::Gauge, "Which configuration of the cluster it runs.");

    HAS_LEADER = Family::new("synod_has_leader", Kind::Gauge,
        "1 if it leads, or has heard from a leader within two election timeouts.");
    IS_LEADER = Family::new("synod_is_leader", Kind::Gauge, "1 if it leads.");
    BALLOT_ROUND = Family::new("synod_ballot_round", Kind::Gauge,
        "The round of the ballot that it leads, prepares or follows.");
    LEADER_CHANGES = Family::new("synod_leader_changes_total", Kind::Counter,
        "Changes of who leads, as this node saw them; each election is one `elected` at one node.")
        .labels(&[Label::closed("reason", &CHANGES)]);
    PREPARES_TOTAL = Family::new("synod_prepares_total", Kind::Counter,
        "Campaigns of this node that have ended: phase 1, from Prepare to quorum or not.")
        .labels(&[Label::closed("result", &PREPARES)]);
    REJECTS = Family::new("synod_rejects_total", Kind::Counter,
        "Rejects that this node was sent, by the phase that it was in.").labels(&[PHASE]);

    PROPOSALS = Family::new("synod_proposals_total", Kind::Counter,
        "Requests given to the protocol to be proposed, by what became of them.")
        .labels(&[Label::closed("result", &OUTCOMES)]);
    COMMIT = Family::new("synod_commit_duration_seconds", Kind::Histogram,
        "From a request's coming to the protocol until it is chosen and applied.");
    SLOT_CHOSEN = Family::new("synod_slot_chosen", Kind::Gauge,
        "One past the last slot of the contiguous prefix that it knows to be chosen.");
    SLOT_APPLIED = Family::new("synod_slot_applied", Kind::Gauge,
        "One past the last slot that its state machine has applied.");
    SLOT_GAPS = Family::new("synod_slot_gaps", Kind::Gauge,
        "Slots that it does not know to be chosen, below one that it does.");
    INFLIGHT = Family::new("synod_inflight_slots", Kind::Gauge,
        "Slots proposed by this node and not yet chosen.");
    ADOPTED = Family::new("synod_adopted_values_total", Kind::Counter,
        "Values of older ballots that this node proposed again when it was elected.");

    ACCEPTORS = Family::new("synod_acceptors", Kind::Gauge, "Acceptors of the cluster.");
    QUORUM = Family::new("synod_quorum_acceptors", Kind::Gauge,
        "Acceptors that a quorum needs: in phase 1 to elect a leader, in phase 2 to choose a \
        value.")
        .labels(&[PHASE]);
    REACHABLE = Family::new("synod_acceptors_reachable", Kind::Gauge,
        "Acceptors that have confirmed this leader within an election timeout, disks included; \
         0 at a node that does not lead.");
    SPARE = Family::new("synod_acceptors_spare", Kind::Gauge,
        "Acceptors that may fail before a phase stops, as this leader sees it; below 0 it has \
         stopped. 0 at a node that does not lead.").labels(&[PHASE]);
    PEER_ROUND_TRIP = Family::new("synod_peer_round_trip_seconds", Kind::Histogram,
        "From this leader's heartbeat to an acceptor's answer, its disk included.").labels(&[PEER]);
    MESSAGES = Family::new("synod_messages_total", Kind::Counter,
        "Messages between nodes, those to itself included.").labels(&[KIND, DIRECTION]);
    MESSAGE_BYTES = Family::new("synod_message_bytes_total", Kind::Counter,
        "Their bytes.").labels(&[DIRECTION]);

    FSYNC = Family::new("synod_wal_fsync_duration_seconds", Kind::Histogram,
        "Syncs of the journal.");
    WAL_RECORDS = Family::new("synod_wal_records_total", Kind::Counter,
        "Records that these syncs have made durable.");
    WAL_BYTES = Family::new("synod_wal_bytes", Kind::Gauge, "The size of the journal's files.");
    DISK_FULL = Family::new("synod_disk_full", Kind::Gauge,
        "1 while the journal has no room: this acceptor does not vote.");
    SUSPECT = Family::new("synod_acceptor_suspect", Kind::Gauge,
        "1 while this acceptor has lost votes and does not have them again: it elects nobody.");
    DISK_SIZE = Family::new("synod_disk_size_bytes", Kind::Gauge,
        "The size of the file system of `data_dir`; not there without one.");
    DISK_AVAILABLE = Family::new("synod_disk_available_bytes", Kind::Gauge,
        "What is free of it for this process.");
    SNAPSHOT = Family::new("synod_snapshot_duration_seconds", Kind::Histogram,
        "Snapshots made and kept, from the frozen state to the last sync.");
    SNAPSHOT_BYTES = Family::new("synod_snapshot_bytes", Kind::Gauge,
        "The size of the snapshots' files.");
    SNAPSHOT_SLOT = Family::new("synod_snapshot_slot", Kind::Gauge,
        "One past the last slot of the newest snapshot.");

    APPLY = Family::new("synod_apply_duration_seconds", Kind::Histogram,
        "Turns of the protocol thread that applied something, without their writes and sends.")
        .unstable();
    SESSIONS = Family::new("synod_sessions", Kind::Gauge, "Clients' sessions that are open.");
    REQUESTS = Family::new("synod_requests_total", Kind::Counter,
        "Calls of clients, by what they were told; each request of an append stream is one.")
        .labels(&[METHOD, Label::closed("result", &OUTCOMES)]);
    REQUEST_DURATION = Family::new("synod_request_duration_seconds", Kind::Histogram,
        "From a client's request to its answer; of a read, to its first page.").labels(&[METHOD]);

    CERTIFICATE_EXPIRES = Family::new("synod_certificate_expires_seconds", Kind::Gauge,
        "When the node's certificate ends, in seconds since 1970; not there without one.");

    EVENTS = Family::new("synod_events_total", Kind::Counter,
        "Everything else that is counted: the protocol's events, and what was refused or dropped, \
         by cause.").labels(&[EVENT]).unstable();
    TURN_AGE = Family::new("synod_protocol_turn_age_seconds", Kind::Gauge,
        "How old the picture is from which this page was made; the protocol thread makes one \
         every tenth of a second.");

    START_TIME = Family::new("process_start_time_seconds", Kind::Gauge,
        "When the node started, in seconds since 1970.");
    CPU = Family::new("process_cpu_seconds_total", Kind::Counter,
        "CPU time of the process; Linux only, as are the others that begin with process_.");
    RESIDENT = Family::new(
        "process_resident_memory_bytes", Kind::Gauge,
        "Memory that is resident.",
    );
    OPEN_FDS = Family::new("process_open_fds", Kind::Gauge, "Open files and sockets.");
    MAX_FDS = Family::new("process_max_fds", Kind::Gauge, "How many may be open.");
}

/// `docs/metrics.md`.
pub fn table() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         What a node tells at `/metrics` of its admin port. This page is made of the list in\n\
         `crates/server/src/metrics/list.rs`; `SYNOD_REWRITE=1 cargo test -p server --test admin`\n\
         writes it anew. Stable ones keep name, labels and meaning until the next major \
         version.\n\n\
         Nothing has a slot, a key or a ballot as a label.\n\n\
         | metric | kind | labels | meaning | since | stable |\n|---|---|---|---|---|---|\n",
    );
    for family in FAMILIES {
        let Family { name, kind, labels, help, since, is_stable } = family;
        let labels: Vec<String> = labels.iter().map(described).collect();
        let stable = if *is_stable { "yes" } else { "no" };
        let labels = labels.join("; ");
        writeln!(text, "| `{name}` | {kind} | {labels} | {help} | {since} | {stable} |")
            .expect("writing to a string cannot fail");
    }
    text
}

fn described(label: &Label) -> String {
    let Label { name, values, meaning } = label;
    let words = if values.is_empty() { (*meaning).to_owned() } else { values.join(", ") };
    format!("`{name}`: {words}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_say_what_prometheus_expects_of_them() {
        let mut seen = BTreeSet::new();
        for Family { name, kind, help, labels, .. } in FAMILIES {
            assert!(seen.insert(name), "{name} is listed twice");
            assert!(name.starts_with("synod_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(help.ends_with('.') && !help.contains(['\n', '\\', '|']), "{name}: {help}");
            for Label { name: label, values, meaning } in *labels {
                assert_ne!(values.is_empty(), meaning.is_empty(), "{name}: {label}");
                assert!(!["slot", "key", "ballot", "le"].contains(label), "{name}: {label}");
            }
        }
    }
}
