//! Who takes part, in which role, and how many of them are enough.
//!
//! Quorums are typed by phase: a set of promises can never be counted as a set of acceptances.
//! Only phase-1 and phase-2 quorums must meet (Howard, Malkhi and Spiegelman, "Flexible Paxos",
//! OPODIS 2016); a configuration in which they might not is refused when it is built.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use crate::ballot::NodeId;

/// More members than this are refused: sets of acceptors are one machine word.
pub const NODES_MAX: usize = 64;

/// 128 random bits that name a cluster. Messages of another cluster are not for us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub [u8; 16]);

/// 128 random bits that name a disk. The configuration says which disk an acceptor votes from, so
/// an empty or foreign directory can never vote in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub [u8; 16]);

/// Counts configurations: it grows when an acceptor goes on from another disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// What a member does. Any mix is allowed, but not none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Roles {
    /// May propose. Every leader also learns.
    pub leader: bool,
    /// Remembers: promises and accepts, from its disk.
    pub acceptor: bool,
    /// Follows.
    pub learner: bool,
}

impl Roles {
    /// Whether the member keeps the history.
    pub fn learns(self) -> bool {
        self.leader || self.learner
    }
}

/// One member of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// What it does.
    pub roles: Roles,
    /// The disk it votes from, and keeps snapshots on. Every acceptor has one; a learner may.
    pub disk: Option<DiskId>,
}

/// The members of a cluster and the sizes of its quorums, checked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Configuration {
    cluster: ClusterId,
    epoch: Epoch,
    members: BTreeMap<NodeId, Member>,
    /// Sorted; an acceptor's place here is its bit in every [`Voters`].
    acceptors: Vec<NodeId>,
    phase1: usize,
    phase2: usize,
}

/// Why a configuration is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigurationError {
    /// Id zero names nobody.
    NodeZero,
    /// A member without a role.
    NoRole(NodeId),
    /// Nobody may propose.
    NoLeader,
    /// Nobody remembers.
    NoAcceptor,
    /// More than [`NODES_MAX`] members.
    TooManyNodes(usize),
    /// An acceptor without a disk id.
    Disk(NodeId),
    /// A quorum size of zero or above the number of acceptors.
    QuorumSize {
        /// The size asked for.
        size: usize,
        /// The number of acceptors.
        acceptors: usize,
    },
    /// A phase-1 and a phase-2 quorum might share no acceptor.
    NoIntersection {
        /// The size of a phase-1 quorum.
        phase1: usize,
        /// The size of a phase-2 quorum.
        phase2: usize,
        /// The number of acceptors.
        acceptors: usize,
    },
    /// Two phase-1 quorums might share no acceptor, and a disk has been replaced.
    Replaced {
        /// The size of a phase-1 quorum.
        phase1: usize,
        /// The number of acceptors.
        acceptors: usize,
    },
}

impl Configuration {
    /// A configuration with majorities in both phases.
    pub fn majority(
        cluster: ClusterId,
        members: BTreeMap<NodeId, Member>,
    ) -> Result<Configuration, ConfigurationError> {
        let acceptors = members.values().filter(|member| member.roles.acceptor).count();
        let majority = acceptors / 2 + 1;
        Configuration::flexible(cluster, members, majority, majority)
    }

    /// A configuration whose quorums are any `phase1` and any `phase2` acceptors.
    pub fn flexible(
        cluster: ClusterId,
        members: BTreeMap<NodeId, Member>,
        phase1: usize,
        phase2: usize,
    ) -> Result<Configuration, ConfigurationError> {
        use ConfigurationError as Error;
        if members.len() > NODES_MAX {
            return Err(Error::TooManyNodes(members.len()));
        }
        for (&id, member) in &members {
            if id == NodeId(0) {
                return Err(Error::NodeZero);
            }
            if !member.roles.acceptor && !member.roles.learns() {
                return Err(Error::NoRole(id));
            }
            if member.roles.acceptor && member.disk.is_none() {
                return Err(Error::Disk(id));
            }
        }
        let having = |role: fn(Roles) -> bool| -> Vec<NodeId> {
            let all = members.iter().filter(|(_, member)| role(member.roles));
            all.map(|(id, _)| *id).collect()
        };
        let acceptors = having(|roles| roles.acceptor);
        if acceptors.is_empty() {
            return Err(Error::NoAcceptor);
        }
        if having(|roles| roles.leader).is_empty() {
            return Err(Error::NoLeader);
        }
        for size in [phase1, phase2] {
            if size == 0 || size > acceptors.len() {
                return Err(Error::QuorumSize { size, acceptors: acceptors.len() });
            }
        }
        if phase1 + phase2 <= acceptors.len() {
            return Err(Error::NoIntersection { phase1, phase2, acceptors: acceptors.len() });
        }
        Ok(Configuration { cluster, epoch: Epoch(0), members, acceptors, phase1, phase2 })
    }

