//! How a cluster comes to be, so that no disk that was lost is ever taken for a new one.
//!
//! An acceptor whose directory is empty must not vote: it may have voted before, and forgotten. Yet
//! when a cluster starts for the first time every directory is empty. The two are told apart by
//! the members themselves:
//!
//! ```text
//!   fresh     an empty directory draws a disk id, keeps it, and only then tells it to the others
//!   pledged   once it has heard a disk id of every member, it keeps the list: its one certificate
//!   born      once every member has pledged the same list, it makes its journal, and may vote
//! ```
//!
//! A disk id pledges one certificate at most, and nobody votes before every member has pledged it.
//! So where anybody has voted, every member has kept the list of all disks. A directory that was
//! lost comes back with another disk id, finds that the others' certificate does not name it, and
//! is refused for good. Whoever hears nobody waits, and does not vote. The smallest history that
//! needs the second round: without it, two of three disks could be born with a list of their own
//! while the third, born with another list before, has voted with a disk that was lost since.
//!
//! The cluster's id is the digest of its certificate: clusters of other disks never hear each
//! other.
//!
//! It knows neither time nor network nor file: what is to be kept comes out of [`Birth::next`], and
//! is told back before anything rests on it.

use std::collections::BTreeMap;

use paxos::{ClusterId, Digest, DiskId, NodeId};

/// The disks of all members, by their ids.
pub(crate) type Certificate = BTreeMap<NodeId, DiskId>;

/// What a node keeps of its birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub disk: DiskId,
    pub pledged: Option<Certificate>,
    /// The journal was made. Where it is missing after that, it is lost.
    pub is_born: bool,
}

/// What a node tells the others of its birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub version: u32,
    pub disk: DiskId,
    pub pledged: Option<Certificate>,
    /// Whether the sender wants to hear the same of the receiver.
    pub asks: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Tell the others, and hear them.
    Wait,
    /// Keep this certificate, durably, then say so with [`Birth::pledged`].
    Pledge(Certificate),
    /// Make the journal; then this node may vote.
    Born(Certificate),
}

/// Why a node is not born.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A member runs another version of the state machine.
    Version { peer: NodeId, theirs: u32 },
    /// The cluster was born with another disk of this node's.
    Lost { peer: NodeId },
    /// A member has pledged a list of other members, or with other disks of other members.
    Disagree { peer: NodeId },
}

/// One node's part in it.
#[derive(Clone, Debug)]
pub(crate) struct Birth {
    me: NodeId,
    version: u32,
    kept: Kept,
    /// What every other member has said last; none of those that were not heard.
    heard: BTreeMap<NodeId, Option<Hello>>,
    trouble: Option<Trouble>,
}

impl Birth {
    pub(crate) fn new(
        me: NodeId,
        members: impl IntoIterator<Item = NodeId>,
        version: u32,
        kept: Kept,
    ) -> Birth {
        let heard = members.into_iter().filter(|id| *id != me).map(|id| (id, None)).collect();
        Birth { me, version, kept, heard, trouble: None }
    }

    /// What to tell the others.
    pub(crate) fn hello(&self, asks: bool) -> Hello {
        let Kept { disk, pledged, .. } = self.kept.clone();
        Hello { version: self.version, disk, pledged, asks }
    }

    /// A member has said this.
    pub(crate) fn hear(&mut self, peer: NodeId, hello: Hello) {
        if !self.heard.contains_key(&peer) {
            return;
        }
        if hello.version != self.version {
            self.trouble.get_or_insert(Trouble::Version { peer, theirs: hello.version });
        }
        // Whoever was born stays: it is the other one that is wrong.
        if let Some(theirs) = hello.pledged.as_ref().filter(|_| !self.kept.is_born) {
            let knows_another = theirs.get(&self.me).is_some_and(|disk| *disk != self.kept.disk);
            let is_another = self.kept.pledged.as_ref().is_some_and(|ours| ours != theirs);
            if knows_another {
                self.trouble.get_or_insert(Trouble::Lost { peer });
            } else if is_another || !theirs.keys().eq(self.everybody().keys()) {
                self.trouble.get_or_insert(Trouble::Disagree { peer });
            }
        }
        self.heard.insert(peer, Some(hello));
    }

    /// What to do now, or why there is nothing to hope for.
    pub(crate) fn next(&self) -> Result<Step, Trouble> {
        if let Some(trouble) = &self.trouble {
            return Err(trouble.clone());
        }
        let Some(ours) = &self.kept.pledged else {
            let everybody: Option<Certificate> =
                self.everybody().into_iter().map(|(id, disk)| Some((id, disk?))).collect();
            return Ok(everybody.map_or(Step::Wait, Step::Pledge));
        };
        let agrees = |hello: &Hello| hello.pledged.as_ref() == Some(ours);
        let is_born =
            self.kept.is_born || self.heard.values().all(|it| it.as_ref().is_some_and(agrees));
        Ok(if is_born { Step::Born(ours.clone()) } else { Step::Wait })
    }

    /// The certificate is kept.
    pub(crate) fn pledged(&mut self, certificate: Certificate) {
        assert!(self.kept.pledged.is_none(), "a disk pledges once");
        self.kept.pledged = Some(certificate);
    }

    /// The journal was made.
    pub(crate) fn born(&mut self) {
        self.kept.is_born = true;
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Who has not been heard.
    pub(crate) fn unheard(&self) -> Vec<NodeId> {
        self.heard.iter().filter(|(_, hello)| hello.is_none()).map(|(id, _)| *id).collect()
    }

    fn everybody(&self) -> BTreeMap<NodeId, Option<DiskId>> {
        let others = self.heard.iter().map(|(id, hello)| (*id, hello.as_ref().map(|it| it.disk)));
        others.chain([(self.me, Some(self.kept.disk))]).collect()
    }
}

/// The name of the cluster of these disks.
pub(crate) fn cluster_of(certificate: &Certificate) -> ClusterId {
    let mut bytes = b"synod cluster".to_vec();
    for (id, disk) in certificate {
        bytes.extend(id.0.to_le_bytes());
        bytes.extend(disk.0);
    }
    ClusterId(Digest::of(&bytes).0)
}

#[cfg(test)]
mod tests;
