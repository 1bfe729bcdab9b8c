//! The file's shape, and the rules that turn it into a [`Config`].
//!
//! Every rule is checked here, with the place in the text that breaks it. Nothing is opened,
//! resolved or created: a configuration is right or wrong by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use paxos::NodeId;
use serde::Deserialize;
use toml::Spanned;

use super::error::{Located, nearest};
use super::grants::{GrantShape, grants};
use super::layers::{Reading, laid_over};
use super::names::Resolve;
use super::transport::{NetworkShape, TlsShape, transport};
use super::{
    Config, HEARTBEATS_PER_TIMEOUT_MIN, Log, NODES_MAX, Node, Problem, Quorums, Role, Storage,
    Timing, count_acceptors, format_size, parse_duration, parse_identity, parse_size,
};

const HEARTBEAT_MIN: Duration = Duration::from_millis(1);
const HEARTBEAT_MAX: Duration = Duration::from_secs(10);
const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(60);
const SHUTDOWN_TIMEOUT_MIN: Duration = Duration::from_millis(100);
const SHUTDOWN_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Less would be a snapshot for every few values.
const STORAGE_BYTES_MIN: u64 = 64 << 10;

/// The history is in memory, and its snapshot is put together there.
const STORAGE_BYTES_MAX: u64 = 2 << 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileShape {
    cluster: Spanned<String>,
    epoch: Option<Spanned<u64>>,
    id: Spanned<u32>,
    data_dir: Option<Spanned<PathBuf>>,
    listen: Option<IpAddr>,
    shutdown_timeout: Option<Spanned<String>>,
    log: Option<LogShape>,
    quorums: Option<QuorumsShape>,
    timing: Option<TimingShape>,
    storage: Option<StorageShape>,
    network: Option<NetworkShape>,
    tls: Option<Spanned<TlsShape>>,
    admin: Option<AdminShape>,
    #[serde(default)]
    client: Vec<Spanned<GrantShape>>,
    #[serde(default)]
    node: Vec<Spanned<NodeShape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QuorumsShape {
    phase1: Spanned<u32>,
    phase2: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimingShape {
    heartbeat: Option<Spanned<String>>,
    election_timeout: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StorageShape {
    history_bytes: Option<Spanned<String>>,
    snapshot_bytes: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdminShape {
    address: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogShape {
    level: Option<String>,
    format: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeShape {
    id: Spanned<u32>,
    roles: Vec<Role>,
    disk: Option<Spanned<String>>,
    peers: Spanned<String>,
    clients: Spanned<String>,
}

/// Reads and checks a whole file, and what is laid over it.
pub(super) fn parse(text: &str, reading: &Reading) -> Result<Config, Located> {
    let table = laid_over(text, reading.over).map_err(|error| syntax(&error))?;
    let shape = FileShape::deserialize(toml::Deserializer::from(table));
    let shape = shape.map_err(|error| syntax(&error))?;
    let cluster = identity("cluster", &shape.cluster)?;
    let nodes = nodes(&shape.node, reading.resolve)?;
    let own = nodes
        .iter()
        .find(|node| node.id.0 == *shape.id.get_ref())
        .ok_or_else(|| Located::at(shape.id.span(), Problem::OwnIdMissing(*shape.id.get_ref())))?;
    let data_dir = data_dir(shape.data_dir, own)?;
    let quorums = quorums(shape.quorums, count_acceptors(&nodes))?;
    let timing = timing(shape.timing)?;
    let storage = storage(shape.storage)?;
    let transport = transport(shape.network, shape.tls)?;
    let clients = grants(&shape.client, &transport)?;
    let admin = shape
        .admin
        .map(|admin| admin_address(&admin.address, &nodes, reading.resolve))
        .transpose()?;
    let (epoch, id) = (shape.epoch.map_or(0, Spanned::into_inner), own.id);
    let log =
        shape.log.map_or_else(Log::default, |LogShape { level, format }| Log { level, format });
    let listen = shape.listen;
    let shutdown_timeout = duration(
        "shutdown_timeout",
        shape.shutdown_timeout.as_ref(),
        super::SHUTDOWN_TIMEOUT,
        SHUTDOWN_TIMEOUT_MIN..=SHUTDOWN_TIMEOUT_MAX,
    )?;
    Ok(Config {
        cluster,
        epoch,
        id,
        data_dir,
        listen,
        shutdown_timeout,
        log,
        quorums,
        timing,
        transport,
        storage,
        admin,
        clients,
        nodes,
    })
}

/// What the reader says of a table that has no place in a file, in its own words.
#[cfg(test)]
pub(super) fn refusal(table: Spanned<toml::de::DeTable<'_>>) -> String {
    let shape = FileShape::deserialize(toml::Deserializer::from(table));
    shape.err().map_or_else(String::new, |error| error.message().to_owned())
}

/// Where in a text that is right the values stand that a replaced disk changes.
pub(super) struct Places {
    pub(super) cluster: Range<usize>,
    pub(super) epoch: Option<Range<usize>>,
    pub(super) disk: Range<usize>,
}

/// None if the node has no disk.
pub(super) fn places(text: &str, node: NodeId) -> Option<Places> {
    let shape: FileShape = toml::from_str(text).ok()?;
    let node = shape.node.iter().map(Spanned::get_ref).find(|it| *it.id.get_ref() == node.0)?;
    Some(Places {
        cluster: shape.cluster.span(),
        epoch: shape.epoch.map(|epoch| epoch.span()),
        disk: node.disk.as_ref()?.span(),
    })
}

/// What the TOML reader refused, in our words where it is a misspelt one.
fn syntax(error: &toml::de::Error) -> Located {
    // Serde speaks of fields and variants and quotes every word with backticks: first the one
    // that it does not know, then those that it does.
    let mut words = error.message().split('`').skip(1).step_by(2);
    let kind = match error.message() {
        message if message.starts_with("unknown field") => Some("key"),
        message if message.starts_with("unknown variant") && message.contains("`operate`") => {
            Some("permission")
        }
        message if message.starts_with("unknown variant") => Some("role"),
        _ => None,
    };
    let problem = match (kind, words.next()) {
        (Some(kind), Some(word)) => Problem::Unknown {
            kind,
            word: word.to_owned(),
            nearest: nearest(word, words).map(str::to_owned),
        },
        _ => Problem::Malformed(error.message().replace("missing field", "missing key")),
    };
    Located { span: error.span(), problem }
}

fn nodes(shapes: &[Spanned<NodeShape>], resolve: Resolve) -> Result<Vec<Node>, Located> {
    if shapes.len() > NODES_MAX {
        return Err(Located::whole_file(Problem::TooManyNodes(shapes.len())));
    }
    let node = |shape| node(shape, resolve);
    let mut nodes = shapes.iter().map(node).collect::<Result<Vec<_>, _>>()?;
    let twice = |key| move |id, other| Problem::AddressTwice { key, id, other };
    unique(shapes, nodes.iter().map(|node| Some(node.id)), |id, _| Problem::IdTwice(id))?;
    unique(shapes, nodes.iter().map(|node| Some(node.peers)), twice("peers"))?;
    unique(shapes, nodes.iter().map(|node| Some(node.clients)), twice("clients"))?;
    unique(shapes, nodes.iter().map(|node| node.disk), |id, other| Problem::DiskTwice {
        id,
        other,
    })?;
    let any = |role| nodes.iter().any(|node| node.roles.contains(&role));
    if !any(Role::Leader) {
        return Err(Located::whole_file(Problem::NoLeader));
    }
    if !any(Role::Acceptor) {
        return Err(Located::whole_file(Problem::NoAcceptor));
    }
    nodes.sort_by_key(|node| node.id);
    Ok(nodes)
}

fn node(spanned: &Spanned<NodeShape>, resolve: Resolve) -> Result<Node, Located> {
    let shape = spanned.get_ref();
    let id = *shape.id.get_ref();
    let at = |problem| Located::at(spanned.span(), problem);
    if id == 0 {
        return Err(Located::at(shape.id.span(), Problem::IdZero));
    }
    let roles: BTreeSet<Role> = shape.roles.iter().copied().collect();
    if roles.is_empty() {
        return Err(at(Problem::NoRole(id)));
    }
    let disk = match (&shape.disk, roles.contains(&Role::Acceptor)) {
        (Some(disk), _) => Some(identity("disk", disk)?),
        (None, true) => return Err(at(Problem::DiskMissing(id))),
        (None, false) => None,
    };
    let (peers, clients) = (address(&shape.peers, resolve)?, address(&shape.clients, resolve)?);
    Ok(Node { id: NodeId(id), roles, disk, peers, clients })
}

/// Refuses the first fact that two nodes share. `facts` are those of `shapes`, in their order.
fn unique<T: Ord>(
    shapes: &[Spanned<NodeShape>],
    facts: impl Iterator<Item = Option<T>>,
    problem: impl Fn(u32, u32) -> Problem,
) -> Result<(), Located> {
    let mut owners = BTreeMap::new();
    for (shape, fact) in shapes.iter().zip(facts) {
        let Some(fact) = fact else { continue };
        let id = *shape.get_ref().id.get_ref();
        if let Some(other) = owners.insert(fact, id) {
            return Err(Located::at(shape.span(), problem(id, other)));
        }
    }
    Ok(())
}

fn identity(key: &'static str, text: &Spanned<String>) -> Result<[u8; 16], Located> {
    parse_identity(text.get_ref())
        .ok_or_else(|| Located::at(text.span(), Problem::Identity { key }))
}

fn address(text: &Spanned<String>, resolve: Resolve) -> Result<SocketAddr, Located> {
    let address = match text.get_ref().parse::<SocketAddr>() {
        Ok(address) => Ok(address),
        Err(_) => resolve(text.get_ref()),
    };
    let wrong = |problem| Located::at(text.span(), problem);
    match address.map_err(wrong)? {
        address if address.port() == 0 => {
            Err(wrong(Problem::Address { text: text.get_ref().clone() }))
        }
        address => Ok(address),
    }
}

fn data_dir(shape: Option<Spanned<PathBuf>>, own: &Node) -> Result<Option<PathBuf>, Located> {
    match (shape, own.disk.is_some()) {
        (Some(path), true) => Ok(Some(path.into_inner())),
        (None, true) => Err(Located::whole_file(Problem::DataDirMissing)),
        (Some(path), false) => Err(Located::at(path.span(), Problem::DataDirUnused)),
        (None, false) => Ok(None),
    }
}

fn quorums(shape: Option<QuorumsShape>, acceptors: u32) -> Result<Quorums, Located> {
    let Some(shape) = shape else { return Ok(Quorums::majorities(acceptors)) };
    for (key, size) in [("phase1", &shape.phase1), ("phase2", &shape.phase2)] {
        if !(1..=acceptors).contains(size.get_ref()) {
            let problem = Problem::QuorumSize { key, size: *size.get_ref(), acceptors };
            return Err(Located::at(size.span(), problem));
        }
    }
    // Any phase-1 quorum must meet any phase-2 quorum; nothing else is asked of them.
    // Howard, Malkhi, Spiegelman, "Flexible Paxos", section 3.
    let (phase1, phase2) = (*shape.phase1.get_ref(), *shape.phase2.get_ref());
    if phase1 + phase2 <= acceptors {
        let problem = Problem::QuorumsDisjoint { phase1, phase2, acceptors };
        return Err(Located::at(shape.phase2.span(), problem));
    }
    Ok(Quorums { phase1, phase2 })
}

fn timing(shape: Option<TimingShape>) -> Result<Timing, Located> {
    let Some(shape) = shape else { return Ok(Timing::default()) };
    let default = Timing::default();
    let heartbeat = duration(
        "heartbeat",
        shape.heartbeat.as_ref(),
        default.heartbeat,
        HEARTBEAT_MIN..=HEARTBEAT_MAX,
    )?;
    let election_timeout = duration(
        "election_timeout",
        shape.election_timeout.as_ref(),
        default.election_timeout,
        HEARTBEAT_MIN * HEARTBEATS_PER_TIMEOUT_MIN..=ELECTION_TIMEOUT_MAX,
    )?;
    if election_timeout < heartbeat * HEARTBEATS_PER_TIMEOUT_MIN {
        let reason = format!("must be at least {HEARTBEATS_PER_TIMEOUT_MIN} heartbeats");
        let span = shape.election_timeout.or(shape.heartbeat).map(|text| text.span());
        let problem = Problem::Timing { key: "election_timeout", reason };
        return Err(Located { span, problem });
    }
    Ok(Timing { heartbeat, election_timeout })
}

fn duration(
    key: &'static str,
    text: Option<&Spanned<String>>,
    default: Duration,
    range: std::ops::RangeInclusive<Duration>,
) -> Result<Duration, Located> {
    let Some(text) = text else { return Ok(default) };
    let wrong = |reason| Located::at(text.span(), Problem::Timing { key, reason });
    let duration = parse_duration(text.get_ref()).map_err(|error| wrong(error.to_string()))?;
    if !range.contains(&duration) {
        let (least, most) = (range.start(), range.end());
        return Err(wrong(format!("must be between {least:?} and {most:?}")));
    }
    Ok(duration)
}

fn storage(shape: Option<StorageShape>) -> Result<Storage, Located> {
    let default = Storage::default();
    let Some(shape) = shape else { return Ok(default) };
    let history = size("history_bytes", shape.history_bytes.as_ref(), default.history_bytes)?;
    let snapshot = size("snapshot_bytes", shape.snapshot_bytes.as_ref(), default.snapshot_bytes)?;
    Ok(Storage { history_bytes: history, snapshot_bytes: snapshot })
}

/// Where clients are served, nothing else can be. Other nodes' own ports are not known here.
fn admin_address(
    text: &Spanned<String>,
    nodes: &[Node],
    resolve: Resolve,
) -> Result<SocketAddr, Located> {
    let admin = address(text, resolve)?;
    match nodes.iter().find(|node| node.clients == admin) {
        Some(node) => Err(Located::at(text.span(), Problem::AdminTaken(node.id.0))),
        None => Ok(admin),
    }
}

fn size(key: &'static str, text: Option<&Spanned<String>>, default: u64) -> Result<u64, Located> {
    let Some(text) = text else { return Ok(default) };
    let wrong = |reason| Located::at(text.span(), Problem::Size { key, reason });
    let bytes = parse_size(text.get_ref()).map_err(|error| wrong(error.to_string()))?;
    if !(STORAGE_BYTES_MIN..=STORAGE_BYTES_MAX).contains(&bytes) {
        let (least, most) = (format_size(STORAGE_BYTES_MIN), format_size(STORAGE_BYTES_MAX));
        return Err(wrong(format!("must be between {least} and {most}")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<Config, Located> {
        super::parse(text, &Reading::default())
    }

    const GOOD: &str = r#"cluster = "000102030405060708090a0b0c0d0e0f"
id = 3
data_dir = "data"
network.transport = "plaintext-udp"

[[node]]
id = 3
roles = ["acceptor", "learner"]
disk = "101112131415161718191a1b1c1d1e1f"
peers = "127.0.0.1:7103"
clients = "127.0.0.1:7203"

[[node]]
id = 1
roles = ["leader"]
peers = "127.0.0.1:7101"
clients = "127.0.0.1:7201"
"#;

    /// Changes the good file in one place and says what is then wrong, hint included.
    fn refused(from: &str, to: &str) -> String {
        assert_eq!(GOOD.matches(from).count(), 1, "`{from}` must name one place");
        let error = Config::parse(&GOOD.replace(from, to), Path::new("f")).unwrap_err();
        error.hint().map_or(error.to_string(), |hint| format!("{error} ({hint})"))
    }

    #[test]
    fn the_admin_port_is_not_where_clients_are_served() {
        let refused = |address| {
            let list = "[[node]]\nid = 3";
            let admin = format!("[admin]\naddress = \"{address}\"\n{list}");
            let text = GOOD.replace(list, &admin);
            Config::parse(&text, Path::new("f")).map_err(|error| error.to_string())
        };
        assert_eq!(refused("127.0.0.1:7303").unwrap().admin, "127.0.0.1:7303".parse().ok());
        let error = refused("127.0.0.1:7201").unwrap_err();
        assert_eq!(error, "f:7: `address` of [admin] is where node 1 serves clients");
        assert!(refused("127.0.0.1:0").unwrap_err().contains("is not an address"));
    }

    #[test]
    fn defaults_are_majorities_and_quick_heartbeats() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.quorums, Quorums { phase1: 1, phase2: 1 });
        assert_eq!(config.timing, Timing::default());
        assert_eq!(config.nodes.iter().map(|node| node.id.0).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn an_epoch_counts_from_zero() {
        let with = |line: &str| parse(&format!("{line}\n{GOOD}"));
        assert_eq!(parse(GOOD).unwrap().epoch, 0);
        assert_eq!(with("epoch = 3").unwrap().epoch, 3);
        assert_eq!(with("epoch = 18446744073709551615").unwrap().epoch, u64::MAX);
        let refused =
            |line: &str| with(line).unwrap_err().in_file(Path::new("f"), line).to_string();
        assert_eq!(refused("epoch = -1"), "f:1: invalid value: integer `-1`, expected u64");
        assert_eq!(refused("epoch = \"1\""), "f:1: invalid type: string \"1\", expected u64");
        assert_eq!(refused("epock = 1"), "f:1: unknown key `epock`");
        assert!(with("epoch = 18446744073709551616").is_err());
    }

    #[test]
    fn a_misspelt_word_is_shown_with_its_line_and_the_right_one() {
        assert_eq!(
            refused("data_dir", "datadir"),
            "f:3: unknown key `datadir` (did you mean `data_dir`?)"
        );
        assert_eq!(
            refused("\"leader\"", "\"leadr\""),
            "f:15: unknown role `leadr` (did you mean `leader`?)"
        );
    }

    #[test]
    fn a_file_that_is_not_toml_is_shown_with_its_line() {
        assert!(refused("id = 3\ndata", "id = \ndata").starts_with("f:2: "));
        assert_eq!(refused("peers = \"127.0.0.1:7101\"\n", ""), "f:13: missing key `peers`");
    }

    #[test]
    fn every_rule_about_nodes_is_checked() {
        assert_eq!(refused("id = 1\n", "id = 0\n"), "f:14: a node's id must be 1 or more");
        assert_eq!(refused("id = 1\n", "id = 3\n"), "f:13: two nodes have the id 3");
        assert_eq!(
            refused("id = 3\ndata_dir", "id = 9\ndata_dir"),
            "f:2: this file is node 9's, and no [[node]] has that id"
        );
        assert_eq!(refused("[\"leader\"]", "[]"), "f:13: node 1 has no role");
        assert_eq!(
            refused("\"leader\"", "\"learner\""),
            "f: no node is a leader: nobody would propose"
        );
        assert_eq!(
            refused("disk = \"101112131415161718191a1b1c1d1e1f\"\n", ""),
            "f:6: node 3 is an acceptor and needs `disk`, the identity of its directory"
        );
        assert_eq!(refused("1e1f\"", "\""), "f:9: `disk` must be 32 hexadecimal digits");
        assert_eq!(
            refused("127.0.0.1:7101", "127.0.0.1:7103"),
            "f:13: node 1 has the same `peers` address as node 3"
        );
        assert!(refused("127.0.0.1:7201", "127.0.0.1").contains("f:17: `127.0.0.1` is not"));
        assert!(refused("127.0.0.1:7201", "127.0.0.1:0").contains("is not an address"));
        assert_eq!(
            refused("data_dir = \"data\"\n", ""),
            "f: this node has a `disk` and needs `data_dir`"
        );
        assert_eq!(
            refused("id = 3\ndata_dir", "id = 1\ndata_dir"),
            "f:3: this node has no `disk` in its [[node]] and no use for `data_dir`"
        );
    }

    #[test]
    fn whoever_learns_may_have_a_disk() {
        let disk = "disk = \"202122232425262728292a2b2c2d2e2f\"\n";
        let leads = "roles = [\"leader\"]\n";
        let text = GOOD.replace(leads, &format!("{leads}{disk}"));
        let text = text.replace("id = 3\ndata_dir", "id = 1\ndata_dir");
        let config = parse(&text).unwrap();
        assert_eq!(config.data_dir, Some("data".into()));
        assert!(config.own().disk.is_some());
    }

    #[test]
    fn sizes_must_be_sane() {
        let with = |lines: &str| {
            parse(&format!("{GOOD}[storage]\n{lines}\n"))
                .map(|config| config.storage)
                .map_err(|located| located.problem.to_string())
        };
        let Storage { history_bytes, snapshot_bytes } = with("history_bytes = \"1MiB\"").unwrap();
        assert_eq!((history_bytes, snapshot_bytes), (1 << 20, 64 << 20));
        let error = with("snapshot_bytes = \"1KiB\"").unwrap_err();
        assert_eq!(error, "`snapshot_bytes`: must be between 64KiB and 2GiB");
        assert!(with("history_bytes = \"all\"").unwrap_err().contains("is not a size"));
    }

    #[test]
    fn a_cluster_without_acceptors_is_refused() {
        let text = "cluster = \"000102030405060708090a0b0c0d0e0f\"\nid = 1\n\
                    network.transport = \"plaintext-udp\"\n[[node]]\nid = 1\n\
                    roles = [\"leader\"]\npeers = \"127.0.0.1:1\"\nclients = \"127.0.0.1:1\"\n";
        assert!(matches!(parse(text).unwrap_err().problem, Problem::NoAcceptor));
    }

    #[test]
    fn two_journals_never_share_an_identity() {
        let second = "[[node]]\nid = 4\nroles = [\"acceptor\"]\npeers = \"127.0.0.1:7104\"\n\
                      clients = \"127.0.0.1:7204\"\ndisk = \"101112131415161718191a1b1c1d1e1f\"\n";
        let error = parse(&format!("{GOOD}{second}")).unwrap_err();
        assert!(matches!(error.problem, Problem::DiskTwice { id: 4, other: 3 }));
    }

    #[test]
    fn at_most_64_nodes() {
        let mut text = GOOD.to_owned();
        for id in 100..100 + NODES_MAX {
            text += &format!(
                "[[node]]\nid = {id}\nroles = [\"learner\"]\npeers = \"127.0.0.1:{id}\"\n\
                 clients = \"127.0.0.1:{id}\"\n"
            );
        }
        assert!(matches!(parse(&text).unwrap_err().problem, Problem::TooManyNodes(66)));
    }

    #[test]
    fn quorums_must_meet() {
        let with = |phase1: u32, phase2: u32| {
            let second = "[[node]]\nid = 4\nroles = [\"acceptor\"]\npeers = \"127.0.0.1:7104\"\n\
                      clients = \"127.0.0.1:7204\"\ndisk = \"ff1112131415161718191a1b1c1d1e1f\"\n";
            parse(&format!("{GOOD}{second}[quorums]\nphase1 = {phase1}\nphase2 = {phase2}\n"))
                .map(|config| config.quorums)
                .map_err(|located| located.problem)
        };
        assert_eq!(with(2, 1).unwrap(), Quorums { phase1: 2, phase2: 1 });
        assert!(matches!(with(1, 1), Err(Problem::QuorumsDisjoint { .. })));
        assert!(matches!(with(3, 1), Err(Problem::QuorumSize { key: "phase1", .. })));
        assert!(matches!(with(2, 0), Err(Problem::QuorumSize { key: "phase2", .. })));
        assert!(matches!(with(2, u32::MAX), Err(Problem::QuorumSize { key: "phase2", .. })));
    }

    #[test]
    fn timing_must_be_sane() {
        let with = |lines: &str| {
            parse(&format!("{GOOD}[timing]\n{lines}\n"))
                .map(|config| config.timing)
                .map_err(|located| located.problem.to_string())
        };
        assert_eq!(with("heartbeat = \"10ms\"").unwrap().heartbeat, Duration::from_millis(10));
        let error = with("heartbeat = \"100ms\"").unwrap_err();
        assert_eq!(error, "`election_timeout`: must be at least 3 heartbeats");
        let error = with("heartbeat = \"100us\"").unwrap_err();
        assert_eq!(error, "`heartbeat`: must be between 1ms and 10s");
        assert!(with("election_timeout = \"2m\"").unwrap_err().contains("between 3ms and 60s"));
        assert!(with("election_timeout = \"soon\"").unwrap_err().contains("is not a duration"));
    }
}
