//! The journal: frames appended in memory, made durable in batches, read back in order.
//!
//! This file decides when bytes reach the disk and in which file they lie. It does not know what
//! frames mean, and it judges no damage (`recover.rs`).
//!
//! ```text
//!   first <= durable <= next        frames below `durable` survive a power cut;
//!                                   those from there to `next` are in the buffer
//! ```
//!
//! The order of writes is what recovery relies on:
//!
//! - A batch starts at a sector of its own; no sector that holds durable frames is written again.
//! - A segment is left only when all of its frames are durable. Then the next one's header goes
//!   out in one write with its first frames.
//! - After a crash, a segment with remains of a torn batch is never appended to, and files above
//!   the last live segment are removed: both may hold frames of the current numbers that would
//!   come back to life behind new ones.

use alloc::vec::Vec;
use core::fmt;

use crate::disk::{Disk, DiskError, DiskErrorKind, SECTOR_BYTES, SegmentNumber};
use crate::frame::{self, FRAME_BYTES_MAX, Kind, Seal, Sequence};
use crate::recover::{self, Entry, Live, OpenError, Recovered};
use crate::segment::{
    self, CUT_BYTES, FIRST_SEGMENT, FIRST_SEGMENT_BYTES, FRAMES_START, Header, Identity, SCRATCH,
};
use crate::show::Shown;

/// How many empty segments are kept for reuse. More would only hold disk space: each is refilled
/// by the cut that follows its use.
pub const SPARES_MAX: u64 = 2;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// The size of new segments: a multiple of [`SECTOR_BYTES`] between
    /// [`crate::SEGMENT_BYTES_MIN`] and [`crate::SEGMENT_BYTES_MAX`].
    ///
    /// A frame that needs more gets a larger segment of its own.
    pub segment_bytes: usize,
}

impl Default for Options {
    /// 8 MiB. Writing the zeros of a new segment takes some milliseconds, which an append may have
    /// to wait for until the first cut supplies spares; with 64 MiB it would be a tenth of a
    /// second. Smaller ones would only add files.
    fn default() -> Options {
        Options { segment_bytes: 8 << 20 }
    }
}

/// Why a journal could not be formatted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum FormatError {
    /// There are segments already; formatting never overwrites.
    NotEmpty {
        /// One of them.
        segment: SegmentNumber,
    },
    /// The disk refused.
    Disk(DiskError),
}

/// Why a frame was not appended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AppendError {
    /// The payload is longer than [`FRAME_BYTES_MAX`]. The journal is unharmed.
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The disk has no room for another segment. The journal is unharmed, and what was appended
    /// before is durable. Try again when there is room; a cut makes some.
    Full(DiskError),
    /// The disk failed, now or earlier. The journal is of no further use.
    Disk(DiskError),
}

/// A durable sequence of frames.
///
/// After a failed change of the disk every later call that could fail returns that same error: see
/// [`sync`](Self::sync). A failed read, in [`replay`](Self::replay), harms nothing, and neither
/// does a disk without room for another file: whatever needed one may be tried again.
#[derive(Clone, Debug)]
pub struct Journal<D> {
    disk: D,
    identity: Identity,
    options: Options,
    /// What is below was cut. Less than the first segment's start if what is between is lost.
    first: Sequence,
    /// In order, never empty; numbers are left out where files are lost. The last one is appended
    /// to.
    live: Vec<Live>,
    /// The files that follow the last live one in number: at most [`SPARES_MAX`], each of
    /// `options.segment_bytes`.
    spares: u64,
    /// The seal of the last live segment.
    seal: Seal,
    /// Whole bytes of the last live segment from `written` on, not yet on disk.
    buffer: Vec<u8>,
    /// Where in the last live segment `buffer` will go: a multiple of [`SECTOR_BYTES`].
    written: usize,
    durable: Sequence,
    next: Sequence,
    failed: Option<DiskError>,
}

