//! The journal's disk on a real file system: one directory, one file a segment, one lock.
//!
//! It decides how a name, a zero and a sync become durable on a POSIX system. It knows nothing of
//! what the files hold. Errors carry the operation, the path and the system's words.
//!
//! Why files are prewritten: overwriting blocks that exist spares the file system a transaction of
//! its own at each sync, which `fallocate` alone does not (its blocks are still marked unwritten).
//! Large files that nobody waits for are written once, in small steps with pauses: a sync waits for
//! all that the device was given before it, whoever gave it.
//! Source: Pillai et al., "All File Systems Are Not Created Equal", OSDI '14, for the directory
//! syncs; Rebello et al., ATC '20, for reading past the page cache.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use journal::{Disk, DiskError, DiskErrorKind, FileEntry, SECTOR_BYTES, SegmentNumber};
use rustix::fs::{FallocateFlags, FlockOperation, flock};
use rustix::io::Errno;

pub(crate) const LOCK_NAME: &str = "lock";
const PROBE_NAME: &str = "sync-probe";
const SUFFIX: &str = ".segment";

/// The size of one write of zeros, and of the probe's file: a multiple of [`SECTOR_BYTES`].
const ZEROS_BYTES: usize = 1 << 20;

/// A disk that gives way syncs each time that it has written so much.
const STEP_BYTES: usize = 512 << 10;

/// Then it pauses as long as that took, at most so long.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// A directory of segments, held exclusively until dropped.
#[derive(Debug)]
pub struct FileDisk {
    path: PathBuf,
    /// Open for `sync_all`, which makes names durable.
    directory: File,
    /// Holds the lock for as long as it is open; the system lets go of it when the process dies.
    _lock: File,
    /// The file used last. A journal works on one at a time, so one handle is enough.
    open: Option<(SegmentNumber, File)>,
    /// Of a disk that gives way: written since the last sync.
    unsynced: Option<usize>,
    /// The sizes of all files together.
    used: Arc<AtomicU64>,
}

impl FileDisk {
    /// Opens the directory, makes it if it is missing, and takes its lock.
    ///
    /// Fails with [`DiskErrorKind::Locked`] while another process holds it. What an earlier process
    /// left in the system's cache is written out and dropped: names and reads show what the device
    /// holds.
    pub fn open(path: impl Into<PathBuf>) -> Result<FileDisk, DiskError> {
        let path = path.into();
        create_directory(&path)?;
        let directory = File::open(&path).map_err(|error| explain("open", &path, &error))?;
        let lock_path = path.join(LOCK_NAME);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(|error| explain("open", &lock_path, &error))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| explain("lock", &lock_path, &error.into()))?;
        let used = Arc::default();
        let mut disk = FileDisk { path, directory, _lock: lock, open: None, unsynced: None, used };
        // A process that died between a rename and its directory sync left a name that is seen
        // here and that a power cut would still take back.
        disk.sync_names()?;
        for entry in disk.list()? {
            disk.drop_cache(entry.number)?;
            disk.used.fetch_add(entry.bytes as u64, Ordering::Relaxed);
        }
        Ok(disk)
    }

    /// For large files that nobody waits for, on a device where others do: files are not
    /// prewritten, and what is written goes to the device a little at a time, for half of its time
    /// at most.
    #[must_use]
    pub fn giving_way(self) -> FileDisk {
        FileDisk { unsynced: Some(0), ..self }
    }

    /// The sizes of all files together, in bytes, as they are from now on: others may look while
    /// the disk is in use.
    pub fn used(&self) -> Arc<AtomicU64> {
        self.used.clone()
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Overwrites one sector of a prewritten file and syncs it, `samples` times, as the smallest
    /// batch of a journal does. The file is the probe's own and is removed again.
    ///
    /// Returns how long each took: what one durable decision costs on this disk at least.
    pub fn sync_latency(&self, samples: usize) -> Result<Vec<Duration>, DiskError> {
        let path = self.path.join(PROBE_NAME);
        let measured = probe(&path, samples).map_err(|error| explain("probe", &path, &error));
        let removed = remove_if_present(&path).map_err(|error| explain("remove", &path, &error));
        // If both failed, the first is the reason.
        let samples = measured?;
        removed?;
        Ok(samples)
    }

    fn segment_path(&self, number: SegmentNumber) -> PathBuf {
        self.path.join(segment_name(number))
    }

    fn explain(&self, operation: &str, number: SegmentNumber, error: &io::Error) -> DiskError {
        explain(operation, &self.segment_path(number), error)
    }

    fn file(&mut self, number: SegmentNumber) -> Result<&File, DiskError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(self.segment_path(number))
                .map_err(|error| self.explain("open", number, &error))?;
            self.open = Some((number, file));
        }
        let (_, file) = self.open.as_ref().expect("it was opened just above");
        Ok(file)
    }

    /// Closes a file whose name is about to change, so that no handle is found under the old one.
    fn close(&mut self, number: SegmentNumber) {
        self.open.take_if(|(open, _)| *open == number);
    }

    /// Takes away what a failed create has left: on a full disk a part of a file would only hold
    /// room and its number. If that fails, too, it is no mere shortage.
    fn uncreate(&self, path: &Path, error: &io::Error) -> DiskError {
        let created = explain("create", path, error);
        if created.kind == DiskErrorKind::Exists {
            return created;
        }
        let removed = remove_if_present(path).map_err(|error| explain("remove", path, &error));
        removed.and_then(|()| self.sync_names()).err().unwrap_or(created)
    }

    /// So much more was written. Syncs and pauses, if this disk gives way and it is time.
    fn give_way(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        let Some(unsynced) = &mut self.unsynced else { return Ok(()) };
        *unsynced += bytes;
        if *unsynced < STEP_BYTES {
            return Ok(());
        }
        *unsynced = 0;
        let start = Instant::now();
        self.sync(number)?;
        thread::sleep(start.elapsed().min(PAUSE_MAX));
        Ok(())
    }

    fn sync_names(&self) -> Result<(), DiskError> {
        self.directory.sync_all().map_err(|error| explain("sync directory", &self.path, &error))
    }

    /// After a failed sync the cache may hold bytes, marked clean, that the device never got.
    fn drop_cache(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        let file = self.file(number)?;
        let synced = file.sync_data();
        // Advice that the system does not take leaves its cache, as on systems without it.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed);
        synced.map_err(|error| self.explain("sync", number, &error))
    }
}

