//! From a journal's frames back to records.

use alloc::vec::Vec;
use core::fmt;

use paxos::wire::{WireError, decode_record};
use paxos::{Configuration, Record};

/// A frame whose checksum was right and whose content is no record of this cluster. The journal is
/// another program's, another version's or another cluster's: the acceptor must not vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryError {
    /// The frame, counted from zero.
    pub frame: u64,
    /// What is wrong with it.
    pub why: WireError,
}

/// Collects records, frame by frame, and keeps the first thing that is wrong.
#[derive(Clone, Debug, Default)]
pub struct Recovery {
    records: Vec<Record>,
    frames: u64,
    wrong: Option<RecoveryError>,
}

impl Recovery {
    /// The next frame of the journal.
    pub fn frame(&mut self, configuration: &Configuration, bytes: &[u8]) {
        match decode_record(configuration, bytes) {
            Ok(record) => self.records.push(record),
            Err(why) => self.wrong = self.wrong.or(Some(RecoveryError { frame: self.frames, why })),
        }
        self.frames += 1;
    }

    /// Every record, if every frame was one.
    pub fn finish(self) -> Result<Vec<Record>, RecoveryError> {
        match self.wrong {
            Some(error) => Err(error),
            None => Ok(self.records),
        }
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {} of the journal is no record of this cluster: {}", self.frame, self.why)
    }
}

impl core::error::Error for RecoveryError {}
