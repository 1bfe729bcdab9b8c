//! One node's configuration: a TOML file, read and checked whole before anything is opened.
//!
//! This file holds what a checked configuration is and how it is written for a human to read. The
//! file's shape and the rules live in `config/file.rs`, every key with its meaning in
//! `config/keys.rs`, what options and variables lay over a file in `config/layers.rs`, what can be
//! wrong in `config/error.rs`. It does not know what a node does with any of it.
//!
//! Relations that hold in every [`Config`]:
//! `1 <= phase1, phase2 <= acceptors < phase1 + phase2` and `3 * heartbeat <= election_timeout`.

mod duration;
mod edit;
mod error;
mod file;
mod grants;
mod keys;
mod layers;
mod names;
mod size;
mod transport;
mod unit;

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use paxos::NodeId;

use crate::tls::Files;
use layers::Reading;

pub use duration::{DurationError, format_duration, parse_duration};
pub use error::{ConfigError, Problem};
pub use grants::{CLIENTS_MAX, Grant, Permission};
pub use keys::{KEYS, Key, find_key, nearest_key};
pub use layers::{DEFAULT_FILE, Layers, Origin, Resolved, Setting};
pub use size::{SizeError, format_size, parse_size};

/// The most nodes that one configuration may name.
pub const NODES_MAX: usize = 64;

/// The largest file that is read: a full list of nodes needs a twentieth of it.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// How long a node may take to stop, unless it is told otherwise.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// An election timeout must leave room for so many heartbeats, so that one lost datagram does not
/// start a campaign.
pub const HEARTBEATS_PER_TIMEOUT_MIN: u32 = 3;

/// A checked configuration of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster's identity, the same in every node's file.
    pub cluster: [u8; 16],
    /// Counts the cluster's configurations: nodes of different epochs do not hear each other. It
    /// grows when a disk is replaced.
    pub epoch: u64,
    /// The node whose file this is. One of `nodes`.
    pub id: NodeId,
    /// Where its journal and its snapshots live. Present exactly if the node has a disk.
    pub data_dir: Option<PathBuf>,
    /// Where it listens, if not at the addresses by which others know it: behind a translation of
    /// addresses, or in a container. The ports are the same.
    pub listen: Option<IpAddr>,
    /// How long it may take to stop: to hand over leadership and to answer what is under way.
    pub shutdown_timeout: Duration,
    /// What is logged, as far as the file says.
    pub log: Log,
    /// How many acceptors make a quorum of each phase.
    pub quorums: Quorums,
    /// The pace of heartbeats and elections.
    pub timing: Timing,
    /// How messages travel between nodes.
    pub transport: Transport,
    /// How much of the history it holds.
    pub storage: Storage,
    /// Where it tells metrics and health over plain HTTP, to whoever asks; nowhere if absent.
    pub admin: Option<SocketAddr>,
    /// What clients may ask for. None are named where nobody can be told from anybody else.
    pub clients: Vec<Grant>,
    /// Every node of the cluster, in the order of ids. At most [`NODES_MAX`].
    pub nodes: Vec<Node>,
}

/// One node, as all the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name for life.
    pub id: NodeId,
    /// What it does. Never empty.
    pub roles: BTreeSet<Role>,
    /// The identity of its directory. Acceptors have one: an empty or foreign directory never
    /// votes. Nodes that only learn may have one, and keep snapshots there.
    pub disk: Option<[u8; 16]>,
    /// Between nodes: UDP or TCP, as the transport is.
    pub peers: SocketAddr,
    /// TCP, for clients.
    pub clients: SocketAddr,
}

/// How messages travel between nodes. Nothing is encrypted or authenticated unless the file says
/// so, and nothing goes without unless the file says that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP streams under mutual TLS, with these certificates.
    Tls(Files),
    /// TCP streams, for networks that are trusted.
    PlaintextTcp,
    /// Datagrams, for networks that are trusted.
    PlaintextUdp,
}

/// What a node does in the cluster. A node may have any mix of roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Proposes values. Owns no disk.
    Leader,
    /// Promises, accepts and remembers.
    Acceptor,
    /// Follows what is chosen.
    Learner,
}

/// How many acceptors make a quorum. Any of phase 1 meets any of phase 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorums {
    /// Promises that a leader needs.
    pub phase1: u32,
    /// Votes that choose a value.
    pub phase2: u32,
}

/// The pace of heartbeats and elections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Between two heartbeats of the leader. 1 ms to 10 s.
    pub heartbeat: Duration,
    /// Silence after which another leader asks the acceptors. At least
    /// [`HEARTBEATS_PER_TIMEOUT_MIN`] heartbeats, at most 60 s.
    pub election_timeout: Duration,
}