impl Disk for FileDisk {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        let entries = || -> io::Result<Vec<FileEntry>> {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if let Some(number) = entry.file_name().to_str().and_then(parse_name) {
                    let bytes = usize::try_from(entry.metadata()?.len()).unwrap_or(usize::MAX);
                    files.push(FileEntry { number, bytes });
                }
            }
            Ok(files)
        };
        entries().map_err(|error| explain("list", &self.path, &error))
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        let path = self.segment_path(number);
        let is_prewritten = self.unsynced.is_none();
        let created =
            if is_prewritten { create_zeroed(&path, bytes) } else { create_reserved(&path, bytes) };
        let file = match created {
            Ok(file) => file,
            Err(error) => return Err(self.uncreate(&path, &error)),
        };
        self.used.fetch_add(bytes as u64, Ordering::Relaxed);
        self.sync_names()?;
        self.open = Some((number, file));
        Ok(())
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        let result = self.file(number)?.read_exact_at(into, offset as u64);
        result.map_err(|error| self.explain("read", number, &error))
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        let result = self.file(number)?.write_all_at(bytes, offset as u64);
        result.map_err(|error| self.explain("write", number, &error))?;
        self.give_way(number, bytes.len())
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        let result = self.file(number)?.sync_data();
        result.map_err(|error| self.explain("sync", number, &error))
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        self.close(from);
        let target = self.segment_path(to);
        // The directory is locked, so nobody makes the target between this look and the rename.
        if target.try_exists().map_err(|error| explain("look for", &target, &error))? {
            return Err(explain("rename to", &target, &ErrorKind::AlreadyExists.into()));
        }
        let result = fs::rename(self.segment_path(from), target);
        result.map_err(|error| self.explain("rename", from, &error))?;
        self.sync_names()
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.close(number);
        let path = self.segment_path(number);
        let removed = || {
            let bytes = fs::metadata(&path)?.len();
            fs::remove_file(&path).map(|()| bytes)
        };
        let bytes = removed().map_err(|error| self.explain("remove", number, &error))?;
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.sync_names()
    }
}

pub(crate) fn segment_name(number: SegmentNumber) -> String {
    format!("{:016x}{SUFFIX}", number.0)
}

/// Only names exactly as this file writes them; everything else in the directory is left alone.
pub(crate) fn parse_name(name: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(SUFFIX)?;
    let number = u64::from_str_radix(digits, 16).ok()?;
    (digits == format!("{number:016x}")).then_some(SegmentNumber(number))
}

