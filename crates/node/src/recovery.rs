//! From a journal's frames back to records.

use alloc::vec::Vec;
use core::fmt;

use paxos::wire::{WireError, decode_record};
use paxos::{Configuration, Record};

/// Why a journal that is whole in itself is not this acceptor's. It must not vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryError {
    /// A frame whose checksum was right and whose content is no record of this cluster. The
    /// journal is another program's, another version's or another cluster's.
    Foreign {
        /// The frame, counted from where the journal starts.
        frame: u64,
        /// What is wrong with it.
        why: WireError,
    },
    /// Frames of the journal are lost, and with them promises and votes.
    Holed {
        /// The first of them.
        from: u64,
        /// The first one that can be read again.
        to: u64,
    },
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
            Err(why) => {
                let foreign = RecoveryError::Foreign { frame: self.frames, why };
                self.wrong = self.wrong.or(Some(foreign));
            }
        }
        self.frames += 1;
    }

    /// The journal shows a hole: these frames are lost.
    pub fn hole(&mut self, from: u64, to: u64) {
        self.wrong = self.wrong.or(Some(RecoveryError::Holed { from, to }));
    }

    /// Every record, if every frame was one and none is lost.
    pub fn finish(self) -> Result<Vec<Record>, RecoveryError> {
        self.wrong.map_or(Ok(self.records), Err)
    }
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoveryError::Foreign { frame, why } => {
                write!(f, "frame {frame} of the journal is no record of this cluster: {why}")
            }
            RecoveryError::Holed { from, to } => {
                write!(f, "the journal has lost its frames from {from} to {to}")
            }
        }
    }
}

impl core::error::Error for RecoveryError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use paxos::wire::encode_record;
    use paxos::{Ballot, ClusterId, DiskId, Member, NodeId, Roles, Slot};

    use super::*;

    fn configuration(cluster: u8) -> Configuration {
        let roles = Roles { leader: true, acceptor: true, learner: false };
        let members = [(NodeId(1), Member { roles, disk: Some(DiskId::default()) })].into();
        Configuration::majority(ClusterId([cluster; 16]), members).unwrap()
    }

    fn frame(cluster: u8, record: &Record) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode_record(&configuration(cluster), record, &mut bytes);
        bytes
    }

    fn recovered(frames: &[Vec<u8>]) -> Result<Vec<Record>, RecoveryError> {
        let mut recovery = Recovery::default();
        for bytes in frames {
            recovery.frame(&configuration(1), bytes);
        }
        recovery.finish()
    }

    #[test]
    fn a_journal_that_has_lost_frames_is_not_believed() {
        let mut recovery = Recovery::default();
        recovery.frame(&configuration(1), &frame(1, &Record::Truncated(Slot(3))));
        recovery.hole(1, 7);
        recovery.frame(&configuration(1), &frame(1, &Record::Truncated(Slot(4))));
        recovery.hole(8, 9);
        let error = RecoveryError::Holed { from: 1, to: 7 };
        assert_eq!(error.to_string(), "the journal has lost its frames from 1 to 7");
        assert_eq!(recovery.finish(), Err(error));
    }

    #[test]
    fn records_come_back_in_their_order() {
        let records = [Record::Promised(Ballot::NONE), Record::Truncated(Slot(3))];
        let frames: Vec<Vec<u8>> = records.iter().map(|record| frame(1, record)).collect();
        assert_eq!(recovered(&frames), Ok(records.into()));
    }

    #[test]
    fn one_frame_that_is_no_record_of_this_cluster_spoils_the_journal() {
        let record = Record::Truncated(Slot(3));
        let (ours, foreign) = (frame(1, &record), frame(2, &record));
        let frames = [ours.clone(), foreign, ours, Vec::new()];
        let error = RecoveryError::Foreign { frame: 1, why: WireError::Cluster };
        assert_eq!(recovered(&frames), Err(error), "the first one is named");
        let text = "frame 1 of the journal is no record of this cluster: \
                    it belongs to another cluster";
        assert_eq!(error.to_string(), text);
    }
}
