//! A data directory laid open while no node runs there: its journal record by record, its
//! snapshots, and what is damaged where. Nothing is written.
//!
//! No configuration is needed: the files say whose they are. So a directory can be looked at that
//! has lost everything around it. What is shown of a journal is what a start would read, by the
//! same code.

mod checked;

use std::path::{Path, PathBuf};

use journal::{
    Damage, Disk as _, DiskError, DiskErrorKind, Entry, Generation, Identity, OpenError, Place,
    Recovered, SegmentNumber, Shown, SnapshotFault, Snapshots,
};
use node::portable::{self, Portable};
use node::{History, SnapshotError};
use paxos::wire::{WireError, decode_record};
use paxos::{
    Ballot, ClusterId, Configuration, DiskId, Epoch, Member, NodeId, Record, Roles, Slot, Value,
};
use thiserror::Error;

use crate::data_dir::SNAPSHOTS;
use crate::read_only_disk::ReadOnlyDisk;

pub use checked::{Checked, State, Verdict};

/// A data directory that nobody else uses while this is here.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    journal: Option<ReadOnlyDisk>,
    shelf: Option<ReadOnlyDisk>,
    /// Of the journal, as far as one of its headers can be read.
    owner: Option<Identity>,
}

/// Why a directory cannot be looked at.
#[derive(Debug, Error)]
pub enum InspectError {
    /// A node runs there: what is read would change meanwhile.
    #[error("a node runs on {0}: its files change while they are read")]
    Running(PathBuf),
    /// Neither a journal nor snapshots.
    #[error("{0} is no data directory: it holds neither a journal nor snapshots")]
    Nothing(PathBuf),
    /// It has snapshots and no journal.
    #[error("{0} holds no journal: it is the directory of a node that only learns, or it is lost")]
    NoJournal(PathBuf),
    /// No header of the journal can be read.
    #[error("{0}: no header of the journal can be read: whose it is is not known")]
    NoOwner(PathBuf),
    /// The journal is damaged as a whole. What could be read was shown.
    #[error("{path}: {why}")]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        why: OpenError,
    },
    /// No snapshot in it is whole.
    #[error("{0} holds no snapshot that is whole")]
    NoSnapshot(PathBuf),
    /// The disk refuses.
    #[error("{path}: {why}")]
    Disk {
        /// The directory.
        path: PathBuf,
        /// What it says.
        why: DiskError,
    },
}

/// One thing that stands in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where.
    pub at: Place,
    /// Its number; of a hole the first that is lost.
    pub frame: u64,
    /// What it is.
    pub what: What,
}

/// What stands in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A record, in a frame with so many bytes of payload.
    Record(Record, usize),
    /// A frame that is what was written, and no record of this cluster.
    Foreign(WireError, usize),
    /// The journal's own word: what stood below this frame was let go.
    Cut(u64),
    /// Frames up to this one were durable and cannot be read.
    Hole(u64, Damage),
}

/// Something about one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AboutSlot {
    /// A vote for this value.
    Vote(Ballot, Value),
    /// The votes below this slot were cut, this one's among them.
    Truncated(Slot),
    /// What cannot be read may have held a vote.
    Hole(u64, Damage),
}

/// A snapshot of the shelf.
#[derive(Debug)]
pub struct Shelved {
    /// Its file.
    pub path: PathBuf,
    /// The file's number.
    pub number: SegmentNumber,
    /// The file's size.
    pub bytes: u64,
    /// What it holds, if it is whole; and its bytes.
    pub holds: Result<(Portable<History>, Vec<u8>), Unusable>,
}

/// Why a file is no snapshot to go on from.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unusable {
    /// Its header or its size.
    #[error("{}", fault(*.0))]
    Fault(SnapshotFault),
    /// What was read is not what was written.
    #[error("{0}")]
    Read(journal::SnapshotError),
    /// What was written is no state.
    #[error("{0}")]
    State(SnapshotError),
    /// It is no file of this directory.
    #[error("{0}")]
    Foreign(OpenError),
}

