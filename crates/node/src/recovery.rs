//! From a journal's frames back to records.
//!
//! Where frames cannot be read that once were durable, votes may be missing, and the acceptor is
//! suspect; `paxos` says what that means. Nothing may be missing of its promise, so a readable
//! record that bears one must follow the hole: promises only grow along a journal.
//!
//! ```text
//!   Promised 3 | (hole) | Accepted at 5 |               suspect from now on: a mark is due
//!   Promised 3 | (hole) | Accepted at 5 | Suspect | ... an old hole, and what became of it
//!   Promised 3 | (hole) | Truncated 9 |                 its promise is lost: it must not start
//! ```

use alloc::vec::Vec;
use core::fmt;

use paxos::wire::{WireError, decode_record, encode_record};
use paxos::{Configuration, Epoch, Record, Slot};

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
    /// Frames of the journal are lost, and no promise follows that would bound what they promised.
    PromiseLost {
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
    /// A hole that no promise has followed yet.
    unbounded: Option<RecoveryError>,
    /// Whether there is a hole that no mark has followed yet.
    is_unmarked: bool,
    wrong: Option<RecoveryError>,
}

impl Recovery {
    /// The next frame of the journal.
    pub fn frame(&mut self, configuration: &Configuration, bytes: &[u8]) {
        self.decoded(decode_record(configuration, bytes));
    }

    /// The next frame of the journal, by somebody who has read it.
    pub fn decoded(&mut self, record: Result<Record, WireError>) {
        match record {
            Ok(record) => {
                match record {
                    Record::Promised(_) | Record::Accepted(_) => self.unbounded = None,
                    Record::Suspect => self.is_unmarked = false,
                    Record::Truncated(_) | Record::Settled(_) => {}
                }
                self.records.push(record);
            }
            Err(why) => {
                let foreign = RecoveryError::Foreign { frame: self.frames, why };
                self.wrong = self.wrong.or(Some(foreign));
            }
        }
        self.frames += 1;
    }

    /// The journal shows a hole: these frames are lost, and once were durable.
    pub fn hole(&mut self, from: u64, to: u64) {
        self.unbounded = Some(RecoveryError::PromiseLost { from, to });
        self.is_unmarked = true;
    }

    /// Every record that can be read, if every frame was one and nothing of the promise is lost. If
    /// votes are missing and that is news, Suspect is the last one: it is not in the journal yet,
    /// and a replica writes it before anything else.
    pub fn finish(mut self) -> Result<Vec<Record>, RecoveryError> {
        // What was lost before a mark is what the mark is about, noticed then or only now.
        self.records.extend(self.is_unmarked.then_some(Record::Suspect));
        self.wrong.or(self.unbounded).map_or(Ok(self.records), Err)
    }
}

/// The first frame of the journal of a disk that takes the place of a lost one: it has lost every
/// vote. The disk needs an id of its own in a configuration of a higher epoch than any that the
/// lost disk took part in, and every member goes over to that configuration.
///
/// # Panics
/// If the configuration is the first one, which replaces nothing, or one that bears no replacement.
pub fn replacement(configuration: &Configuration) -> Vec<u8> {
    assert!(configuration.epoch() > Epoch(0), "a replaced disk is of a later configuration");
    assert!(configuration.bears_replacement().is_ok(), "elections must share an acceptor");
    let mut frame = Vec::new();
    encode_record(configuration, &Record::Suspect, &mut frame);
    frame
}

/// The first frame of the journal of an acceptor whose cluster goes on from a snapshot: everything
/// below is decided, and nothing is voted on.
///
/// It bears no promise. So if it is lost with more than the last frame of its journal, and no
/// later record bounds what was promised, the acceptor does not start.
pub fn restored(configuration: &Configuration, below: Slot) -> Vec<u8> {
    let mut frame = Vec::new();
    encode_record(configuration, &Record::Truncated(below), &mut frame);
    frame
}

impl fmt::Display for RecoveryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoveryError::Foreign { frame, why: WireError::Epoch(epoch) } => {
                write!(f, "frame {frame} of the journal is of epoch {epoch}, later than ours")
            }
            RecoveryError::Foreign { frame, why } => {
                write!(f, "frame {frame} of the journal is no record of this cluster: {why}")
            }
            RecoveryError::PromiseLost { from, to } => {
                write!(
                    f,
                    "the journal has lost its frames from {from} to {to}, and no promise \
                     follows: what this acceptor has promised is not known"
                )
            }
        }
    }
}

impl core::error::Error for RecoveryError {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use paxos::acceptor::Acceptor;
    use paxos::{Ballot, ClusterId, DiskId, Member, NodeId, Roles, Run, Value};

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
    fn records_come_back_in_their_order() {
        let records = [Record::Promised(Ballot::NONE), Record::Truncated(Slot(3))];
        let frames: Vec<Vec<u8>> = records.iter().map(|record| frame(1, record)).collect();
        assert_eq!(recovered(&frames), Ok(records.into()));
    }

