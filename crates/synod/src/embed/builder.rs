//! What a node needs to know before it starts, and its start.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use journal::{DiskError, FormatError, Identity, Journal};
use paxos::{
    ClusterId, Configuration, Digest, DiskId, Incarnation, Limits, Member, NODES_MAX, NodeId,
    Record, Roles, Timing, Value,
};
use server::data_dir::{self, DataDirError, Opened};
use server::inbox::Inbox;
use server::recovery::Recovered;
use server::runtime::{Parts, Runtime};
use server::shelf::Shelf;
use tokio::sync::{Notify, broadcast};

use super::birth::{Birth, Certificate, Kept, Step, Trouble, cluster_of};
use super::codec::version_of;
use super::door::{Born, Door};
use super::error::StartError;
use super::hosting::{Faults, Hosting};
use super::identity::{self, IdentityError};
use super::machine::StateMachine;
use super::node::Node;
use super::storage::{AnyDisk, Directory, Memory, Part, Storage};
use super::transport::{Link, Transport, Udp, Whom};

/// Describes a node: who it is, who the others are, and where it keeps what it must not forget.
pub struct Builder<S: StateMachine> {
    machine: S,
    id: Option<NodeId>,
    peers: Vec<(NodeId, String)>,
    cluster: String,
    storage: Option<Box<dyn Storage>>,
    transport: Box<dyn Transport>,
    timeout: Duration,
    heartbeat: Duration,
    election_timeout: Duration,
    snapshot_bytes: u64,
    log_bytes: u64,
}

/// Between two rounds of asking the others, before a cluster is born.
const ASK: Duration = Duration::from_millis(50);

/// A node that was born before starts without the others after so long.
const GREET: Duration = Duration::from_millis(250);

/// Events that wait to be taken, at most.
const EVENTS_MAX: usize = 1024;

impl<S: StateMachine> Builder<S> {
    pub(crate) fn new(machine: S) -> Builder<S> {
        let timing = server::config::Timing::default();
        Builder {
            machine,
            id: None,
            peers: Vec::new(),
            cluster: "synod".into(),
            storage: None,
            transport: Box::new(Udp::new()),
            timeout: Duration::from_secs(10),
            heartbeat: timing.heartbeat,
            election_timeout: timing.election_timeout,
            snapshot_bytes: 64 << 20,
            log_bytes: 16 << 20,
        }
    }

    /// Which of the peers this node is.
    #[must_use]
    pub fn id(self, id: u32) -> Builder<S> {
        Builder { id: Some(NodeId(id)), ..self }
    }

    /// Every member, this node included, and its address. The same at every node: the members are
    /// fixed when they start for the first time, which they do together; addresses may change.
    #[must_use]
    pub fn peers<A: Into<String>>(self, peers: impl IntoIterator<Item = (u32, A)>) -> Builder<S> {
        let peers = peers.into_iter().map(|(id, address)| (NodeId(id), address.into())).collect();
        Builder { peers, ..self }
    }

    /// A name that keeps this cluster apart from others that reach it by mistake. "synod", at
    /// first.
    #[must_use]
    pub fn cluster(self, name: impl Into<String>) -> Builder<S> {
        Builder { cluster: name.into(), ..self }
    }

    /// The node's own directory, for its identity, its journal and its snapshots. Made if it is
    /// missing. A directory that was lost is noticed: an empty one does not take its place.
    #[must_use]
    pub fn data_dir(self, path: impl AsRef<Path>) -> Builder<S> {
        self.storage(Directory::new(path))
    }

    /// Keeps everything in memory: what this node has promised is gone with the process, so it
    /// cannot come back to its cluster. For tests, and for a state that may be lost.
    #[must_use]
    pub fn in_memory(self) -> Builder<S> {
        self.storage(Memory::new())
    }

    /// Keeps what must not be forgotten on disks of another kind.
    #[must_use]
    pub fn storage(self, storage: impl Storage) -> Builder<S> {
        Builder { storage: Some(Box::new(storage)), ..self }
    }

    /// Reaches the others in another way. [`Udp`], at first.
    #[must_use]
    pub fn transport(self, transport: impl Transport) -> Builder<S> {
        Builder { transport: Box::new(transport), ..self }
    }

