//! An acceptor's directory: made once, opened by its identity only.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use journal::{DiskErrorKind, Entry, Identity, Journal, OpenError, Options};
use node::Ledger;
use node::recovery::{Recovery, RecoveryError};
use paxos::{ClusterId, Configuration, DiskId, NodeId, Record};
use thiserror::Error;

use crate::file_disk::FileDisk;
use crate::shelf::Shelf;

/// Where in a node's directory its snapshots are.
const SNAPSHOTS: &str = "snapshots";

/// An acceptor's journal, and what it says.
pub struct Opened {
    /// To go on with.
    pub journal: Journal<FileDisk>,
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
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: OpenError,
    },
    /// The journal opens, but it does not hold this cluster's records, or not all of them.
    #[error("{path}: {why}")]
    Content {
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

/// Opens an acceptor's journal, and reads back everything that it has promised and accepted.
pub fn open(
    path: &Path,
    configuration: &Configuration,
    node: NodeId,
    disk: DiskId,
    options: Options,
) -> Result<Opened, DataDirError> {
    let owned = || path.to_owned();
    let files = FileDisk::open(path).map_err(|why| DataDirError::Disk { path: owned(), why })?;
    let used = files.used();
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
        opened.map_err(|why| DataDirError::Open { path: owned(), why })?;
    // Before anything waits for it: the next segment's zeros take some milliseconds.
    match journal.prepare() {
        // What there is may be enough, and whoever needs more will say so.
        Err(why) if why.kind != DiskErrorKind::Full => {
            return Err(DataDirError::Disk { path: owned(), why });
        }
        _ => {}
    }
    let records = recovery.finish();
    let records = records.map_err(|why| DataDirError::Content { path: owned(), why })?;
    tracing::info!(node = node.0, records = records.len(), ?recovered, "journal read");
    let mut ledger = Ledger::default();
    for (frame, record) in frames.into_iter().zip(&records) {
        ledger.note(frame, record);
    }
    Ok(Opened { journal, ledger, records, used })
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
    Shelf::on_disk(files.giving_way(), identity(cluster, node, disk))
        .map_err(|why| DataDirError::Open { path, why })
}

impl DataDirError {
    /// What an operator can do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            DataDirError::Disk { .. } => {
                "check the path, its permissions, and that no other process uses it"
            }
            DataDirError::NotEmpty { .. } => {
                "choose another directory, or keep the journal that is there"
            }
            DataDirError::Open { why: OpenError::Empty, .. } => {
                "an acceptor that has lost its journal must not vote under its old identity; \
                 restore the directory, or replace the acceptor under a new node id"
            }
            DataDirError::Open { why: OpenError::Foreign { .. }, .. } => {
                "this directory belongs to another node, disk or cluster; check data_dir and disk \
                 in the configuration"
            }
            DataDirError::Open { .. } | DataDirError::Content { .. } => {
                "what this acceptor has promised is no longer certain, so it must not vote; keep \
                 the directory for inspection and replace the acceptor under a new node id"
            }
        }
    }
}

fn identity(cluster: ClusterId, node: NodeId, disk: DiskId) -> Identity {
    Identity { cluster: cluster.0, node: node.0, disk: disk.0 }
}