    /// The same members and quorums as the cluster's configuration of that number. Whoever takes
    /// part in one hears nobody of another.
    #[must_use]
    pub fn with_epoch(self, epoch: Epoch) -> Configuration {
        Configuration { epoch, ..self }
    }

    /// Whether an acceptor's disk may ever be replaced: only where any two phase-1 quorums meet.
    ///
    /// A replaced disk has forgotten what it promised, so it may vote below a ballot that it helped
    /// to elect. If they meet, another acceptor has promised that ballot and is asked before
    /// anybody leads in the new epoch, so nothing below is proposed there.
    ///
    /// # Errors
    /// [`ConfigurationError::Replaced`] if two of them might share nobody.
    pub fn bears_replacement(&self) -> Result<(), ConfigurationError> {
        let (phase1, acceptors) = (self.quorum_size::<Phase1>(), self.acceptors().len());
        let meet = 2 * phase1 > acceptors;
        if meet { Ok(()) } else { Err(ConfigurationError::Replaced { phase1, acceptors }) }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Which configuration of the cluster this is.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Every member, by id.
    pub fn members(&self) -> &BTreeMap<NodeId, Member> {
        &self.members
    }

    /// The member's roles; none for a stranger.
    pub fn roles(&self, node: NodeId) -> Roles {
        self.members.get(&node).map_or(Roles::default(), |member| member.roles)
    }

    /// The acceptors, sorted.
    pub fn acceptors(&self) -> &[NodeId] {
        &self.acceptors
    }

    /// The members that may lead, sorted.
    pub fn leaders(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(|(_, member)| member.roles.leader).map(|(id, _)| *id)
    }

    /// The members that keep the history, sorted.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(|(_, member)| member.roles.learns()).map(|(id, _)| *id)
    }

    /// The members whose snapshots outlive them: learners with a disk, sorted.
    pub fn keepers(&self) -> impl Iterator<Item = NodeId> {
        let keeps = |member: &Member| member.roles.learns() && member.disk.is_some();
        self.members.iter().filter(move |(_, member)| keeps(member)).map(|(id, _)| *id)
    }

    /// How many keepers must have a slot in a snapshot before an acceptor may cut it: as many as
    /// acceptors have to vote for a value, so that cutting makes nothing easier to lose; all of
    /// them if they are fewer. None: fewer than two keep snapshots, and acceptors never cut.
    pub fn copies(&self) -> Option<usize> {
        let keepers = self.keepers().count();
        (keepers >= 2).then(|| self.phase2.clamp(2, keepers))
    }

    /// How many acceptors a quorum of phase `P` needs.
    pub fn quorum_size<P: Phase>(&self) -> usize {
        P::size(self.phase1, self.phase2)
    }

    /// Whether these acceptors are a quorum of phase `P`.
    pub fn is_quorum<P: Phase>(&self, voters: Voters<P>) -> bool {
        voters.len() >= self.quorum_size::<P>()
    }

    /// Whether a quorum of phase `P` can still be found without these acceptors.
    pub fn is_quorum_left<P: Phase>(&self, without: Voters<P>) -> bool {
        self.acceptors.len() - without.len() >= self.quorum_size::<P>()
    }