    /// How long a proposal is asked for. 10 s, at first.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Builder<S> {
        Builder { timeout, ..self }
    }

    /// The pace of the leader's heartbeats, and the silence after which another one asks whether it
    /// is needed: at least three heartbeats. 50 ms and 200 ms, at first.
    #[must_use]
    pub fn timing(self, heartbeat: Duration, election_timeout: Duration) -> Builder<S> {
        Builder { heartbeat, election_timeout, ..self }
    }

    /// A snapshot is taken each time that commands of so many bytes were applied, and more seldom
    /// where the state is larger. 64 MiB, at first.
    #[must_use]
    pub fn snapshot_bytes(self, bytes: u64) -> Builder<S> {
        Builder { snapshot_bytes: bytes, ..self }
    }

    /// The newest commands that are held in memory for [`Node::log`], in bytes, about. 16 MiB, at
    /// first.
    #[must_use]
    pub fn log_bytes(self, bytes: u64) -> Builder<S> {
        Builder { log_bytes: bytes, ..self }
    }

    /// Starts the node, and waits until its cluster is born: the first time, until every member has
    /// been started. Later it waits for nobody. Dropping the future takes everything back but what
    /// is kept.
    ///
    /// Must be called within a tokio runtime with timers.
    pub async fn start(self) -> Result<Node<S>, StartError> {
        let start = Start::check(self)?;
        start.run().await
    }
}

/// A start that can go on.
struct Start<S: StateMachine> {
    builder: Builder<S>,
    me: NodeId,
    addresses: BTreeMap<NodeId, String>,
    storage: Box<dyn Storage>,
}

/// Closes the way to the others, unless the node has it.
struct OpenLink(Option<Arc<dyn Link>>);

impl Drop for OpenLink {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            // It may wait for its own thread.
            std::thread::spawn(move || link.stop());
        }
    }
}

impl<S: StateMachine> Start<S> {
    fn check(mut builder: Builder<S>) -> Result<Start<S>, StartError> {
        let wrong = |why: String| Err(StartError::Builder(why));
        let Some(me) = builder.id else {
            return wrong("no .id(..): which of the peers is this node?".into());
        };
        let addresses: BTreeMap<_, _> = builder.peers.iter().cloned().collect();
        if addresses.len() < builder.peers.len() {
            return wrong("two of the .peers(..) have one id".into());
        }
        if !addresses.contains_key(&me) {
            return wrong(format!(".peers(..) must name every node, and node {me} is missing"));
        }
        if addresses.len() > NODES_MAX {
            return wrong(format!("at most {NODES_MAX} nodes make a cluster"));
        }
        if builder.heartbeat < Duration::from_millis(1)
            || builder.election_timeout < builder.heartbeat * 3
        {
            return wrong(
                "an election timeout has room for three heartbeats of 1 ms or more".into(),
            );
        }
        let Some(storage) = builder.storage.take() else { return Err(StartError::NoDataDir) };
        Ok(Start { builder, me, addresses, storage })
    }

    async fn run(mut self) -> Result<Node<S>, StartError> {
        let members: Vec<NodeId> = self.addresses.keys().copied().collect();
        let me = self.me;
        let mut disk = self.disk(Part::Identity)?;
        let kept = self.kept(&mut disk)?;
        let birth = Birth::new(me, members.iter().copied(), S::VERSION, kept.clone());
        let name = name_of(&self.builder.cluster, &members);
        let (link, heard) = (OnceLock::new(), Notify::new());
        let birth = Mutex::new(birth);
        let door = Arc::new(Door { me, name, birth, heard, link, born: OnceLock::new() });

        let deliver = {
            let door = door.clone();
            Box::new(move |from, bytes| door.deliver(from, bytes))
        };
        let whom = Whom { me, cluster: name, addresses: self.addresses.clone() };
        let transport = std::mem::replace(&mut self.builder.transport, Box::new(Udp::new()));
        let started = tokio::task::spawn_blocking(move || transport.start(whom, deliver)).await;
        let link = started.map_err(|_| std::io::Error::other("the transport panicked"))??;
        let mut opened = OpenLink(Some(link.clone()));
        door.link.set(link.clone()).unwrap_or_else(|_| unreachable!("it is set once"));

        let (certificate, disk) = self.born(&door, disk, &members).await?;
        let node = tokio::task::spawn_blocking({
            let door = door.clone();
            let runtime = tokio::runtime::Handle::current();
            move || {
                let _within = runtime.enter();
                self.node(&door, &certificate, disk, link)
            }
        });
        let node = node.await.map_err(|_| std::io::Error::other("the start panicked"))??;
        opened.0 = None;
        Ok(node)
    }

    fn disk(&mut self, part: Part) -> Result<AnyDisk, StartError> {
        let path = self.storage.name();
        self.storage.disk(part).map_err(|why| StartError::Disk { path, why })
    }

