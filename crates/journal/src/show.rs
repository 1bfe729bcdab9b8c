//! A journal laid open for a person: which frame lies where, what each file is, whose it all is.
//! Only reads. What recovery shows is shown here by the same code, with its places.

use alloc::vec;
use alloc::vec::Vec;

use crate::disk::{Disk, DiskError, FileEntry, SegmentNumber};
use crate::frame::Sequence;
use crate::recover::{Damage, Entry, OpenError, Recovered, survey};
use crate::scan::Segment;
use crate::segment::{FRAMES_START, Header, HeaderRead, Identity, SCRATCH, SEGMENT_BYTES_MAX};

/// Where in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The file.
    pub segment: SegmentNumber,
    /// In bytes, from its beginning.
    pub offset: usize,
}

/// What is found on the way through a journal, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// What a reader of the journal is shown, and where it lies: a hole where its first frame was
    /// expected, and how it is known to be one.
    Entry(Place, Entry<'a>, Option<Damage>),
    /// The journal's own word: it may start at the second sequence. The first is this frame's.
    Cut(Place, Sequence, Sequence),
}

impl<'a> Shown<'a> {
    /// The entry, if it is one.
    pub fn entry(self) -> Option<Entry<'a>> {
        match self {
            Shown::Entry(_, entry, _) => Some(entry),
            Shown::Cut(..) => None,
        }
    }
}

/// One file of a journal's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name.
    pub number: SegmentNumber,
    /// Its size.
    pub bytes: usize,
    /// What its first sector says.
    pub kind: FileKind,
    /// Frames whose headers are sound and are this file's own, torn ones included.
    pub frames: u64,
    /// How many of those have a payload that is not what was written, and where the first lies.
    pub unsound: u64,
    /// The first of them.
    pub first_unsound: Option<Place>,
}

/// What a file's first sector says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A segment that starts at this sequence.
    Live(Sequence),
    /// Zeros, or the header of a former life: a file that waits to be used.
    Spare,
    /// What an unfinished format has left.
    Scratch,
    /// Neither a header nor zeros.
    Unreadable,
    /// Of another release's format.
    Version(u16),
    /// The segment of a higher number, renamed or copied.
    Misplaced(SegmentNumber),
    /// Of another cluster, node or disk.
    Foreign(Identity),
    /// Larger than any segment. It was not read further.
    Oversized,
}