impl Directory {
    /// Opens a directory, if no node runs there.
    pub fn open(path: &Path) -> Result<Directory, InspectError> {
        let failed = |why: DiskError| match why.kind {
            DiskErrorKind::Locked => InspectError::Running(path.to_owned()),
            _ => InspectError::Disk { path: path.to_owned(), why },
        };
        let mut disk = ReadOnlyDisk::open(path).map_err(failed)?;
        let has_journal = !disk.list().map_err(failed)?.is_empty();
        let shelf = path.join(SNAPSHOTS);
        let shelf = if shelf.is_dir() {
            // What is being written is of no use to anybody yet.
            Some(ReadOnlyDisk::open(shelf).map_err(failed)?.hiding(SegmentNumber(0)))
        } else {
            None
        };
        if !has_journal && shelf.is_none() {
            return Err(InspectError::Nothing(path.to_owned()));
        }
        let owner = journal::owner(&mut disk).map_err(failed)?;
        let journal = has_journal.then_some(disk);
        Ok(Directory { path: path.to_owned(), journal, shelf, owner })
    }

    /// Whose it is, by the journal or by a snapshot.
    pub fn owner(&mut self) -> Option<Identity> {
        let of_shelf = |shelf: &mut ReadOnlyDisk| journal::snapshots_owner(shelf).ok().flatten();
        self.owner.or_else(|| self.shelf.as_mut().and_then(of_shelf))
    }

    /// Shows the journal from its first frame to its last, as far as it can be read. An error comes
    /// after all that was shown.
    pub fn journal(&mut self, mut visit: impl FnMut(Line)) -> Result<Recovered, InspectError> {
        let path = || self.path.clone();
        let disk = self.journal.as_mut().ok_or_else(|| InspectError::NoJournal(path()))?;
        let owner = self.owner.ok_or_else(|| InspectError::NoOwner(path()))?;
        let configuration = reader(owner);
        let shown = journal::show(disk, owner, |shown| visit(line(&configuration, shown)));
        shown.map_err(|why| match why {
            OpenError::Disk(why) => InspectError::Disk { path: path(), why },
            why => InspectError::Damaged { path: path(), why },
        })
    }

    /// Shows what the journal still says of one slot, in order.
    pub fn slot(
        &mut self,
        slot: Slot,
        mut visit: impl FnMut(Place, u64, AboutSlot),
    ) -> Result<Recovered, InspectError> {
        let mut is_cut = false;
        self.journal(|Line { at, frame, what }| {
            let about = match what {
                What::Record(Record::Accepted(run), _) => {
                    let index = usize::try_from(slot.since(run.first)).unwrap_or(usize::MAX);
                    let value = run.values.get(index).filter(|_| run.first <= slot);
                    value.map(|value| AboutSlot::Vote(run.ballot, value.clone()))
                }
                What::Record(Record::Truncated(below), _) if below > slot && !is_cut => {
                    is_cut = true;
                    Some(AboutSlot::Truncated(below))
                }
                What::Hole(to, why) => Some(AboutSlot::Hole(to, why)),
                _ => None,
            };
            if let Some(about) = about {
                visit(at, frame, about);
            }
        })
    }

    /// Shows the records that raised the promise, and the holes, in order.
    pub fn promises(&mut self, mut visit: impl FnMut(Line)) -> Result<Recovered, InspectError> {
        let mut promised = Ballot::NONE;
        self.journal(|line| {
            let ballot = match &line.what {
                What::Record(Record::Promised(ballot), _) => *ballot,
                What::Record(Record::Accepted(run), _) => run.ballot,
                What::Hole(..) => return visit(line),
                _ => return,
            };
            if ballot > promised {
                promised = ballot;
                visit(line);
            }
        })
    }

