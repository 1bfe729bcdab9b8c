//! A disk in memory that fails on command: for tests and for the painted world.
//!
//! It decides what a power cut leaves of unsynced writes, and which operation fails in which way.
//! One seed decides everything; a clone continues as the original would. It knows nothing of
//! journals. Without faults it is simply a disk in memory.
//!
//! Source of the model: Pillai et al., "All File Systems Are Not Created Equal", OSDI '14 (what may
//! be lost), and Rebello et al., ATC '20 (what a failed sync leaves behind).

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

use crate::disk::{Disk, DiskError, DiskErrorKind, FileEntry, SECTOR_BYTES, SegmentNumber};

/// What goes wrong at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The operation fails and changes nothing.
    Fail,
    /// It fails for want of room and changes nothing.
    Full,
    /// Power goes: the operation happens in part, and all later ones fail until
    /// [`FaultyDisk::crash`].
    PowerCut,
    /// A sync fails, drops what it should have written and forgets that it should: as real systems
    /// do. Reads still see the bytes until the next crash; a second sync succeeds in vain.
    /// For other operations the same as [`Fault::Fail`].
    SyncDrops,
    /// A write reports success and lands the given number of sectors further on (wrapping around
    /// in the file). Other operations are unharmed.
    Misdirect {
        /// How many sectors too far.
        sectors: usize,
    },
}

/// A disk in memory.
///
/// Operations that change something (create, write, sync, rename, remove) are counted from zero;
/// [`schedule`](Self::schedule) names one by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultyDisk {
    files: BTreeMap<SegmentNumber, File>,
    faults: BTreeMap<u64, Fault>,
    operations: u64,
    has_power: bool,
    /// How many bytes all files may have together.
    bytes_max: usize,
    random: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct File {
    /// Its size.
    bytes: usize,
    /// What reads see.
    cached: Content,
    /// What a power cut leaves for certain.
    durable: Content,
    /// The sectors in which the next sync has something to do.
    dirty: BTreeSet<usize>,
}

/// Sectors by their place; where there is none, all is zeros. Shared, so that a sync copies
/// nothing.
type Content = BTreeMap<usize, Arc<[u8; SECTOR_BYTES]>>;

/// The bytes of one sector, to be changed.
fn sector_of(content: &mut Content, sector: usize) -> &mut [u8; SECTOR_BYTES] {
    Arc::make_mut(content.entry(sector).or_insert_with(|| Arc::new([0; SECTOR_BYTES])))
}

/// The parts of a range that lie in one sector each: the sector, and where in it.
fn parts(offset: usize, length: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    let end = offset + length;
    (offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES)).map(move |sector| {
        let start = sector * SECTOR_BYTES;
        (sector, offset.max(start) - start..end.min(start + SECTOR_BYTES) - start)
    })
}

impl File {
    /// How much of a sector lies within the file.
    fn length_of(&self, sector: usize) -> usize {
        SECTOR_BYTES.min(self.bytes - sector * SECTOR_BYTES)
    }
}

impl FaultyDisk {
    /// An empty disk whose bad luck follows from `seed`.
    pub fn new(seed: u64) -> FaultyDisk {
        FaultyDisk {
            files: BTreeMap::new(),
            faults: BTreeMap::new(),
            operations: 0,
            has_power: true,
            bytes_max: usize::MAX,
            random: seed,
        }
    }

    /// How many operations that change something were begun so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Lets the changing operation of this number fail. A later call for it replaces an earlier.
    pub fn schedule(&mut self, operation: u64, fault: Fault) {
        self.faults.insert(operation, fault);
    }

    /// How many bytes all files may have together. A file that would be too much is not made:
    /// the disk is full, until files are removed or this is more.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Power goes and comes back: each unsynced sector is kept, lost or torn, by chance.
    ///
    /// Faults that are still to come are forgotten.
    pub fn crash(&mut self) {
        let mut files = core::mem::take(&mut self.files);
        for file in files.values_mut() {
            for sector in core::mem::take(&mut file.dirty) {
                self.settle(file, sector);
            }
            file.cached.clone_from(&file.durable);
        }
        self.files = files;
        self.faults.clear();
        self.has_power = true;
    }

