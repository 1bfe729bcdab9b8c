//! `synod init cluster`: a directory for each node, with its configuration, its certificate and its
//! empty journal.
//!
//! Identities are drawn here, once. What is in the directories is all that nodes start from.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::RangedI64ValueParser;
use paxos::{DiskId, NodeId};
use server::config::{
    Config, Grant, Log, NODES_MAX, Node, Quorums, Role, Storage, Timing, Transport,
};
use server::restore::Seed;
use server::snapshot_file::Whole;
use server::tls::Files;

use super::certificate::hosts;
use super::format::format_journal;
use super::issue::{AUTHORITY_DAYS, Desk, ValidityArgs, days, files};
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Clients' ports lie so far above the peers' ports. More than [`NODES_MAX`], or they would meet.
const CLIENTS_ABOVE_PEERS: u16 = 100;

/// And admin ports so far.
const ADMIN_ABOVE_PEERS: u16 = 2 * CLIENTS_ABOVE_PEERS;

/// The highest base from which every node's ports are ports.
const BASE_PORT_MAX: i64 = 65_535 - 3 * CLIENTS_ABOVE_PEERS as i64;

/// Write the files that a new cluster starts from: a directory a node
///
/// Each holds `synod.toml`; an acceptor's holds an empty journal as well. Nodes that keep snapshots
/// have a place for them there; at least two of those, and acceptors let go of what is old.
///
/// Nodes prove to each other who they are: each directory holds a certificate and its private key,
/// `admin` those of a client. `authority` can issue more; keep it off the nodes' machines.
///
/// Node 1 listens to its peers at the base port + 1 and to clients at the base port + 101, node 2
/// one above, and so on. At the base port + 201 and so on they tell metrics and health, to this
/// machine alone: `[admin]` in the files. With `--hosts` each node is on a machine of its own, and
/// uses the ports of node 1.
///
/// A leader needs promises of --phase1 acceptors, a value the votes of --phase2: majorities, unless
/// said otherwise. Any two such quorums must share an acceptor.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod init cluster --dir cluster
  synod init cluster --dir cluster --acceptors 5 --phase1 4 --phase2 2")]
pub(crate) struct InitClusterArgs {
    /// Where to make the directories; must be empty or not exist
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Nodes that lead and own no disk
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = count())]
    leaders: u32,

    /// Give those a disk all the same, to keep snapshots on
    #[arg(long)]
    leader_disks: bool,

    /// Nodes that remember
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count())]
    acceptors: u32,

    /// Instead of the two: nodes that do both
    #[arg(
        long,
        value_name = "N",
        value_parser = count(),
        conflicts_with_all = ["leaders", "leader_disks", "acceptors"]
    )]
    nodes: Option<u32>,

    /// Beside those: nodes that only remember, to break the tie between two sites
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = count_or_none(),
        requires = "nodes"
    )]
    witnesses: u32,

    /// Nodes that follow what is chosen, and keep snapshots
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count_or_none())]
    learners: u32,

    /// Acceptors that must promise, so that one leads
    #[arg(long, value_name = "N", value_parser = count())]
    phase1: Option<u32>,

    /// Acceptors that must vote, so that a value is chosen
    #[arg(long, value_name = "N", value_parser = count())]
    phase2: Option<u32>,

    /// The address of all nodes
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,

    /// The addresses of the nodes, one each, in the order of their ids
    #[arg(long, value_name = "IP", value_delimiter = ',', conflicts_with = "host")]
    hosts: Vec<IpAddr>,

    /// Where DIR is not empty, leave everything as it is, and succeed
    #[arg(long)]
    if_missing: bool,

    /// Ports are counted from here
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 7100,
        value_parser = clap::value_parser!(u16).range(1..=BASE_PORT_MAX)
    )]
    base_port: u16,

    /// No certificates: nodes talk over UDP, and believe whoever speaks. For a network that is
    /// trusted, and for trying things out
    #[arg(long, conflicts_with_all = ["days", "authority_days"])]
    plaintext: bool,

    #[command(flatten)]
    validity: ValidityArgs,

    /// How long the authority counts, in days
    #[arg(
        long,
        value_name = "N",
        default_value_t = AUTHORITY_DAYS,
        value_parser = clap::value_parser!(u32).range(1..=36_500)
    )]
    authority_days: u32,
}