/// What is logged, and how. Read by whoever writes logs; none means that nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// A level, or levels by target.
    pub level: Option<String>,
    /// `auto`, `text` or `json`.
    pub format: Option<String>,
}

/// How much of the history a node holds. Nodes of a cluster may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The latest values that are kept, in bytes, about. Older ones are let go.
    pub history_bytes: u64,
    /// A snapshot is taken each time that so many bytes were applied.
    pub snapshot_bytes: u64,
}

impl Config {
    /// Reads and checks the file at `path`. Relative paths in it are taken from the file's own
    /// directory, so that a node can be started from anywhere.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        Config::load_text(path).map(|(config, _)| config)
    }

    /// The same, and what is written there.
    pub(crate) fn load_text(path: &Path) -> Result<(Config, String), ConfigError> {
        let text = read_text(path)?;
        let reading = Reading { over: &[], resolve: names::system };
        let parsed = file::parse(&text, &reading);
        let mut config = parsed.map_err(|located| located.in_file(path, &text))?;
        config.find_paths_from(path);
        Ok((config, text))
    }

    /// Checks `text`, in which addresses must be numbers: nobody is asked what a name stands for.
    /// `path` appears in errors only; paths stay as they are written.
    pub fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        file::parse(text, &Reading::default()).map_err(|located| located.in_file(path, text))
    }

    /// Relative paths begin at the directory of the file that names them.
    fn find_paths_from(&mut self, file: &Path) {
        if let Some(directory) = file.parent() {
            self.paths().for_each(|path| *path = directory.join(&*path));
        }
    }

    /// Every path.
    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let certificates = match &mut self.transport {
            Transport::Tls(Files { ca, certificate, key }) => vec![ca, certificate, key],
            Transport::PlaintextTcp | Transport::PlaintextUdp => Vec::new(),
        };
        self.data_dir.iter_mut().chain(certificates)
    }

    /// Where this node itself listens that others know by `address`.
    pub fn listens_at(&self, address: SocketAddr) -> SocketAddr {
        self.listen.map_or(address, |ip| SocketAddr::new(ip, address.port()))
    }

    /// The node whose configuration this is.
    pub fn own(&self) -> &Node {
        self.nodes.iter().find(|node| node.id == self.id).expect("checked: `id` is one of `nodes`")
    }

    /// The disk of a node; none if it has none or there is no such node.
    pub fn disk(&self, node: NodeId) -> Option<[u8; 16]> {
        self.nodes.iter().find(|it| it.id == node)?.disk
    }

    /// How many nodes of the cluster are acceptors.
    pub fn acceptors(&self) -> u32 {
        count_acceptors(&self.nodes)
    }

    /// The file that reads back as this configuration, with comments for whoever edits it.
    pub fn to_toml(&self) -> String {
        let mut text =
            String::from("# One file a node. The [[node]] list is the same in all of them.\n\n");
        self.write_identity(&mut text)
            .and_then(|()| self.write_settings(&mut text))
            .and_then(|()| self.clients.iter().try_for_each(|client| client.write(&mut text)))
            .and_then(|()| self.nodes.iter().try_for_each(|node| node.write(&mut text)))
            .expect("writing to a string cannot fail");
        text
    }

    fn write_identity(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "cluster = \"{}\"", format_identity(&self.cluster))?;
        if self.epoch > 0 {
            text.push_str(&edit::epoch_line(self.epoch));
        }
        writeln!(text, "id = {}", self.id)?;
        if let Some(data_dir) = &self.data_dir {
            let quoted = toml::Value::String(data_dir.display().to_string());
            writeln!(text, "data_dir = {quoted}  # from this file's directory")?;
        }
        if self.shutdown_timeout != SHUTDOWN_TIMEOUT {
            let timeout = format_duration(self.shutdown_timeout);
            writeln!(text, "shutdown_timeout = \"{timeout}\"")?;
        }
        Ok(())
    }

    fn write_settings(&self, text: &mut String) -> fmt::Result {
        self.transport.write(text)?;
        writeln!(text, "\n# Acceptors that a leader needs to lead (phase 1) and to have a value")?;
        writeln!(text, "# chosen (phase 2). Together they must exceed the number of acceptors.")?;
        writeln!(text, "[quorums]")?;
        writeln!(text, "phase1 = {}", self.quorums.phase1)?;
        writeln!(text, "phase2 = {}", self.quorums.phase2)?;
        writeln!(text, "\n# After `election_timeout` without a heartbeat another leader asks")?;
        writeln!(text, "# the acceptors whether it is needed.")?;
        writeln!(text, "[timing]")?;
        writeln!(text, "heartbeat = \"{}\"", format_duration(self.timing.heartbeat))?;
        writeln!(text, "election_timeout = \"{}\"", format_duration(self.timing.election_timeout))?;
        let Storage { history_bytes, snapshot_bytes } = self.storage;
        writeln!(
            text,
            "\n# The latest values that this node holds, and how many bytes of values lie"
        )?;
        writeln!(
            text,
            "# between two of its snapshots. Disk: twice the first, and a few times the"
        )?;
        writeln!(text, "# second, about.")?;
        writeln!(text, "[storage]")?;
        writeln!(text, "history_bytes = \"{}\"", format_size(history_bytes))?;
        writeln!(text, "snapshot_bytes = \"{}\"", format_size(snapshot_bytes))?;
        let Some(admin) = self.admin else { return Ok(()) };
        writeln!(
            text,
            "\n# Metrics and health over plain HTTP: /metrics /livez /readyz /startupz."
        )?;
        writeln!(text, "# Whoever reaches this port may read them. Without this, there is none.")?;
        writeln!(text, "[admin]")?;
        writeln!(text, "address = \"{admin}\"")
    }
}

