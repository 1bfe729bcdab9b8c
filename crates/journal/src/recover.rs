//! Reading a journal back after a crash: what is there, and is a bad frame a torn tail or a hole?
//!
//! This file only reads. It does not repair, and it does not know how frames get written, only
//! what the writer promises (`journal.rs`):
//!
//! 1. Each frame names `synced_before`: everything below it was durable when it was written.
//! 2. A segment's header is written only after all earlier segments are durable.
//! 3. Nothing is ever written after the torn frames of an earlier crash in the same segment.
//!
//! So a bad frame at sequence s was **durable** if a frame of its segment names a `synced_before`
//! above s, or a later segment starts above s. Otherwise s belongs to the last batch, which was
//! never acknowledged as far as the disk can tell, and whose sectors a power cut may lose in any
//! order: a **torn tail**, and the journal ends before s.
//!
//! ```text
//!   frames  0 1 2 3 4 5 | 6 7 8 | 9           | 9 was written when all below were durable
//!           . . x x . .   . x .   .             hole 2..4, hole 7..8
//!           . . x x . .   . . .   x             hole 2..4, then torn before 9
//!           . . . . . .   . x x   x  (header)   damaged: nothing follows 7
//! ```
//!
//! What was durable and cannot be read is a **hole**, if a frame of the caller follows it: whoever
//! knows what the caller said later knows a bound on what it said in the hole. If none follows,
//! nothing bounds it, and the journal does not open.
//!
//! Behind a bad frame the next whole one is searched for, in its segment and then in later ones.
//! There it is shown only below what its segment vouches for, or up to where the next segment
//! starts: frames beyond are what an earlier recovery has cut, and others have taken their place.
//! Where the next segment starts, its header says, or the header of its first frame. If neither
//! can be read, the segment before it shows only what it vouches for.
//!
//! Frames of a segment without a sound header are read all the same, for they are sealed with
//! its number. Behind the last header such a segment is told from one whose first write was torn
//! by a frame that vouches for others in it, or for some that no segment before it holds.
//!
//! The journal's beginning is lost if it starts above its highest cut (above 0 if there is none).
//!
//! What this cannot tell apart: rot in the very last batch looks like a torn tail, even if that
//! batch was acknowledged, because nothing later vouches for it. Likewise a whole last segment
//! that disappeared with its file. Only other nodes can know more.
//!
//! Source: Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST '18,
//! section 3.3 (crash or corruption); the evidence here is `synced_before` in place of their
//! separate identifiers.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::disk::{Disk, DiskError, FileEntry, SegmentNumber};
use crate::frame::Sequence;
use crate::scan::{Gap, Segment, Walk};
use crate::segment::{self, FRAMES_START, Header, HeaderRead, Identity, SCRATCH};
use crate::show::Shown;

/// What a reader of the journal is shown, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// What the caller once appended.
    Frame(Sequence, &'a [u8]),
    /// These frames were durable and cannot be read any more. A frame follows: the one at `to`.
    ///
    /// The journal's own frames among them count as lost, too.
    Hole {
        /// The first of them.
        from: Sequence,
        /// The first one after them.
        to: Sequence,
    },
}

impl<'a> Entry<'a> {
    /// The frame, if it is one.
    pub fn frame(self) -> Option<(Sequence, &'a [u8])> {
        match self {
            Entry::Frame(sequence, payload) => Some((sequence, payload)),
            Entry::Hole { .. } => None,
        }
    }
}

/// What opening a journal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recovered {
    /// The oldest frame that is kept, or lies in a hole; `first <= next`.
    pub first: Sequence,
    /// The sequence of the next append.
    pub next: Sequence,
    /// How many frames were replayed: from `first` to `next`, without those in holes and the
    /// journal's own.
    pub frames: u64,
    /// How many lie in holes.
    pub missing: u64,
    /// The sum of their payloads.
    pub bytes: u64,
    /// What was left of an unfinished last batch, if anything of it can be recognised.
    pub torn: Option<Torn>,
}

