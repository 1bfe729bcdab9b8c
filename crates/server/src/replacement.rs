//! An acceptor goes on from another disk: one change to every member's file, and a journal for the
//! new disk that says that its votes are lost.
//!
//! ```text
//!   epoch + 1, a new disk id  ->  the journal  ->  the node's own file  ->  the others' files
//! ```
//!
//! A disk id is drawn where the journal is made, and a journal is made under it once: two journals
//! of one id could vote twice at one ballot. So whoever has only other members' files must be told
//! what was drawn. An epoch is taken once, too, and none is left out: a node's own file may be an
//! old copy, so it is not believed alone, and every file takes one step at a time. In this order a
//! run that was cut short is known by what it left, and the next one goes on with it; a journal
//! that no file names yet is in the way and nothing worse.
//!
//! Why this is safe is in `docs/decisions/0009-lost-votes.md`, "Another disk".

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use journal::DiskErrorKind;
use paxos::{Configuration, ConfigurationError, DiskId, Epoch, NodeId, Phase1};
use thiserror::Error;

use crate::config::{Config, ConfigError, Role, format_identity};
use crate::data_dir::{self, DataDirError, Place};
use crate::membership::configuration;

/// What becomes of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The node whose disk is replaced.
    pub node: NodeId,
    /// The epoch from then on.
    pub epoch: u64,
    /// The new disk's id.
    pub disk: [u8; 16],
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// The change that all files now have.
    pub change: Change,
    /// The files, in the order in which they were given.
    pub files: Vec<Changed>,
    /// Where a journal was made.
    pub journal: Option<PathBuf>,
    /// Members whose files were not given.
    pub missing: Vec<NodeId>,
}

/// A file that has the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its path, as it was given.
    pub path: PathBuf,
    /// Whose it is.
    pub node: NodeId,
    /// Whether it did not have the change before.
    pub is_news: bool,
}

/// Why no disk was replaced, or not everywhere.
#[derive(Debug, Error)]
pub enum ReplaceError {
    /// A file cannot be read or is no configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file makes no cluster.
    #[error("{path}: the configuration makes no cluster: {why}")]
    Configuration {
        /// The file.
        path: PathBuf,
        /// Why.
        why: ConfigurationError,
    },
    /// Two files are one node's.
    #[error("{one} and {other} are both node {node}'s file")]
    Twice {
        /// The earlier one.
        one: PathBuf,
        /// The later one.
        other: PathBuf,
        /// Whose.
        node: NodeId,
    },
    /// Two files are not of one configuration.
    #[error("{other} has {what} than {one}")]
    Differ {
        /// The first file.
        one: PathBuf,
        /// The one that differs.
        other: PathBuf,
        /// In what.
        what: &'static str,
    },
    /// Nobody has that id.
    #[error("there is no node {0} in this cluster")]
    Unknown(NodeId),
    /// It has no votes to lose.
    #[error("node {0} is no acceptor: it has no votes to lose")]
    NoAcceptor(NodeId),
    /// Without the lost disk nobody can be elected, now or later.
    #[error(
        "without node {node} there are {others} acceptors, and a leader needs the promises of \
         {needed}: what was chosen may be lost with this disk, and no replacement is safe"
    )]
    TooFew {
        /// Whose disk it is.
        node: NodeId,
        /// The acceptors without it.
        others: usize,
        /// A phase-1 quorum.
        needed: usize,
    },
    /// Where elections need share no acceptor, what the lost disk has promised matters.
    #[error(transparent)]
    Unsafe(ConfigurationError),
    /// The new disk's id is to be drawn, and its journal cannot be made here.
    #[error("none of these files is node {0}'s own")]
    OwnMissing(NodeId),
    /// An id was given for a journal that is not there.
    #[error("there is no journal of disk {} in {path}", format_identity(&.change.disk))]
    NotMade {
        /// The directory.
        path: PathBuf,
        /// What was asked for.
        change: Change,
    },
    /// The node runs.
    #[error("node {node} runs: {path} is in use")]
    Running {
        /// Which one.
        node: NodeId,
        /// Its directory.
        path: PathBuf,
    },
    /// The directory holds a journal or snapshots.
    #[error("{path} still holds a journal or snapshots; they are never overwritten")]
    Taken {
        /// The directory.
        path: PathBuf,
    },
    /// A file is past the change, or has another one in its place.
    #[error(
        "{path} has epoch {epoch} and disk {} for node {}: it cannot go to epoch {} and disk {}",
        format_identity(.disk), .change.node, .change.epoch, format_identity(&.change.disk)
    )]
    Other {
        /// The file.
        path: PathBuf,
        /// Its epoch.
        epoch: u64,
        /// The node's disk in it.
        disk: [u8; 16],
        /// What was asked for.
        change: Change,
    },
    /// The node's own file may be an old copy, and nothing here shows which epoch the others run.
    #[error("which epoch the other members run is not known here")]
    Alone,
    /// The node's own file is an old copy: other disks may be other ones, too.
    #[error("{path} is of epoch {found}, and the others run {running}")]
    Stale {
        /// The file.
        path: PathBuf,
        /// Its epoch.
        found: u64,
        /// What was said of the others.
        running: u64,
    },
    /// The node's own file has the change, and its directory is lost again.
    #[error(
        "node {}'s file is of epoch {} already, and the node does not start from {path}: \
         what was made for that epoch is damaged, or another's",
        .change.node, .change.epoch
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What its file says.
        change: Change,
    },
    /// A file lacks earlier changes.
    #[error("{path} is of epoch {found} and cannot go to {} in one step", .change.epoch)]
    Skipped {
        /// The file.
        path: PathBuf,
        /// Its epoch.
        found: u64,
        /// What was asked for.
        change: Change,
    },
    /// There is no higher epoch.
    #[error("epoch {0} is the last one")]
    LastEpoch(u64),
    /// The text does not let itself be changed.
    #[error("{0} cannot be changed in place")]
    Edit(PathBuf),
    /// The new journal could not be made, or the old directory not be looked at.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The system gave no random bits.
    #[error("the system gave no random identity: {0}")]
    Random(io::Error),
    /// A file could not be written. Those before it are.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// A member's file as it was found.
