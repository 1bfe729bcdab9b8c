//! A disk whose bytes lie open, and that knows which of them were written when.
//!
//! It never fails by itself. What befalls its files is the input's choice.

use std::collections::BTreeMap;

use journal::{Disk, DiskError, DiskErrorKind, FileEntry, SegmentNumber};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryDisk {
    pub(crate) files: BTreeMap<SegmentNumber, Vec<u8>>,
    /// What was written to files that still have the name that they had then.
    pub(crate) writes: Vec<Write>,
    /// Kept beside each write: how many frames are durable now.
    pub(crate) durable: usize,
}

/// One write, where it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) number: SegmentNumber,
    pub(crate) offset: usize,
    pub(crate) bytes: Vec<u8>,
    /// How many frames were durable before.
    pub(crate) durable: usize,
}

impl MemoryDisk {
    fn file(&mut self, number: SegmentNumber) -> Result<&mut Vec<u8>, DiskError> {
        self.files.get_mut(&number).ok_or_else(|| error(DiskErrorKind::Missing))
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<FileEntry>, DiskError> {
        let entry = |(number, bytes): (&SegmentNumber, &Vec<u8>)| FileEntry {
            number: *number,
            bytes: bytes.len(),
        };
        Ok(self.files.iter().map(entry).collect())
    }

    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        if self.files.contains_key(&number) {
            return Err(error(DiskErrorKind::Exists));
        }
        self.files.insert(number, vec![0; bytes]);
        Ok(())
    }

    fn read_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        into: &mut [u8],
    ) -> Result<(), DiskError> {
        let file = self.file(number)?;
        let bytes = file.get(offset..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(bytes.ok_or_else(|| error(DiskErrorKind::Failed))?);
        Ok(())
    }

    fn write_at(
        &mut self,
        number: SegmentNumber,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), DiskError> {
        let file = self.file(number)?;
        let place = file.get_mut(offset..).and_then(|rest| rest.get_mut(..bytes.len()));
        place.ok_or_else(|| error(DiskErrorKind::Failed))?.copy_from_slice(bytes);
        let durable = self.durable;
        self.writes.push(Write { number, offset, bytes: bytes.to_vec(), durable });
        Ok(())
    }

    fn sync(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.file(number).map(|_| ())
    }

    fn rename(&mut self, from: SegmentNumber, to: SegmentNumber) -> Result<(), DiskError> {
        if self.files.contains_key(&to) {
            return Err(error(DiskErrorKind::Exists));
        }
        let file = std::mem::take(self.file(from)?);
        self.remove(from)?;
        self.files.insert(to, file);
        Ok(())
    }

    fn remove(&mut self, number: SegmentNumber) -> Result<(), DiskError> {
        self.file(number)?;
        self.files.remove(&number);
        self.writes.retain(|write| write.number != number);
        Ok(())
    }
}

fn error(kind: DiskErrorKind) -> DiskError {
    DiskError { kind, detail: String::from("in memory") }
}