/// What a new cluster goes on from.
pub(crate) struct Origin {
    pub(crate) file: Whole,
    /// Slots that are left out.
    pub(crate) skip: u64,
}

/// Where the authority's files and those of the first client go. No node is called so.
const AUTHORITY: &str = "authority";
const ADMIN: &str = "admin";

/// A node and the directory that it gets.
struct Place {
    name: String,
    node: Node,
}

pub(super) fn run(args: &InitClusterArgs, output: &Output) -> Result<Exit, CliError> {
    make(args, None, output)
}

/// Makes the directories of a new cluster, which may go on from something.
pub(crate) fn make(
    args: &InitClusterArgs,
    origin: Option<&Origin>,
    output: &Output,
) -> Result<Exit, CliError> {
    let places = places(args)?;
    let quorums = quorums(args, &places)?;
    if let Err(error) = refuse_unless_empty(&args.dir) {
        if !args.if_missing || error.code != "not_empty" {
            return Err(error);
        }
        let report = report(&args.dir, &[], false, None);
        return output.show(report.next("Nothing was written: it was made before."));
    }
    let cluster = random_identity()?;
    let nodes: Vec<Node> = places.iter().map(|place| place.node.clone()).collect();
    let has_tls = !args.plaintext;
    let seed = |it: &Origin| {
        let config = config((cluster, quorums), &places[0], &nodes, has_tls);
        Seed::new(&it.file, &config, it.skip)
    };
    let seed = origin.map(seed).transpose()?;
    let desk = if has_tls {
        let validity = days(args.authority_days);
        Some(Desk::make(&args.dir.join(AUTHORITY), cluster, validity)?)
    } else {
        None
    };
    for place in &places {
        let config = config((cluster, quorums), place, &nodes, has_tls);
        write(&args.dir, config, place, seed.as_ref())?;
        if let Some(desk) = &desk {
            certify(desk, &args.dir.join(&place.name), &place.node, args.validity)?;
        }
    }
    if let Some(desk) = &desk {
        desk.give_client(&args.dir.join(ADMIN), ADMIN, args.validity.validity())?;
    }
    output.show(report(&args.dir, &places, desk.is_some(), seed.as_ref()))
}

fn count() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=i64::try_from(NODES_MAX).expect("a small constant"))
}

fn count_or_none() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(0..=i64::try_from(NODES_MAX).expect("a small constant"))
}

fn places(args: &InitClusterArgs) -> Result<Vec<Place>, CliError> {
    let mut groups = match args.nodes {
        Some(nodes) => vec![
            ("n", nodes, vec![Role::Leader, Role::Acceptor]),
            ("w", args.witnesses, vec![Role::Acceptor]),
        ],
        None => {
            vec![
                ("l", args.leaders, vec![Role::Leader]),
                ("a", args.acceptors, vec![Role::Acceptor]),
            ]
        }
    };
    groups.push(("r", args.learners, vec![Role::Learner]));
    let total: u32 = groups.iter().map(|(_, count, _)| count).sum();
    if total as usize > NODES_MAX {
        return Err(CliError::usage(format!("{total} nodes are more than {NODES_MAX}")));
    }
    if !args.hosts.is_empty() && args.hosts.len() != total as usize {
        return Err(CliError::usage(format!("{} hosts for {total} nodes", args.hosts.len()))
            .hint("name one address for each node"));
    }
    let named = groups.iter().flat_map(|(prefix, count, roles)| {
        (1..=*count).map(move |number| (format!("{prefix}{number}"), roles))
    });
    let place = |(id, (name, roles)): (u16, (String, &Vec<Role>))| {
        let has_disk = args.leader_disks || **roles != [Role::Leader];
        let disk = has_disk.then(random_identity).transpose()?;
        let (host, port) = match args.hosts.get(usize::from(id) - 1) {
            Some(host) => (*host, args.base_port + 1),
            None => (args.host, args.base_port + id),
        };
        let node = Node {
            id: NodeId(id.into()),
            roles: roles.iter().copied().collect(),
            disk,
            peers: SocketAddr::new(host, port),
            clients: SocketAddr::new(host, port + CLIENTS_ABOVE_PEERS),
        };
        Ok(Place { name, node })
    };
    (1..).zip(named).map(place).collect()
}

