//! Every key of the configuration file, once: what it means, in what unit, from where to where.
//!
//! `synod config` and `docs/config.md` say what stands here. A test compares the list with what the
//! reader in `file.rs` accepts, so that no key can be added there alone. No key holds a secret:
//! what needs one names a file.

use std::path::PathBuf;

use super::{Config, Grant, Node, Transport, format_duration, format_identity, format_size};
use crate::tls::Files;

/// The checked values of a key, each with its place in a list.
type Values = Vec<(Option<usize>, String)>;

/// One key.
#[derive(Debug)]
pub struct Key {
    /// As it is written, with its table: `timing.heartbeat`.
    pub name: &'static str,
    /// The variable that is laid over the file; none for what must be the same at all nodes, and
    /// therefore stands in the file and nowhere else.
    pub variable: Option<&'static str>,
    /// What it decides, in a sentence or two.
    pub meaning: &'static str,
    /// What its value is: a kind of text, or a unit.
    pub unit: &'static str,
    /// What is taken where nothing is said; or `required`.
    pub default: &'static str,
    /// What is accepted.
    pub range: &'static str,
    /// Whether SIGHUP is enough to change it.
    pub reloads: bool,
    /// The checked value: one, or one a node, each with its place in the list. Empty where it is
    /// not set and has no default.
    pub(super) values: fn(&Config) -> Values,
}

