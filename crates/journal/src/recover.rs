//! Reading a journal back after a crash: what is there, and is a bad frame a torn tail or a hole?
//!
//! This file only reads. It does not repair, and it does not know how frames get written, only
//! what the writer promises (`journal.rs`):
//!
//! 1. Each frame names `synced_before`: everything below it was durable when it was written.
//! 2. A segment's header is written only after all earlier segments are durable.
//! 3. Nothing is ever written after the torn frames of an earlier crash in the same segment.
//!
//! So a bad frame at sequence s is a **hole** (bytes that were durable are gone) if a frame exists
//! whose `synced_before` is above s, or a later segment whose header starts above s. Otherwise s
//! belongs to the last batch, which was never acknowledged as far as the disk can tell, and whose
//! sectors a power cut may lose in any order: a **torn tail**, and the journal ends before s.
//!
//! What this cannot tell apart: rot in the very last batch looks like a torn tail, even if that
//! batch was acknowledged, because nothing later vouches for it. Likewise a whole last segment
//! that disappeared with its file. Only other nodes can know more.
//!
//! A segment ends where the next one starts, even if frames beyond that would validate: those are
//! what an earlier recovery has cut.
//!
//! Source: Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage", FAST '18,
//! section 3.3 (crash or corruption); the evidence here is `synced_before` in place of their
//! separate identifiers.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::disk::{Disk, DiskError, FileEntry, SECTOR_BYTES, SegmentNumber};
use crate::frame::{self, Kind, Seal, Sequence};
use crate::segment::{self, FRAMES_START, Header, HeaderRead, Identity, SCRATCH};

/// What opening a journal found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Recovered {
    /// The oldest frame that is kept; `first <= next`.
    pub first: Sequence,
    /// The sequence of the next append.
    pub next: Sequence,
    /// How many frames were replayed: from `first` to `next`, without the journal's own.
    pub frames: u64,
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
    /// Bytes that were durable are gone or changed.
    Damaged {
        /// Where.
        segment: SegmentNumber,
        /// Where in that segment, in bytes.
        offset: usize,
        /// The first sequence that cannot be read. All below it were visited.
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
    /// The segment's header is unreadable although the segment was in use.
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
/// `visit` sees every frame in order, also those before the damage if the answer is an error.
pub fn inspect<D: Disk>(
    disk: &mut D,
    identity: Identity,
    mut visit: impl FnMut(Sequence, &[u8]),
) -> Result<Recovered, OpenError> {
    survey(disk, identity, &mut visit).map(|survey| survey.recovered)
}

/// A live segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Live {
    pub(crate) number: SegmentNumber,
    pub(crate) start: Sequence,
    pub(crate) bytes: usize,
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
    /// Headers of cut frames are left in the last live segment: append nothing after them.
    pub(crate) has_leftovers: bool,
}

