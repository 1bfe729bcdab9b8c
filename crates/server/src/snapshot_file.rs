//! A snapshot in a file of its own, outside of every data directory: what a backup is.
//!
//! ```text
//!  offset  size
//!       0     6  "SYNODF"
//!       6     2  format version, now 1
//!       8    16  cluster id
//!      24     8  epoch
//!      32     8  below: one past the last slot that it covers
//!      40     8  n: length of the state, at most STATE_BYTES_MAX
//!      48    16  digest of the state: XXH3 of 128 bits
//!      64     4  crc32c of bytes 0..64
//!      68     n  the state, as nodes give it to each other
//! ```
//!
//! The file ends there. It is written under another name, synced, read back and renamed: a file
//! that bears its name is whole. One that was cut off or changed later is refused, up to what a
//! digest against accidents can tell; against forgers there is the SHA-256 of the whole file, which
//! is printed wherever one is written or read, and stored nowhere.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc};
use node::portable::{self, Portable};
use node::{History, SnapshotError};
use paxos::{ClusterId, Digest, Epoch, Slot, SnapshotId};
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The format that this release writes, and the only one that it reads.
pub const FORMAT_VERSION: u16 = 1;

/// No state is larger, in bytes: no node could give it to another.
pub const STATE_BYTES_MAX: u64 = 4 << 30;

/// The length of what stands before the state.
pub const HEADER_BYTES: usize = 68;

const MAGIC: &[u8; 6] = b"SYNODF";
const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What a file says of itself before its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose history it is.
    pub cluster: ClusterId,
    /// The configuration that it was taken in.
    pub epoch: Epoch,
    /// The state's name: its slot, size and digest.
    pub snapshot: SnapshotId,
}

/// A file that is whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// What it says of itself.
    pub header: Header,
    /// The SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// What it holds.
    pub holds: Portable<History>,
    /// The state, as it stands in the file.
    pub state: Vec<u8>,
}

/// Why a file is no snapshot, or was not written.
#[derive(Debug, Error)]
pub enum FileError {
    /// It could not be read or written.
    #[error("cannot {action} {path}: {why}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// There is a file already.
    #[error("{0} exists; it is not overwritten")]
    Exists(PathBuf),
    /// Another process writes it.
    #[error("another process writes {0}")]
    Busy(PathBuf),
    /// It does not begin as one.
    #[error("{0} is no snapshot file")]
    Foreign(PathBuf),
    /// Another release wrote it.
    #[error("{path}: snapshot file format {found}; this program reads format {FORMAT_VERSION}")]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u16,
    },
    /// It is not what was written.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what.
        why: Damage,
    },
}

/// What is wrong with a file that was a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// Its header does not fit its checksum.
    #[error("its header has been changed")]
    Header,
    /// It was cut off, or something was added.
    #[error("it has {found} bytes, and should have {expected}")]
    Size {
        /// Its size.
        found: u64,
        /// What its header asks for.
        expected: u64,
    },
    /// The state does not fit its digest.
    #[error("its content has been changed: it does not fit its digest")]
    Digest,
    /// The bytes are what was written, and no state.
    #[error("{0}")]
    State(SnapshotError),
    /// The state is another one than the header says.
    #[error("its header names another snapshot than it holds")]
    Other,
}

impl Header {
    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let SnapshotId { below, bytes: length, digest } = self.snapshot;
        let mut bytes = [0; HEADER_BYTES];
        bytes[..6].copy_from_slice(MAGIC);
        bytes[6..8].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.cluster.0);
        bytes[24..32].copy_from_slice(&self.epoch.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&below.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&length.to_le_bytes());
        bytes[48..64].copy_from_slice(&digest.0);
        let checksum = CRC32C.checksum(&bytes[..64]);
        bytes[64..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// The SHA-256 of a file, and the snapshot that it holds. `path` is for words only.
///
/// Reads no more than the header says, and that is bounded.
pub fn read(path: &Path, mut file: impl Read, file_bytes: u64) -> Result<Whole, FileError> {
    let io = |why| FileError::Io { action: "read", path: path.to_owned(), why };
    let damaged = |why| FileError::Damaged { path: path.to_owned(), why };
    let mut bytes = Vec::new();
    file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut bytes).map_err(io)?;
    let header = header(path, &bytes)?;
    let length = header.snapshot.bytes;
    let expected = HEADER_BYTES as u64 + length;
    if file_bytes != expected {
        return Err(damaged(Damage::Size { found: file_bytes, expected }));
    }
    let mut sha256 = Sha256::new();
    sha256.update(&bytes);
    bytes.clear();
    let found = file.take(length).read_to_end(&mut bytes).map_err(io)?;
    if found as u64 != length {
        let found = (HEADER_BYTES + found) as u64;
        return Err(damaged(Damage::Size { found, expected }));
    }
    sha256.update(&bytes);
    if Digest::of(&bytes) != header.snapshot.digest {
        return Err(damaged(Damage::Digest));
    }
    let holds = portable::read(&History::default(), &bytes);
    let holds = holds.map_err(|why| damaged(Damage::State(why)))?;
    let configuration = &holds.configuration;
    let named = (configuration.cluster(), configuration.epoch(), holds.snapshot);
    if named != (header.cluster, header.epoch, header.snapshot) {
        return Err(damaged(Damage::Other));
    }
    Ok(Whole { header, sha256: sha256.finalize().into(), holds, state: bytes })
}