    /// Adds an acceptor to a set; says whether it was new. A stranger is never added.
    pub fn count<P: Phase>(&self, voters: &mut Voters<P>, acceptor: NodeId) -> bool {
        let Ok(place) = self.acceptors.binary_search(&acceptor) else {
            return false;
        };
        let before = voters.bits;
        voters.bits |= 1 << place;
        voters.bits != before
    }

    /// The acceptors that are not in the set.
    pub fn missing<P: Phase>(&self, voters: Voters<P>) -> impl Iterator<Item = NodeId> {
        let all = self.acceptors.iter().enumerate();
        all.filter(move |(place, _)| voters.bits & (1 << place) == 0).map(|(_, id)| *id)
    }
}

/// One of the two phases of Paxos, as a type.
pub trait Phase: Copy {
    /// Which of the two sizes is meant.
    fn size(phase1: usize, phase2: usize) -> usize;
}

/// Prepare and Promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Phase1;

/// Accept and Accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Phase2;

impl Phase for Phase1 {
    fn size(phase1: usize, _: usize) -> usize {
        phase1
    }
}

impl Phase for Phase2 {
    fn size(_: usize, phase2: usize) -> usize {
        phase2
    }
}

/// A set of acceptors that said something in phase `P`. Acceptors are counted, never messages:
/// the ancestor counted datagrams, and one acceptor with duplicates was a majority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Voters<P> {
    bits: u64,
    phase: PhantomData<P>,
}

impl<P> Voters<P> {
    /// How many acceptors are in the set.
    pub fn len(self) -> usize {
        usize::try_from(self.bits.count_ones()).expect("at most 64")
    }

    /// Whether nobody is in the set.
    pub fn is_empty(self) -> bool {
        self.bits == 0
    }
}

impl fmt::Display for ConfigurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeZero => write!(f, "node id 0 names nobody; ids start at 1"),
            Self::NoRole(id) => write!(f, "node {id} has no role"),
            Self::NoLeader => write!(f, "no node has the role leader"),
            Self::NoAcceptor => write!(f, "no node has the role acceptor"),
            Self::TooManyNodes(count) => {
                write!(f, "{count} nodes; at most {NODES_MAX} are allowed")
            }
            Self::Disk(id) => {
                write!(f, "node {id} is an acceptor and has no disk id")
            }
            Self::QuorumSize { size, acceptors } => {
                write!(f, "a quorum of {size} of {acceptors} acceptors is not possible")
            }
            Self::NoIntersection { phase1, phase2, acceptors } => write!(
                f,
                "a phase-1 quorum of {phase1} and a phase-2 quorum of {phase2} of {acceptors} \
                 acceptors might not meet; their sum must exceed {acceptors}"
            ),
            Self::Replaced { phase1, acceptors } => write!(
                f,
                "no disk can be replaced where two phase-1 quorums of {phase1} of {acceptors} \
                 acceptors might not meet: they must be more than half"
            ),
        }
    }
}

