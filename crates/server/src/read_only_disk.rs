//! A directory of a disk's files that is only looked at: nothing is written, made, removed or
//! synced, not even a lock's file.
//!
//! The lock that a node holds is asked for all the same, shared, where its file is: while it is
//! held, no node starts here and changes what is being read.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use journal::{Disk, DiskError, DiskErrorKind, FileEntry, SegmentNumber};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::file_disk::{LOCK_NAME, explain, parse_name, segment_name};

/// A directory of segments that stays as it is.
#[derive(Debug)]
pub struct ReadOnlyDisk {
    path: PathBuf,
    /// None where there is no such file, as in a copy.
    _lock: Option<File>,
    open: Option<(SegmentNumber, File)>,
    /// Names that are not listed: what a reader would only remove.
    hidden: Option<SegmentNumber>,
}

impl ReadOnlyDisk {
    /// Opens the directory. Fails with [`DiskErrorKind::Locked`] while a node runs there.
    pub fn open(path: impl Into<PathBuf>) -> Result<ReadOnlyDisk, DiskError> {
        let path = path.into();
        fs::read_dir(&path).map_err(|error| explain("open", &path, &error))?;
        let lock_path = path.join(LOCK_NAME);
        let lock = match File::open(&lock_path) {
            Ok(lock) => {
                match flock(&lock, FlockOperation::NonBlockingLockShared) {
                    // Some systems lock no file that is not written to.
                    Ok(()) | Err(Errno::BADF | Errno::OPNOTSUPP) => {}
                    Err(error) => return Err(explain("lock", &lock_path, &error.into())),
                }
                Some(lock)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(explain("open", &lock_path, &error)),
        };
        Ok(ReadOnlyDisk { path, _lock: lock, open: None, hidden: None })
    }

    /// As if this file were not there.
    #[must_use]
    pub fn hiding(self, number: SegmentNumber) -> ReadOnlyDisk {
        ReadOnlyDisk { hidden: Some(number), ..self }
    }

    /// Where a file lies.
    pub fn segment_path(&self, number: SegmentNumber) -> PathBuf {
        self.path.join(segment_name(number))
    }

    fn refuse(&self, operation: &str) -> DiskError {
        let detail = format!("{operation} in {}: it is only looked at", self.path.display());
        DiskError { kind: DiskErrorKind::Failed, detail }
    }
}

impl Disk for ReadOnlyDisk {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        let entries = || -> io::Result<Vec<FileEntry>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                let number = entry.file_name().to_str().and_then(parse_name);
                if let Some(number) = number.filter(|number| Some(*number) != self.hidden) {
                    let bytes = usize::try_from(entry.metadata()?.len()).unwrap_or(usize::MAX);
                    files.push(FileEntry { number, bytes });
                }
            }
            Ok(files)
        };
        entries().map_err(|error| explain("list", &self.path, &error))
    }

    fn create(&mut self, _: SegmentNumber, _: usize) -> Result<(), DiskError> {
        Err(self.refuse("create"))
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        let path = self.segment_path(number);
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            let file = File::open(&path).map_err(|error| explain("open", &path, &error))?;
            self.open = Some((number, file));
        }
        let (_, file) = self.open.as_ref().expect("it was opened just above");
        let result = file.read_exact_at(into, offset as u64);
        result.map_err(|error| explain("read", &path, &error))
    }

    fn write_at(&mut self, _: SegmentNumber, _: usize, _: &[u8]) -> Result<(), DiskError> {
        Err(self.refuse("write"))
    }

    fn sync(&mut self, _: SegmentNumber) -> Result<(), DiskError> {
        Err(self.refuse("sync"))
    }

    fn rename(&mut self, _: SegmentNumber, _: SegmentNumber) -> Result<(), DiskError> {
        Err(self.refuse("rename"))
    }

    fn remove(&mut self, _: SegmentNumber) -> Result<(), DiskError> {
        Err(self.refuse("remove"))
    }
}