    /// The snapshots of the shelf, the newest first, each read as a whole, one after another.
    pub fn snapshots(&mut self, mut visit: impl FnMut(Shelved)) -> Result<(), InspectError> {
        let owner = self.owner();
        let failed = |why| InspectError::Disk { path: self.path.join(SNAPSHOTS), why };
        let Some(mut disk) = self.shelf.take() else { return Ok(()) };
        let mut files = disk.list().map_err(failed)?;
        files.sort_unstable_by_key(|file| std::cmp::Reverse(file.number));
        let paths: Vec<PathBuf> = files.iter().map(|it| disk.segment_path(it.number)).collect();
        let nobody = Identity { cluster: [0; 16], node: 0, disk: [0; 16] };
        let opened = Snapshots::open(disk, owner.unwrap_or(nobody));
        let (mut snapshots, bad) = match opened {
            Ok(opened) => opened,
            Err(OpenError::Disk(why)) => return Err(failed(why)),
            Err(why) => {
                for (file, path) in files.into_iter().zip(paths) {
                    let (number, bytes) = (file.number, file.bytes as u64);
                    let holds = Err(Unusable::Foreign(why.clone()));
                    visit(Shelved { path, number, bytes, holds });
                }
                return Ok(());
            }
        };
        let generations = snapshots.generations().to_vec();
        for (file, path) in files.into_iter().zip(paths) {
            let number = file.number;
            let generation = generations.iter().find(|it| it.number == number);
            let holds = match (generation, bad.iter().find(|it| it.number == number)) {
                (Some(generation), _) => load(&mut snapshots, generation),
                (None, Some(bad)) => Err(Unusable::Fault(bad.why)),
                // An older one, which a crash has left.
                (None, None) => continue,
            };
            visit(Shelved { path, number, bytes: file.bytes as u64, holds });
        }
        self.shelf = Some(snapshots.into_disk());
        Ok(())
    }

    /// The newest snapshot that is whole, and its bytes.
    pub fn newest_snapshot(&mut self) -> Result<(Portable<History>, Vec<u8>), InspectError> {
        let mut newest = None;
        self.snapshots(|shelved| {
            if newest.is_none() {
                newest = shelved.holds.ok();
            }
        })?;
        newest.ok_or_else(|| InspectError::NoSnapshot(self.path.clone()))
    }
}

fn load(
    snapshots: &mut Snapshots<ReadOnlyDisk>,
    generation: &Generation,
) -> Result<(Portable<History>, Vec<u8>), Unusable> {
    let bytes = snapshots.load(generation).map_err(Unusable::Read)?;
    let holds = portable::read(&History::default(), &bytes).map_err(Unusable::State)?;
    Ok((holds, bytes))
}

/// Somebody who may read any record of this cluster, of whatever epoch.
fn reader(owner: Identity) -> Configuration {
    let roles = Roles { leader: true, acceptor: true, learner: false };
    let members = [(NodeId(1), Member { roles, disk: Some(DiskId(owner.disk)) })].into();
    let configuration = Configuration::majority(ClusterId(owner.cluster), members);
    configuration.expect("one member that does everything").with_epoch(Epoch(u64::MAX))
}

fn line(configuration: &Configuration, shown: Shown<'_>) -> Line {
    match shown {
        Shown::Entry(at, Entry::Frame(sequence, payload), _) => {
            let what = match decode_record(configuration, payload) {
                Ok(record) => What::Record(record, payload.len()),
                Err(why) => What::Foreign(why, payload.len()),
            };
            Line { at, frame: sequence.0, what }
        }
        Shown::Entry(at, Entry::Hole { from, to }, why) => {
            let why = why.unwrap_or(Damage::Header);
            Line { at, frame: from.0, what: What::Hole(to.0, why) }
        }
        Shown::Cut(at, sequence, first) => Line { at, frame: sequence.0, what: What::Cut(first.0) },
    }
}

fn fault(fault: SnapshotFault) -> String {
    match fault {
        SnapshotFault::Header => "its header cannot be read".into(),
        SnapshotFault::Version(found) => format!("it has format {found}"),
        SnapshotFault::Misplaced(number) => format!("it is the snapshot {number}, under this name"),
        SnapshotFault::Size => "it has another size than its header says".into(),
    }
}

impl InspectError {
    /// Whether data is damaged.
    pub fn is_damage(&self) -> bool {
        match self {
            InspectError::NoOwner(_) | InspectError::Damaged { .. } => true,
            InspectError::Running(_)
            | InspectError::NoSnapshot(_)
            | InspectError::Nothing(_)
            | InspectError::NoJournal(_)
            | InspectError::Disk { .. } => false,
        }
    }

    /// What an operator can do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            InspectError::Running(_) => Some("stop the node first, or look at a copy"),
            InspectError::Nothing(_) => {
                Some("give the `data_dir` of a node's configuration, such as cluster/n1/data")
            }
            InspectError::NoJournal(_) => Some("`synod inspect snapshots` shows what is there"),
            InspectError::Damaged { .. } | InspectError::NoOwner(_) => Some(
                "no node starts from this; docs/operating.md, \"A journal is damaged\", says how \
                 it goes on",
            ),
            InspectError::NoSnapshot(_) | InspectError::Disk { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