/// The recognisable remains of a batch that a crash tore: never acknowledged, now cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Torn {
    /// The segment in which the journal now ends.
    pub segment: SegmentNumber,
    /// Where in that segment the first lost frame was expected.
    pub offset: usize,
    /// The sequence of that frame.
    pub sequence: Sequence,
    /// How many headers of lost frames can still be read.
    pub frames: u64,
    /// The size of the frames that those headers describe.
    pub bytes: u64,
}

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OpenError {
    /// No journal was ever formatted here. A node that finds this must not take part: it may have
    /// promised things that it no longer knows.
    Empty,
    /// The directory belongs to another cluster, node or disk.
    Foreign {
        /// What its segments say.
        found: Identity,
        /// What the caller asked for.
        expected: Identity,
    },
    /// Bytes that were durable are gone or changed, and no later frame can be read.
    Damaged {
        /// Where.
        segment: SegmentNumber,
        /// Where in that segment, in bytes.
        offset: usize,
        /// The first sequence that cannot be read, and after which none can.
        sequence: Sequence,
        /// How it is known that this is damage and not a torn tail.
        why: Damage,
    },
    /// Written by a release with another format.
    Version {
        /// Where.
        segment: SegmentNumber,
        /// The version that its header names.
        found: u16,
    },
    /// The disk refused.
    Disk(DiskError),
}

/// How it is known that a journal is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    /// A frame is unreadable that a later frame says was durable.
    BeforeFrame {
        /// Where the later frame lies.
        segment: SegmentNumber,
        /// What it says: all frames below this were durable.
        synced_before: Sequence,
    },
    /// A frame is unreadable although a later segment starts above it.
    BeforeSegment {
        /// The later segment.
        segment: SegmentNumber,
        /// Where it starts.
        start: Sequence,
    },
    /// The segment's header is unreadable although the segment was in use, and so are frames.
    Header,
    /// The segment's file is missing between others.
    Missing,
    /// The file holds a segment of a higher number: someone renamed or copied it.
    Misplaced {
        /// The number in its header.
        found: SegmentNumber,
    },
    /// The file is larger than any segment.
    Oversized,
    /// The segment starts below the one before it.
    OutOfOrder,
    /// The journal starts here, above everything that was ever cut from it.
    Beheaded {
        /// Where it starts.
        start: Sequence,
    },
}

impl From<DiskError> for OpenError {
    fn from(error: DiskError) -> OpenError {
        OpenError::Disk(error)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Empty => f.write_str("no journal here: it was never formatted, or is lost"),
            OpenError::Foreign { found, expected } => {
                write!(f, "journal of another owner: found {found}, expected {expected}")
            }
            OpenError::Damaged { segment, offset, sequence, why } => write!(
                f,
                "journal damaged in segment {segment} at byte {offset}: \
                 frame {sequence} cannot be read, and {why}"
            ),
            OpenError::Version { segment, found } => write!(
                f,
                "segment {segment} has format version {found}; this release reads version {}",
                segment::FORMAT_VERSION
            ),
            OpenError::Disk(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::BeforeFrame { segment, synced_before } => write!(
                f,
                "a later frame in segment {segment} proves that all below {synced_before} \
                 were durable"
            ),
            Damage::BeforeSegment { segment, start } => {
                write!(f, "the later segment {segment} starts at {start}")
            }
            Damage::Header => f.write_str("the header of this segment, once in use, is unreadable"),
            Damage::Missing => f.write_str("the file of this segment is missing"),
            Damage::Misplaced { found } => write!(f, "the file holds segment {found}"),
            Damage::Oversized => f.write_str("the file is larger than any segment"),
            Damage::OutOfOrder => f.write_str("the segment starts below its predecessor"),
            Damage::Beheaded { start } => {
                write!(f, "the journal starts at {start}, which nobody has cut")
            }
        }
    }
}