pub(crate) fn survey<D: Disk>(
    disk: &mut D,
    identity: Identity,
    visit: &mut dyn FnMut(Sequence, &[u8]),
) -> Result<Survey, OpenError> {
    let files = read_headers(disk, identity)?;
    // Numbers grow without gaps, so only the files after the last header can be spares.
    let live_count = files.iter().rposition(|file| file.start.is_some()).map_or(0, |at| at + 1);
    let mut tail = Tail { next: files[0].start.unwrap_or_default(), ..Tail::default() };
    let first = tail.next;
    let mut live = Vec::new();
    let mut buffer = Vec::new();

    for (at, file) in files.iter().enumerate() {
        let damaged = |tail: &Tail, why| {
            Err(OpenError::Damaged { segment: file.number, offset: 0, sequence: tail.next, why })
        };
        if at > 0 && file.number != files[at - 1].number.plus(1) {
            let segment = files[at - 1].number.plus(1);
            let why = Damage::Missing;
            return Err(OpenError::Damaged { segment, offset: 0, sequence: tail.next, why });
        }
        if at >= live_count.max(1) {
            continue;
        }
        let Some(start) = file.start else {
            return damaged(&tail, Damage::Header);
        };
        if start != tail.next {
            return damaged(&tail, Damage::OutOfOrder);
        }
        let limit = files
            .get(at + 1)
            .filter(|later| later.number == file.number.plus(1))
            .and_then(|later| Some((later.number, later.start?)));
        buffer = read_whole(disk, file, buffer)?;
        let seal = Seal::new(&identity, file.number);
        tail.replay(&seal, &buffer, limit.map(|(_, start)| start), visit);
        if let Some((segment, start)) = limit.filter(|&(_, start)| tail.next < start) {
            let (offset, sequence) = (tail.offset, tail.next);
            let why = Damage::BeforeSegment { segment, start };
            return Err(OpenError::Damaged { segment: file.number, offset, sequence, why });
        }
        live.push(Live { number: file.number, start, bytes: file.bytes });
    }

    if first > tail.cut {
        return Err(OpenError::Damaged {
            segment: files[0].number,
            offset: 0,
            sequence: tail.cut,
            why: Damage::Beheaded { start: first },
        });
    }
    let last = *live.last().expect("a journal without a live segment was refused above");
    let remains = judge_tail(disk, &identity, &files[live_count - 1..], &tail, buffer)?;
    let torn = (remains.frames > 0).then_some(Torn {
        segment: last.number,
        offset: tail.offset,
        sequence: tail.next,
        frames: remains.frames,
        bytes: remains.bytes,
    });
    Ok(Survey {
        recovered: Recovered {
            first,
            next: tail.next,
            frames: tail.frames,
            bytes: tail.bytes,
            torn,
        },
        live,
        blank: files[live_count..].iter().map(|file| file.number).collect(),
        end: tail.offset,
        has_leftovers: remains.in_last,
    })
}

/// Decides whether the frame at the tail is a hole or was torn, by what lies after it.
///
/// `files` are the last live segment, which is in the buffer, and the blank ones above it.
fn judge_tail<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    files: &[File],
    tail: &Tail,
    mut buffer: Vec<u8>,
) -> Result<Remains, OpenError> {
    let last = files[0].number;
    let mut remains = Remains::default();
    for file in files {
        let from = if file.number == last { tail.offset } else { FRAMES_START };
        if file.number != last {
            buffer = read_whole(disk, file, buffer)?;
        }
        let found = search(&Seal::new(identity, file.number), &buffer, from, tail.next);
        if found.synced_before > tail.next {
            return Err(OpenError::Damaged {
                segment: last,
                offset: tail.offset,
                sequence: tail.next,
                why: Damage::BeforeFrame {
                    segment: file.number,
                    synced_before: found.synced_before,
                },
            });
        }
        remains.frames += found.frames;
        remains.bytes += found.bytes;
        remains.in_last |= file.number == last && found.frames > 0;
    }
    Ok(remains)
}

/// Reads frames of one live segment again, from `from` up to `limit`.
pub(crate) fn replay_segment<D: Disk>(
    disk: &mut D,
    identity: &Identity,
    segment: &Live,
    limit: Sequence,
    visit: &mut dyn FnMut(Sequence, &[u8]),
) -> Result<(), OpenError> {
    let file = File { number: segment.number, bytes: segment.bytes, start: Some(segment.start) };
    let buffer = read_whole(disk, &file, Vec::new())?;
    let mut tail = Tail { next: segment.start, ..Tail::default() };
    tail.replay(&Seal::new(identity, segment.number), &buffer, Some(limit), visit);
    if tail.next == limit {
        return Ok(());
    }
    Err(OpenError::Damaged {
        segment: segment.number,
        offset: tail.offset,
        sequence: tail.next,
        why: Damage::BeforeFrame { segment: segment.number, synced_before: limit },
    })
}