    /// Rot: flips bits of one byte, in what reads see and in what is durable.
    ///
    /// # Panics
    /// If there is no such byte.
    pub fn flip(&mut self, number: SegmentNumber, offset: usize, mask: u8) {
        let file = self.files.get_mut(&number).expect("the caller names a file that exists");
        assert!(offset < file.bytes);
        for content in [&mut file.cached, &mut file.durable] {
            sector_of(content, offset / SECTOR_BYTES)[offset % SECTOR_BYTES] ^= mask;
        }
    }

    /// From now on a sector reads as another one, or, without a source, as it was before it was
    /// ever written: a misdirected or a lost write that the disk has acknowledged.
    ///
    /// # Panics
    /// If there is no such file or sector.
    pub fn misread(
        &mut self,
        number: SegmentNumber,
        sector: usize,
        source: Option<(SegmentNumber, usize)>,
    ) {
        let other = source.and_then(|(number, sector)| {
            self.files.get(&number).and_then(|file| file.durable.get(&sector)).cloned()
        });
        let file = self.files.get_mut(&number).expect("the caller names a file that exists");
        assert!(sector * SECTOR_BYTES < file.bytes);
        for content in [&mut file.cached, &mut file.durable] {
            match &other {
                Some(bytes) => drop(content.insert(sector, bytes.clone())),
                None => drop(content.remove(&sector)),
            }
        }
    }

    /// Decides what is left of one unsynced sector.
    fn settle(&mut self, file: &mut File, sector: usize) {
        let length = file.length_of(sector);
        let new = &sector_of(&mut file.cached, sector)[..length];
        let old = &mut sector_of(&mut file.durable, sector)[..length];
        match self.below(5) {
            0 | 1 => old.copy_from_slice(new),
            2 => {}
            3 => {
                // Torn inside, from either side.
                let at = self.below(new.len());
                if self.below(2) == 0 {
                    old[..at].copy_from_slice(&new[..at]);
                } else {
                    old[at..].copy_from_slice(&new[at..]);
                }
            }
            _ => {
                for byte in old {
                    *byte = self.random().to_le_bytes()[0];
                }
            }
        }
    }

    /// Counts a changing operation and says whether something befalls it.
    fn begin(&mut self, what: &str) -> Result<Option<Fault>, DiskError> {
        if !self.has_power {
            return Err(failed(format!("{what}: the power is out")));
        }
        let fault = self.faults.remove(&self.operations);
        self.operations += 1;
        match fault {
            Some(Fault::Fail) => Err(failed(format!("{what}: injected failure"))),
            Some(Fault::SyncDrops) if what != "sync" => {
                Err(failed(format!("{what}: injected failure")))
            }
            Some(Fault::Full) => {
                let detail = format!("{what}: injected shortage");
                Err(DiskError { kind: DiskErrorKind::Full, detail })
            }
            Some(Fault::PowerCut) => {
                self.has_power = false;
                Ok(fault)
            }
            other => Ok(other),
        }
    }

    /// Whether an operation that the power cut interrupts still happens.
    fn survives(&mut self, fault: Option<Fault>) -> bool {
        fault != Some(Fault::PowerCut) || self.below(2) == 0
    }

    /// The operation's result: what it did is done, but after a power cut nobody hears of it.
    fn end(&self, what: &str) -> Result<(), DiskError> {
        if self.has_power { Ok(()) } else { Err(failed(format!("{what}: the power went out"))) }
    }

    fn file(&mut self, number: SegmentNumber) -> Result<&mut File, DiskError> {
        self.files.get_mut(&number).ok_or_else(|| DiskError {
            kind: DiskErrorKind::Missing,
            detail: format!("segment {number}"),
        })
    }