struct Given {
    path: PathBuf,
    config: Config,
    text: String,
}

/// Replaces the disk of an acceptor in these members' files. `drawn` is what an earlier run on that
/// acceptor's machine has drawn; where its own file is among these, it is drawn here. Then another
/// member's file must be among them, or `running` be said: the epoch that the others run.
pub fn replace(
    paths: &[PathBuf],
    node: NodeId,
    drawn: Option<(u64, [u8; 16])>,
    running: Option<u64>,
) -> Result<Replaced, ReplaceError> {
    let files = read(paths)?;
    let first = files.first().ok_or(ReplaceError::OwnMissing(node))?;
    check_node(&first.config, &first.configuration()?, node)?;
    for other in &files[1..] {
        check_same(first, other, node)?;
    }
    let drawn = drawn.map(|(epoch, disk)| Change { node, epoch, disk });
    let own = files.iter().find(|it| it.config.id == node);
    let (change, is_to_make) = match own {
        Some(own) => change(&files, own, drawn, running)?,
        None => (drawn.ok_or(ReplaceError::OwnMissing(node))?, false),
    };
    let edited = files.iter().map(|it| it.edited(change)).collect::<Result<Vec<_>, _>>()?;

    // Nothing has been touched so far.
    let mut journal = None;
    if let Some(own) = own.filter(|_| is_to_make)
        && let Some(path) = &own.config.data_dir
    {
        let configuration = own.configuration()?.with_epoch(Epoch(change.epoch));
        data_dir::format_replacement(path, &configuration, node, DiskId(change.disk))?;
        journal = Some(path.clone());
    }
    let mut texts: Vec<_> = files.iter().zip(&edited).collect();
    texts.sort_by_key(|(file, _)| file.config.id != node);
    for (file, text) in texts {
        let Some(text) = text else { continue };
        let path = file.path.clone();
        write(&path, text).map_err(|source| ReplaceError::Write { path, source })?;
    }
    let changed = |(file, text): (&Given, &Option<String>)| Changed {
        path: file.path.clone(),
        node: file.config.id,
        is_news: text.is_some(),
    };
    let given = |id| files.iter().any(|it| it.config.id == id);
    let members = first.config.nodes.iter().map(|node| node.id);
    let missing = members.filter(|id| !given(*id)).collect();
    let files = files.iter().zip(&edited).map(changed).collect();
    Ok(Replaced { change, files, journal, missing })
}

fn read(paths: &[PathBuf]) -> Result<Vec<Given>, ReplaceError> {
    let mut files = Vec::<Given>::new();
    for path in paths {
        let (config, text) = Config::load_text(path)?;
        if let Some(one) = files.iter().find(|it| it.config.id == config.id) {
            let (one, other) = (one.path.clone(), path.clone());
            return Err(ReplaceError::Twice { one, other, node: config.id });
        }
        files.push(Given { path: path.clone(), config, text });
    }
    Ok(files)
}

