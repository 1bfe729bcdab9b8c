//! `synod init cluster`: a directory for each node, with its configuration and its empty journal.
//!
//! Identities are drawn here, once. What is in the directories is all that nodes start from.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::RangedI64ValueParser;
use paxos::NodeId;
use server::config::{Config, Log, NODES_MAX, Node, Quorums, Role, Storage, Timing};

use super::format::format_journal;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Clients' ports lie so far above the peers' ports. More than [`NODES_MAX`], or they would meet.
const CLIENTS_ABOVE_PEERS: u16 = 100;

/// The highest base from which every node's ports are ports.
const BASE_PORT_MAX: i64 = 65_535 - 2 * CLIENTS_ABOVE_PEERS as i64;

/// Write the files that a new cluster starts from: a directory a node
///
/// Each holds `synod.toml`; an acceptor's holds an empty journal as well. Nodes that keep snapshots
/// have a place for them there; at least two of those, and acceptors let go of what is old.
///
/// Node 1 listens to its peers at the base port + 1 and to clients at the base port + 101, node 2
/// one above, and so on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod init cluster --dir cluster
  synod init cluster --nodes 3 --dir cluster --base-port 9100")]
pub(super) struct InitClusterArgs {
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

    /// Nodes that follow what is chosen, and keep snapshots
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = count_or_none())]
    learners: u32,

    /// The address of all nodes
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    host: IpAddr,

    /// Ports are counted from here
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 7100,
        value_parser = clap::value_parser!(u16).range(1..=BASE_PORT_MAX)
    )]
    base_port: u16,
}

/// A node and the directory that it gets.
struct Place {
    name: String,
    node: Node,
}

pub(super) fn run(args: &InitClusterArgs, output: &Output) -> Result<Exit, CliError> {
    let places = places(args)?;
    refuse_unless_empty(&args.dir)?;
    let cluster = random_identity()?;
    let nodes: Vec<Node> = places.iter().map(|place| place.node.clone()).collect();
    for place in &places {
        write(&args.dir, cluster, place, &nodes)?;
    }
    output.show(report(&args.dir, &places))
}

fn count() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(1..=i64::try_from(NODES_MAX).expect("a small constant"))
}

fn count_or_none() -> RangedI64ValueParser<u32> {
    RangedI64ValueParser::new().range(0..=i64::try_from(NODES_MAX).expect("a small constant"))
}

fn places(args: &InitClusterArgs) -> Result<Vec<Place>, CliError> {
    let mut groups = match args.nodes {
        Some(nodes) => vec![("n", nodes, vec![Role::Leader, Role::Acceptor])],
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
    let named = groups.iter().flat_map(|(prefix, count, roles)| {
        (1..=*count).map(move |number| (format!("{prefix}{number}"), roles))
    });
    let place = |(id, (name, roles)): (u16, (String, &Vec<Role>))| {
        let has_disk = args.leader_disks || **roles != [Role::Leader];
        let disk = has_disk.then(random_identity).transpose()?;
        let port = args.base_port + id;
        let node = Node {
            id: NodeId(id.into()),
            roles: roles.iter().copied().collect(),
            disk,
            peers: SocketAddr::new(args.host, port),
            clients: SocketAddr::new(args.host, port + CLIENTS_ABOVE_PEERS),
        };
        Ok(Place { name, node })
    };
    (1..).zip(named).map(place).collect()
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

fn write(dir: &Path, cluster: [u8; 16], place: &Place, nodes: &[Node]) -> Result<(), CliError> {
    let home = dir.join(&place.name);
    fs::create_dir_all(&home).map_err(|error| CliError::file("create", &home, &error))?;
    let is_acceptor = |node: &&Node| node.roles.contains(&Role::Acceptor);
    let acceptors = nodes.iter().filter(is_acceptor).count();
    let config = Config {
        cluster,
        epoch: 0,
        id: place.node.id,
        data_dir: place.node.disk.map(|_| PathBuf::from("data")),
        listen: None,
        log: Log::default(),
        quorums: Quorums::majorities(u32::try_from(acceptors).expect("at most NODES_MAX nodes")),
        timing: Timing::default(),
        storage: Storage::default(),
        clients: Vec::new(),
        nodes: nodes.to_vec(),
    };
    if let (Some(disk), Some(data_dir)) = (place.node.disk, &config.data_dir)
        && is_acceptor(&&place.node)
    {
        format_journal(&home.join(data_dir), cluster, place.node.id, disk)?;
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

fn report(dir: &Path, places: &[Place]) -> Report {
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
    let first = &places[0].name;
    Report::rows("synod.init.cluster/1", "nodes", &columns, rows).next(format!(
        "\nNext, run the nodes. All on this machine, in the background:\n  \
         for node in {dir}/*; do synod serve --config \"$node/synod.toml\" & done\n\
         Then see them agree:\n  \
         synod cluster status --config {dir}/{first}/synod.toml\n  \
         synod log append hello --config {dir}/{first}/synod.toml"
    ))
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
            write(&dir, [7; 16], place, &nodes).unwrap();
            let config = Config::load(&dir.join(&place.name).join("synod.toml")).unwrap();
            assert_eq!(config.own(), &place.node);
            assert_eq!(config.quorums, Quorums { phase1: 2, phase2: 2 });
            assert_eq!(config.data_dir.is_none(), place.name.starts_with('l'));
            let has_journal = config.data_dir.is_some_and(|data| data.is_dir());
            assert_eq!(has_journal, place.name.starts_with('a'));
        }
        assert!(refuse_unless_empty(&dir).is_err());
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