    /// Who this node is, as its disk says; a fresh one, and kept, if it says nothing.
    fn kept(&self, disk: &mut AnyDisk) -> Result<Kept, StartError> {
        let path = || self.storage.name();
        let failed = |why: DiskError| StartError::Disk { path: path(), why };
        let found = identity::load(disk, self.me).map_err(|error| match error {
            IdentityError::Disk(why) => failed(why),
            IdentityError::Damaged => StartError::Damaged { path: path() },
            IdentityError::Foreign(node) => StartError::Foreign { path: path(), node },
        })?;
        if let Some(kept) = found {
            let members = kept.pledged.iter().flatten().map(|(id, _)| *id).collect::<Vec<_>>();
            if kept.pledged.is_some() && !members.iter().eq(self.addresses.keys()) {
                return Err(StartError::Members { path: path(), members });
            }
            return Ok(kept);
        }
        let mut drawn = [0; 16];
        getrandom::fill(&mut drawn).map_err(std::io::Error::other)?;
        let kept = Kept { disk: DiskId(drawn), pledged: None, is_born: false };
        identity::keep(disk, self.me, &kept).map_err(failed)?;
        Ok(kept)
    }

    /// Waits until the cluster is born.
    async fn born(
        &mut self,
        door: &Door<S>,
        mut disk: AnyDisk,
        members: &[NodeId],
    ) -> Result<(Certificate, AnyDisk), StartError> {
        let (me, path) = (self.me, self.storage.name());
        let failed = |why| StartError::Disk { path: path.clone(), why };
        let start = Instant::now();
        let (mut told, mut asked) = (start, None::<Instant>);
        loop {
            let step = door.birth().next();
            if step.is_err() {
                // Who was heard before it said anything would wait for ever, not knowing why. The
                // link ends with us, so it gets a moment to let that go.
                door.ask(members);
                tokio::time::sleep(ASK).await;
            }
            match step.map_err(|trouble| explain::<S>(&trouble, &path))? {
                Step::Born(certificate) => {
                    let was_born = door.birth().kept().is_born;
                    let all_heard = door.birth().unheard().is_empty();
                    // Whoever was born before wants to know one thing: that nobody is of another
                    // version. Who does not run cannot say so.
                    if !was_born || all_heard || start.elapsed() >= GREET {
                        door.ask(members);
                        return Ok((certificate, disk));
                    }
                }
                Step::Pledge(certificate) => {
                    let pledged = Some(certificate.clone());
                    let kept = Kept { pledged, ..door.birth().kept().clone() };
                    identity::keep(&mut disk, me, &kept).map_err(failed)?;
                    door.birth().pledged(certificate);
                    asked = None;
                    continue;
                }
                Step::Wait => {
                    if told.elapsed() >= Duration::from_secs(5) {
                        told = Instant::now();
                        let missing = door.birth().unheard();
                        tracing::info!(node = me.0, ?missing, "waits for its cluster");
                    }
                }
            }
            // Answers wake us, and must not make us ask at once again.
            if asked.is_none_or(|at| at.elapsed() >= ASK) {
                door.ask(members);
                asked = Some(Instant::now());
            }
            tokio::time::timeout(ASK, door.heard.notified()).await.ok();
        }
    }