/// Whether this is a disk that can be replaced.
fn check_node(
    config: &Config,
    configuration: &Configuration,
    node: NodeId,
) -> Result<(), ReplaceError> {
    let found = config.nodes.iter().find(|it| it.id == node);
    let found = found.ok_or(ReplaceError::Unknown(node))?;
    if !found.roles.contains(&Role::Acceptor) {
        return Err(ReplaceError::NoAcceptor(node));
    }
    if let Err(why) = configuration.bears_replacement() {
        return Err(ReplaceError::Unsafe(why));
    }
    let others = configuration.acceptors().len() - 1;
    let needed = configuration.quorum_size::<Phase1>();
    if others < needed {
        return Err(ReplaceError::TooFew { node, others, needed });
    }
    Ok(())
}

/// Two files may differ in what a replaced disk changes, and in what each node decides for itself.
fn check_same(one: &Given, other: &Given, node: NodeId) -> Result<(), ReplaceError> {
    let differ = |what| {
        let (one, other) = (one.path.clone(), other.path.clone());
        Err(ReplaceError::Differ { one, other, what })
    };
    if one.config.cluster != other.config.cluster {
        return differ("another cluster id");
    }
    let members = |file: &Given| {
        let mut config = file.config.clone();
        config.epoch = 0;
        let disks = config.nodes.iter_mut().filter(|it| it.id == node);
        disks.for_each(|it| it.disk = Some([0; 16]));
        configuration(&config)
    };
    match (members(one), members(other)) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
        _ => differ("other members, roles, quorums or disks"),
    }
}

/// The change, as the node's own directory asks for it, and whether its journal is to be made.
fn change(
    files: &[Given],
    own: &Given,
    drawn: Option<Change>,
    running: Option<u64>,
) -> Result<(Change, bool), ReplaceError> {
    let (node, path) = (own.config.id, own.config.data_dir.clone().unwrap_or_default());
    let (epoch, disk) = (own.config.epoch, own.disk(node));
    let here = Change { node, epoch, disk };
    let place = match data_dir::look(&path, &own.configuration()?, node, DiskId(disk)) {
        Err(DataDirError::Disk { path, why }) if why.kind == DiskErrorKind::Locked => {
            return Err(ReplaceError::Running { node, path });
        }
        looked => looked?,
    };
    // Another file that has not got what the node's own has: a run was cut short, or this file was
    // not there.
    let is_behind = |it: &Given| it.config.epoch < epoch && it.disk(node) != disk;
    match (place, drawn) {
        (Place::Free, Some(change)) => Err(ReplaceError::NotMade { path, change }),
        (Place::Free, None) => {
            let others = files.iter().filter(|it| it.config.id != node);
            let running = others.map(|it| it.config.epoch).chain(running).max();
            let running = running.ok_or(ReplaceError::Alone)?;
            if running != epoch {
                let path = own.path.clone();
                return Err(ReplaceError::Stale { path, found: epoch, running });
            }
            let epoch = running.checked_add(1).ok_or(ReplaceError::LastEpoch(running))?;
            let mut disk = [0; 16];
            getrandom::fill(&mut disk)
                .map_err(|error| ReplaceError::Random(io::Error::other(error)))?;
            Ok((Change { node, epoch, disk }, true))
        }
        (Place::Unusable, Some(change)) if change == here => {
            Err(ReplaceError::Unusable { path, change })
        }
        (_, Some(change)) if change == here => Ok((here, false)),
        (Place::Taken | Place::Unusable, Some(change)) if epoch < change.epoch => {
            Err(ReplaceError::NotMade { path, change })
        }
        (_, Some(change)) => Err(own.other(change)),
        (Place::Fresh, None) => Ok((here, false)),
        (Place::Unusable, None) if files.iter().any(is_behind) => {
            Err(ReplaceError::Unusable { path, change: here })
        }
        (Place::Taken, None) if files.iter().any(is_behind) => Ok((here, false)),
        (Place::Taken | Place::Unusable, None) => Err(ReplaceError::Taken { path }),
    }
}

impl Given {
    fn configuration(&self) -> Result<Configuration, ReplaceError> {
        let path = || self.path.clone();
        configuration(&self.config).map_err(|why| ReplaceError::Configuration { path: path(), why })
    }

    /// The disk of an acceptor, which has one.
    fn disk(&self, acceptor: NodeId) -> [u8; 16] {
        self.config.disk(acceptor).unwrap_or_default()
    }