impl<D: Disk> Journal<D> {
    /// Makes an empty journal, durably. Refuses if there is one, or a part of one.
    ///
    /// A crash on the way leaves a directory that still counts as empty.
    pub fn format(disk: &mut D, identity: Identity) -> Result<(), FormatError> {
        for entry in disk.list()? {
            if entry.number != SCRATCH {
                return Err(FormatError::NotEmpty { segment: entry.number });
            }
            disk.remove(SCRATCH)?;
        }
        let header = Header { number: FIRST_SEGMENT, start: Sequence::default(), identity };
        disk.create(SCRATCH, FIRST_SEGMENT_BYTES)?;
        disk.write_at(SCRATCH, 0, &header.to_sector())?;
        disk.sync(SCRATCH)?;
        // The rename is the point at which the journal exists.
        disk.rename(SCRATCH, FIRST_SEGMENT)?;
        Ok(())
    }

    /// Reads the journal back and makes it ready to append.
    ///
    /// `visit` sees every kept frame and every hole in order; whatever it builds counts only if
    /// `Ok` follows. All that it saw is durable then.
    ///
    /// # Panics
    /// If `options` are out of range.
    pub fn open(
        mut disk: D,
        identity: Identity,
        options: Options,
        mut visit: impl FnMut(Entry<'_>),
    ) -> Result<(Journal<D>, Recovered), OpenError> {
        assert!(options.segment_bytes.is_multiple_of(SECTOR_BYTES));
        assert!(options.segment_bytes >= segment::SEGMENT_BYTES_MIN);
        assert!(options.segment_bytes <= segment::SEGMENT_BYTES_MAX);
        let mut shown = |shown: Shown<'_>| shown.entry().map_or((), &mut visit);
        let survey = recover::survey(&mut disk, identity, &mut shown)?;
        let last = *survey.live.last().expect("a survey finds a live segment or fails");
        // After a crash of the process alone, frames were read that only the system's cache holds.
        // The caller will act on them, so they must survive a power cut from here on.
        disk.sync(last.number)?;
        // From the top, so that another crash leaves no gap in the numbers.
        for &number in survey.blank.iter().rev() {
            disk.remove(number)?;
        }
        let written =
            if survey.is_closed { last.bytes } else { survey.end.next_multiple_of(SECTOR_BYTES) };
        let journal = Journal {
            disk,
            identity,
            options,
            seal: Seal::new(&identity, last.number),
            first: survey.recovered.first,
            live: survey.live,
            spares: 0,
            buffer: Vec::new(),
            written,
            durable: survey.recovered.next,
            next: survey.recovered.next,
            failed: None,
        };
        journal.check();
        Ok((journal, survey.recovered))
    }

    /// Adds a frame to the batch and returns its sequence.
    /// It is durable after [`sync`](Self::sync).
    ///
    /// When the segment is full, this writes and syncs what it holds and begins the next one.
    pub fn append(&mut self, payload: &[u8]) -> Result<Sequence, AppendError> {
        self.refuse_if_failed()?;
        if payload.len() > FRAME_BYTES_MAX {
            return Err(AppendError::TooLong { bytes: payload.len() });
        }
        if self.rest(CUT_BYTES) < frame::frame_bytes(payload.len()) {
            self.begin_segment(payload.len()).map_err(|error| match self.failed {
                None => AppendError::Full(error),
                Some(_) => AppendError::Disk(error),
            })?;
        }
        Ok(self.put(Kind::Payload, payload))
    }

    /// Makes every appended frame durable with one write and one sync, and returns
    /// [`durable`](Self::durable).
    ///
    /// A failure is final. After a failed sync the system may have dropped the unwritten pages and
    /// marked them clean, so that a second sync succeeds without having written anything (Rebello
    /// et al., "Can Applications Recover from fsync Failures?", ATC '20). Stop, and open again:
    /// what the disk really holds then decides.
    pub fn sync(&mut self) -> Result<Sequence, DiskError> {
        self.guarded(Self::flush)?;
        Ok(self.durable)
    }

    /// Visits all durable frames and holes again, from the start of the segment that holds `from`.
    pub fn replay(
        &mut self,
        from: Sequence,
        mut visit: impl FnMut(Entry<'_>),
    ) -> Result<(), OpenError> {
        self.refuse_if_failed()?;
        if from >= self.durable {
            return Ok(());
        }
        let at = self.live[1..].iter().take_while(|live| live.start <= from).count();
        let first = if at == 0 { self.first } else { self.live[at].start };
        let (disk, live) = (&mut self.disk, &self.live[at..]);
        recover::replay(disk, &self.identity, live, first, self.durable, &mut visit)
    }

    /// Drops whole segments whose frames all lie below `before`; the last segment always stays.
    ///
    /// If there are any, a frame of the journal's own says so first, and takes a sequence. It is
    /// synced with all that was appended: without it, what is cut would count as lost, and the
    /// segment that stays must have its header on disk before its predecessor goes. Then their
    /// files become spares or are removed, the oldest first, so that a crash at any point leaves
    /// contiguous segments.
    ///
    /// [`DiskErrorKind::Full`](crate::DiskErrorKind::Full) says that there is not even room to say
    /// so, which each segment keeps for one cut. Nothing is harmed then.
    pub fn cut(&mut self, before: Sequence) -> Result<(), DiskError> {
        self.refuse_if_failed()?;
        let dropped = self.live[1..].iter().take_while(|live| live.start <= before).count();
        if dropped == 0 {
            return Ok(());
        }
        let first = self.live[dropped].start;
        let intent = first.0.to_le_bytes();
        if self.rest(0) < frame::frame_bytes(intent.len()) {
            self.begin_segment(intent.len())?;
        }
        self.guarded(|journal| {
            journal.put(Kind::Cut, &intent);
            journal.flush()?;
            (0..dropped).try_for_each(|_| journal.retire_first())
        })
    }

    /// Makes a spare segment if there is none. Call it when idle: then no append waits for zeros.
    ///
    /// [`DiskErrorKind::Full`](crate::DiskErrorKind::Full) harms nothing.
    pub fn prepare(&mut self) -> Result<(), DiskError> {
        self.refuse_if_failed()?;
        if self.spares == 0 {
            self.create(self.last().number.plus(1), self.options.segment_bytes)?;
            self.spares = 1;
        }
        self.check();
        Ok(())
    }

    /// How many bytes of frames fit without making a file: the rest of the current segment, and
    /// the spares. A frame is longer than its payload, and each batch takes whole sectors.
    pub fn room(&self) -> usize {
        let spare = self.options.segment_bytes - FRAMES_START - CUT_BYTES;
        let spares = usize::try_from(self.spares).expect("there are at most SPARES_MAX");
        self.rest(CUT_BYTES) + spares * spare
    }

    /// Where the journal starts: no frame below is kept, and none is missed.
    pub fn first(&self) -> Sequence {
        self.first
    }

    /// Every frame below this survives a power cut.
    pub fn durable(&self) -> Sequence {
        self.durable
    }

    /// The sequence that the next append will get.
    pub fn next(&self) -> Sequence {
        self.next
    }

    /// The size of all files, spares included.
    pub fn file_bytes(&self) -> u64 {
        let live: u64 = self.live.iter().map(|segment| segment.bytes as u64).sum();
        live + self.spares * self.options.segment_bytes as u64
    }

    /// The disk, for a test that wants to break it.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// Gives the disk back. What was not synced is forgotten, as in a crash of the process.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Runs one operation on the disk, and remembers its failure for ever.
    fn guarded(
        &mut self,
        operation: impl FnOnce(&mut Self) -> Result<(), DiskError>,
    ) -> Result<(), DiskError> {
        self.refuse_if_failed()?;
        let result = operation(self);
        if let Err(error) = &result {
            self.failed = Some(error.clone());
        }
        self.check();
        result
    }

    fn refuse_if_failed(&self) -> Result<(), DiskError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.buffer.resize(self.buffer.len().next_multiple_of(SECTOR_BYTES), 0);
        let number = self.last().number;
        self.disk.write_at(number, self.written, &self.buffer)?;
        self.disk.sync(number)?;
        self.written += self.buffer.len();
        self.buffer.clear();
        self.durable = self.next;
        Ok(())
    }

    /// Leaves the current segment, durable, for one with room for a frame of this length. If the
    /// disk is full, that has not happened, and nothing has failed.
    fn begin_segment(&mut self, payload_bytes: usize) -> Result<(), DiskError> {
        let bytes = self.options.segment_bytes.max(segment::bytes_for(payload_bytes));
        let number = self.last().number.plus(1);
        self.guarded(|journal| {
            journal.flush()?;
            // No spare is large enough, and the number must follow the current one.
            while journal.spares > 0 && bytes > journal.options.segment_bytes {
                journal.disk.remove(journal.last().number.plus(journal.spares))?;
                journal.spares -= 1;
            }
            Ok(())
        })?;
        if self.spares > 0 {
            self.spares -= 1;
        } else {
            self.create(number, bytes)?;
        }
        let header = Header { number, start: self.next, identity: self.identity };
        self.live.push(Live { number, bytes, start: self.next, is_exact: true });
        self.seal = Seal::new(&self.identity, number);
        self.written = 0;
        self.buffer.extend_from_slice(&header.to_sector());
        Ok(())
    }

    /// Makes a file. A full disk leaves everything as it was; any other failure is final.
    fn create(&mut self, number: SegmentNumber, bytes: usize) -> Result<(), DiskError> {
        match self.disk.create(number, bytes) {
            Err(error) if error.kind == DiskErrorKind::Full => Err(error),
            result => self.guarded(|_| result),
        }
    }

    fn retire_first(&mut self) -> Result<(), DiskError> {
        let retired = self.live[0];
        if self.spares < SPARES_MAX && retired.bytes == self.options.segment_bytes {
            // Its frames stay as they are: the new number is part of every checksum.
            let spare = self.last().number.plus(self.spares + 1);
            self.disk.rename(retired.number, spare)?;
            self.spares += 1;
        } else {
            self.disk.remove(retired.number)?;
        }
        self.live.remove(0);
        self.first = self.live[0].start;
        Ok(())
    }

    /// Encodes a frame that fits.
    fn put(&mut self, kind: Kind, payload: &[u8]) -> Sequence {
        let sequence = self.next;
        let offset = self.written + self.buffer.len();
        let facts = (kind, sequence, self.durable);
        frame::encode(&self.seal, offset, facts, payload, &mut self.buffer);
        self.next = sequence.next();
        sequence
    }

    fn last(&self) -> &Live {
        self.live.last().expect("live is never empty")
    }

    /// How many bytes of frames still fit into the last segment, in whole sectors, if so many are
    /// kept free at its end.
    fn rest(&self, kept_free: usize) -> usize {
        let capacity = self.last().bytes / SECTOR_BYTES * SECTOR_BYTES;
        capacity.saturating_sub(kept_free + self.written + self.buffer.len())
    }

    fn check(&self) {
        assert!(self.first <= self.live[0].start);
        assert!(self.durable <= self.next);
        assert!(self.last().start <= self.durable);
        assert!(self.spares <= SPARES_MAX);
        assert!(self.written.is_multiple_of(SECTOR_BYTES) || self.written == self.last().bytes);
        assert!(self.written >= FRAMES_START || !self.buffer.is_empty());
    }
}

impl From<DiskError> for FormatError {
    fn from(error: DiskError) -> FormatError {
        FormatError::Disk(error)
    }
}

impl From<DiskError> for AppendError {
    fn from(error: DiskError) -> AppendError {
        AppendError::Disk(error)
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::NotEmpty { segment } => {
                write!(f, "there is a journal already (segment {segment}); it is not overwritten")
            }
            FormatError::Disk(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AppendError::TooLong { bytes } => {
                write!(f, "a frame of {bytes} bytes exceeds the limit of {FRAME_BYTES_MAX}")
            }
            AppendError::Full(error) | AppendError::Disk(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for FormatError {}
impl core::error::Error for AppendError {}

#[cfg(test)]
mod tests;
