//! What the journal asks of a disk: numbered files of fixed size, and an honest `sync`.
//!
//! The trait is the whole border between the journal and the world. It knows no frame and no
//! segment layout, and the journal knows no path, handle or operating system. There are two
//! implementations: files in a directory (in the `server` crate) and [`crate::FaultyDisk`].

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// The unit that a disk is trusted to write without harming its neighbours, in bytes.
///
/// The journal writes whole sectors only, and never again a sector that holds durable bytes. So a
/// sector torn by a power cut can hold nothing but frames that were never acknowledged. 4096 is
/// the physical sector of today's disks and the page of most systems; with 512 the neighbours of a
/// torn batch would share its physical sector.
pub const SECTOR_BYTES: usize = 4096;

/// The name of a segment's file. Grows by one a segment and is never used for two segments.
///
/// Zero names only the scratch file of an unfinished [`crate::Journal::format`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentNumber(pub u64);

impl SegmentNumber {
    /// The number `count` segments later. Saturates; segments are made far too slowly to get there.
    #[must_use]
    pub const fn plus(self, count: u64) -> SegmentNumber {
        SegmentNumber(self.0.saturating_add(count))
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// One file, as [`Disk::list`] reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileEntry {
    /// The file's name.
    pub number: SegmentNumber,
    /// Its size.
    pub bytes: usize,
}

/// Numbered files, owned by one journal alone.
///
/// What a power cut may do, and what the journal therefore expects:
/// - During [`create`](Disk::create): the file is absent, or there with any size and content.
/// - During [`rename`](Disk::rename) or [`remove`](Disk::remove): it happened or it did not.
/// - After [`write_at`](Disk::write_at) without [`sync`](Disk::sync): each written sector holds
///   its old bytes, its new ones, or garbage, independently of the others.
/// - Whatever returned `Ok` from `create`, `rename`, `remove` or `sync` stays.
///
/// A disk that is opened anew reads what the device holds, not what a cache was left with when an
/// earlier sync failed.
pub trait Disk {
    /// All files, in any order.
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError>;

    /// Makes a file of `bytes` zeros that has its room, durable together with its name.
    ///
    /// Fails with [`DiskErrorKind::Exists`] if the number is in use, and with
    /// [`DiskErrorKind::Full`] if there is no room. After the latter the file is not there.
    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError>;

    /// Fills `into` from `offset`. Reading beyond the end is an error.
    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError>;

    /// Overwrites bytes inside the file's size. Not durable before [`sync`](Disk::sync).
    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError>;

    /// Makes all earlier writes to this file durable.
    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError>;

    /// Gives a file a new name, durably and at once. `to` must be free.
    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError>;

    /// Removes a file, durably.
    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError>;
}

/// Whatever disk there is, chosen at run time.
impl<D: Disk + ?Sized> Disk for Box<D> {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        D::list(self)
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        D::create(self, number, bytes)
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        D::read_at(self, number, offset, into)
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        D::write_at(self, number, offset, bytes)
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        D::sync(self, number)
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        D::rename(self, from, to)
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        D::remove(self, number)
    }
}

/// What went wrong on the disk, for a program ([`kind`](Self::kind)) and for an operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskError {
    /// What a program may tell apart.
    pub kind: DiskErrorKind,
    /// Operation, place and the system's own words, for a log line.
    pub detail: String,
}

/// The cases that are worth telling apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DiskErrorKind {
    /// No room is left, or the quota is used up.
    Full,
    /// The file to read, write or rename is not there.
    Missing,
    /// The name to create or rename to is in use.
    Exists,
    /// Another process holds the directory.
    Locked,
    /// Any other failure of the system or the device.
    Failed,
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            DiskErrorKind::Full => "disk full",
            DiskErrorKind::Missing => "file missing",
            DiskErrorKind::Exists => "file exists",
            DiskErrorKind::Locked => "in use by another process",
            DiskErrorKind::Failed => "disk failed",
        };
        write!(f, "{kind}: {}", self.detail)
    }
}

impl core::error::Error for DiskError {}