impl core::error::Error for OpenError {}

/// Reads a journal without changing anything, as [`crate::Journal::open`] would.
///
/// `visit` sees every entry in order, also those before the damage if the answer is an error.
pub fn inspect<D: Disk>(
    disk: &mut D,
    identity: Identity,
    mut visit: impl FnMut(Entry<'_>),
) -> Result<Recovered, OpenError> {
    let mut visit = |shown: Shown<'_>| shown.entry().map_or((), &mut visit);
    survey(disk, identity, &mut visit).map(|survey| survey.recovered)
}

/// A live segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) number: SegmentNumber,
    pub(crate) bytes: usize,
    /// Where it starts, or the first frame in it that can be read.
    pub(crate) start: Sequence,
    /// It is known that it starts there.
    pub(crate) is_exact: bool,
}

/// Everything that recovery learns.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) recovered: Recovered,
    /// Never empty, in order.
    pub(crate) live: Vec<Live>,
    /// Files above the last live segment, in order.
    pub(crate) blank: Vec<SegmentNumber>,
    /// Where the last frame of the last live segment ends.
    pub(crate) end: usize,
    /// Headers of cut frames are left in the last live segment, or its own is unreadable: append
    /// nothing to it.
    pub(crate) is_closed: bool,
}

pub(crate) fn survey<D: Disk>(
    disk: &mut D,
    identity: Identity,
    visit: &mut dyn FnMut(Shown<'_>),
) -> Result<Survey, OpenError> {
    let mut files = read_headers(disk, identity)?;
    let live_count = count_live(disk, &identity, &files)?;
    let has_header = live_count > 0 && files[live_count - 1].start.is_some();
    let (live, blank) = files.split_at_mut(live_count);
    for file in live.iter_mut().filter(|file| file.start.is_none()) {
        file.start = load(disk, &identity, file, Vec::new())?.start();
    }
    let Some(start) = first_known(disk, &identity, live)? else {
        return Err(damaged(files[0].number, Sequence::default(), Damage::Header));
    };
    let first = start.min(highest_cut(disk, &identity, live, start)?);
    let mut walk = Walk::new(first, visit);
    let live = read(disk, &identity, live, None, &mut walk)?;
    walk.finish()?;
    // Said by a torn frame, a cut was never made.
    if walk.cut < first {
        return Err(damaged(live[0].number, first, Damage::Beheaded { start: first }));
    }
    let last = *live.last().expect("one of them was known to start somewhere");
    // A last segment that has lost its header, and nothing else to show, may have held anything.
    if !has_header && walk.frames == 0 {
        return Err(damaged(last.number, walk.next, Damage::Header));
    }
    let mut number = last.number;
    for file in &*blank {
        number = number.plus(1);
        if file.number != number {
            return Err(damaged(number, walk.next, Damage::Missing));
        }
    }
    let mut torn = Torn {
        segment: last.number,
        offset: walk.offset,
        sequence: walk.next,
        frames: 0,
        bytes: 0,
    };
    let mut has_leftovers = false;
    for file in &files[live_count - 1..] {
        let segment = load(disk, &identity, file, Vec::new())?;
        let from = if file.number == last.number { walk.offset } else { FRAMES_START };
        for (_, header) in segment.headers(from) {
            if header.sequence >= walk.next {
                torn.frames += 1;
                torn.bytes += header.frame_bytes() as u64;
                has_leftovers |= file.number == last.number;
            }
        }
    }
    Ok(Survey {
        recovered: Recovered {
            first,
            next: walk.next,
            frames: walk.frames,
            missing: walk.missing,
            bytes: walk.bytes,
            torn: (torn.frames > 0).then_some(torn),
        },
        live,
        blank: files[live_count..].iter().map(|file| file.number).collect(),
        end: walk.offset,
        is_closed: has_leftovers || !has_header,
    })
}

/// Reads durable frames of live segments again: of the first from where it starts, or from `first`
/// if that is lower, and of the last up to `end`.
pub(crate) fn replay<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    live: &[Live],
    first: Sequence,
    end: Sequence,
    visit: &mut dyn FnMut(Entry<'_>),
) -> Result<(), OpenError> {
    let file = |live: &Live| File {
        number: live.number,
        bytes: live.bytes,
        start: live.is_exact.then_some(live.start),
    };
    let files: Vec<File> = live.iter().map(file).collect();
    let mut visit = |shown: Shown<'_>| shown.entry().map_or((), &mut *visit);
    let mut walk = Walk::new(first, &mut visit);
    read(disk, identity, &files, Some(end), &mut walk)?;
    walk.finish()
}

/// How many files are live: all up to the last that has a header of its own, or that vouches for
/// frames of its own or for some that are in none of those. A file whose first write was torn does
/// neither.
fn count_live<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    files: &[File],
) -> Result<usize, OpenError> {
    let headed = files.iter().rposition(|file| file.start.is_some()).map_or(0, |at| at + 1);
    let mut count = headed;
    let mut reached = None::<Sequence>;
    let mut buffer = Vec::new();
    for at in headed..files.len() {
        let segment = load(disk, identity, &files[at], buffer)?;
        let (start, vouched) = (segment.start(), segment.vouched());
        buffer = segment.into_bytes();
        if vouched == Sequence::default() {
            continue;
        }
        if start.is_some_and(|start| vouched > start) {
            count = at + 1;
            continue;
        }
        if reached.is_none() {
            let ignore = &mut |_: Shown<'_>| {};
            let mut walk = Walk::new(Sequence::default(), ignore);
            read(disk, identity, &files[headed.saturating_sub(1)..headed], None, &mut walk)?;
            reached = Some(walk.next);
        }
        if Some(vouched) > reached {
            count = at + 1;
        }
    }
    Ok(count)
}