/// Every key, in the order of the file.
pub static KEYS: &[Key] = &[
    Key {
        name: "cluster",
        variable: None,
        meaning: "The cluster's identity. Nodes of other clusters are not heard.",
        unit: "identity",
        default: "required",
        range: "32 hexadecimal digits",
        reloads: false,
        values: |config| one(format_identity(&config.cluster)),
    },
    Key {
        name: "epoch",
        variable: None,
        meaning: "Counts the cluster's configurations; `synod init replacement` raises it. Nodes \
        of \
                  different epochs do not hear each other.",
        unit: "number",
        default: "0",
        range: "0 to 18446744073709551615",
        reloads: false,
        values: |config| one(config.epoch),
    },
    Key {
        name: "id",
        variable: Some("SYNOD_ID"),
        meaning: "Which of the nodes this one is.",
        unit: "number",
        default: "required",
        range: "the id of a [[node]]",
        reloads: false,
        values: |config| one(config.id),
    },
    Key {
        name: "data_dir",
        variable: Some("SYNOD_DATA_DIR"),
        meaning: "Where the journal and the snapshots live. In a file, a relative path begins at \
        the \
                  file's directory.",
        unit: "path",
        default: "none",
        range: "required exactly if the node has a `disk`",
        reloads: false,
        values: |config| maybe(config.data_dir.as_ref().map(|path| path.display())),
    },
    Key {
        name: "listen",
        variable: Some("SYNOD_LISTEN"),
        meaning: "Where to listen, if not at the addresses by which others know this node: in a \
                  container, or where addresses are translated. The ports are the same.",
        unit: "ip",
        default: "the node's own addresses",
        range: "an address of this machine, or 0.0.0.0 or ::",
        reloads: false,
        values: |config| maybe(config.listen),
    },
    Key {
        name: "shutdown_timeout",
        variable: Some("SYNOD_SHUTDOWN_TIMEOUT"),
        meaning: "How long a node that is told to stop may take to hand over leadership and to \
                  answer what is under way. Then it stops all the same.",
        unit: "duration",
        default: "10s",
        range: "100ms to 10m",
        reloads: false,
        values: |config| one(format_duration(config.shutdown_timeout)),
    },
    Key {
        name: "log.level",
        variable: Some("SYNOD_LOG"),
        meaning: "What to log: a level, or levels by target, such as info,server=debug. Where \
        nobody \
                  says anything, RUST_LOG is asked.",
        unit: "level",
        default: "info",
        range: "off, error, warn, info, debug, trace; by target",
        reloads: true,
        values: |config| one(config.log.level.as_deref().unwrap_or("info")),
    },
    Key {
        name: "log.format",
        variable: Some("SYNOD_LOG_FORMAT"),
        meaning: "How to write logs, to stderr. `auto` is text on a terminal, else JSON.",
        unit: "word",
        default: "auto",
        range: "auto, text, json",
        reloads: false,
        values: |config| one(config.log.format.as_deref().unwrap_or("auto")),
    },
    Key {
        name: "network.transport",
        variable: None,
        meaning: "How nodes talk to each other, and clients to nodes: protected, or in plain text \
                  over streams or datagrams. The same at all nodes.",
        unit: "word",
        default: "required",
        range: "tls, plaintext-tcp, plaintext-udp",
        reloads: false,
        values: |config| one(config.transport.name()),
    },
    Key {
        name: "tls.ca",
        variable: Some("SYNOD_TLS_CA"),
        meaning: "Certificates of the authorities whose word is taken, PEM.",
        unit: "path",
        default: "none",
        range: "required exactly if the transport is \"tls\"",
        reloads: true,
        values: |config| tls(config, |files| &files.ca),
    },
    Key {
        name: "tls.certificate",
        variable: Some("SYNOD_TLS_CERTIFICATE"),
        meaning: "The node's own certificate, PEM.",
        unit: "path",
        default: "none",
        range: "required exactly if the transport is \"tls\"",
        reloads: true,
        values: |config| tls(config, |files| &files.certificate),
    },
    Key {
        name: "tls.key",
        variable: Some("SYNOD_TLS_KEY"),
        meaning: "The private key of the node's certificate, PEM. Only its owner may read it.",
        unit: "path",
        default: "none",
        range: "required exactly if the transport is \"tls\"",
        reloads: true,
        values: |config| tls(config, |files| &files.key),
    },
    Key {
        name: "quorums.phase1",
        variable: None,
        meaning: "Promises that a leader needs before it leads.",
        unit: "acceptors",
        default: "a majority",
        range: "1 to the number of acceptors; phase1 + phase2 must exceed it",
        reloads: false,
        values: |config| one(config.quorums.phase1),
    },
    Key {
        name: "quorums.phase2",
        variable: None,
        meaning: "Votes that choose a value.",
        unit: "acceptors",
        default: "a majority",
        range: "1 to the number of acceptors; phase1 + phase2 must exceed it",
        reloads: false,
        values: |config| one(config.quorums.phase2),
    },
    Key {
        name: "timing.heartbeat",
        variable: Some("SYNOD_TIMING_HEARTBEAT"),
        meaning: "Between two heartbeats of the leader.",
        unit: "duration",
        default: "50ms",
        range: "1ms to 10s",
        reloads: false,
        values: |config| one(format_duration(config.timing.heartbeat)),
    },
    Key {
        name: "timing.election_timeout",
        variable: Some("SYNOD_TIMING_ELECTION_TIMEOUT"),
        meaning: "Silence after which another leader asks the acceptors whether it is needed.",
        unit: "duration",
        default: "200ms",
        range: "3 heartbeats to 60s",
        reloads: false,
        values: |config| one(format_duration(config.timing.election_timeout)),
    },
    Key {
        name: "storage.history_bytes",
        variable: Some("SYNOD_STORAGE_HISTORY_BYTES"),
        meaning: "The latest values that this node holds, about. Older ones are let go.",
        unit: "size",
        default: "64MiB",
        range: "64KiB to 2GiB",
        reloads: false,
        values: |config| one(format_size(config.storage.history_bytes)),
    },
    Key {
        name: "storage.snapshot_bytes",
        variable: Some("SYNOD_STORAGE_SNAPSHOT_BYTES"),
        meaning: "A snapshot is taken each time that so many bytes of values were applied.",
        unit: "size",
        default: "64MiB",
        range: "64KiB to 2GiB",
        reloads: false,
        values: |config| one(format_size(config.storage.snapshot_bytes)),
    },
    Key {
        name: "admin.address",
        variable: Some("SYNOD_ADMIN_ADDRESS"),
        meaning: "Where it tells metrics and health over plain HTTP, to whoever asks. Without it, \
                  nowhere.",
        unit: "address",
        default: "none",
        range: "ip:port or name:port, not where clients are served",
        reloads: false,
        values: |config| maybe(config.admin),
    },
    Key {
        name: "client.name",
        variable: None,
        meaning: "A client, as its certificate names it. Where the transport is plaintext none can \
                  be named, and everybody may do everything.",
        unit: "name",
        default: "none",
        range: "1 to 63 lower-case letters, digits and hyphens inside, each once",
        reloads: false,
        values: |config| granted(config, |grant| Some(grant.name.clone())),
    },
    Key {
        name: "client.permissions",
        variable: None,
        meaning: "What the client may: append values, read the history and nodes' state, operate \
                  the cluster.",
        unit: "list",
        default: "none",
        range: "some of append, read, operate",
        reloads: false,
        values: |config| granted(config, |grant| Some(grant.permissions_in_words())),
    },
    Key {
        name: "client.token_sha256",
        variable: None,
        meaning: "The SHA-256 of a token that is as good as the client's certificate. The token \
                  itself stands in no file of a node.",
        unit: "hash",
        default: "none",
        range: "64 hexadecimal digits, each once",
        reloads: false,
        // A weak token could be found by its hash.
        values: |config| granted(config, |grant| grant.token_sha256.map(|_| "(set)".into())),
    },
    Key {
        name: "node.id",
        variable: None,
        meaning: "A node's name for life.",
        unit: "number",
        default: "required",
        range: "1 to 4294967295, each once",
        reloads: false,
        values: |config| each(config, |node| Some(node.id.to_string())),
    },
    Key {
        name: "node.roles",
        variable: None,
        meaning: "What the node does: propose, remember, follow.",
        unit: "list",
        default: "required",
        range: "some of leader, acceptor, learner",
        reloads: false,
        values: |config| each(config, |node| Some(roles(node))),
    },
    Key {
        name: "node.disk",
        variable: None,
        meaning: "The identity of its directory. An empty or foreign directory never votes.",
        unit: "identity",
        default: "none",
        range: "32 hexadecimal digits, each once; required for acceptors",
        reloads: false,
        values: |config| each(config, |node| node.disk.as_ref().map(format_identity)),
    },
    Key {
        name: "node.peers",
        variable: None,
        meaning: "Where other nodes reach it. A name is looked up once, when the node starts.",
        unit: "address",
        default: "required",
        range: "ip:port or name:port, each once",
        reloads: false,
        values: |config| each(config, |node| Some(node.peers.to_string())),
    },
    Key {
        name: "node.clients",
        variable: None,
        meaning: "Where clients reach it: TCP, gRPC.",
        unit: "address",
        default: "required",
        range: "ip:port or name:port, each once",
        reloads: false,
        values: |config| each(config, |node| Some(node.clients.to_string())),
    },
];