    fn refuse_if_present(&self, number: SegmentNumber) -> Result<(), DiskError> {
        if !self.files.contains_key(&number) {
            return Ok(());
        }
        Err(DiskError { kind: DiskErrorKind::Exists, detail: format!("segment {number}") })
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        usize::try_from(self.random() % bound).expect("the bound was a usize")
    }

    /// `SplitMix64` (Steele, Lea, Flood, OOPSLA '14): small, and any seed will do.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Disk for FaultyDisk {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        self.end("list")?;
        let entry = |(&number, file): (_, &File)| FileEntry { number, bytes: file.bytes };
        Ok(self.files.iter().map(entry).collect())
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        let fault = self.begin("create")?;
        self.refuse_if_present(number)?;
        let used: usize = self.files.values().map(|file| file.bytes).sum();
        if bytes > self.bytes_max.saturating_sub(used) {
            let detail = format!("create: {used} of {} bytes are used", self.bytes_max);
            return Err(DiskError { kind: DiskErrorKind::Full, detail });
        }
        if self.survives(fault) {
            let whole = fault != Some(Fault::PowerCut) || self.below(2) == 0;
            let bytes = if whole { bytes } else { self.below(bytes + 1) };
            let (cached, durable, dirty) = (Content::new(), Content::new(), BTreeSet::new());
            self.files.insert(number, File { bytes, cached, durable, dirty });
        }
        self.end("create")
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        self.end("read")?;
        let file = self.file(number)?;
        if into.len() > file.bytes || offset > file.bytes - into.len() {
            return Err(beyond_the_end(number));
        }
        let mut rest = into;
        for (sector, range) in parts(offset, rest.len()) {
            let part = rest.split_off_mut(..range.len()).expect("parts add up to the whole");
            match file.cached.get(&sector) {
                Some(bytes) => part.copy_from_slice(&bytes[range]),
                None => part.fill(0),
            }
        }
        Ok(())
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        let fault = self.begin("write")?;
        let file = self.file(number)?;
        let length = file.bytes;
        if bytes.len() > length || offset > length - bytes.len() {
            return Err(beyond_the_end(number));
        }
        let offset = match fault {
            Some(Fault::Misdirect { sectors }) => {
                (offset + sectors * SECTOR_BYTES) % (length - bytes.len() + 1)
            }
            _ => offset,
        };
        let mut rest = bytes;
        for (sector, range) in parts(offset, bytes.len()) {
            let part = rest.split_off(..range.len()).expect("parts add up to the whole");
            match part.try_into() {
                Ok(whole) => drop(file.cached.insert(sector, Arc::new(whole))),
                Err(_) => sector_of(&mut file.cached, sector)[range].copy_from_slice(part),
            }
            file.dirty.insert(sector);
        }
        self.end("write")
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        let fault = self.begin("sync")?;
        // Interrupted by a power cut, it leaves its sectors to chance, as if it never began.
        if fault != Some(Fault::PowerCut) {
            let file = self.file(number)?;
            let dirty = core::mem::take(&mut file.dirty);
            if fault == Some(Fault::SyncDrops) {
                return Err(failed(String::from("sync: injected failure, pages dropped")));
            }
            for sector in dirty {
                if let Some(bytes) = file.cached.get(&sector) {
                    file.durable.insert(sector, bytes.clone());
                }
            }
        }
        self.end("sync")
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        let fault = self.begin("rename")?;
        self.file(from)?;
        self.refuse_if_present(to)?;
        if self.survives(fault) {
            let file = self.files.remove(&from).expect("it was there two lines above");
            self.files.insert(to, file);
        }
        self.end("rename")
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        let fault = self.begin("remove")?;
        self.file(number)?;
        if self.survives(fault) {
            self.files.remove(&number);
        }
        self.end("remove")
    }
}

fn failed(detail: String) -> DiskError {
    DiskError { kind: DiskErrorKind::Failed, detail }
}