/// Makes the directory and its missing parents, each durable in its own parent.
fn create_directory(path: &Path) -> Result<(), DiskError> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create_directory(parent)?;
    fs::create_dir(path).map_err(|error| explain("create directory", path, &error))?;
    let synced = File::open(parent).and_then(|parent| parent.sync_all());
    synced.map_err(|error| explain("sync directory", parent, &error))
}

/// Room for so many bytes, and nothing written.
fn create_reserved(path: &Path, bytes: usize) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes as u64) {
        // Then nobody can promise room.
        Err(Errno::OPNOTSUPP) => file.set_len(bytes as u64)?,
        result => result?,
    }
    file.sync_all()?;
    Ok(file)
}

fn create_zeroed(path: &Path, bytes: usize) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let zeros = vec![0; bytes.min(ZEROS_BYTES)];
    let mut written = 0;
    while written < bytes {
        let length = zeros.len().min(bytes - written);
        file.write_all_at(&zeros[..length], written as u64)?;
        written += length;
    }
    file.sync_all()?;
    Ok(file)
}

fn probe(path: &Path, samples: usize) -> io::Result<Vec<Duration>> {
    // A process that died while probing left its file.
    remove_if_present(path)?;
    let file = create_zeroed(path, ZEROS_BYTES)?;
    let sector = [0x5a; SECTOR_BYTES];
    let sample = |at: usize| {
        let start = Instant::now();
        file.write_all_at(&sector, (at * SECTOR_BYTES % ZEROS_BYTES) as u64)?;
        file.sync_data()?;
        Ok(start.elapsed())
    };
    (0..samples).map(sample).collect()
}