/// Reads a file by its name.
pub fn open(path: &Path) -> Result<Whole, FileError> {
    let io = |why| FileError::Io { action: "read", path: path.to_owned(), why };
    let file = File::open(path).map_err(io)?;
    let bytes = file.metadata().map_err(io)?.len();
    read(path, file, bytes)
}

fn header(path: &Path, bytes: &[u8]) -> Result<Header, FileError> {
    let path = || path.to_owned();
    let damaged = |why| Err(FileError::Damaged { path: path(), why });
    if !bytes.starts_with(MAGIC) {
        return Err(FileError::Foreign(path()));
    }
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else {
        let (found, expected) = (bytes.len() as u64, HEADER_BYTES as u64);
        return damaged(Damage::Size { found, expected });
    };
    if CRC32C.checksum(&bytes[..64]).to_le_bytes() != bytes[64..] {
        return damaged(Damage::Header);
    }
    let version = u16::from_le_bytes(field(bytes, 6));
    if version != FORMAT_VERSION {
        return Err(FileError::Version { path: path(), found: version });
    }
    let number = |at| u64::from_le_bytes(field(bytes, at));
    let (below, length) = (number(32), number(40));
    if length > STATE_BYTES_MAX || Slot(below) >= Slot::LIMIT {
        return damaged(Damage::Header);
    }
    let digest = Digest(field(bytes, 48));
    Ok(Header {
        cluster: ClusterId(field(bytes, 8)),
        epoch: Epoch(number(24)),
        snapshot: SnapshotId { below: Slot(below), bytes: length, digest },
    })
}

fn field<const N: usize>(bytes: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N bytes long")
}

/// A file that is being written, under its name and `.part`. Given up, it is removed.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    part: PathBuf,
    file: Option<File>,
}

impl Draft {
    /// Begins a file. What an interrupted run has left of one is written over.
    pub fn begin(path: &Path, header: Header) -> Result<Draft, FileError> {
        if path.symlink_metadata().is_ok() {
            return Err(FileError::Exists(path.to_owned()));
        }
        let mut part: OsString = path.into();
        part.push(".part");
        let part = PathBuf::from(part);
        let io = |action| {
            let path = part.clone();
            move |why| FileError::Io { action, path, why }
        };
        // It must not be cut before it is known that nobody else writes it.
        let mut options = OpenOptions::new();
        // It holds every client's values.
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let opened = options.open(&part);
        let file = opened.map_err(io("create"))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| FileError::Busy(part.clone()))?;
        file.set_len(0).map_err(io("write"))?;
        let mut draft = Draft { path: path.to_owned(), part, file: Some(file) };
        draft.write(&header.to_bytes())?;
        Ok(draft)
    }

    /// The state's next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let mut file = self.file.as_ref().expect("it is open until it is finished");
        file.write_all(bytes).map_err(|why| self.io("write", why))
    }

    /// Makes it durable, reads it back, and gives it its name if it is whole.
    pub fn finish(mut self) -> Result<Whole, FileError> {
        let file = self.file.as_ref().expect("it is open until it is finished");
        file.sync_all().map_err(|why| self.io("sync", why))?;
        let whole = open(&self.part)?;
        if self.path.symlink_metadata().is_ok() {
            return Err(FileError::Exists(self.path.clone()));
        }
        fs::rename(&self.part, &self.path).map_err(|why| self.io("rename", why))?;
        self.file = None;
        let parent = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let synced = File::open(parent).and_then(|parent| parent.sync_all());
        synced.map_err(|why| self.io("sync the directory of", why))?;
        Ok(whole)
    }

    fn io(&self, action: &'static str, why: io::Error) -> FileError {
        FileError::Io { action, path: self.part.clone(), why }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // It is of no use; the error that comes with this is the one to tell.
            fs::remove_file(&self.part).ok();
        }
    }
}

impl FileError {
    /// Whether something that was a snapshot is one no more.
    pub fn is_damage(&self) -> bool {
        matches!(self, FileError::Damaged { .. })
    }

    /// What an operator can do about it, where there is something to say.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            FileError::Exists(_) => Some("name another file, or remove this one first"),
            FileError::Busy(_) => Some("wait until it has ended"),
            FileError::Foreign(_) => Some("`synod snapshot save FILE` writes one"),
            FileError::Damaged { .. } => {
                Some("it must not be restored from; take another copy, or an earlier one")
            }
            FileError::Io { .. } | FileError::Version { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