/// A file and what its header says. `start` is `None` if it has none of its own.
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
    entries.into_iter().map(|entry| read_header(disk, identity, entry)).collect()
}

fn read_header<D: Disk>(
    disk: &mut D,
    identity: Identity,
    FileEntry { number, bytes }: FileEntry,
) -> Result<File, OpenError> {
    let damaged = |sequence, why| OpenError::Damaged { segment: number, offset: 0, sequence, why };
    if bytes > segment::SEGMENT_BYTES_MAX {
        return Err(damaged(Sequence::default(), Damage::Oversized));
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
        return Err(damaged(header.start, Damage::Misplaced { found: header.number }));
    }
    // A lower number is a recycled file that waits for its new header. The scratch file is never
    // live, whatever it says: alone, it would count as no journal.
    let is_live = header.number == number && number != SCRATCH;
    let start = is_live.then_some(header.start);
    Ok(File { number, bytes, start })
}

fn read_whole<D: Disk>(
    disk: &mut D,
    file: &File,
    mut buffer: Vec<u8>,
) -> Result<Vec<u8>, DiskError> {
    buffer.resize(file.bytes, 0);
    disk.read_at(file.number, 0, &mut buffer)?;
    Ok(buffer)
}

/// How far replay has come.
#[derive(Debug, Default)]
struct Tail {
    next: Sequence,
    /// The highest cut: where the journal may start.
    cut: Sequence,
    frames: u64,
    bytes: u64,
    /// In the segment replayed last: where the frame `next` was expected.
    offset: usize,
}

impl Tail {
    /// Visits frames until one is bad or the next segment's start is reached.
    fn replay(
        &mut self,
        seal: &Seal,
        segment: &[u8],
        limit: Option<Sequence>,
        visit: &mut dyn FnMut(Sequence, &[u8]),
    ) {
        self.offset = FRAMES_START;
        while limit.is_none_or(|limit| self.next < limit) {
            // Within a batch frames touch; the next batch starts at the next sector.
            let places = [self.offset, self.offset.next_multiple_of(FRAMES_START)];
            let frame = places.into_iter().find_map(|offset| {
                Some((offset, frame::frame_at(seal, segment, offset, self.next)?))
            });
            let Some((offset, (kind, payload))) = frame else {
                return;
            };
            match kind {
                Kind::Payload => {
                    visit(self.next, payload);
                    self.frames += 1;
                    self.bytes += payload.len() as u64;
                }
                Kind::Cut => {
                    let cut = frame::cut_of(self.next, payload).unwrap_or_default();
                    self.cut = self.cut.max(cut);
                }
            }
            self.offset = offset + frame::frame_bytes(payload.len());
            self.next = self.next.next();
        }
    }
}

/// What a search for frame headers found.
#[derive(Debug, Default)]
struct Remains {
    frames: u64,
    bytes: u64,
    /// The highest that any of them names.
    synced_before: Sequence,
    /// Some are in the last live segment.
    in_last: bool,
}

/// Looks for headers of frames at or above `from`, anywhere after a bad frame: its length cannot
/// be trusted, so every place where a frame may start is tried.
fn search(seal: &Seal, segment: &[u8], offset: usize, from: Sequence) -> Remains {
    let mut remains = Remains::default();
    let mut offset = offset;
    while offset < segment.len() {
        if let Some(header) = frame::header_at(seal, segment, offset, from) {
            remains.frames += 1;
            remains.bytes += header.frame_bytes() as u64;
            remains.synced_before = remains.synced_before.max(header.synced_before);
        }
        offset += frame::ALIGNMENT;
        // What was never written is zeros, by far the most of a segment.
        let rest = segment.get(offset..).unwrap_or_default();
        if offset.is_multiple_of(SECTOR_BYTES) && rest.starts_with(&ZEROS) {
            offset += SECTOR_BYTES - frame::HEADER_BYTES.next_multiple_of(frame::ALIGNMENT);
        }
    }
    remains
}

const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];
