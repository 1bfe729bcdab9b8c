//! An acceptor's directory: made once, opened by its identity only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use journal::{AppendError, Disk, DiskErrorKind, Entry, Identity, Journal, OpenError, Options};
use node::Ledger;
use node::recovery::{Recovery, RecoveryError, replacement, restored};
use paxos::wire::{WireError, decode_record};
use paxos::{ClusterId, Configuration, DiskId, NodeId, Record, Slot};
use thiserror::Error;

use crate::file_disk::FileDisk;
use crate::shelf::Shelf;

/// Where in a node's directory its snapshots are.
pub(crate) const SNAPSHOTS: &str = "snapshots";

/// Whatever disk a journal or a shelf lies on.
pub type AnyDisk = Box<dyn Disk + Send>;

/// An acceptor's journal, and what it says.
pub struct Opened {
    /// To go on with.
    pub journal: Journal<AnyDisk>,
    /// Which of its frames are still needed.
    pub ledger: Ledger,
    /// Everything that was promised and accepted, in order.
    pub records: Vec<Record>,
    /// The size of its files, in bytes, as it is from now on.
    pub used: Arc<AtomicU64>,
}

/// Why an acceptor's directory cannot be used. It does not vote then.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// The directory or its files could not be reached.
    #[error("{path}: {why}")]
    Disk {
        /// The directory.
        path: PathBuf,
        /// What the disk says.
        why: journal::DiskError,
    },
    /// There is a journal already.
    #[error("{path}: there is a journal already; it is never overwritten")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// No journal, another disk's, or a damaged one.
    #[error("{path}: {why}")]
    Open {
        /// Whose it should be.
        node: NodeId,
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: OpenError,
    },
    /// The journal opens, but it does not hold this cluster's records, or not all of them.
    #[error("{path}: {why}")]
    Content {
        /// Whose it is.
        node: NodeId,
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: RecoveryError,
    },
}

/// Makes an empty journal for an acceptor. Refuses if there is anything in its place.
pub fn format(
    path: &Path,
    cluster: ClusterId,
    node: NodeId,
    disk: DiskId,
) -> Result<(), DataDirError> {
    let owned = || path.to_owned();
    let mut files =
        FileDisk::open(path).map_err(|why| DataDirError::Disk { path: owned(), why })?;
    Journal::format(&mut files, identity(cluster, node, disk)).map_err(|error| match error {
        journal::FormatError::NotEmpty { .. } => DataDirError::NotEmpty { path: owned() },
        journal::FormatError::Disk(why) => DataDirError::Disk { path: owned(), why },
    })
}

/// Whether an acceptor's journal is there: this disk's, whole. Nothing is changed.
pub fn is_formatted(
    path: &Path,
    cluster: ClusterId,
    node: NodeId,
    disk: DiskId,
) -> Result<bool, DataDirError> {
    if !path.exists() {
        return Ok(false);
    }
    let mut files =
        FileDisk::open(path).map_err(|why| DataDirError::Disk { path: path.to_owned(), why })?;
    match journal::inspect(&mut files, identity(cluster, node, disk), |_| {}) {
        Ok(_) => Ok(true),
        Err(OpenError::Empty) => Ok(false),
        Err(why) => Err(DataDirError::Open { node, path: path.to_owned(), why }),
    }
}

/// What lies where a replaced disk's journal would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// No journal and no snapshot.
    Free,
    /// The journal of this disk, which replaces another and has not been used.
    Fresh,
    /// The journal of this disk, in use, from which the node starts.
    Taken,
    /// Something else, from which the node does not start. It is never overwritten either.
    Unusable,
}