/// The lowest sequence of which it is known where it lies.
fn first_known<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    live: &[File],
) -> Result<Option<Sequence>, OpenError> {
    for file in live {
        let mut known = file.start;
        if known.is_none() {
            let segment = load(disk, identity, file, Vec::new())?;
            known = segment.headers(FRAMES_START).next().map(|(_, header)| header.sequence);
        }
        if known.is_some() {
            return Ok(known);
        }
    }
    Ok(None)
}

/// The highest cut, or one that allows the journal to start there. The newest ones are at the end.
fn highest_cut<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    live: &[File],
    start: Sequence,
) -> Result<Sequence, OpenError> {
    let mut highest = Sequence::default();
    for at in (0..live.len()).rev() {
        if highest >= start {
            break;
        }
        let file = &live[at];
        let segment = load(disk, identity, file, Vec::new())?;
        let end = live.get(at + 1).map(|later| end_of(file, later, &segment).0);
        let ignore = &mut |_: Shown<'_>| {};
        let mut walk = Walk::new(file.start.unwrap_or_default(), ignore);
        walk.read(&segment, file.start, end, Damage::Header);
        highest = highest.max(walk.cut);
    }
    Ok(highest)
}

/// Shows what is in these segments, in order. The last one ends at `end`, or where it must.
fn read<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    files: &[File],
    end: Option<Sequence>,
    walk: &mut Walk<'_>,
) -> Result<Vec<Live>, OpenError> {
    let mut live = Vec::new();
    let mut buffer = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let File { number, bytes, start } = *file;
        if let Some(start) = start {
            let lowest = live.last().map_or(walk.next, |last: &Live| last.start.max(walk.next));
            if start < lowest {
                return Err(damaged(number, lowest, Damage::OutOfOrder));
            }
            if start > walk.next {
                let (segment, why) = match at.checked_sub(1).map(|before| &files[before]) {
                    None => (number, Damage::Beheaded { start }),
                    Some(before) => (before.number.plus(1), Damage::Missing),
                };
                walk.lose(Gap { segment, offset: 0, why });
            }
        }
        let segment = load(disk, identity, file, buffer)?;
        let (end, why) = match files.get(at + 1) {
            Some(later) => {
                let (end, why) = end_of(file, later, &segment);
                (Some(end), why)
            }
            None => (end, Damage::Header),
        };
        let found = walk.read(&segment, start, end, why);
        live.push(Live {
            number,
            bytes,
            start: start.or(found).unwrap_or(walk.next),
            is_exact: start.is_some(),
        });
        buffer = segment.into_bytes();
    }
    Ok(live)
}