/// As asked for, or as small as they can be beside what was asked for.
fn quorums(args: &InitClusterArgs, places: &[Place]) -> Result<Quorums, CliError> {
    let acceptors = places.iter().filter(|place| is_acceptor(&place.node)).count();
    let acceptors = u32::try_from(acceptors).expect("at most NODES_MAX nodes");
    let majorities = Quorums::majorities(acceptors);
    // The smallest one that meets every quorum of the other phase.
    let beside = |other: u32| (acceptors + 1).saturating_sub(other).max(1);
    let (phase1, phase2) = match (args.phase1, args.phase2) {
        (None, None) => (majorities.phase1, majorities.phase2),
        (Some(phase1), None) => (phase1, beside(phase1)),
        (None, Some(phase2)) => (beside(phase2), phase2),
        (Some(phase1), Some(phase2)) => (phase1, phase2),
    };
    for (option, size) in [("--phase1", phase1), ("--phase2", phase2)] {
        if size > acceptors {
            let message = format!("{option} {size}: there are only {acceptors} acceptors");
            return Err(CliError::usage(message));
        }
    }
    if phase1 + phase2 <= acceptors {
        let message = format!(
            "quorums of {phase1} and {phase2} among {acceptors} acceptors need not meet: a new \
             leader might not hear of a value that was chosen, and have another one chosen"
        );
        let hint = format!(
            "together they must exceed {acceptors}, such as --phase1 {} or \
             --phase2 {}",
            beside(phase2),
            beside(phase1)
        );
        return Err(CliError::usage(message).hint(hint));
    }
    Ok(Quorums { phase1, phase2 })
}

fn is_acceptor(node: &Node) -> bool {
    node.roles.contains(&Role::Acceptor)
}

fn refuse_unless_empty(dir: &Path) -> Result<(), CliError> {
    let is_empty = match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(CliError::file("read", dir, &error)),
    };
    if is_empty {
        return Ok(());
    }
    let message = format!("{} is not empty; nothing was written", dir.display());
    Err(CliError::new("not_empty", Exit::Failed, message)
        .hint("choose another directory: an acceptor's promises must never be overwritten"))
}

fn certify(desk: &Desk, home: &Path, node: &Node, validity: ValidityArgs) -> Result<(), CliError> {
    let Files { ca, certificate, key } = files("node");
    let files =
        Files { ca: home.join(ca), certificate: home.join(certificate), key: home.join(key) };
    desk.give_node(&files, node.id, &hosts(node.clients.ip(), &[]), validity.validity())
}

fn config(
    (cluster, quorums): ([u8; 16], Quorums),
    place: &Place,
    nodes: &[Node],
    has_tls: bool,
) -> Config {
    let admin_port = place.node.peers.port() + ADMIN_ABOVE_PEERS;
    Config {
        cluster,
        epoch: 0,
        id: place.node.id,
        data_dir: place.node.disk.map(|_| PathBuf::from("data")),
        listen: None,
        shutdown_timeout: server::config::SHUTDOWN_TIMEOUT,
        log: Log::default(),
        quorums,
        timing: Timing::default(),
        transport: if has_tls { Transport::Tls(files("node")) } else { Transport::PlaintextUdp },
        storage: Storage::default(),
        // Whatever the nodes' address: who is to read it from elsewhere is the operator's decision.
        admin: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), admin_port)),
        clients: if has_tls { vec![Grant::all(ADMIN)] } else { Vec::new() },
        nodes: nodes.to_vec(),
    }
}