/// Looks where a replaced disk's journal would be made, or was.
pub fn look(
    path: &Path,
    configuration: &Configuration,
    node: NodeId,
    disk: DiskId,
) -> Result<Place, DataDirError> {
    if !path.exists() {
        return Ok(Place::Free);
    }
    let failed = |why| DataDirError::Disk { path: path.to_owned(), why };
    // Its lock shows that no node runs here.
    let mut files = FileDisk::open(path).map_err(failed)?;
    // Zero is what is left of a format that did not end.
    let is_file = |entry: &journal::FileEntry| entry.number.0 > 0;
    if !files.list().map_err(failed)?.iter().any(is_file) {
        let snapshots = path.join(SNAPSHOTS);
        let is_taken = snapshots.exists() && {
            let mut files = FileDisk::open(&snapshots).map_err(failed)?;
            files.list().map_err(failed)?.iter().any(is_file)
        };
        return Ok(if is_taken { Place::Unusable } else { Place::Free });
    }
    let (mut marks, mut others) = (0, 0);
    let identity = identity(configuration.cluster(), node, disk);
    let mut recovery = Recovery::default();
    let read = journal::inspect(&mut files, identity, |entry| {
        let record = match entry {
            Entry::Frame(_, frame) => {
                let record = decode_record(configuration, frame);
                recovery.decoded(record.clone());
                record.ok()
            }
            Entry::Hole { from, to } => {
                recovery.hole(from.0, to.0);
                None
            }
        };
        *if record == Some(Record::Suspect) { &mut marks } else { &mut others } += 1;
    });
    Ok(match (read, recovery.finish()) {
        (Err(OpenError::Disk(why)), _) => return Err(failed(why)),
        (Ok(_), Ok(_)) if marks > 0 && others == 0 => Place::Fresh,
        (Ok(_), Ok(_)) => Place::Taken,
        _ => Place::Unusable,
    })
}

/// Makes the journal of a disk that takes the place of a lost one. The disk's id must be one that
/// no journal has had.
pub fn format_replacement(
    path: &Path,
    configuration: &Configuration,
    node: NodeId,
    disk: DiskId,
) -> Result<(), DataDirError> {
    format_with(path, configuration, node, disk, &replacement(configuration))
}

/// Makes the journal of an acceptor whose cluster goes on from a snapshot, which covers everything
/// below a slot.
pub fn format_restored(
    path: &Path,
    configuration: &Configuration,
    (node, disk): (NodeId, DiskId),
    below: Slot,
) -> Result<(), DataDirError> {
    format_with(path, configuration, node, disk, &restored(configuration, below))
}

/// Makes a journal that begins with a frame which must not be lost.
fn format_with(
    path: &Path,
    configuration: &Configuration,
    node: NodeId,
    disk: DiskId,
    frame: &[u8],
) -> Result<(), DataDirError> {
    let failed = |why| DataDirError::Disk { path: path.to_owned(), why };
    format(path, configuration.cluster(), node, disk)?;
    let identity = identity(configuration.cluster(), node, disk);
    let files = FileDisk::open(path).map_err(failed)?;
    let (mut journal, _) = Journal::open(files, identity, Options::default(), |_| {})
        .map_err(|why| DataDirError::Open { node, path: path.to_owned(), why })?;
    // Twice: the second frame is evidence that the first was durable. Alone, it could rot and be
    // taken for a write that never ended, and the acceptor for one that has never voted.
    for _ in 0..2 {
        journal.append(frame).map_err(|error| match error {
            AppendError::Full(why) | AppendError::Disk(why) => failed(why),
            AppendError::TooLong { .. } => unreachable!("the frame has a few bytes"),
        })?;
        journal.sync().map_err(failed)?;
    }
    Ok(())
}

/// Opens an acceptor's journal, and reads back everything that it has promised and accepted.
pub fn open(
    path: &Path,
    configuration: &Configuration,
    node: NodeId,
    disk: DiskId,
    options: Options,
) -> Result<Opened, DataDirError> {
    let files =
        FileDisk::open(path).map_err(|why| DataDirError::Disk { path: path.to_owned(), why })?;
    let used = files.used();
    let opened = open_on(Box::new(files), path, configuration, node, disk, options)?;
    Ok(Opened { used, ..opened })
}

