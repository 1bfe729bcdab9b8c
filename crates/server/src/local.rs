//! A whole cluster in one process: real nodes, each with its own sockets and its own journal on
//! disk. For the demo, for tests and for trying things out; ports are whatever is free.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::Credentials;
use paxos::{ClusterId, DiskId, NodeId, Rng};

use crate::config::{Config, Grant, Log, Node, Quorums, Role, Storage, Timing, Transport};
use crate::data_dir;
use crate::server::{End, Options, Server, Sockets, StartError};
use crate::tls::{Authority, AuthorityError, Files, private};
use crate::transport::network::PeerSocket;

/// Local clusters do not last.
const CERTIFICATE_VALIDITY: Duration = Duration::from_secs(30 * 86_400);

/// How many nodes of which kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Nodes that only lead, without a disk: ids from 1 on.
    pub leaders: u32,
    /// Nodes that only remember: the ids after the leaders'.
    pub acceptors: u32,
    /// Nodes that do both: the ids after those.
    pub both: u32,
    /// Nodes that only learn, with a disk: the last ids.
    pub learners: u32,
}

/// How the nodes of a local cluster talk to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Datagrams, without protection.
    #[default]
    Udp,
    /// Streams, without protection.
    Tcp,
    /// Streams under TLS. The authority and the certificates are made for the cluster, below its
    /// directory.
    Tls,
}

/// The client of a cluster under TLS.
const ADMIN: &str = "admin";

/// A cluster in this process.
pub struct Local {
    configs: BTreeMap<NodeId, Config>,
    running: BTreeMap<NodeId, Server>,
    options: Options,
    credentials: Option<Credentials>,
}

impl Local {
    /// Starts every node, on plaintext datagrams. Journals are made below `directory`, which must
    /// not hold any.
    ///
    /// Must be called within a tokio runtime.
    pub fn start(
        layout: Layout,
        directory: &Path,
        timing: Timing,
        storage: Storage,
        options: Options,
    ) -> Result<Local, StartError> {
        Local::start_over(Way::Udp, layout, directory, timing, storage, options)
    }

    /// The same over another transport.
    pub fn start_over(
        way: Way,
        layout: Layout,
        directory: &Path,
        timing: Timing,
        storage: Storage,
        options: Options,
    ) -> Result<Local, StartError> {
        let change = |config: &mut Config| (config.timing, config.storage) = (timing, storage);
        Local::start_changed(way, layout, directory, options, change)
    }

    /// The same with default pace and sizes, and with every configuration changed before its node
    /// starts. Addresses of nodes are bound already; that of `admin` may have the port 0.
    pub fn start_changed(
        way: Way,
        layout: Layout,
        directory: &Path,
        options: Options,
        change: impl Fn(&mut Config),
    ) -> Result<Local, StartError> {
        let (nodes, sockets) = nodes(way, layout)?;
        let cluster = random()?;
        let (transports, credentials) = transports(way, ClusterId(cluster), &nodes, directory)?;
        let clients = credentials.iter().map(|_| Grant::all(ADMIN)).collect::<Vec<_>>();
        let (configs, running) = (BTreeMap::new(), BTreeMap::new());
        let mut local = Local { configs, running, options, credentials };
        for ((node, mut sockets), transport) in nodes.iter().zip(sockets).zip(transports) {
            let data_dir: Option<PathBuf> =
                node.disk.map(|_| directory.join(format!("node-{}", node.id)));
            if let (Some(path), Some(disk)) = (&data_dir, node.disk) {
                std::fs::create_dir_all(path)?;
                if node.roles.contains(&Role::Acceptor) {
                    data_dir::format(path, ClusterId(cluster), node.id, DiskId(disk))?;
                }
            }
            let mut config = Config {
                cluster,
                epoch: 0,
                id: node.id,
                data_dir,
                listen: None,
                shutdown_timeout: crate::config::SHUTDOWN_TIMEOUT,
                log: Log::default(),
                quorums: Quorums::majorities(layout.acceptors + layout.both),
                timing: Timing::default(),
                transport,
                storage: Storage::default(),
                admin: None,
                clients: clients.clone(),
                nodes: nodes.clone(),
            };
            change(&mut config);
            sockets.admin = config.admin.map(TcpListener::bind).transpose()?;
            local.configs.insert(node.id, config.clone());
            let server = Server::start(config, sockets, local.options_of(node.id))?;
            local.running.insert(node.id, server);
        }
        Ok(local)
    }

    /// What a client needs that may do everything; none where nobody can show who it is.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// The configuration of each node, running or not.
    pub fn configs(&self) -> &BTreeMap<NodeId, Config> {
        &self.configs
    }

    /// What a node starts with next.
    pub fn configure(&mut self, config: Config) {
        self.configs.insert(config.id, config);
    }

    /// The nodes that run.
    pub fn running(&self) -> &BTreeMap<NodeId, Server> {
        &self.running
    }

    /// Where a node serves clients.
    pub fn address(&self, node: NodeId) -> Option<SocketAddr> {
        Some(self.configs.get(&node)?.own().clients)
    }

    /// Where the nodes that may lead serve clients.
    pub fn leader_endpoints(&self) -> Vec<String> {
        let all = self.configs.values().map(Config::own);
        let leaders = all.filter(|node| node.roles.contains(&Role::Leader));
        leaders.map(|node| node.clients.to_string()).collect()
    }