fn beyond_the_end(number: SegmentNumber) -> DiskError {
    failed(format!("segment {number}: beyond the end of the file"))
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const FILE: SegmentNumber = SegmentNumber(1);

    fn disk(seed: u64) -> FaultyDisk {
        let mut disk = FaultyDisk::new(seed);
        disk.create(FILE, 4 * SECTOR_BYTES).unwrap();
        disk
    }

    fn content(disk: &mut FaultyDisk) -> Vec<u8> {
        let mut bytes = vec![0; 4 * SECTOR_BYTES];
        disk.read_at(FILE, 0, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn synced_bytes_survive_every_crash_and_unsynced_ones_only_some() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..50 {
            let mut disk = disk(seed);
            disk.write_at(FILE, 0, &[1; SECTOR_BYTES]).unwrap();
            disk.sync(FILE).unwrap();
            disk.write_at(FILE, SECTOR_BYTES, &[2; 2 * SECTOR_BYTES]).unwrap();
            disk.crash();
            let bytes = content(&mut disk);
            assert!(bytes[..SECTOR_BYTES].iter().all(|&byte| byte == 1));
            assert!(bytes[3 * SECTOR_BYTES..].iter().all(|&byte| byte == 0));
            let whole = |sector: usize| {
                bytes[sector * SECTOR_BYTES..][..SECTOR_BYTES].iter().all(|&byte| byte == 2)
            };
            outcomes.insert((whole(1), whole(2)));
        }
        assert_eq!(outcomes.len(), 4, "each sector has its own luck");
    }

    #[test]
    fn a_second_sync_after_a_failed_one_succeeds_in_vain() {
        let mut disk = disk(1);
        disk.write_at(FILE, 0, &[1; 8]).unwrap();
        disk.schedule(disk.operations(), Fault::SyncDrops);
        disk.sync(FILE).unwrap_err();
        disk.sync(FILE).unwrap();
        assert_eq!(content(&mut disk)[0], 1);
        disk.crash();
        assert_eq!(content(&mut disk)[0], 0);
    }

    #[test]
    fn one_seed_gives_one_history() {
        let run = |seed| {
            let mut disk = disk(seed);
            disk.write_at(FILE, 0, &[7; 3 * SECTOR_BYTES]).unwrap();
            disk.crash();
            disk
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
    }

    #[test]
    fn without_power_nothing_answers_until_the_restart() {
        let mut disk = disk(1);
        disk.schedule(disk.operations(), Fault::PowerCut);
        disk.write_at(FILE, 0, &[1]).unwrap_err();
        disk.list().unwrap_err();
        disk.sync(FILE).unwrap_err();
        disk.crash();
        assert_eq!(disk.list().unwrap().len(), 1);
    }

    #[test]
    fn a_sector_can_read_as_another_or_as_never_written() {
        let mut disk = disk(1);
        disk.write_at(FILE, 0, &[1; SECTOR_BYTES]).unwrap();
        disk.write_at(FILE, SECTOR_BYTES, &[2; SECTOR_BYTES]).unwrap();
        disk.sync(FILE).unwrap();
        disk.misread(FILE, 0, Some((FILE, 1)));
        disk.misread(FILE, 1, None);
        let bytes = content(&mut disk);
        assert_eq!((bytes[0], bytes[SECTOR_BYTES]), (2, 0));
        disk.crash();
        assert_eq!(content(&mut disk), bytes, "the disk has acknowledged it");
    }

    #[test]
    fn a_misdirected_write_lands_elsewhere() {
        let mut disk = disk(1);
        disk.schedule(disk.operations(), Fault::Misdirect { sectors: 2 });
        disk.write_at(FILE, 0, &[9; SECTOR_BYTES]).unwrap();
        let bytes = content(&mut disk);
        assert_eq!((bytes[0], bytes[2 * SECTOR_BYTES]), (0, 9));
    }
}
