//! The journal thread: append all that waits, sync once, then send what waited for it.
//!
//! A failed write or sync stops the node for good. It is never tried again: after a failed sync
//! nobody knows which of the dirty pages the kernel has dropped (Rebello et al., "Can Applications
//! Recover from fsync Failures?", ATC 2020).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use journal::{AppendError, Journal};
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

/// One acceptor's way to its disk.
pub struct Writer {
    journal: Journal<FileDisk>,
    configuration: Arc<Configuration>,
    post: Post,
    counters: Arc<Counters>,
    killed: Arc<AtomicBool>,
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes into `journal`, sends with `post`.
    pub fn new(
        journal: Journal<FileDisk>,
        configuration: Arc<Configuration>,
        post: Post,
        counters: Arc<Counters>,
        killed: Arc<AtomicBool>,
    ) -> Writer {
        Writer { journal, configuration, post, counters, killed, bytes: Vec::new() }
    }

    /// Runs until the protocol thread is gone, or the disk fails.
    pub fn run(mut self, writes: &Receiver<Write>) -> Result<(), AppendError> {
        loop {
            let first = match writes.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.journal.prepare().map_err(AppendError::Disk)?;
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
                    self.journal.append(&self.bytes)?;
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
}