fn write(
    dir: &Path,
    mut config: Config,
    place: &Place,
    seed: Option<&Seed>,
) -> Result<(), CliError> {
    let home = dir.join(&place.name);
    fs::create_dir_all(&home).map_err(|error| CliError::file("create", &home, &error))?;
    if let Some(seed) = seed {
        config.storage = seed.storage(config.storage);
    }
    if let (Some(disk), Some(data_dir)) = (place.node.disk, &config.data_dir) {
        let (path, id) = (home.join(data_dir), place.node.id);
        if let Some(seed) = seed {
            seed.plant(&path, id, DiskId(disk))?;
        } else if place.node.roles.contains(&Role::Acceptor) {
            format_journal(&path, config.cluster, id, disk)?;
        }
    }
    let file = home.join("synod.toml");
    fs::write(&file, config.to_toml()).map_err(|error| CliError::file("write", &file, &error))
}

fn random_identity() -> Result<[u8; 16], CliError> {
    let mut identity = [0; 16];
    getrandom::fill(&mut identity).map_err(|error| {
        let message = format!("the system gave no random identity: {error}");
        CliError::new("no_randomness", Exit::Failed, message)
    })?;
    Ok(identity)
}

fn report(dir: &Path, places: &[Place], has_tls: bool, seed: Option<&Seed>) -> Report {
    let row = |place: &Place| {
        let Node { id, roles, peers, clients, .. } = &place.node;
        vec![
            Value::Id(id.0.into()),
            Value::List(roles.iter().map(ToString::to_string).collect()),
            Value::Text(peers.to_string()),
            Value::Text(clients.to_string()),
            Value::Text(dir.join(&place.name).join("synod.toml").display().to_string()),
        ]
    };
    let columns = ["node", "roles", "peers", "clients", "config"];
    let rows = places.iter().map(row).collect();
    let dir = quoted(&dir.display().to_string());
    let (schema, origin) = match seed {
        None => ("synod.init.cluster/1", String::new()),
        Some(seed) => ("synod.snapshot.restore/1", told(seed)),
    };
    let report = Report::rows(schema, "nodes", &columns, rows);
    let Some(Place { name: first, .. }) = places.first() else { return report };
    let who =
        if has_tls { format!("export SYNOD_CREDENTIALS={dir}/{ADMIN}\n  ") } else { String::new() };
    report.next(format!(
        "{origin}\nNext, run the nodes. All on this machine, in the background:\n  \
         for config in {dir}/*/synod.toml; do synod serve --config \"$config\" & done\n\
         Then see them agree:\n  \
         {who}synod cluster status --config {dir}/{first}/synod.toml\n  \
         synod log append hello --config {dir}/{first}/synod.toml"
    ))
}

/// What a restored cluster goes on from, and who holds it.
fn told(seed: &Seed) -> String {
    let keepers = match seed.keepers() {
        1 => "One node alone keeps what was restored: if its disk is lost, so is that. Keep the \
        file."
            .to_owned(),
        keepers => format!("{keepers} nodes keep what was restored."),
    };
    format!("\n{keepers} The history goes on from slot {}.", seed.below())
}

