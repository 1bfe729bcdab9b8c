//! Reading frames: one after another through a segment, and on behind a bad one.
//!
//! This file finds frames. Where a segment's frames end, and what a bad one means for the journal,
//! `recover.rs` says.

use alloc::vec::Vec;

use crate::disk::{SECTOR_BYTES, SegmentNumber};
use crate::frame::{self, Header, Kind, Seal, Sequence};
use crate::recover::{Damage, Entry, OpenError};
use crate::segment::{FRAMES_START, Identity};
use crate::show::{Place, Shown};

/// A segment in memory, as a whole.
#[derive(Debug)]
pub(crate) struct Segment {
    number: SegmentNumber,
    seal: Seal,
    bytes: Vec<u8>,
}

impl Segment {
    pub(crate) fn new(identity: &Identity, number: SegmentNumber, bytes: Vec<u8>) -> Segment {
        Segment { number, seal: Seal::new(identity, number), bytes }
    }

    /// For the next segment.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Headers of frames from an offset on, each with its own. Behind a bad frame every place where
    /// one may start is tried; inside a frame whose header is sound none is, for its length is
    /// true, and its payload may hold anything.
    pub(crate) fn headers(&self, offset: usize) -> impl Iterator<Item = (usize, Header)> {
        let mut next = offset;
        core::iter::from_fn(move || {
            while next < self.bytes.len() {
                let offset = next;
                let header = self.header_at(offset);
                next += header.map_or(frame::ALIGNMENT, |header| header.frame_bytes());
                // What was never written is zeros, by far the most of a segment.
                let rest = self.bytes.get(next..).unwrap_or_default();
                if next.is_multiple_of(SECTOR_BYTES) && rest.starts_with(&ZEROS) {
                    next += SECTOR_BYTES - frame::HEADER_BYTES.next_multiple_of(frame::ALIGNMENT);
                }
                if let Some(header) = header {
                    return Some((offset, header));
                }
            }
            None
        })
    }

    /// Every frame below this was durable when some frame of this segment was written.
    pub(crate) fn vouched(&self) -> Sequence {
        let headers = self.headers(FRAMES_START);
        headers.map(|(_, header)| header.synced_before).max().unwrap_or_default()
    }

    /// The sequence of the segment's first frame, if its header can be read: where it starts.
    pub(crate) fn start(&self) -> Option<Sequence> {
        self.header_at(FRAMES_START).map(|header| header.sequence)
    }

    fn header_at(&self, offset: usize) -> Option<Header> {
        frame::header_at(&self.seal, &self.bytes, offset, Sequence::default())
    }

    pub(crate) fn payload_of(&self, offset: usize, header: &Header) -> Option<&[u8]> {
        frame::payload_of(header, &self.seal, &self.bytes, offset)
    }

    fn frame_at(&self, offset: usize, sequence: Sequence) -> Option<(Kind, &[u8])> {
        frame::frame_at(&self.seal, &self.bytes, offset, sequence)
    }

    /// Where the first whole frame is that lies behind `offset` and in `from..end`.
    fn whole_after(
        &self,
        offset: usize,
        from: Sequence,
        end: Sequence,
    ) -> Option<(usize, Sequence)> {
        self.headers(offset)
            .filter(|(_, header)| from <= header.sequence && header.sequence < end)
            .find(|(offset, header)| self.payload_of(*offset, header).is_some())
            .map(|(offset, header)| (offset, header.sequence))
    }
}

const ZEROS: [u8; SECTOR_BYTES] = [0; SECTOR_BYTES];

/// Frames that are lost, and that no frame of the caller has followed yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gap {
    pub(crate) segment: SegmentNumber,
    pub(crate) offset: usize,
    pub(crate) why: Damage,
}

/// A reader's way through the segments, in order.
pub(crate) struct Walk<'v> {
    /// Every frame below was shown, lies in a hole or in the gap, or is the journal's own.
    pub(crate) next: Sequence,
    /// In the segment read last: where the next frame was expected.
    pub(crate) offset: usize,
    /// The highest cut: where the journal may start.
    pub(crate) cut: Sequence,
    /// How many frames were shown.
    pub(crate) frames: u64,
    /// The sum of their payloads.
    pub(crate) bytes: u64,
    /// How many lie in holes.
    pub(crate) missing: u64,
    /// Where the gap starts, and why it is one.
    gap: Option<(Sequence, Gap)>,
    visit: &'v mut dyn FnMut(Shown<'_>),
}