impl core::error::Error for ConfigurationError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    fn members(leaders: u32, acceptors: u32) -> BTreeMap<NodeId, Member> {
        let leader = |id| {
            let roles = Roles { leader: true, ..Roles::default() };
            (NodeId(id), Member { roles, disk: None })
        };
        let acceptor = |id| {
            let roles = Roles { acceptor: true, ..Roles::default() };
            (NodeId(id), Member { roles, disk: Some(DiskId([7; 16])) })
        };
        let all = (1..=leaders).map(leader);
        all.chain((leaders + 1..=leaders + acceptors).map(acceptor)).collect()
    }

    #[test]
    fn an_acceptor_counts_once() {
        let configuration = Configuration::majority(ClusterId([0; 16]), members(2, 5)).unwrap();
        let mut voters = Voters::<Phase2>::default();
        assert!(configuration.count(&mut voters, NodeId(3)));
        assert!(!configuration.count(&mut voters, NodeId(3)), "a duplicate");
        assert!(!configuration.count(&mut voters, NodeId(1)), "a leader is no acceptor");
        assert!(!configuration.count(&mut voters, NodeId(99)), "a stranger");
        assert!(!configuration.is_quorum(voters));
        configuration.count(&mut voters, NodeId(5));
        configuration.count(&mut voters, NodeId(7));
        assert!(configuration.is_quorum(voters));
        assert!(configuration.missing(voters).eq([NodeId(4), NodeId(6)]));
    }

    #[test]
    fn three_of_five_are_a_majority() {
        // The ancestor's port to Python 3 needed 3.5 of 5.
        let configuration = Configuration::majority(ClusterId([0; 16]), members(1, 5)).unwrap();
        assert_eq!(configuration.quorum_size::<Phase1>(), 3);
        assert_eq!(configuration.quorum_size::<Phase2>(), 3);
    }

    #[test]
    fn quorums_that_might_not_meet_are_refused() {
        let build =
            |p1, p2| Configuration::flexible(ClusterId([0; 16]), members(1, 5), p1, p2).err();
        assert_eq!(build(4, 2), None);
        assert_eq!(
            build(3, 2),
            Some(ConfigurationError::NoIntersection { phase1: 3, phase2: 2, acceptors: 5 })
        );
        assert_eq!(build(6, 1), Some(ConfigurationError::QuorumSize { size: 6, acceptors: 5 }));
        assert_eq!(build(5, 0), Some(ConfigurationError::QuorumSize { size: 0, acceptors: 5 }));
    }

    #[test]
    fn a_configuration_without_sense_is_refused() {
        let build = |members| Configuration::majority(ClusterId([0; 16]), members).err();
        assert_eq!(build(members(0, 3)), Some(ConfigurationError::NoLeader));
        assert_eq!(build(members(1, 0)), Some(ConfigurationError::NoAcceptor));
        assert_eq!(build(members(60, 5)), Some(ConfigurationError::TooManyNodes(65)));
        let mut diskless = members(1, 3);
        diskless.get_mut(&NodeId(2)).unwrap().disk = None;
        assert_eq!(build(diskless), Some(ConfigurationError::Disk(NodeId(2))));
    }

    #[test]
    fn as_many_members_as_bits_are_allowed() {
        let build =
            |acceptors| Configuration::majority(ClusterId([0; 16]), members(1, acceptors)).err();
        assert_eq!(build(63), None);
        assert_eq!(build(64), Some(ConfigurationError::TooManyNodes(65)));
    }

    #[test]
    fn a_quorum_is_left_until_too_many_are_against_it() {
        let configuration = Configuration::majority(ClusterId([0; 16]), members(1, 5)).unwrap();
        let mut against = Voters::<Phase1>::default();
        assert!(against.is_empty());
        for (acceptor, is_left) in [(2, true), (3, true), (4, false)] {
            configuration.count(&mut against, NodeId(acceptor));
            assert!(!against.is_empty());
            assert_eq!(configuration.is_quorum_left(against), is_left, "{}", against.len());
        }
    }

    #[test]
    fn a_refused_configuration_says_why() {
        let build =
            |p1, p2| Configuration::flexible(ClusterId([0; 16]), members(1, 5), p1, p2).err();
        let text = "a phase-1 quorum of 3 and a phase-2 quorum of 2 of 5 acceptors might not \
                    meet; their sum must exceed 5";
        assert_eq!(build(3, 2).map(|error| error.to_string()).as_deref(), Some(text));
    }

    #[test]
    fn disks_are_replaced_where_elections_share_an_acceptor() {
        let of = |count, phase1, phase2| {
            let member = |id| {
                let roles = Roles { leader: true, acceptor: true, learner: false };
                (NodeId(id), Member { roles, disk: Some(DiskId::default()) })
            };
            let members = (1..=count).map(member).collect();
            let made = Configuration::flexible(ClusterId::default(), members, phase1, phase2);
            made.unwrap().bears_replacement()
        };
        assert_eq!(of(5, 3, 3), Ok(()));
        assert_eq!(of(5, 4, 2), Ok(()));
        let small = ConfigurationError::Replaced { phase1: 2, acceptors: 4 };
        assert_eq!(of(4, 2, 3), Err(small));
        assert_eq!(
            small.to_string(),
            "no disk can be replaced where two phase-1 quorums of 2 of 4 acceptors might not meet: \
             they must be more than half"
        );
    }
}