impl Transport {
    /// All names, the safe one first.
    pub const NAMES: [&str; 3] = ["tls", "plaintext-tcp", "plaintext-udp"];

    /// As the file calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Transport::Tls(_) => "tls",
            Transport::PlaintextTcp => "plaintext-tcp",
            Transport::PlaintextUdp => "plaintext-udp",
        }
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        writeln!(
            text,
            "\n# Between nodes: \"tls\", or without any protection \"plaintext-tcp\" or"
        )?;
        writeln!(text, "# \"plaintext-udp\". The same at all nodes.")?;
        writeln!(text, "[network]\ntransport = \"{}\"", self.name())?;
        let Transport::Tls(Files { ca, certificate, key }) = self else { return Ok(()) };
        writeln!(text, "\n# Renewed files are taken while the node runs.\n[tls]")?;
        for (name, path) in [("ca", ca), ("certificate", certificate), ("key", key)] {
            let quoted = toml::Value::String(path.display().to_string());
            writeln!(text, "{name} = {quoted}")?;
        }
        Ok(())
    }
}

impl Node {
    fn write(&self, text: &mut String) -> fmt::Result {
        let roles: Vec<String> = self.roles.iter().map(|role| format!("\"{role}\"")).collect();
        writeln!(text, "\n[[node]]")?;
        writeln!(text, "id = {}", self.id)?;
        writeln!(text, "roles = [{}]", roles.join(", "))?;
        if let Some(disk) = &self.disk {
            writeln!(text, "disk = \"{}\"  # of its directory", format_identity(disk))?;
        }
        writeln!(text, "peers = \"{}\"  # between nodes", self.peers)?;
        writeln!(text, "clients = \"{}\"  # TCP, gRPC", self.clients)
    }
}

impl Quorums {
    /// Majorities for both phases.
    pub fn majorities(acceptors: u32) -> Quorums {
        let majority = acceptors / 2 + 1;
        Quorums { phase1: majority, phase2: majority }
    }
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            heartbeat: Duration::from_millis(50),
            election_timeout: Duration::from_millis(200),
        }
    }
}

impl Default for Storage {
    fn default() -> Storage {
        Storage { history_bytes: 64 << 20, snapshot_bytes: 64 << 20 }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Leader => "leader",
            Role::Acceptor => "acceptor",
            Role::Learner => "learner",
        })
    }
}

/// An identity as 32 lower-case hexadecimal digits.
pub fn format_identity(identity: &[u8; 16]) -> String {
    identity.iter().fold(String::with_capacity(32), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// The identity that `text` writes; `None` unless it is 32 hexadecimal digits.
pub fn parse_identity(text: &str) -> Option<[u8; 16]> {
    let well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = well_formed.then(|| u128::from_str_radix(text, 16))?;
    Some(number.expect("32 hexadecimal digits are 128 bits").to_be_bytes())
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let unread = |source| ConfigError::new(path, None, Problem::Unreadable(source));
    let mut text = String::new();
    let file = File::open(path).map_err(unread)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::new(path, None, Problem::TooLarge));
    }
    Ok(text)
}