impl<'v> Walk<'v> {
    pub(crate) fn new(next: Sequence, visit: &'v mut dyn FnMut(Shown<'_>)) -> Walk<'v> {
        let (cut, offset) = (Sequence::default(), FRAMES_START);
        Walk { next, offset, cut, frames: 0, bytes: 0, missing: 0, gap: None, visit }
    }

    /// Visits a segment's frames, from `start` if it is known. `end` is where they end. Without
    /// one, they end at the first bad frame that nothing in this segment vouches for.
    ///
    /// Returns the first sequence that was found. `why` says how it is known that what is bad below
    /// `end` was durable.
    pub(crate) fn read(
        &mut self,
        segment: &Segment,
        start: Option<Sequence>,
        end: Option<Sequence>,
        why: Damage,
    ) -> Option<Sequence> {
        let mut first = None;
        let mut expected = start.unwrap_or_default().max(self.next);
        let mut vouched = None;
        self.offset = FRAMES_START;
        while end.is_none_or(|end| expected < end) {
            // Within a batch frames touch; the next batch starts at the next sector.
            let places = [self.offset, self.offset.next_multiple_of(FRAMES_START)];
            let frame = places
                .into_iter()
                .find_map(|offset| Some((offset, segment.frame_at(offset, expected)?)));
            if let Some((offset, (kind, payload))) = frame {
                first = first.or(Some(expected));
                self.take(Place { segment: segment.number, offset }, expected, kind, payload);
                self.offset = offset + frame::frame_bytes(payload.len());
                expected = self.next;
                continue;
            }
            let (why, below) = if let Some(end) = end {
                (why, end)
            } else {
                let synced_before = *vouched.get_or_insert_with(|| segment.vouched());
                if expected >= synced_before {
                    return first;
                }
                // The batch that vouches starts there: behind a gap as good as any.
                let why = Damage::BeforeFrame { segment: segment.number, synced_before };
                (why, synced_before.next())
            };
            let found = segment.whole_after(self.offset, expected, below);
            if found.is_none_or(|(_, sequence)| sequence > expected) {
                self.lose(Gap { segment: segment.number, offset: self.offset, why });
            }
            let Some((offset, sequence)) = found else {
                return first;
            };
            (self.offset, expected) = (offset, sequence);
        }
        first
    }

    /// Frames from the next one on are lost.
    pub(crate) fn lose(&mut self, gap: Gap) {
        self.gap.get_or_insert((self.next, gap));
    }

    /// A gap that nothing follows is no hole: nobody knows what was in it.
    pub(crate) fn finish(&self) -> Result<(), OpenError> {
        let Some((sequence, Gap { segment, offset, why })) = self.gap else {
            return Ok(());
        };
        Err(OpenError::Damaged { segment, offset, sequence, why })
    }

    fn take(&mut self, at: Place, sequence: Sequence, kind: Kind, payload: &[u8]) {
        assert!(sequence == self.next || self.gap.is_some());
        match kind {
            Kind::Payload => {
                // What was thought to be lost may turn up in a later segment.
                if let Some((from, gap)) = self.gap.take().filter(|(from, _)| *from < sequence) {
                    self.missing += sequence.0 - from.0;
                    let Gap { segment, offset, why } = gap;
                    let at = Place { segment, offset };
                    (self.visit)(Shown::Entry(at, Entry::Hole { from, to: sequence }, Some(why)));
                }
                (self.visit)(Shown::Entry(at, Entry::Frame(sequence, payload), None));
                self.frames += 1;
                self.bytes += payload.len() as u64;
            }
            Kind::Cut => {
                let cut = frame::cut_of(sequence, payload).unwrap_or_default();
                self.cut = self.cut.max(cut);
                (self.visit)(Shown::Cut(at, sequence, cut));
            }
        }
        self.next = sequence.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
    const NUMBER: SegmentNumber = SegmentNumber(1);

    /// A segment with these frames in one row, all of the first batch.
    fn segment(payloads: &[&[u8]]) -> Segment {
        let mut bytes = vec![0; FRAMES_START];
        for (sequence, payload) in (0u64..).zip(payloads) {
            let facts = (Kind::Payload, Sequence(sequence), Sequence::default());
            let seal = Seal::new(&IDENTITY, NUMBER);
            let offset = bytes.len();
            frame::encode(&seal, offset, facts, payload, &mut bytes);
        }
        Segment::new(&IDENTITY, NUMBER, bytes)
    }

    fn story(segment: &Segment, end: u64) -> (Vec<Vec<u8>>, Result<(), OpenError>) {
        let mut shown = Vec::new();
        let visit = &mut |found: Shown<'_>| match found {
            Shown::Entry(_, Entry::Frame(_, payload), _) => shown.push(payload.to_vec()),
            Shown::Entry(_, Entry::Hole { .. }, _) => shown.push(b"hole".to_vec()),
            Shown::Cut(..) => {}
        };
        let mut walk = Walk::new(Sequence::default(), visit);
        walk.read(segment, Some(Sequence::default()), Some(Sequence(end)), Damage::Header);
        let finished = walk.finish();
        (shown, finished)
    }

    #[test]
    fn no_frame_is_looked_for_inside_another() {
        // A client knows whose journal it writes to, and guesses where its value will lie.
        let mut forged = vec![0; 12];
        let (seal, offset) = (Seal::new(&IDENTITY, NUMBER), FRAMES_START + 32 + 28 + 12);
        let facts = (Kind::Payload, Sequence(1), Sequence::default());
        frame::encode(&seal, offset, facts, b"forged", &mut forged);
        let mut segment = segment(&[b"one", &forged, b"three"]);
        assert_eq!(segment.header_at(offset).map(|header| header.sequence), Some(Sequence(1)));
        segment.bytes[offset - 8] ^= 1;
        let three = [b"one".to_vec(), b"hole".to_vec(), b"three".to_vec()];
        assert_eq!(story(&segment, 3), (three.to_vec(), Ok(())));
    }

    #[test]
    fn a_gap_at_the_end_is_damage() {
        let mut segment = segment(&[b"one", b"two", b"three"]);
        let place = segment.bytes.len() - 8;
        segment.bytes[place] ^= 1;
        let (shown, finished) = story(&segment, 3);
        assert_eq!(shown, [b"one", b"two"]);
        assert!(matches!(finished, Err(OpenError::Damaged { sequence: Sequence(2), .. })));
    }
}