/// The same on a disk of whatever kind, which errors call `path`. Nobody keeps count of its size.
pub fn open_on(
    files: AnyDisk,
    path: &Path,
    configuration: &Configuration,
    node: NodeId,
    disk: DiskId,
    options: Options,
) -> Result<Opened, DataDirError> {
    let owned = || path.to_owned();
    let mut recovery = Recovery::default();
    let mut frames = Vec::new();
    let identity = identity(configuration.cluster(), node, disk);
    let opened = Journal::open(files, identity, options, |entry| match entry {
        Entry::Frame(sequence, frame) => {
            frames.push(sequence.0);
            recovery.frame(configuration, frame);
        }
        Entry::Hole { from, to } => recovery.hole(from.0, to.0),
    });
    let (mut journal, recovered) =
        opened.map_err(|why| DataDirError::Open { node, path: owned(), why })?;
    // Before anything waits for it: the next segment's zeros take some milliseconds.
    match journal.prepare() {
        // What there is may be enough, and whoever needs more will say so.
        Err(why) if why.kind != DiskErrorKind::Full => {
            return Err(DataDirError::Disk { path: owned(), why });
        }
        _ => {}
    }
    let records = recovery.finish();
    let records = records.map_err(|why| DataDirError::Content { node, path: owned(), why })?;
    tracing::info!(node = node.0, records = records.len(), ?recovered, "journal read");
    let mut ledger = Ledger::default();
    for (frame, record) in frames.into_iter().zip(&records) {
        ledger.note(frame, record);
    }
    Ok(Opened { journal, ledger, records, used: Arc::default() })
}

/// Opens a learner's snapshots. Unlike a journal they may be missing: they can be fetched again.
pub fn open_shelf(
    path: &Path,
    cluster: ClusterId,
    node: NodeId,
    disk: DiskId,
) -> Result<Shelf, DataDirError> {
    let path = path.join(SNAPSHOTS);
    let files =
        FileDisk::open(&path).map_err(|why| DataDirError::Disk { path: path.clone(), why })?;
    let files = files.giving_way();
    let used = files.used();
    Shelf::on_disk(Box::new(files), used, identity(cluster, node, disk))
        .map_err(|why| DataDirError::Open { node, path, why })
}

impl DataDirError {
    /// What an operator can do about it.
    pub fn hint(&self) -> String {
        match self {
            DataDirError::Disk { .. } => {
                "check the path, its permissions, and that no other process uses it".into()
            }
            DataDirError::NotEmpty { .. } => {
                "choose another directory, or keep the journal that is there".into()
            }
            DataDirError::Open { node, why: OpenError::Empty, .. } => format!(
                "an acceptor that has lost its journal must not vote as if it had not; restore the \
                 directory, or replace the disk: \
                 `synod init replacement --node {node} --running EPOCH FILE`"
            ),
            DataDirError::Open { node, why: OpenError::Foreign { .. }, .. } => format!(
                "this directory belongs to another node, disk or cluster; check data_dir and disk \
                 in the configuration. A replaced disk begins with an empty directory and \
                 `synod init replacement --node {node} --running EPOCH FILE`"
            ),
            DataDirError::Content {
                why: RecoveryError::Foreign { why: WireError::Epoch(epoch), .. },
                ..
            } => format!(
                "this acceptor has gone over to the configuration of epoch {epoch} and never goes \
                 back; start it with that one: `synod init replacement` writes it, with the node, \
                 --epoch {epoch} and the --disk that the other members' files name"
            ),
            DataDirError::Open { node, .. } | DataDirError::Content { node, .. } => format!(
                "what this acceptor has promised is no longer certain, so it must not vote; rename \
                 the directory, to keep it for inspection, and replace the disk: \
                 `synod init replacement --node {node} --running EPOCH FILE`"
            ),
        }
    }
}

fn identity(cluster: ClusterId, node: NodeId, disk: DiskId) -> Identity {
    Identity { cluster: cluster.0, node: node.0, disk: disk.0 }
}
