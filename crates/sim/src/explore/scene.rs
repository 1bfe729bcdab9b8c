//! What a small world consists of, how often what may go wrong, and which rule is broken on
//! purpose.

use std::collections::BTreeMap;

use paxos::{
    Announce, ClusterId, Command, Config, Configuration, DiskId, Incarnation, Kind, Limits, Member,
    Message, NodeId, Roles, Timing,
};

/// A small world: leaders first, then acceptors; nobody has both roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "what may happen in a world, not states")]
pub struct Scene {
    /// What it is called.
    pub name: &'static str,
    /// Nodes that lead and learn, at most `PLACES_MAX` with the acceptors.
    pub leaders: usize,
    /// Nodes that remember.
    pub acceptors: usize,
    /// Sizes of both quorums.
    pub quorums: (usize, usize),
    /// How often each leader may campaign, over all of its lives; also while it leads.
    pub campaigns: &'static [u8],
    /// Clients' values that each leader is given when a life's first campaign starts. Each is
    /// proposed in a slot of its own, above the leader's start.
    pub values: &'static [u8],
    /// Whether the first leader has led from the beginning, with one of its campaigns: everybody
    /// knows its start to be chosen in slot 0, and its values are on their way.
    pub settled: bool,
    /// What leaders propose from this slot on is lost.
    pub slots: u64,
    /// Whether a rejection may arrive. It teaches rounds and ends reigns; safety does not need it.
    pub rejects: bool,
    /// How often acceptors may crash, all together. Without crashes a disk is instant, for nobody
    /// can tell.
    pub acceptor_crashes: u8,
    /// How often leaders may crash, all together.
    pub leader_crashes: u8,
    /// Whether leaders learn from each other's Accepts, and how acceptors announce their votes;
    /// none if only the ballot's own leader hears of them.
    pub following: Option<Announce>,
    /// Whether leaders may fetch what they do not know.
    pub fetches: bool,
    /// Linearizable reads that each leader may begin.
    pub reads: &'static [u8],
    /// How often acceptors may lose all of their votes with a part of their disk, all together.
    /// They know it, and the promise stays readable. Leaders send heartbeats and teach, so that
    /// they may mend.
    pub losses: u8,
    /// Whether what a leader knows may come into snapshots at any time: on disks of two keepers
    /// that nobody else hears of, so that acceptors cut it, and in the hands of other leaders.
    pub keeps: bool,
    /// The rule that is broken.
    pub flaw: Option<Flaw>,
}

/// A broken composition, or a driver that breaks its contract. The search finds out each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// An acceptor says that it promises, and does not remember.
    ForgetsPromise,
    /// An acceptor comes back with an empty disk.
    ForgetsDisk,
    /// Promises and votes leave before they are on disk.
    SendsBeforeSync,
    /// A leader's second life has the bits of its first.
    RepeatsIncarnation,
    /// A promise shows no votes.
    HidesVotes,
    /// A learner takes whatever it has seen below a watermark for chosen.
    BelievesWatermark,
    /// A leader takes its index for confirmed, whatever acceptors say.
    ReadsUnconfirmed,
    /// Who has confirmed a ballot once is counted in each later round of it.
    CountsOldConfirmations,
    /// An index is what the leader knows to be chosen, not what it has proposed.
    ReadsWhatIsKnown,
    /// Acceptors that have lost votes say nothing of it.
    HidesLoss,
    /// What is lost is taken to be older than any ballot.
    SettlesTooEarly,
    /// A promise does not say what was cut.
    HidesCut,
    /// A snapshot holds what its leader has proposed, chosen or not.
    KeepsProposals,
    /// One leader thinks that any acceptor elects, the others that any acceptor chooses.
    QuorumsApart,
}

/// Leaders and acceptors of a scene, at most: a state fits into 128 bits.
pub const PLACES_MAX: usize = 6;

impl Scene {
    /// Two leaders that campaign once, three acceptors, one value each; nothing crashes, and only
    /// the ballot's own leader hears of votes.
    pub const DUEL: Scene = Scene {
        name: "duel",
        leaders: 2,
        acceptors: 3,
        quorums: (2, 2),
        campaigns: &[1, 1],
        values: &[1, 1],
        settled: false,
        slots: 2,
        rejects: true,
        acceptor_crashes: 0,
        leader_crashes: 0,
        following: None,
        fetches: false,
        reads: &[],
        losses: 0,
        keeps: false,
        flaw: None,
    };

