//! A new cluster that goes on from a snapshot of an old one.
//!
//! Each new node that keeps the history finds the state on its shelf, each new acceptor a journal
//! that says that all below is decided. So whoever wants to lead needs the state first, and what
//! it proposes comes after. `docs/decisions/0016-snapshots-leave-their-cluster.md` says why this
//! is sound, and why slots are left out between the two.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use node::portable::reseal;
use paxos::{Configuration, ConfigurationError, DiskId, NodeId, Slot, SnapshotId};
use thiserror::Error;

use crate::config::{Config, Storage};
use crate::data_dir::{self, DataDirError};
use crate::membership::configuration;
use crate::snapshot_file::Whole;

/// Slots that are left out behind the snapshot, unless told otherwise. The old cluster must not
/// have used them all: at 100,000 values a second that takes 115 days.
pub const SKIPPED: u64 = 1_000_000_000_000;

/// What every node of the new cluster begins with.
#[derive(Clone, Debug)]
pub struct Seed {
    configuration: Configuration,
    snapshot: SnapshotId,
    state: Vec<u8>,
    /// What the history needs of a node's budget, in bytes.
    history_bytes: u64,
}

/// Why no cluster can go on from a snapshot.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// Nobody could give the state to those who want to lead.
    #[error("no node of this cluster leads or learns and has a disk: nobody would hold the state")]
    NobodyKeeps,
    /// The members are no cluster.
    #[error("the configuration makes no cluster: {0}")]
    Configuration(#[from] ConfigurationError),
    /// The slots end.
    #[error("no slots are left above {0}")]
    Slots(Slot),
    /// A directory could not be filled.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A snapshot could not be put in its place.
    #[error("{path}: {why}")]
    Shelf {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        why: journal::SnapshotError,
    },
    /// A directory could not get its name.
    #[error("cannot make {path}: {why}")]
    Name {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
}

impl Seed {
    /// For the new cluster of this configuration, whose first free slot lies `skip` slots behind
    /// the snapshot.
    pub fn new(file: &Whole, config: &Config, skip: u64) -> Result<Seed, RestoreError> {
        let configuration = configuration(config)?;
        if configuration.keepers().next().is_none() {
            return Err(RestoreError::NobodyKeeps);
        }
        let before = file.header.snapshot.below;
        let below = Slot(before.0.saturating_add(skip));
        let (snapshot, state) =
            reseal(&file.state, &configuration, below).map_err(|_| RestoreError::Slots(before))?;
        let history_bytes = file.holds.machine.bytes();
        Ok(Seed { configuration, snapshot, state, history_bytes })
    }

    /// The first slot that the new cluster decides.
    pub fn below(&self) -> Slot {
        self.snapshot.below
    }

    /// How many nodes keep the state.
    pub fn keepers(&self) -> usize {
        self.configuration.keepers().count()
    }

    /// Budgets as given, or more where the history of the snapshot needs it: a node lets go of what
    /// is too much for it.
    pub fn storage(&self, given: Storage) -> Storage {
        let needed = self.history_bytes.next_multiple_of(1 << 20);
        Storage { history_bytes: given.history_bytes.max(needed), ..given }
    }

    /// Makes the directory of one of its nodes, which must not exist. It gets its name when all is
    /// in it: a journal that does not say yet what is decided must never be found there.
    pub fn plant(&self, path: &Path, node: NodeId, disk: DiskId) -> Result<(), RestoreError> {
        let configuration = &self.configuration;
        let roles = configuration.roles(node);
        let name = |why| RestoreError::Name { path: path.to_owned(), why };
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        fs::create_dir(&part).map_err(name)?;
        if roles.learns() {
            let mut shelf = data_dir::open_shelf(&part, configuration.cluster(), node, disk)?;
            let kept = shelf
                .begin(self.snapshot)
                .and_then(|()| shelf.write(&self.state))
                .and_then(|()| shelf.finish(self.snapshot, Vec::new()));
            kept.map_err(|why| RestoreError::Shelf { path: part.clone(), why })?;
        }
        if roles.acceptor {
            data_dir::format_restored(&part, configuration, (node, disk), self.snapshot.below)?;
        }
        if path.symlink_metadata().is_ok() {
            return Err(name(io::ErrorKind::AlreadyExists.into()));
        }
        fs::rename(&part, path).map_err(name)?;
        let parent = path.parent().filter(|parent| *parent != Path::new(""));
        let synced = File::open(parent.unwrap_or(Path::new("."))).and_then(|it| it.sync_all());
        synced.map_err(name)
    }
}

impl RestoreError {
    /// What an operator can do about it, where there is something to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            RestoreError::NobodyKeeps => {
                Some("add learners (--learners N), or disks for the leaders".into())
            }
            RestoreError::Slots(_) => Some("leave out fewer: --skip SLOTS".into()),
            RestoreError::DataDir(error) => Some(error.hint()),
            RestoreError::Configuration(_)
            | RestoreError::Shelf { .. }
            | RestoreError::Name { .. } => None,
        }
    }
}
