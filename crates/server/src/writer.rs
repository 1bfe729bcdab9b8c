//! The journal thread: append all that waits, sync once, then send what waited for it.
//!
//! A failed write or sync stops the node for good. It is never tried again: after a failed sync
//! nobody knows which of the dirty pages the kernel has dropped (Rebello et al., "Can Applications
//! Recover from fsync Failures?", ATC 2020).
//!
//! A disk that is full is no failure: what waits goes on waiting, and nothing leaves that waits for
//! it, until there is room again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use journal::{AppendError, DiskError, DiskErrorKind, Journal};
use paxos::wire::encode_record;
use paxos::{Configuration, Write};

use crate::counters::Counters;
use crate::file_disk::FileDisk;
use crate::post::Post;

/// Writes that wait, at most. A protocol thread that is so far ahead of its disk waits.
pub const WRITES_MAX: usize = 1024;

/// Bytes appended before a sync, about, at most: what waits longer waits for the next one.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// After so much silence there is time to write the next segment's zeros, some milliseconds long.
const IDLE: Duration = Duration::from_millis(200);

/// How often a full disk is asked whether it has room now.
const FULL: Duration = Duration::from_millis(200);

/// One acceptor's way to its disk.
pub struct Writer {
    journal: Journal<FileDisk>,
    configuration: Arc<Configuration>,
    post: Post,
    counters: Arc<Counters>,
    killed: Arc<AtomicBool>,
    /// Somebody waits for the end: longer than this, no full disk is waited for.
    leaving: Arc<AtomicBool>,
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes into `journal`, sends with `post`. Ends when it is `killed`, and no longer waits for
    /// a full disk when the node is `leaving`.
    pub fn new(
        journal: Journal<FileDisk>,
        configuration: Arc<Configuration>,
        post: Post,
        counters: Arc<Counters>,
        (killed, leaving): (Arc<AtomicBool>, Arc<AtomicBool>),
    ) -> Writer {
        let bytes = Vec::new();
        Writer { journal, configuration, post, counters, killed, leaving, bytes }
    }

    /// Runs until the protocol thread is gone, or the disk fails.
    pub fn run(mut self, writes: &Receiver<Write>) -> Result<(), AppendError> {
        loop {
            let first = match writes.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    match self.journal.prepare() {
                        // Whoever needs the room will say so.
                        Err(error) if error.kind != DiskErrorKind::Full => {
                            return Err(AppendError::Disk(error));
                        }
                        _ => {}
                    }
                    match writes.recv() {
                        Ok(first) => first,
                        Err(_) => return Ok(()),
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            if self.killed.load(Ordering::Relaxed) {
                return Ok(());
            }
            let mut then_send = Vec::new();
            let mut frames = 0;
            let mut batch_bytes = 0;
            let mut next = Some(first);
            while let Some(write) = next {
                for record in &write.records {
                    self.bytes.clear();
                    encode_record(&self.configuration, record, &mut self.bytes);
                    if !self.append()? {
                        return Ok(());
                    }
                    batch_bytes += self.bytes.len();
                    frames += 1;
                }
                then_send.extend(write.then_send);
                let has_room = batch_bytes < BATCH_BYTES_MAX;
                next = has_room.then(|| writes.try_recv().ok()).flatten();
            }
            // Without new records everything earlier is on disk already: batches are synced in
            // order, one after the other.
            if frames > 0 {
                let start = Instant::now();
                self.journal.sync().map_err(AppendError::Disk)?;
                self.counters.synced(start.elapsed(), frames);
            }
            if self.killed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.post.send(then_send.into_iter());
        }
    }

    /// Appends a record, once there is room. `false` if that was not waited for.
    fn append(&mut self) -> Result<bool, AppendError> {
        let Writer { journal, counters, killed, leaving, bytes, .. } = self;
        let mut was_full = false;
        let appended = once_there_is_room(
            || journal.append(bytes).map(|_| ()),
            |error| {
                if !was_full {
                    tracing::warn!(%error, "disk full; nothing is promised until it has room");
                    counters.count("journal_full");
                    was_full = true;
                }
                thread::sleep(FULL);
                !killed.load(Ordering::Relaxed) && !leaving.load(Ordering::Relaxed)
            },
        )?;
        if was_full && appended {
            tracing::info!("the disk has room again");
        }
        Ok(appended)
    }
}

/// Tries to append until it succeeds, fails, or is not to go on. Says whether it has succeeded.
fn once_there_is_room(
    mut append: impl FnMut() -> Result<(), AppendError>,
    mut goes_on: impl FnMut(&DiskError) -> bool,
) -> Result<bool, AppendError> {
    loop {
        match append() {
            Err(AppendError::Full(error)) => {
                if !goes_on(&error) {
                    return Ok(false);
                }
            }
            result => return result.map(|()| true),
        }
    }
}

#[cfg(test)]
mod tests {
    use journal::{FaultyDisk, Identity, Options, SECTOR_BYTES};

    use super::*;

    fn journal() -> Journal<FaultyDisk> {
        let identity = Identity { cluster: [1; 16], node: 1, disk: [2; 16] };
        let mut disk = FaultyDisk::new(1);
        Journal::format(&mut disk, identity).unwrap();
        let options = Options { segment_bytes: 4 * SECTOR_BYTES };
        Journal::open(disk, identity, options, |_| {}).unwrap().0
    }

    #[test]
    fn what_a_full_disk_refuses_is_appended_when_there_is_room() {
        let mut journal = journal();
        journal.disk_mut().set_bytes_max(0);
        let too_much = vec![7; 64 << 10];
        let journal = std::cell::RefCell::new(journal);
        let mut refused = 0;
        let appended = once_there_is_room(
            || journal.borrow_mut().append(&too_much).map(|_| ()),
            |error| {
                assert_eq!(error.kind, DiskErrorKind::Full);
                refused += 1;
                if refused == 3 {
                    journal.borrow_mut().disk_mut().set_bytes_max(usize::MAX);
                }
                true
            },
        );
        assert_eq!((appended, refused), (Ok(true), 3));
        let mut journal = journal.into_inner();
        let next = journal.next();
        assert_eq!((next.0, journal.sync()), (1, Ok(next)), "it was appended once");
    }

    #[test]
    fn a_full_disk_is_not_waited_for_by_a_node_that_ends() {
        let mut journal = journal();
        journal.disk_mut().set_bytes_max(0);
        let too_much = vec![7; 64 << 10];
        let mut patience = 2;
        let appended = once_there_is_room(
            || journal.append(&too_much).map(|_| ()),
            |_| {
                patience -= 1;
                patience > 0
            },
        );
        assert_eq!((appended, patience), (Ok(false), 0));
    }

    #[test]
    fn any_other_failure_ends_the_waiting() {
        let failed = DiskError { kind: DiskErrorKind::Failed, detail: "gone".into() };
        let result = once_there_is_room(
            || Err(AppendError::Disk(failed.clone())),
            |_| unreachable!("the disk is not full"),
        );
        assert_eq!(result, Err(AppendError::Disk(failed.clone())));
    }
}