/// The key of that name.
pub fn find_key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The key that `name` is most likely a misspelling of.
pub fn nearest_key(name: &str) -> Option<&'static str> {
    super::error::nearest(name, KEYS.iter().map(|key| key.name))
}

#[expect(clippy::needless_pass_by_value, reason = "most values are made to be shown")]
fn one(value: impl ToString) -> Values {
    vec![(None, value.to_string())]
}

fn maybe(value: Option<impl ToString>) -> Values {
    value.map_or_else(Vec::new, one)
}

fn tls(config: &Config, file: fn(&Files) -> &PathBuf) -> Values {
    match &config.transport {
        Transport::Tls(files) => one(file(files).display()),
        Transport::PlaintextTcp | Transport::PlaintextUdp => Vec::new(),
    }
}

fn each(config: &Config, value: fn(&Node) -> Option<String>) -> Values {
    let nodes = config.nodes.iter();
    nodes.filter_map(|node| Some((Some(node.id.0 as usize), value(node)?))).collect()
}

fn granted(config: &Config, value: fn(&Grant) -> Option<String>) -> Values {
    let clients = config.clients.iter().enumerate();
    clients.filter_map(|(place, grant)| Some((Some(place + 1), value(grant)?))).collect()
}

fn roles(node: &Node) -> String {
    node.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::super::{Problem, Storage, Timing};
    use super::*;

    /// The words in backticks that the reader offers in place of one that it does not know.
    fn offered(text: &str) -> Vec<String> {
        let table = toml::de::DeTable::parse(text).expect("TOML");
        let error = super::super::file::refusal(table);
        let is_unknown = error.contains("unknown field `zzz`");
        let words = error.split('`').skip(1).step_by(2).skip(1).map(str::to_owned);
        words.filter(|_| is_unknown).collect()
    }

    #[test]
    fn every_key_of_the_file_is_in_the_list_and_no_other() {
        let mut accepted = BTreeSet::new();
        for word in offered("zzz = 1") {
            let table = format!("[{word}]\nzzz = 1");
            let list = format!("[[{word}]]\nzzz = 1");
            let inner = [offered(&table), offered(&list)].concat();
            if inner.is_empty() {
                accepted.insert(word);
            } else {
                accepted.extend(inner.iter().map(|key| format!("{word}.{key}")));
            }
        }
        let listed: BTreeSet<String> = KEYS.iter().map(|key| key.name.to_owned()).collect();
        assert_eq!(accepted, listed);
        assert_eq!(listed.len(), KEYS.len(), "each once");
    }

    #[test]
    fn variables_are_named_after_their_keys() {
        for key in KEYS {
            let Some(variable) = key.variable else { continue };
            let rule = format!("SYNOD_{}", key.name.replace('.', "_").to_uppercase());
            // The short one is what operators of other programs expect.
            let rule = if key.name == "log.level" { "SYNOD_LOG".to_owned() } else { rule };
            assert_eq!(variable, rule);
        }
    }

    #[test]
    fn defaults_are_those_of_the_reader() {
        let text = "cluster = \"000102030405060708090a0b0c0d0e0f\"\nid = 1\n\
                    network.transport = \"plaintext-udp\"\n[[node]]\nid = 1\n\
                    roles = [\"leader\", \"acceptor\"]\ndisk = \"10\"\n\
                    peers = \"127.0.0.1:1\"\nclients = \"127.0.0.1:1\"\n";
        let text = text.replace("\"10\"", &format!("\"{}\"", "10".repeat(16)));
        let config = Config::parse(&format!("data_dir = \"d\"\n{text}"), Path::new("f")).unwrap();
        assert_eq!(config.timing, Timing::default());
        assert_eq!(config.storage, Storage::default());
        for key in KEYS.iter().filter(|key| !["required", "none"].contains(&key.default)) {
            let shown = (key.values)(&config);
            match (key.default, shown.first()) {
                ("a majority", Some((_, value))) => assert_eq!(value, "1", "{}", key.name),
                ("the node's own addresses", shown) => assert_eq!(shown, None),
                (default, Some((_, value))) => assert_eq!(value, default, "{}", key.name),
                (_, None) => panic!("{} has a default and no value", key.name),
            }
        }
        let without = Config::parse(&text, Path::new("f")).unwrap_err();
        assert!(matches!(without.problem, Problem::DataDirMissing));
    }
}