    /// The node that leads, as soon as there is one; none if nobody does within `patience`.
    pub async fn leader(&self, patience: Duration) -> Option<(NodeId, crate::inbox::Status)> {
        let poll = async {
            loop {
                for (id, server) in &self.running {
                    let status = server.status().await;
                    if let Some(status) = status.filter(|s| s.part == paxos::Part::Leading) {
                        return (*id, status);
                    }
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(patience, poll).await.ok()
    }

    /// Ends a node as a crash would.
    pub async fn kill(&mut self, node: NodeId) {
        if let Some(server) = self.running.remove(&node) {
            server.kill().await;
        }
    }

    /// Lets a node leave in order, as SIGTERM does; none if it does not run.
    pub async fn leave(&mut self, node: NodeId) -> Option<End> {
        let patience = self.configs.get(&node)?.shutdown_timeout;
        self.leave_within(node, patience).await
    }

    /// The same, within another time.
    pub async fn leave_within(&mut self, node: NodeId, patience: Duration) -> Option<End> {
        Some(self.running.remove(&node)?.leave(patience).await)
    }

    /// Starts a node again, from its journal if it has one.
    pub fn restart(&mut self, node: NodeId) -> Result<(), StartError> {
        let Some(config) = self.configs.get(&node) else {
            return Ok(());
        };
        let sockets = Sockets::bind(config)?;
        let server = Server::start(config.clone(), sockets, self.options_of(node))?;
        self.running.insert(node, server);
        Ok(())
    }

    /// One seed for all would lose the first message of each.
    fn options_of(&self, node: NodeId) -> Options {
        let mut options = self.options.clone();
        let seed = options.faults.seed;
        options.faults.seed = seed.map(|seed| Rng::new(seed ^ u64::from(node.0)).draw());
        options
    }

    /// Stops every node; tells of those that did not end as asked.
    pub async fn stop(self) -> BTreeMap<NodeId, End> {
        let mut ends = BTreeMap::new();
        for (id, server) in self.running {
            let end = server.stop().await;
            if end != End::Stopped {
                ends.insert(id, end);
            }
        }
        ends
    }
}

fn nodes(way: Way, layout: Layout) -> io::Result<(Vec<Node>, Vec<Sockets>)> {
    let kinds: [(u32, &[Role]); 4] = [
        (layout.leaders, &[Role::Leader]),
        (layout.acceptors, &[Role::Acceptor]),
        (layout.both, &[Role::Leader, Role::Acceptor]),
        (layout.learners, &[Role::Learner]),
    ];
    let each = kinds.into_iter().flat_map(|(count, roles)| (0..count).map(move |_| roles));
    let mut nodes = Vec::new();
    let mut all = Vec::new();
    for (id, roles) in (1..).zip(each) {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let peers = match way {
            Way::Udp => PeerSocket::bind(&Transport::PlaintextUdp, free)?,
            Way::Tcp | Way::Tls => PeerSocket::bind(&Transport::PlaintextTcp, free)?,
        };
        let clients = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let sockets = Sockets { peers, clients, admin: None };
        let has_disk = *roles != [Role::Leader];
        nodes.push(Node {
            id: NodeId(id),
            roles: roles.iter().copied().collect(),
            disk: has_disk.then(random).transpose()?,
            peers: sockets.peers.local_addr()?,
            clients: sockets.clients.local_addr()?,
        });
        all.push(sockets);
    }
    Ok((nodes, all))
}

/// The transport of each node, with what it takes.
fn transports(
    way: Way,
    cluster: ClusterId,
    nodes: &[Node],
    directory: &Path,
) -> io::Result<(Vec<Transport>, Option<Credentials>)> {
    let plain = |transport: Transport| (vec![transport; nodes.len()], None);
    match way {
        Way::Udp => return Ok(plain(Transport::PlaintextUdp)),
        Way::Tcp => return Ok(plain(Transport::PlaintextTcp)),
        Way::Tls => {}
    }
    let failed = |error: AuthorityError| io::Error::other(error);
    let authority = Authority::draw(cluster).map_err(failed)?;
    let itself = authority.itself(CERTIFICATE_VALIDITY).map_err(failed)?;
    let files = |id: NodeId| Files {
        ca: directory.join("ca.crt"),
        certificate: directory.join(format!("node-{id}.crt")),
        key: directory.join(format!("node-{id}.key")),
    };
    private::write(&directory.join("ca.key"), itself.key.as_bytes())?;
    private::write_public(&directory.join("ca.crt"), itself.certificate.as_bytes())?;
    let certify = |node: &Node| {
        let (hosts, files) = ([node.clients.ip().to_string()], files(node.id));
        let issued = authority.node(node.id, &hosts, CERTIFICATE_VALIDITY).map_err(failed)?;
        private::write(&files.key, issued.key.as_bytes())?;
        private::write_public(&files.certificate, issued.certificate.as_bytes())?;
        Ok(Transport::Tls(files))
    };
    let transports = nodes.iter().map(certify).collect::<io::Result<_>>()?;
    let issued = authority.client(ADMIN, CERTIFICATE_VALIDITY).map_err(failed)?;
    let credentials = Credentials {
        ca: itself.certificate.into_bytes(),
        certificate: Some(client::Certificate {
            certificate: issued.certificate.into_bytes(),
            key: issued.key.as_bytes().to_vec(),
        }),
        token: None,
    };
    Ok((transports, Some(credentials)))
}

fn random() -> io::Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