/// Reads a journal as [`crate::inspect`] does, and says where everything lies.
pub fn show<D: Disk>(
    disk: &mut D,
    identity: Identity,
    mut visit: impl FnMut(Shown<'_>),
) -> Result<Recovered, OpenError> {
    survey(disk, identity, &mut visit).map(|survey| survey.recovered)
}

/// Whose journal this is: what the first sound header says. None if there is none.
pub fn owner<D: Disk>(disk: &mut D) -> Result<Option<Identity>, DiskError> {
    for FileEntry { number, bytes } in sorted(disk)? {
        let mut sector = vec![0; bytes.min(FRAMES_START)];
        disk.read_at(number, 0, &mut sector)?;
        if let HeaderRead::Whole(header) = Header::read(&sector) {
            return Ok(Some(header.identity));
        }
    }
    Ok(None)
}

/// Every file of the journal's directory by itself, in order, whatever the others hold.
pub fn files<D: Disk>(disk: &mut D, identity: Identity) -> Result<Vec<File>, DiskError> {
    sorted(disk)?.into_iter().map(|entry| file(disk, identity, entry)).collect()
}

fn sorted<D: Disk>(disk: &mut D) -> Result<Vec<FileEntry>, DiskError> {
    let mut entries = disk.list()?;
    entries.sort_unstable_by_key(|entry| entry.number);
    Ok(entries)
}

fn file<D: Disk>(
    disk: &mut D,
    identity: Identity,
    FileEntry { number, bytes }: FileEntry,
) -> Result<File, DiskError> {
    let (frames, unsound, first_unsound) = (0, 0, None);
    let mut file = File { number, bytes, kind: FileKind::Spare, frames, unsound, first_unsound };
    if bytes > SEGMENT_BYTES_MAX {
        file.kind = FileKind::Oversized;
        return Ok(file);
    }
    let mut content = vec![0; bytes];
    disk.read_at(number, 0, &mut content)?;
    file.kind = match Header::read(&content) {
        _ if number == SCRATCH => FileKind::Scratch,
        HeaderRead::Whole(header) if header.identity != identity => {
            FileKind::Foreign(header.identity)
        }
        HeaderRead::Whole(header) if header.number > number => FileKind::Misplaced(header.number),
        HeaderRead::Whole(header) if header.number < number => FileKind::Spare,
        HeaderRead::Whole(header) => FileKind::Live(header.start),
        HeaderRead::OtherVersion(found) => FileKind::Version(found),
        HeaderRead::Unreadable if content.iter().take(FRAMES_START).all(|byte| *byte == 0) => {
            FileKind::Spare
        }
        HeaderRead::Unreadable => FileKind::Unreadable,
    };
    let segment = Segment::new(&identity, number, content);
    for (offset, header) in segment.headers(FRAMES_START) {
        file.frames += 1;
        if segment.payload_of(offset, &header).is_none() {
            file.unsound += 1;
            file.first_unsound.get_or_insert(Place { segment: number, offset });
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faulty::FaultyDisk;
    use crate::journal::{Journal, Options};
    use alloc::vec::Vec;

    const IDENTITY: Identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };

    /// Two batches of two frames each.
    fn disk() -> FaultyDisk {
        let mut disk = FaultyDisk::new(1);
        Journal::format(&mut disk, IDENTITY).unwrap();
        let (mut journal, _) = Journal::open(disk, IDENTITY, Options::default(), |_| {}).unwrap();
        for batch in [[b"one", b"two"], [b"thr", b"fou"]] {
            for frame in batch {
                journal.append(frame).unwrap();
            }
            journal.sync().unwrap();
        }
        journal.into_disk()
    }

    fn flipped(offset: usize) -> FaultyDisk {
        let mut disk = disk();
        let mut byte = [0];
        disk.read_at(SegmentNumber(1), offset, &mut byte).unwrap();
        disk.write_at(SegmentNumber(1), offset, &[byte[0] ^ 1]).unwrap();
        disk
    }

    fn shown(mut disk: FaultyDisk) -> Vec<(usize, u64, Option<Damage>)> {
        let mut shown = Vec::new();
        show(&mut disk, IDENTITY, |found| match found {
            Shown::Entry(at, Entry::Frame(sequence, _), why) => {
                shown.push((at.offset, sequence.0, why));
            }
            Shown::Entry(at, Entry::Hole { from, .. }, why) => shown.push((at.offset, from.0, why)),
            Shown::Cut(..) => {}
        })
        .unwrap();
        shown
    }

    #[test]
    fn every_frame_has_its_place() {
        let places = [(4096, 0, None), (4128, 1, None), (8192, 2, None), (8224, 3, None)];
        assert_eq!(shown(disk()), places);
        assert_eq!(owner(&mut disk()), Ok(Some(IDENTITY)));
    }

    #[test]
    fn a_hole_is_shown_where_it_begins_with_its_evidence() {
        let found = shown(flipped(4096 + 28));
        let why =
            Some(Damage::BeforeFrame { segment: SegmentNumber(1), synced_before: Sequence(2) });
        assert_eq!(found[0], (4096, 0, why));
        assert_eq!(found[1].1, 1);
        let files = files(&mut flipped(4096 + 28), IDENTITY).unwrap();
        let place = Place { segment: SegmentNumber(1), offset: 4096 };
        assert_eq!((files[0].frames, files[0].unsound), (4, 1));
        assert_eq!(files[0].first_unsound, Some(place));
    }

    #[test]
    fn each_file_is_known_for_what_it_is() {
        let kinds = |mut disk: FaultyDisk, identity| {
            let files = files(&mut disk, identity).unwrap();
            files.iter().map(|file| file.kind).collect::<Vec<_>>()
        };
        assert_eq!(kinds(disk(), IDENTITY)[0], FileKind::Live(Sequence(0)));
        let other = Identity { node: 9, ..IDENTITY };
        assert_eq!(kinds(disk(), other)[0], FileKind::Foreign(IDENTITY));
        assert_eq!(kinds(flipped(20), IDENTITY)[0], FileKind::Unreadable);
        let mut renamed = disk();
        renamed.rename(SegmentNumber(1), SegmentNumber(2)).unwrap();
        assert_eq!(kinds(renamed, IDENTITY)[0], FileKind::Spare, "of its former life");
        assert_eq!(owner(&mut flipped(20)), Ok(None));
    }
}
