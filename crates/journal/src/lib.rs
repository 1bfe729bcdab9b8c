//! A durable sequence of frames on a [`Disk`].
//!
//! The journal keeps opaque frames of bytes in the order in which they were appended. It knows
//! nothing of what they mean: not ballots, not slots, not records.
//!
//! # The contract
//!
//! - [`Journal::format`] makes a journal once; [`Journal::open`] replays all its frames, in order.
//! - [`Journal::append`] gives a frame its [`Sequence`] and keeps it in memory.
//!   [`Journal::sync`] makes all appended frames durable: one write, one sync. What it has
//!   acknowledged is replayed by every later `open`, or lies in a [`Entry::Hole`] that it shows, or
//!   `open` says [`OpenError::Damaged`]. A frame follows every hole.
//! - Frames that were appended and not acknowledged when a crash came may be replayed or not; those
//!   that are form a prefix, and stay. Nothing else is ever replayed: no foreign, stale or changed
//!   bytes, up to the 32 bits of the checksums.
//! - [`Journal::cut`] forgets old frames, in whole segments.
//! - A disk that is full harms nothing: [`AppendError::Full`] says that nothing was appended, and
//!   the same may be tried again.
//! - After any other failed write, sync or change of names the journal refuses everything. Nothing
//!   is retried.
//!
//! # What it cannot know
//!
//! Rot in the very last batch is taken for a torn write and cut, although it may have been
//! acknowledged: no later frame vouches for it. So is a last segment whose file vanished, and a
//! disk that lies about `sync`. The write of one sector must not harm other sectors.
//!
//! # Example
//!
//! ```
//! use journal::{Entry, FaultyDisk, Identity, Journal, Options, Sequence};
//!
//! let identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
//! let mut disk = FaultyDisk::new(42);
//! Journal::format(&mut disk, identity)?;
//!
//! let (mut journal, _) = Journal::open(disk, identity, Options::default(), |_| {})?;
//! journal.append(b"promised")?;
//! assert_eq!(journal.sync()?, Sequence(1));
//! journal.append(b"never synced")?;
//!
//! // The power fails.
//! let mut disk = journal.into_disk();
//! disk.crash();
//!
//! let mut seen = Vec::new();
//! let (journal, recovered) =
//!     Journal::open(disk, identity, Options::default(), |entry| match entry {
//!         Entry::Frame(_, frame) => seen.push(frame.to_vec()),
//!         Entry::Hole { from, to } => panic!("frames {from} to {to} are lost"),
//!     })?;
//! assert_eq!(seen, [b"promised"]);
//! assert_eq!(recovered.frames, 1);
//! assert_eq!(journal.next(), Sequence(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod journal;

mod disk;
mod faulty;
mod frame;
mod recover;
mod scan;
mod segment;
mod show;
mod snapshots;

pub use disk::{Disk, DiskError, DiskErrorKind, FileEntry, SECTOR_BYTES, SegmentNumber};
pub use faulty::{Fault, FaultyDisk};
pub use frame::{FRAME_BYTES_MAX, Sequence};
pub use journal::{AppendError, FormatError, Journal, Options, SPARES_MAX};
pub use recover::{Damage, Entry, OpenError, Recovered, Torn, inspect};
pub use segment::{FORMAT_VERSION, Identity, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use show::{File, FileKind, Place, Shown, files, owner, show};
pub use snapshots::{
    Bad, Fault as SnapshotFault, GENERATIONS_MAX, Generation, SNAPSHOT_BYTES_MAX, SNAPSHOT_VERSION,
    SnapshotError, Snapshots, owner as snapshots_owner,
};