fn count_acceptors(nodes: &[Node]) -> u32 {
    let acceptors = nodes.iter().filter(|node| node.roles.contains(&Role::Acceptor)).count();
    u32::try_from(acceptors).expect("at most NODES_MAX nodes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Config {
        let node = |id: u32, role| Node {
            id: NodeId(id),
            roles: BTreeSet::from([role]),
            disk: (role != Role::Leader).then_some([u8::try_from(id).unwrap(); 16]),
            peers: format!("127.0.0.1:710{id}").parse().unwrap(),
            clients: format!("[::1]:720{id}").parse().unwrap(),
        };
        Config {
            cluster: [0xa5; 16],
            epoch: 7,
            id: NodeId(3),
            data_dir: Some(PathBuf::from("da\"ta")),
            listen: None,
            shutdown_timeout: Duration::from_secs(30),
            log: Log::default(),
            quorums: Quorums { phase1: 2, phase2: 1 },
            timing: Timing {
                heartbeat: Duration::from_micros(1500),
                election_timeout: Duration::from_secs(1),
            },
            transport: Transport::Tls(Files {
                ca: "../c\"a.crt".into(),
                certificate: "node.crt".into(),
                key: "/k/node.key".into(),
            }),
            storage: Storage { history_bytes: 3 << 20, snapshot_bytes: 70_001 },
            admin: Some("127.0.0.1:7303".parse().unwrap()),
            clients: vec![
                Grant {
                    name: "app-1".into(),
                    permissions: BTreeSet::from([Permission::Append, Permission::Read]),
                    token_sha256: Some([0xb7; 32]),
                },
                Grant {
                    name: "admin".into(),
                    permissions: BTreeSet::from([Permission::Operate]),
                    token_sha256: None,
                },
            ],
            nodes: vec![
                node(1, Role::Leader),
                node(2, Role::Learner),
                node(3, Role::Acceptor),
                node(4, Role::Acceptor),
            ],
        }
    }

    #[test]
    fn a_node_takes_a_while_to_stop_and_no_more() {
        let with = |line: &str| {
            let config = Config { shutdown_timeout: SHUTDOWN_TIMEOUT, ..example() };
            let text = format!("{line}\n{}", config.to_toml());
            let config = Config::parse(&text, Path::new("synod.toml"));
            config.map(|config| config.shutdown_timeout).map_err(|error| error.to_string())
        };
        assert_eq!(with(""), Ok(SHUTDOWN_TIMEOUT));
        assert_eq!(with("shutdown_timeout = \"90s\""), Ok(Duration::from_secs(90)));
        for wrong in ["99ms", "11m"] {
            let error = with(&format!("shutdown_timeout = \"{wrong}\"")).unwrap_err();
            assert!(error.contains("between 100ms and 600s"), "{error}");
        }
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let config = example();
        let text = config.to_toml();
        assert_eq!(Config::parse(&text, Path::new("synod.toml")).unwrap(), config, "{text}");
        let (transport, clients) = (Transport::PlaintextTcp, Vec::new());
        let plain = Config { transport, clients, ..config.clone() };
        let text = plain.to_toml();
        assert_eq!(Config::parse(&text, Path::new("synod.toml")).unwrap(), plain);
        let first = Config { epoch: 0, ..config };
        let text = first.to_toml();
        assert_eq!(Config::parse(&text, Path::new("synod.toml")).unwrap(), first);
        assert!(!text.contains("epoch"), "nobody asks before a disk is lost: {text}");
    }

    #[test]
    fn paths_are_found_from_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("synod.toml");
        std::fs::write(&path, example().to_toml()).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.data_dir, Some(directory.path().join("da\"ta")));
        let Transport::Tls(files) = &config.transport else { panic!("{:?}", config.transport) };
        assert_eq!(files.certificate, directory.path().join("node.crt"));
        assert_eq!(files.key, Path::new("/k/node.key"));
        assert_eq!(config.own().id, NodeId(3));
        assert_eq!(config.acceptors(), 2);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Config::load(Path::new("/nowhere/synod.toml")).unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/synod.toml: cannot be read"), "{error}");
    }

    #[test]
    fn a_huge_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(FILE_BYTES_MAX + 1).unwrap();
        let error = Config::load(file.path()).unwrap_err();
        assert!(matches!(error.problem, Problem::TooLarge), "{error}");
    }

    #[test]
    fn identities_are_32_hexadecimal_digits() {
        let identity = parse_identity("000102030405060708090a0b0c0d0eFF").unwrap();
        assert_eq!(format_identity(&identity), "000102030405060708090a0b0c0d0eff");
        for wrong in ["", "00", "+0010203040506070809 0a0b0c0d0e0f", "éé0102030405060708090a0b0c0d"]
        {
            assert_eq!(parse_identity(wrong), None, "{wrong}");
        }
    }
}