    /// The node at a place.
    pub(super) fn node(place: usize) -> NodeId {
        NodeId(u32::try_from(place).expect("a few places") + 1)
    }

    /// The place of a node.
    pub(super) fn place(node: NodeId) -> usize {
        usize::try_from(node.0).expect("a few nodes") - 1
    }

    pub(super) fn places(&self) -> usize {
        self.leaders + self.acceptors
    }

    pub(super) fn is_leader(&self, place: usize) -> bool {
        place < self.leaders
    }

    /// Whether a disk takes its time; where nothing crashes nobody can tell.
    pub(super) fn disks_lag(&self) -> bool {
        self.acceptor_crashes > 0
    }

    /// Whether such a message may ever arrive. What may not is lost, which a network may do.
    pub(super) fn carries(&self, message: &Message, to: usize) -> bool {
        if to >= self.places() {
            return false;
        }
        if let Message::Accept { run, .. } = message
            && run.end().0 > self.slots
        {
            return false;
        }
        match message.kind() {
            Kind::Prepare | Kind::Promise | Kind::Accepted => true,
            Kind::Reject => self.rejects,
            Kind::Accept => !self.is_leader(to) || self.following.is_some(),
            Kind::Chosen => self.following.is_some(),
            Kind::Fetch => self.fetches || self.losses > 0 && self.is_leader(to),
            Kind::Learned => self.fetches || self.losses > 0 && !self.is_leader(to),
            Kind::Votes => self.fetches,
            Kind::Heartbeat => self.losses > 0 && !self.is_leader(to),
            Kind::Confirm | Kind::Confirmed | Kind::ReadIndex | Kind::ReadIndexReply => {
                !self.reads.is_empty()
            }
            Kind::Kept => self.keeps && !self.is_leader(to),
            Kind::Part => self.keeps && self.is_leader(to),
            Kind::HeartbeatReply | Kind::Probe | Kind::ProbeReply | Kind::FetchPart => false,
            // Whoever may campaign does so at any moment here, told to or not.
            Kind::Offer | Kind::Willing | Kind::HandOver => false,
        }
    }

    /// Whether anybody but a value's own leader ever hears of values.
    pub(super) fn values_spread(&self) -> bool {
        self.following.is_some() || self.fetches
    }

    /// What the observer believes, whatever a node was told.
    pub(super) fn configuration(&self, quorums: (usize, usize)) -> Configuration {
        let member = |place: usize| {
            let (leader, acceptor) = (self.is_leader(place), !self.is_leader(place));
            let roles = Roles { leader, acceptor, learner: false };
            (Scene::node(place), Member { roles, disk: acceptor.then(DiskId::default) })
        };
        let mut members: BTreeMap<NodeId, Member> = (0..self.places()).map(member).collect();
        let learner = Roles { leader: false, acceptor: false, learner: true };
        let keeper = Member { roles: learner, disk: Some(DiskId::default()) };
        members.extend(self.keepers().map(|id| (id, keeper)));
        let (phase1, phase2) = quorums;
        Configuration::flexible(ClusterId::default(), members, phase1, phase2)
            .expect("a scene is a valid cluster")
    }

    /// Who keeps snapshots: nobody, or two that have no place of their own.
    pub(super) fn keepers(&self) -> impl Iterator<Item = NodeId> {
        let keepers = if self.keeps { 2 } else { 0 };
        (self.places()..self.places() + keepers).map(Scene::node)
    }

    /// What a node is told at the start of a life.
    pub(super) fn config(&self, place: usize, life: u8) -> Config {
        let life = if self.flaw == Some(Flaw::RepeatsIncarnation) { 0 } else { life };
        let quorums = match self.flaw {
            Some(Flaw::QuorumsApart) if place == 0 => (1, self.acceptors),
            Some(Flaw::QuorumsApart) => (self.acceptors, 1),
            _ => self.quorums,
        };
        Config {
            node: Scene::node(place),
            incarnation: Incarnation(u64::from(life) + 1),
            configuration: self.configuration(quorums),
            timing: Timing::default(),
            limits: Limits { run_slots_max: 1, retained_bytes_max: 0, ..Limits::default() },
            announce: self.following.unwrap_or(Announce::LeaderOnly),
        }
    }

    /// What clients give to a leader's life: bytes that nobody else proposes.
    pub(super) fn commands(&self, place: usize, life: u8) -> Vec<Command> {
        let leader = u8::try_from(place).expect("a few places") + b'A';
        let command = |number: u8| Command::from([leader, life + b'1', number + b'1']);
        (0..self.values[place]).map(command).collect()
    }
}