    /// The text with the change; none if it has it.
    fn edited(&self, change: Change) -> Result<Option<String>, ReplaceError> {
        let Change { node, epoch, disk } = change;
        if (self.config.epoch, self.disk(node)) == (epoch, disk) {
            return Ok(None);
        }
        // An id that some disk has is no new one's: not another node's, nor the lost one's.
        let is_known = self.config.nodes.iter().any(|it| it.disk == Some(disk));
        if self.config.epoch >= epoch || is_known {
            return Err(self.other(change));
        }
        if self.config.epoch + 1 < epoch {
            let (path, found) = (self.path.clone(), self.config.epoch);
            return Err(ReplaceError::Skipped { path, found, change });
        }
        let edited = Config::edit(&self.text, epoch, node, disk);
        edited.map(Some).ok_or_else(|| ReplaceError::Edit(self.path.clone()))
    }

    fn other(&self, change: Change) -> ReplaceError {
        let (epoch, disk) = (self.config.epoch, self.disk(change.node));
        ReplaceError::Other { path: self.path.clone(), epoch, disk, change }
    }
}

/// Puts a text in the place of a file, so that there is the old one or the new one at any time.
fn write(path: &Path, text: &str) -> io::Result<()> {
    // A link stays one.
    let path = fs::canonicalize(path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = directory.join(name);
    let written = fs::metadata(&path).and_then(|old| {
        let mut file = File::create(&beside)?;
        let owner = file.metadata()?.uid();
        if owner != old.uid() {
            let words =
                format!("it is user {}'s, who could not read what user {owner} writes", old.uid());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
        }
        file.set_permissions(old.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&beside, &path)) {
        // What is left of it does no harm; the first error is the reason.
        fs::remove_file(&beside).ok();
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

impl ReplaceError {
    /// What an operator can do about it, where there is something to say beyond the error itself.
    pub fn hint(&self) -> Option<String> {
        match self {
            ReplaceError::Config(error) => error.hint(),
            ReplaceError::DataDir(error) => Some(error.hint()),
            ReplaceError::Twice { .. } => Some("name each member's file once".into()),
            ReplaceError::Differ { .. } => {
                Some("[[node]] and [quorums] are the same in all files: see which is right".into())
            }
            ReplaceError::NoAcceptor(node) => Some(format!(
                "empty its data_dir and start node {node}: what it has learned it fetches again"
            )),
            ReplaceError::TooFew { .. } => Some(
                "restore the disk itself: an older copy has lost votes, too; or begin a new \
                 cluster with the values that `synod log read` still shows"
                    .into(),
            ),
            ReplaceError::OwnMissing(node) => Some(format!(
                "run this first with node {node}'s file, where its new disk is: it prints the \
                 --epoch and the --disk for the others"
            )),
            ReplaceError::NotMade { change, .. } => Some(format!(
                "a disk's id is drawn where its journal is made, once: run this for node {}'s own \
                 file without --epoch and --disk",
                change.node
            )),
            ReplaceError::Running { .. } => {
                Some("if its disk is to be replaced all the same, stop it first".into())
            }
            ReplaceError::Taken { path } => Some(format!(
                "if the node should go on with what is there, start it; if not, stop it and rename \
                 the directory: mv {0} {0}.lost",
                path.display()
            )),
            ReplaceError::Unusable { path, change } => {
                let Change { node, epoch, disk } = change;
                Some(format!(
                    "its disk is to be replaced once more. Give the others' files this change \
                    first, \
                     if they lack it: synod init replacement --node {node} --epoch {epoch} \
                     --disk {} FILE...; then rename the directory: mv {1} {1}.lost; then: \
                     synod init replacement --node {node} --running {epoch} FILE",
                    format_identity(disk),
                    path.display()
                ))
            }
            ReplaceError::Other { .. } => Some(
                "an epoch has one disk a node, and a new disk a new id: take --epoch and --disk as \
                 they were printed, or as they stand in the node's own file"
                    .into(),
            ),
            ReplaceError::Edit(_) => {
                Some("write `epoch` and the node's `disk` as plain values of their own".into())
            }
            ReplaceError::Write { .. } => Some(
                "run the same again: it goes on from where it stopped. If the new journal is in \
                 the way, because the node's own file could not be written, rename its directory \
                 first"
                    .into(),
            ),
            ReplaceError::Alone => Some(
                "the file may be an old copy: give another member's current file, too, or say \
                 with --running which epoch `synod cluster status` shows of the others"
                    .into(),
            ),
            ReplaceError::Stale { .. } | ReplaceError::Skipped { .. } => Some(
                "it lacks earlier changes: take a running member's file in its place, and change \
                 `id` and `data_dir` in that"
                    .into(),
            ),
            ReplaceError::Unsafe(_) => Some(
                "restore the disk itself, or begin a new cluster with the values that `synod log \
                 read` still shows"
                    .into(),
            ),
            ReplaceError::Configuration { .. }
            | ReplaceError::Unknown(_)
            | ReplaceError::LastEpoch(_)
            | ReplaceError::Random(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
