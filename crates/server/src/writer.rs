//! The journal thread: append all that waits, sync once, then send what waited for it.
//!
//! A failed write or sync stops the node for good. It is never tried again: after a failed sync
//! nobody knows which of the dirty pages the kernel has dropped (Rebello et al., "Can Applications
//! Recover from fsync Failures?", ATC 2020).
//!
//! A disk that is full is no failure. The protocol thread is told before the last segment is, and
//! what is left of it holds what makes room: the word that old votes are cut. What finds no room
//! all the same waits, and nothing leaves that waits for it, until there is some again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use journal::{AppendError, Disk, DiskErrorKind, Journal, Sequence};
use node::{History, Ledger, StateMachine};
use paxos::wire::encode_record;
use paxos::{Configuration, Record, Write};

use crate::counters::Counters;
use crate::inbox::{Inbox, Job};
use crate::post::Post;

/// Writes that wait, at most. A protocol thread that is so far ahead of its disk waits.
pub const WRITES_MAX: usize = 1024;

/// Bytes appended before a sync, about, at most: what waits longer waits for the next one.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// After so much silence there is time to write the next segment's zeros, some milliseconds long.
const IDLE: Duration = Duration::from_millis(200);

/// With less room than this another segment is made.
const ROOM_MIN: usize = 1 << 20;

/// How often a full disk is asked whether it has room now.
const FULL: Duration = Duration::from_millis(200);

/// One acceptor's way to its disk.
pub struct Writer<D, M: StateMachine = History> {
    journal: Journal<D>,
    ledger: Ledger,
    configuration: Arc<Configuration>,
    post: Post<M>,
    inbox: Inbox<M>,
    counters: Arc<Counters>,
    killed: Arc<AtomicBool>,
    /// Somebody waits for the end: longer than this, no full disk is waited for.
    leaving: Arc<AtomicBool>,
    bytes: Vec<u8>,
    /// Whether there is room for another segment, and whether the protocol thread knows.
    has_room: bool,
    is_room_told: bool,
    /// When the disk was last asked for room.
    prepared: Instant,
}

impl<D: Disk, M: StateMachine> Writer<D, M> {
    /// Writes into `journal`, whose frames `ledger` knows; sends with `post`, tells `inbox`. Ends
    /// when it is `killed`, and no longer waits for a full disk when the node is `leaving`.
    pub fn new(
        journal: Journal<D>,
        ledger: Ledger,
        configuration: Arc<Configuration>,
        (post, inbox): (Post<M>, Inbox<M>),
        counters: Arc<Counters>,
        (killed, leaving): (Arc<AtomicBool>, Arc<AtomicBool>),
    ) -> Writer<D, M> {
        Writer {
            journal,
            ledger,
            configuration,
            post,
            inbox,
            counters,
            killed,
            leaving,
            bytes: Vec::new(),
            has_room: true,
            is_room_told: true,
            prepared: Instant::now(),
        }
    }

    /// Runs until the protocol thread is gone, or the disk fails.
    pub fn run(mut self, writes: &Receiver<Write>) -> Result<(), AppendError> {
        loop {
            let first = match writes.recv_timeout(IDLE) {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.prepare()?;
                    if !self.has_room || !self.is_room_told {
                        continue;
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
            let mut is_truncated = false;
            let mut batch_bytes = 0;
            let mut next = Some(first);
            while let Some(write) = next {
                for record in &write.records {
                    self.bytes.clear();
                    encode_record(&self.configuration, record, &mut self.bytes);
                    if !self.append(record)? {
                        return Ok(());
                    }
                    is_truncated |= matches!(record, Record::Truncated(_));
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
            // The batch that says so is on disk, and nobody waits for it any more.
            if is_truncated {
                self.cut()?;
            }
            let is_time = self.has_room || self.prepared.elapsed() >= FULL;
            // A full disk is also asked where a cut has left a spare: that is room to be told of,
            // and a leader that asks for votes all the time leaves no idle moment to find it.
            if is_time && (!self.has_room || self.journal.room() < ROOM_MIN) {
                self.prepare()?;
            }
        }
    }

    /// Makes room for what is to come, and says whether there is any.
    fn prepare(&mut self) -> Result<(), AppendError> {
        self.prepared = Instant::now();
        let has_room = match self.journal.prepare() {
            Ok(()) => true,
            Err(error) if error.kind == DiskErrorKind::Full => false,
            Err(error) => return Err(AppendError::Disk(error)),
        };
        self.set_room(has_room);
        Ok(())
    }

    /// Tells the protocol thread, now or, if it has no room for the word, later: to wait for it
    /// could be to wait for one that waits for us.
    fn set_room(&mut self, has_room: bool) {
        if has_room != self.has_room {
            (self.has_room, self.is_room_told) = (has_room, false);
            if has_room {
                tracing::info!("the disk has room again");
            } else {
                tracing::warn!("the disk is full; this acceptor does not vote until it has room");
                self.counters.count("journal_full");
            }
        }
        if !self.is_room_told {
            self.is_room_told = self.inbox.offer(Job::Room(has_room)).is_ok();
        }
    }

    fn cut(&mut self) -> Result<(), AppendError> {
        let Some(frame) = self.ledger.cut() else { return Ok(()) };
        match self.journal.cut(Sequence(frame)) {
            Ok(()) => self.counters.count("journal_cuts"),
            // Each segment keeps room for one cut; the next one will say the same again.
            Err(error) if error.kind == DiskErrorKind::Full => {}
            Err(error) => return Err(AppendError::Disk(error)),
        }
        Ok(())
    }

    /// Appends the record that `bytes` holds, once there is room. `false` if that was not waited
    /// for.
    fn append(&mut self, record: &Record) -> Result<bool, AppendError> {
        loop {
            match self.journal.append(&self.bytes) {
                Ok(frame) => {
                    self.ledger.note(frame.0, record);
                    return Ok(true);
                }
                Err(AppendError::Full(_)) => {
                    self.set_room(false);
                    // Nothing that waits here could go on: it all comes after this record.
                    thread::sleep(FULL);
                    let is_ending =
                        self.killed.load(Ordering::Relaxed) || self.leaving.load(Ordering::Relaxed);
                    if is_ending {
                        return Ok(false);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests;
