//! Snapshots: large opaque values on a [`Disk`] of their own, each whole or not there.
//!
//! This file decides when a snapshot exists, which ones stay, and that nothing is read that was not
//! written. It does not know what a snapshot holds. Its layout is in `layout.rs`.
//!
//! # The contract
//!
//! - A snapshot that [`Snapshots::finish`] returned is there after every later
//!   [`Snapshots::open`]. Until its file is renamed, a crash leaves nothing of it but a scratch
//!   file, which `open` removes. If `finish` fails while it renames, `open` decides.
//! - The two newest stay: if one turns out to be rotten when it is read, there is another. All
//!   older ones go, and files that cannot be read, once a new one is whole.
//! - Each block has a checksum of its own, over whose it is, of which snapshot, and where. So any
//!   part can be read and verified alone; a block of another disk, another snapshot or another
//!   place is never taken for it, up to the 32 bits of the checksum.
//! - A full disk, or one that fails, ends the snapshot that is being written and harms no other. A
//!   file whose sync has failed is never used again.
//!
//! # Example
//!
//! ```
//! use journal::{FaultyDisk, Identity, Snapshots};
//!
//! let identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
//! let (mut snapshots, bad) = Snapshots::open(FaultyDisk::new(42), identity)?;
//! assert!(bad.is_empty() && snapshots.generations().is_empty());
//!
//! snapshots.begin(7, 11)?;
//! snapshots.write(b"all ")?;
//! snapshots.write(b"of slot")?;
//! let generation = snapshots.finish()?;
//! assert_eq!((generation.label, generation.bytes), (7, 11));
//!
//! let mut part = [0; 4];
//! snapshots.read(&generation, 7, &mut part)?;
//! assert_eq!(&part, b"slot");
//! assert_eq!(snapshots.load(&generation)?, b"all of slot");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::disk::{Disk, DiskError, DiskErrorKind, FileEntry, SegmentNumber};
use crate::frame::Seal;
use crate::recover::OpenError;
use crate::segment::{Identity, SCRATCH};

use layout::{BLOCK_PAYLOAD_BYTES, Header, Whole};

mod layout;

pub use layout::{SNAPSHOT_BYTES_MAX, SNAPSHOT_VERSION};

/// How many snapshots stay.
pub const GENERATIONS_MAX: usize = 2;

/// A snapshot that is whole, as far as its header tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Generation {
    /// The name of its file. A later one is higher.
    pub number: SegmentNumber,
    /// The caller's position. A later one is higher.
    pub label: u64,
    /// The length of what was written, at most [`SNAPSHOT_BYTES_MAX`].
    pub bytes: u64,
    /// CRC-64/XZ of what was written.
    pub checksum: u64,
}

/// A file that is no readable snapshot. It goes when the next one is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Bad {
    /// Its name.
    pub number: SegmentNumber,
    /// What is wrong with it.
    pub why: Fault,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Its header cannot be read.
    Header,
    /// Another release wrote it.
    Version(u16),
    /// Its header is that of another file.
    Misplaced(SegmentNumber),
    /// Its size is not the one that its header says.
    Size,
}

/// Why a snapshot was not written or read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SnapshotError {
    /// It is longer than [`SNAPSHOT_BYTES_MAX`].
    TooLong {
        /// Its length.
        bytes: u64,
    },
    /// The disk has no room for it. What was written of it is gone; it may be begun again.
    Full(DiskError),
    /// The disk failed. A snapshot that was being written is given up.
    Disk(DiskError),
    /// What was read is not what was written.
    Damaged {
        /// The snapshot.
        number: SegmentNumber,
        /// From where on, in what was written.
        offset: u64,
    },
}

/// The snapshots of one disk.
#[derive(Debug)]
pub struct Snapshots<D> {
    disk: D,
    identity: Identity,
    /// The newest first, at most [`GENERATIONS_MAX`].
    generations: Vec<Generation>,
    /// Files that go when the next snapshot is whole.
    doomed: Vec<FileEntry>,
    /// Above every number that was ever used, as far as the disk tells.
    next: SegmentNumber,
    /// The scratch file may be there.
    has_scratch: bool,
    draft: Option<Draft>,
}

/// A snapshot that is being written, into the scratch file.
#[derive(Debug)]
struct Draft {
    header: Header,
    seal: Seal,
    /// How much was handed over.
    written: u64,
    /// Of that, what no block has been made of.
    rest: Vec<u8>,
    whole: Whole,
}