/// A path as a shell reads it back.
fn quoted(path: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "/._-+".contains(letter);
    if !path.is_empty() && path.chars().all(is_plain) {
        return path.to_owned();
    }
    format!("'{}'", path.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        args: InitClusterArgs,
    }

    fn args(options: &str) -> InitClusterArgs {
        Whole::parse_from(["init", "--dir"].into_iter().chain(options.split(' '))).args
    }

    #[test]
    fn every_node_starts_from_a_configuration_that_is_accepted() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("cluster");
        let places = places(&args("unused --leaders 1 --acceptors 3 --learners 1")).unwrap();
        let nodes: Vec<Node> = places.iter().map(|place| place.node.clone()).collect();
        for place in &places {
            let quorums = Quorums { phase1: 2, phase2: 2 };
            let config = config(([7; 16], quorums), place, &nodes, false);
            write(&dir, config, place, None).unwrap();
            let config = Config::load(&dir.join(&place.name).join("synod.toml")).unwrap();
            assert_eq!(config.own(), &place.node);
            assert_eq!(config.quorums, quorums);
            let admin = config.admin.expect("a place for metrics");
            assert_eq!(admin.port(), place.node.clients.port() + 100);
            assert!(admin.ip().is_loopback());
            assert_eq!(config.data_dir.is_none(), place.name.starts_with('l'));
            let has_journal = config.data_dir.is_some_and(|data| data.is_dir());
            assert_eq!(has_journal, place.name.starts_with('a'));
        }
        assert!(refuse_unless_empty(&dir).is_err());
    }

    #[test]
    fn quorums_meet_or_are_refused() {
        let quorums = |options: &str| {
            let args = args(&format!("d {options}"));
            let places = places(&args).unwrap();
            quorums(&args, &places).map(|it| (it.phase1, it.phase2)).map_err(|it| it.message)
        };
        assert_eq!(quorums("--acceptors 4"), Ok((3, 3)));
        assert_eq!(quorums("--phase1 4 --phase2 2"), Ok((4, 2)));
        assert_eq!(quorums("--phase2 1"), Ok((5, 1)));
        assert_eq!(quorums("--nodes 3 --phase1 2"), Ok((2, 2)));
        assert_eq!(quorums("--phase1 5 --phase2 5"), Ok((5, 5)));
        let error = quorums("--phase1 3 --phase2 2").unwrap_err();
        assert!(error.starts_with("quorums of 3 and 2 among 5 acceptors need not meet"), "{error}");
        let error = quorums("--nodes 3 --phase2 4").unwrap_err();
        assert_eq!(error, "--phase2 4: there are only 3 acceptors");
    }

    #[test]
    fn names_ids_and_ports_count_upwards() {
        let seen = |options: &str| -> Vec<String> {
            let places = places(&args(options)).unwrap();
            let each = |it: &Place| format!("{} {} {}", it.name, it.node.id, it.node.clients);
            places.iter().map(each).collect()
        };
        assert_eq!(
            seen("d --leaders 1 --acceptors 1 --base-port 100"),
            ["l1 1 127.0.0.1:201", "a1 2 127.0.0.1:202"]
        );
        assert_eq!(
            seen("d --nodes 1 --learners 1 --host ::1"),
            ["n1 1 [::1]:7201", "r1 2 [::1]:7202"]
        );
    }

    #[test]
    fn each_node_may_have_a_machine_of_its_own() {
        let seen: Vec<String> = places(&args("d --nodes 2 --hosts 10.0.0.1,10.0.0.2"))
            .unwrap()
            .iter()
            .map(|it| format!("{} {}", it.node.peers, it.node.clients))
            .collect();
        assert_eq!(seen, ["10.0.0.1:7101 10.0.0.1:7201", "10.0.0.2:7101 10.0.0.2:7201"]);
        let error = places(&args("d --nodes 3 --hosts 10.0.0.1,10.0.0.2")).err().unwrap();
        assert_eq!(error.exit, Exit::Usage);
    }

    #[test]
    fn more_nodes_than_a_cluster_may_have_are_refused() {
        let error = places(&args("d --leaders 60 --acceptors 5")).err().unwrap();
        assert_eq!(error.exit, Exit::Usage);
    }

    #[test]
    fn paths_survive_the_shell() {
        assert_eq!(quoted("my/cluster-1"), "my/cluster-1");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
    }
}