fn remove_if_present(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

pub(crate) fn explain(operation: &str, path: &Path, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskErrorKind::Full,
        ErrorKind::NotFound => DiskErrorKind::Missing,
        ErrorKind::AlreadyExists => DiskErrorKind::Exists,
        ErrorKind::WouldBlock => DiskErrorKind::Locked,
        _ => DiskErrorKind::Failed,
    };
    DiskError { kind, detail: format!("{operation} {}: {error}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use journal::{Identity, Journal, OpenError, Options, Sequence};

    const FILE: SegmentNumber = SegmentNumber(0x1f);
    const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };

    fn temporary() -> (tempfile::TempDir, FileDisk) {
        let directory = tempfile::tempdir().unwrap();
        let disk = FileDisk::open(directory.path().join("a").join("b")).unwrap();
        (directory, disk)
    }

    #[test]
    fn two_disks_never_share_a_directory() {
        let (_directory, disk) = temporary();
        let error = FileDisk::open(disk.path()).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Locked);
        assert!(error.detail.contains("lock"), "{error}");
        let path = disk.path().to_owned();
        drop(disk);
        FileDisk::open(path).unwrap();
    }

    #[test]
    fn a_new_file_is_zeros_and_keeps_what_is_written() {
        zeros_and_what_is_written(|disk| disk);
        zeros_and_what_is_written(FileDisk::giving_way);
    }

    #[test]
    fn a_disk_that_gives_way_syncs_step_by_step() {
        let (_directory, disk) = temporary();
        let mut disk = disk.giving_way();
        disk.create(FILE, 4 * STEP_BYTES).unwrap();
        for (part, unsynced) in [(0, STEP_BYTES / 2), (1, 0), (2, STEP_BYTES / 2)] {
            let half = vec![7; STEP_BYTES / 2];
            disk.write_at(FILE, part * half.len(), &half).unwrap();
            assert_eq!(disk.unsynced, Some(unsynced));
        }
    }

    fn zeros_and_what_is_written(kind: impl FnOnce(FileDisk) -> FileDisk) {
        let (_directory, disk) = temporary();
        let mut disk = kind(disk);
        let bytes = ZEROS_BYTES + 4096;
        disk.create(FILE, bytes).unwrap();
        assert_eq!(disk.list().unwrap(), [FileEntry { number: FILE, bytes }]);
        assert_eq!(disk.used().load(Ordering::Relaxed), bytes as u64);
        disk.write_at(FILE, 4096, b"here").unwrap();
        disk.sync(FILE).unwrap();
        let path = disk.path().to_owned();
        drop(disk);
        let mut content = vec![1; bytes];
        FileDisk::open(path).unwrap().read_at(FILE, 0, &mut content).unwrap();
        assert_eq!(&content[4096..4100], b"here");
        content[4096..4100].fill(0);
        assert!(content.iter().all(|&byte| byte == 0));
    }

    #[test]
    fn names_change_with_their_content() {
        let (_directory, mut disk) = temporary();
        let other = SegmentNumber(2);
        disk.create(FILE, 16).unwrap();
        disk.write_at(FILE, 0, b"moved").unwrap();
        disk.create(other, 16).unwrap();
        assert_eq!(disk.create(FILE, 16).unwrap_err().kind, DiskErrorKind::Exists);
        assert_eq!(disk.rename(FILE, other).unwrap_err().kind, DiskErrorKind::Exists);
        disk.remove(other).unwrap();
        assert_eq!(disk.used().load(Ordering::Relaxed), 16);
        disk.rename(FILE, other).unwrap();
        let mut content = [0; 5];
        disk.read_at(other, 0, &mut content).unwrap();
        assert_eq!(&content, b"moved");
        let error = disk.read_at(FILE, 0, &mut content).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Missing);
        assert!(error.detail.contains("000000000000001f.segment"), "{error}");
        disk.read_at(other, 12, &mut content).unwrap_err();
    }

    #[test]
    fn a_failed_create_leaves_no_part_of_a_file_and_takes_no_whole_one() {
        let (_directory, mut disk) = temporary();
        disk.create(FILE, 16).unwrap();
        disk.create(FILE, 32).unwrap_err();
        assert_eq!(disk.list().unwrap(), [FileEntry { number: FILE, bytes: 16 }]);
        let part = disk.segment_path(SegmentNumber(7));
        fs::write(&part, b"some zeros").unwrap();
        let error = disk.uncreate(&part, &ErrorKind::StorageFull.into());
        assert_eq!(error.kind, DiskErrorKind::Full);
        assert!(error.detail.starts_with("create "), "{error}");
        assert!(!part.exists());
        // What cannot be taken away is no shortage: the number is in use.
        fs::create_dir(&part).unwrap();
        let error = disk.uncreate(&part, &ErrorKind::StorageFull.into());
        assert_ne!(error.kind, DiskErrorKind::Full);
    }

    #[test]
    fn other_files_in_the_directory_are_left_alone() {
        let (_directory, mut disk) = temporary();
        for name in ["notes", "1f.segment", "000000000000001F.segment", "+00000000000001f.segment"]
        {
            fs::write(disk.path().join(name), b"mine").unwrap();
        }
        assert_eq!(disk.list().unwrap(), []);
    }

    #[test]
    fn a_probe_measures_and_cleans_up() {
        let (_directory, disk) = temporary();
        let probe = disk.path().join(PROBE_NAME);
        fs::write(&probe, b"left by a process that died").unwrap();
        let more_than_the_file_holds = ZEROS_BYTES / SECTOR_BYTES + 1;
        for samples in [0, 3, more_than_the_file_holds] {
            assert_eq!(disk.sync_latency(samples).unwrap().len(), samples);
            assert!(!probe.exists());
        }
    }

    #[test]
    fn a_failed_probe_names_its_reason() {
        let (_directory, disk) = temporary();
        fs::remove_dir_all(disk.path()).unwrap();
        let error = disk.sync_latency(1).unwrap_err();
        assert!(error.detail.starts_with("probe "), "{error}");
    }

    #[test]
    fn a_journal_lives_through_cuts_and_reopening() {
        let (_directory, mut disk) = temporary();
        let options = Options { segment_bytes: 16 << 10 };
        assert_eq!(
            Journal::open(FileDisk::open(disk.path().join("new")).unwrap(), IDENTITY, options, {
                |_| {}
            })
            .map(|_| ()),
            Err(OpenError::Empty)
        );
        Journal::format(&mut disk, IDENTITY).unwrap();
        let mut next = 0u64;
        for _ in 0..3 {
            let path = disk.path().to_owned();
            let mut seen = Vec::new();
            let (mut journal, recovered) = Journal::open(disk, IDENTITY, options, |entry| {
                let (at, frame) = entry.frame().unwrap();
                seen.push(at);
                assert_eq!(frame, at.0.to_le_bytes().repeat(100));
            })
            .unwrap();
            assert_eq!(recovered.next, Sequence(next));
            assert_eq!(recovered.frames, seen.len() as u64);
            assert_eq!(recovered.missing, 0);
            for frame in 1..=100 {
                next = journal.next().0;
                assert_eq!(journal.append(&next.to_le_bytes().repeat(100)), Ok(Sequence(next)));
                if frame % 10 == 0 {
                    assert_eq!(journal.sync(), Ok(Sequence(next + 1)));
                    journal.cut(Sequence(next.saturating_sub(30))).unwrap();
                }
            }
            assert!(journal.first() > Sequence(0));
            next = journal.next().0;
            drop(journal);
            disk = FileDisk::open(path).unwrap();
        }
    }
}