impl<D: Disk> Snapshots<D> {
    /// Finds what is there. Reads only headers, and removes what an interrupted write has left.
    ///
    /// Fails with [`OpenError::Foreign`] if a file belongs to another cluster, node or disk, and
    /// with [`OpenError::Disk`].
    pub fn open(mut disk: D, identity: Identity) -> Result<(Snapshots<D>, Vec<Bad>), OpenError> {
        let mut files = disk.list()?;
        files.sort_unstable_by_key(|file| core::cmp::Reverse(file.number));
        let next = files.first().map_or(SCRATCH, |file| file.number).plus(1);
        let (mut generations, mut doomed, mut bad) = (Vec::new(), Vec::new(), Vec::new());
        for file in files {
            if file.number == SCRATCH {
                disk.remove(SCRATCH)?;
                continue;
            }
            match read_header(&mut disk, identity, file)? {
                Ok(generation) if generations.len() < GENERATIONS_MAX => {
                    generations.push(generation);
                }
                // A crash came before the oldest was removed.
                Ok(_) => doomed.push(file),
                Err(why) => {
                    doomed.push(file);
                    bad.push(Bad { number: file.number, why });
                }
            }
        }
        let draft = None;
        let snapshots =
            Snapshots { disk, identity, generations, doomed, next, has_scratch: false, draft };
        Ok((snapshots, bad))
    }

    /// The newest first, at most [`GENERATIONS_MAX`].
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The size of all files, also of those that will go.
    pub fn file_bytes(&self) -> u64 {
        let whole = self.generations.iter().map(|generation| layout::file_bytes(generation.bytes));
        let doomed = self.doomed.iter().map(|file| file.bytes as u64);
        let draft = self.draft.iter().map(|draft| layout::file_bytes(draft.header.bytes));
        whole.chain(doomed).chain(draft).sum()
    }

    /// Begins a snapshot of so many bytes, and takes the room for all of it.
    ///
    /// # Panics
    /// If one has been begun, or `label` is not above the newest one's.
    pub fn begin(&mut self, label: u64, bytes: u64) -> Result<(), SnapshotError> {
        assert!(self.draft.is_none());
        assert!(self.generations.first().is_none_or(|newest| newest.label < label));
        let file_bytes = usize::try_from(layout::file_bytes(bytes.min(SNAPSHOT_BYTES_MAX)));
        let (true, Ok(file_bytes)) = (bytes <= SNAPSHOT_BYTES_MAX, file_bytes) else {
            return Err(SnapshotError::TooLong { bytes });
        };
        self.remove_scratch()?;
        // Even if it fails: a number is never used for two snapshots.
        let number = self.next;
        self.next = number.plus(1);
        self.has_scratch = true;
        if let Err(error) = self.disk.create(SCRATCH, file_bytes) {
            return Err(self.give_up(error));
        }
        self.draft = Some(Draft {
            header: Header { number, identity: self.identity, label, bytes, checksum: 0 },
            seal: Seal::new(&self.identity, number),
            written: 0,
            rest: Vec::new(),
            whole: Whole::default(),
        });
        Ok(())
    }

    /// Adds the next part. If this fails, the snapshot is given up.
    ///
    /// # Panics
    /// If none has been begun, or this is more than it was begun for.
    pub fn write(&mut self, mut part: &[u8]) -> Result<(), SnapshotError> {
        let draft = self.draft.as_mut().expect("the caller has begun a snapshot");
        draft.written += part.len() as u64;
        assert!(draft.written <= draft.header.bytes);
        draft.whole.update(part);
        while !part.is_empty() {
            let room = BLOCK_PAYLOAD_BYTES - draft.rest.len();
            let (taken, later) = part.split_at(room.min(part.len()));
            draft.rest.extend_from_slice(taken);
            part = later;
            let end = draft.written - part.len() as u64;
            if draft.rest.len() == BLOCK_PAYLOAD_BYTES || end == draft.header.bytes {
                let index = (end - 1) / BLOCK_PAYLOAD_BYTES as u64;
                let block = layout::encode_block(&draft.seal, index, &draft.rest);
                draft.rest.clear();
                let written = self.disk.write_at(SCRATCH, layout::block_offset(index), &block);
                if let Err(error) = written {
                    return Err(self.give_up(error));
                }
            }
        }
        Ok(())
    }

    /// Makes it durable and gives it its name; from then on it exists. Then all but the two newest
    /// go. Those that the disk does not let go of are tried again the next time.
    ///
    /// # Panics
    /// If none has been begun, or it is not whole.
    pub fn finish(&mut self) -> Result<Generation, SnapshotError> {
        let draft = self.draft.take().expect("the caller has begun a snapshot");
        assert!(draft.written == draft.header.bytes);
        let header = Header { checksum: draft.whole.finish(), ..draft.header };
        let named = self
            .disk
            .write_at(SCRATCH, 0, &header.to_sector())
            .and_then(|()| self.disk.sync(SCRATCH))
            // The rename is the point at which the snapshot exists.
            .and_then(|()| self.disk.rename(SCRATCH, header.number));
        if let Err(error) = named {
            return Err(self.give_up(error));
        }
        self.has_scratch = false;
        let generation = header.generation();
        self.generations.insert(0, generation);
        for old in self.generations.split_off(self.generations.len().min(GENERATIONS_MAX)) {
            let bytes = usize::try_from(layout::file_bytes(old.bytes)).unwrap_or(usize::MAX);
            self.doomed.push(FileEntry { number: old.number, bytes });
        }
        let disk = &mut self.disk;
        self.doomed.retain(|file| disk.remove(file.number).is_err());
        Ok(generation)
    }

    /// Gives up the snapshot that is being written, if there is one.
    pub fn abandon(&mut self) -> Result<(), SnapshotError> {
        self.draft = None;
        self.remove_scratch()
    }