    /// Recovery of these records; none stands for a hole.
    fn with_holes(stream: &[Option<Record>]) -> Result<Vec<Record>, RecoveryError> {
        let mut recovery = Recovery::default();
        for (part, at) in stream.iter().zip(0..) {
            match part {
                Some(record) => recovery.frame(&configuration(1), &frame(1, record)),
                None => recovery.hole(at, at + 1),
            }
        }
        recovery.finish()
    }

    fn promised(round: u64) -> Record {
        Record::Promised(Ballot { round, ..Ballot::NONE })
    }

    fn accepted(round: u64) -> Record {
        let ballot = Ballot { round, ..Ballot::NONE };
        Record::Accepted(Run { ballot, first: Slot(0), values: vec![Value::Noop].into() })
    }

    #[test]
    fn a_hole_makes_an_acceptor_suspect_if_a_promise_follows() {
        for bears_a_promise in [promised(5), accepted(5)] {
            let found = with_holes(&[Some(promised(3)), None, Some(bears_a_promise.clone())]);
            assert_eq!(found, Ok(vec![promised(3), bears_a_promise, Record::Suspect]));
        }
    }

    #[test]
    fn an_acceptor_does_not_start_if_its_promise_may_be_lost() {
        let error = RecoveryError::PromiseLost { from: 1, to: 2 };
        for bears_none in [Record::Truncated(Slot(9)), Record::Suspect, Record::Settled(Slot(1))] {
            assert_eq!(with_holes(&[Some(promised(3)), None, Some(bears_none)]), Err(error));
        }
        let twice = with_holes(&[None, Some(promised(3)), Some(accepted(3)), None]);
        assert_eq!(twice, Err(RecoveryError::PromiseLost { from: 3, to: 4 }));
        let text = "the journal has lost its frames from 1 to 2, and no promise follows: \
                    what this acceptor has promised is not known";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn a_hole_is_news_until_a_mark_follows_it() {
        let settled = Record::Settled(Slot::FIRST);
        let old = [None, Some(promised(5)), Some(Record::Suspect), Some(settled.clone())];
        let records = vec![promised(5), Record::Suspect, settled];
        assert_eq!(with_holes(&old), Ok(records), "it was mended since");
        // What mended it rots in its turn: what is settled after the new hole relied on it.
        let again = [
            None,
            Some(promised(5)),
            Some(Record::Suspect),
            None,
            Some(promised(7)),
            Some(Record::Settled(Slot::FIRST)),
        ];
        let records = with_holes(&again).unwrap();
        assert_eq!(records.last(), Some(&Record::Suspect));
        let mut acceptor = Acceptor::default();
        for record in &records {
            acceptor.apply(record);
        }
        assert_eq!(acceptor.suspect(), Slot::LIMIT);
    }

    #[test]
    fn a_replaced_disk_has_lost_every_vote() {
        let later = |epoch| configuration(1).with_epoch(Epoch(epoch));
        let mut recovery = Recovery::default();
        recovery.frame(&later(2), &replacement(&later(2)));
        assert_eq!(recovery.finish(), Ok(vec![Record::Suspect]));
        let mut back = Recovery::default();
        back.frame(&later(1), &replacement(&later(2)));
        let error = RecoveryError::Foreign { frame: 0, why: WireError::Epoch(2) };
        assert_eq!(back.finish(), Err(error), "it never goes back");
        assert_eq!(error.to_string(), "frame 0 of the journal is of epoch 2, later than ours");
    }

    #[test]
    fn a_restored_cluster_gives_no_slot_of_the_snapshot_to_anything_else() {
        let frame = restored(&configuration(1), Slot(1000));
        let fold = |recovery: Recovery| {
            let mut acceptor = Acceptor::default();
            recovery.finish().map(|records| {
                for record in records {
                    acceptor.apply(&record);
                }
                acceptor
            })
        };
        let mut recovery = Recovery::default();
        recovery.frame(&configuration(1), &frame);
        recovery.frame(&configuration(1), &frame);
        let acceptor = fold(recovery.clone()).unwrap();
        assert_eq!((acceptor.truncated(), acceptor.suspect()), (Slot(1000), Slot::FIRST));
        assert_eq!(acceptor.promised(), Ballot::NONE);
        // One of the two frames rots. The other one still says so, or the acceptor does not start.
        let mut second = Recovery::default();
        second.hole(0, 1);
        second.frame(&configuration(1), &frame);
        assert_eq!(fold(second.clone()), Err(RecoveryError::PromiseLost { from: 0, to: 1 }));
        second.frame(&configuration(1), &self::frame(1, &promised(3)));
        assert_eq!(fold(second).unwrap().truncated(), Slot(1000));
    }

    #[test]
    #[should_panic(expected = "a replaced disk is of a later configuration")]
    fn nothing_is_replaced_in_the_first_configuration() {
        replacement(&configuration(1));
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