/// Where the frames of a segment end that is not the last one, and how that is known.
fn end_of(file: &File, later: &File, segment: &Segment) -> (Sequence, Damage) {
    let follows = later.number == file.number.plus(1);
    if let Some(start) = later.start.filter(|_| follows) {
        return (start, Damage::BeforeSegment { segment: later.number, start });
    }
    let synced_before = segment.vouched();
    (synced_before, Damage::BeforeFrame { segment: file.number, synced_before })
}

/// A file, and where the segment in it starts. `start` is `None` if it has no header of its own.
#[derive(Clone, Copy, Debug)]
struct File {
    number: SegmentNumber,
    bytes: usize,
    start: Option<Sequence>,
}

/// All files by number; at least one.
fn read_headers<D: Disk>(disk: &mut D, identity: Identity) -> Result<Vec<File>, OpenError> {
    let mut entries = disk.list()?;
    entries.sort_unstable_by_key(|entry| entry.number);
    // A lone scratch file is a format that a crash interrupted: nothing was ever promised here.
    if entries.iter().all(|entry| entry.number == SCRATCH) {
        return Err(OpenError::Empty);
    }
    let files: Result<Vec<File>, OpenError> =
        entries.into_iter().map(|entry| read_header(disk, identity, entry)).collect();
    let files = files?;
    if files[0].number == SCRATCH {
        return Err(damaged(SCRATCH, Sequence::default(), Damage::Header));
    }
    Ok(files)
}

fn read_header<D: Disk>(
    disk: &mut D,
    identity: Identity,
    FileEntry { number, bytes }: FileEntry,
) -> Result<File, OpenError> {
    if bytes > segment::SEGMENT_BYTES_MAX {
        return Err(damaged(number, Sequence::default(), Damage::Oversized));
    }
    let mut sector = vec![0; bytes.min(FRAMES_START)];
    disk.read_at(number, 0, &mut sector)?;
    let header = match Header::read(&sector) {
        HeaderRead::Whole(header) => header,
        HeaderRead::OtherVersion(found) => {
            return Err(OpenError::Version { segment: number, found });
        }
        HeaderRead::Unreadable => return Ok(File { number, bytes, start: None }),
    };
    if header.identity != identity {
        return Err(OpenError::Foreign { found: header.identity, expected: identity });
    }
    if header.number > number {
        let why = Damage::Misplaced { found: header.number };
        return Err(damaged(number, header.start, why));
    }
    // A lower number is a recycled file that waits for its new header. The scratch file is never
    // live, whatever it says: alone, it would count as no journal.
    let is_live = header.number == number && number != SCRATCH;
    let start = is_live.then_some(header.start);
    Ok(File { number, bytes, start })
}

fn load<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    file: &File,
    mut buffer: Vec<u8>,
) -> Result<Segment, DiskError> {
    buffer.resize(file.bytes, 0);
    disk.read_at(file.number, 0, &mut buffer)?;
    Ok(Segment::new(identity, file.number, buffer))
}

fn damaged(segment: SegmentNumber, sequence: Sequence, why: Damage) -> OpenError {
    OpenError::Damaged { segment, offset: 0, sequence, why }
}