    /// Fills `into` from `offset` of what was written, and verifies every block that it touches.
    ///
    /// # Panics
    /// If that goes beyond its end.
    pub fn read(
        &mut self,
        generation: &Generation,
        offset: u64,
        into: &mut [u8],
    ) -> Result<(), SnapshotError> {
        let end = offset.checked_add(into.len() as u64);
        assert!(end.is_some_and(|end| end <= generation.bytes));
        let number = generation.number;
        let seal = Seal::new(&self.identity, number);
        let mut offset = offset;
        let mut into = into;
        let mut block = Vec::new();
        while !into.is_empty() {
            let index = offset / BLOCK_PAYLOAD_BYTES as u64;
            let start = index * BLOCK_PAYLOAD_BYTES as u64;
            let length = layout::payload_bytes(generation.bytes, index);
            block.resize(layout::CHECKSUM_BYTES + length, 0);
            self.disk.read_at(number, layout::block_offset(index), &mut block)?;
            let Some(payload) = layout::decode_block(&seal, index, &block) else {
                return Err(SnapshotError::Damaged { number, offset: start });
            };
            let skip = usize::try_from(offset - start).expect("it is less than a block");
            let taken = into.len().min(payload.len() - skip);
            let (filled, rest) = into.split_at_mut(taken);
            filled.copy_from_slice(&payload[skip..skip + taken]);
            into = rest;
            offset += taken as u64;
        }
        Ok(())
    }

    /// Reads all of it, and verifies it as a whole, too.
    pub fn load(&mut self, generation: &Generation) -> Result<Vec<u8>, SnapshotError> {
        let bytes = generation.bytes;
        let Ok(length) = usize::try_from(bytes) else {
            return Err(SnapshotError::TooLong { bytes });
        };
        let mut payload = vec![0; length];
        self.read(generation, 0, &mut payload)?;
        let mut whole = Whole::default();
        whole.update(&payload);
        if whole.finish() != generation.checksum {
            return Err(SnapshotError::Damaged { number: generation.number, offset: 0 });
        }
        Ok(payload)
    }

    /// The disk, for a test that wants to break it.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back. A snapshot that was being written is forgotten.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The reason that a snapshot is given up for. What is left of it goes now or when it must.
    fn give_up(&mut self, error: DiskError) -> SnapshotError {
        self.draft = None;
        let removed = self.remove_scratch();
        match removed {
            Ok(()) if error.kind == DiskErrorKind::Full => SnapshotError::Full(error),
            _ => SnapshotError::Disk(error),
        }
    }

    fn remove_scratch(&mut self) -> Result<(), SnapshotError> {
        if self.has_scratch {
            match self.disk.remove(SCRATCH) {
                // It was never made, or has its name already.
                Err(error) if error.kind == DiskErrorKind::Missing => {}
                result => result?,
            }
            self.has_scratch = false;
        }
        Ok(())
    }
}

/// Whose snapshots these are: what the newest sound header says. None if there is none.
pub fn owner<D: Disk>(disk: &mut D) -> Result<Option<Identity>, DiskError> {
    let mut files = disk.list()?;
    files.sort_unstable_by_key(|file| core::cmp::Reverse(file.number));
    for FileEntry { number, bytes } in files {
        let mut sector = vec![0; bytes.min(layout::HEADER_BYTES)];
        disk.read_at(number, 0, &mut sector)?;
        if let Ok(header) = Header::read(&sector) {
            return Ok(Some(header.identity));
        }
    }
    Ok(None)
}

/// A generation, if the file is one.
fn read_header<D: Disk>(
    disk: &mut D,
    identity: Identity,
    FileEntry { number, bytes }: FileEntry,
) -> Result<Result<Generation, Fault>, OpenError> {
    let mut sector = vec![0; bytes.min(layout::HEADER_BYTES)];
    disk.read_at(number, 0, &mut sector)?;
    let header = match Header::read(&sector) {
        Ok(header) => header,
        Err(why) => return Ok(Err(why)),
    };
    if header.identity != identity {
        return Err(OpenError::Foreign { found: header.identity, expected: identity });
    }
    if header.number != number {
        return Ok(Err(Fault::Misplaced(header.number)));
    }
    let is_whole =
        header.bytes <= SNAPSHOT_BYTES_MAX && layout::file_bytes(header.bytes) == bytes as u64;
    Ok(if is_whole { Ok(header.generation()) } else { Err(Fault::Size) })
}

impl From<DiskError> for SnapshotError {
    fn from(error: DiskError) -> SnapshotError {
        SnapshotError::Disk(error)
    }
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotError::TooLong { bytes } => {
                write!(f, "a snapshot of {bytes} bytes exceeds the limit of {SNAPSHOT_BYTES_MAX}")
            }
            SnapshotError::Full(error) | SnapshotError::Disk(error) => error.fmt(f),
            SnapshotError::Damaged { number, offset } => {
                write!(f, "snapshot {number} is damaged from byte {offset} on")
            }
        }
    }
}

impl core::error::Error for SnapshotError {}

#[cfg(test)]
mod tests;