    /// Everything from the journal to the threads.
    fn node(
        mut self,
        door: &Arc<Door<S>>,
        certificate: &Certificate,
        mut disk: AnyDisk,
        link: Arc<dyn Link>,
    ) -> Result<Node<S>, StartError> {
        let (me, path) = (self.me, self.storage.name());
        let origin = Instant::now();
        let configuration = Arc::new(configuration(certificate)?);
        let cluster = configuration.cluster();
        let own = certificate[&me];
        let identity = Identity { cluster: cluster.0, node: me.0, disk: own.0 };
        let mut files = self.disk(Part::Journal)?;
        if !door.birth().kept().is_born {
            match Journal::format(&mut files, identity) {
                // It was made, and then the node stopped: whose it is is looked at below.
                Ok(()) | Err(FormatError::NotEmpty { .. }) => {}
                Err(FormatError::Disk(why)) => return Err(StartError::Disk { path, why }),
            }
            let kept = Kept { is_born: true, ..door.birth().kept().clone() };
            identity::keep(&mut disk, me, &kept)
                .map_err(|why| StartError::Disk { path: path.clone(), why })?;
            door.birth().born();
        }
        let options = journal::Options::default();
        let opened = data_dir::open_on(files, &path, &configuration, me, own, options)?;
        if let Some(theirs) = other_version::<S>(&opened) {
            return Err(StartError::Version { path, theirs, ours: S::VERSION });
        }
        let shelf = Shelf::on_disk(self.disk(Part::Snapshots)?, Arc::default(), identity)
            .map_err(|why| DataDirError::Open { node: me, path: path.clone(), why })?;
        let machine = Hosting::new(self.builder.machine, self.builder.log_bytes);
        let faults: Arc<Faults> = machine.faults().clone();
        let replica = paxos::Config {
            node: me,
            incarnation: Incarnation(getrandom::u64().map_err(std::io::Error::other)?),
            configuration: (*configuration).clone(),
            timing: Timing {
                heartbeat: self.builder.heartbeat,
                election_timeout: self.builder.election_timeout,
                ..Timing::default()
            },
            limits: Limits {
                value_bytes_max: (1 << 20) + node::Request::OVERHEAD,
                ..Limits::default()
            },
            announce: paxos::Announce::default(),
        };
        let every = self.builder.snapshot_bytes;
        let parts = (Some(opened), shelf);
        let recovered = Recovered::from_disk(replica, machine, every, parts, origin)?;
        if let Some(theirs) = faults.foreign() {
            return Err(StartError::Version { path, theirs, ours: S::VERSION });
        }
        let (inbox, jobs) = Inbox::new();
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let threads = Runtime::start(Parts {
            member: (me, configuration),
            recovered,
            like: Hosting::like(faults.clone(), self.builder.log_bytes),
            inbox: (inbox.clone(), jobs),
            outbound: Arc::new(Through(link.clone())),
            counters: Arc::default(),
            events: Some(events.clone()),
            failed: Arc::default(),
            origin,
        })?;
        let born = Born::new(cluster, inbox);
        door.born.set(born).unwrap_or_else(|_| unreachable!("a node is started once"));
        tracing::info!(node = me.0, "started");
        Ok(Node::new(door.clone(), threads, events, faults, link, self.builder.timeout))
    }
}

fn explain<S: StateMachine>(trouble: &Trouble, path: &Path) -> StartError {
    match *trouble {
        Trouble::Version { peer, theirs } => {
            StartError::PeerVersion { peer, theirs, ours: S::VERSION }
        }
        Trouble::Lost { peer } => StartError::LostDirectory { path: path.to_owned(), peer },
        Trouble::Disagree { peer } => StartError::Disagree { peer },
    }
}

/// A link, as the threads know it.
struct Through(Arc<dyn Link>);

impl server::transport::Outbound for Through {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        self.0.send(to, messages);
    }
}

fn configuration(certificate: &Certificate) -> Result<Configuration, StartError> {
    // Every node does everything.
    let roles = Roles { leader: true, acceptor: true, learner: false };
    let member = |(id, disk): (&NodeId, &DiskId)| (*id, Member { roles, disk: Some(*disk) });
    let members = certificate.iter().map(member).collect();
    Configuration::majority(cluster_of(certificate), members)
        .map_err(|why| StartError::Builder(why.to_string()))
}

/// A version of the machine that is not ours, and that wrote a command in the journal.
fn other_version<S: StateMachine>(opened: &Opened) -> Option<u32> {
    let runs = opened.records.iter().filter_map(|record| match record {
        Record::Accepted(run) => Some(run),
        _ => None,
    });
    let mut versions = runs.flat_map(|run| run.values.iter()).filter_map(|value| match value {
        Value::Command(command) => {
            let request = node::Request::decode(command).ok()?;
            let is_append = matches!(request.kind(), node::Kind::Append { .. });
            version_of(request.value()).filter(|_| is_append)
        }
        _ => None,
    });
    versions.find(|version| *version != S::VERSION)
}

/// What keeps clusters apart before they are born.
fn name_of(cluster: &str, members: &[NodeId]) -> ClusterId {
    let mut bytes = cluster.as_bytes().to_vec();
    bytes.push(0);
    for id in members {
        bytes.extend(id.0.to_le_bytes());
    }
    ClusterId(Digest::of(&bytes).0)
}

impl<S: StateMachine> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Builder { id, peers, cluster, .. } = self;
        let mut shown = f.debug_struct("Builder");
        shown.field("id", id).field("peers", peers).field("cluster", cluster);
        let path: Option<PathBuf> = self.storage.as_ref().map(|storage| storage.name());
        shown.field("storage", &path).finish_non_exhaustive()
    }
}
