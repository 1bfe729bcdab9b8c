//! Every file of a data directory, checked; and what a start would make of them.

use std::path::PathBuf;

use journal::{File, FileKind, OpenError, Place};
use node::recovery::Recovery;
use paxos::acceptor::Acceptor;

use super::{Directory, InspectError, Line, Shelved, What};

/// What is known of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Of a journal's file: frames whose headers are sound.
    pub frames: Option<u64>,
    /// How it is.
    pub state: State,
    /// More about it.
    pub words: String,
}

/// How a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Everything in it is what was written.
    Sound,
    /// It waits to be used.
    Spare,
    /// What is not whole in it belongs to a write that never ended: no harm.
    Torn,
    /// Something that was durable cannot be read.
    Damaged,
}

/// What a start would make of the journal.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The acceptor, as far as it can be told.
    pub acceptor: Acceptor,
    /// Frames that were read.
    pub frames: u64,
    /// Frames that are lost.
    pub missing: u64,
    /// The bytes that were read.
    pub bytes: u64,
    /// Why it would not start from this.
    pub refused: Option<String>,
}

impl Directory {
    /// Checks everything. The verdict is on the journal, if there is one.
    pub fn verify(&mut self) -> Result<(Vec<Checked>, Option<Verdict>), InspectError> {
        let mut checked = Vec::new();
        let has_journal = self.journal.is_some();
        let verdict = has_journal.then(|| self.judge(&mut checked)).transpose()?;
        self.snapshots(|shelved| checked.push(snapshot(shelved)))?;
        Ok((checked, verdict))
    }

    fn judge(&mut self, checked: &mut Vec<Checked>) -> Result<Verdict, InspectError> {
        let mut damage: Vec<(Place, String)> = Vec::new();
        let (mut frames, mut missing, mut bytes) = (0, 0, 0);
        let mut recovery = Recovery::default();
        let mut acceptor = Acceptor::default();
        let shown = self.journal(|Line { at, frame, what }| match what {
            What::Record(record, length) => {
                acceptor.apply(&record);
                recovery.decoded(Ok(record));
                frames += 1;
                bytes += length as u64;
            }
            What::Foreign(why, _) => {
                recovery.decoded(Err(why));
                damage.push((at, format!("frame {frame} is no record of this cluster: {why}")));
            }
            What::Cut(_) => {}
            What::Hole(to, why) => {
                recovery.hole(frame, to);
                missing += to - frame;
                let which = match to - frame {
                    1 => format!("frame {frame}"),
                    _ => format!("frames {frame} to {}", to - 1),
                };
                let words = format!("{which} cannot be read, behind byte {}: {why}", at.offset);
                damage.push((at, words));
            }
        });
        let refused = match shown {
            Ok(_) => match recovery.finish() {
                Ok(records) => {
                    // A loss that is news is marked by the start.
                    acceptor = Acceptor::default();
                    for record in records {
                        acceptor.apply(&record);
                    }
                    None
                }
                Err(why) => Some(why.to_string()),
            },
            Err(InspectError::Damaged { why, .. }) => {
                if let OpenError::Damaged { segment, offset, .. } = &why {
                    let at = Place { segment: *segment, offset: *offset };
                    damage.push((at, why.to_string()));
                }
                Some(why.to_string())
            }
            Err(why @ InspectError::NoOwner(_)) => Some(why.to_string()),
            Err(why) => return Err(why),
        };
        self.check_files(&damage, checked)?;
        Ok(Verdict { acceptor, frames, missing, bytes, refused })
    }

    fn check_files(
        &mut self,
        damage: &[(Place, String)],
        checked: &mut Vec<Checked>,
    ) -> Result<(), InspectError> {
        let Some(disk) = &mut self.journal else { return Ok(()) };
        let nobody = journal::Identity { cluster: [0; 16], node: 0, disk: [0; 16] };
        let owner = self.owner.unwrap_or(nobody);
        let files = journal::files(disk, owner);
        let files = files.map_err(|why| InspectError::Disk { path: self.path.clone(), why })?;
        for file in files {
            let path = disk.segment_path(file.number);
            let here = damage.iter().filter(|(at, _)| at.segment == file.number);
            let words: Vec<&str> = here.map(|(_, words)| words.as_str()).collect();
            let (state, words) = if words.is_empty() {
                by_itself(&file, self.owner.is_some())
            } else {
                (State::Damaged, words.join("; "))
            };
            let (bytes, frames) = (file.bytes as u64, Some(file.frames));
            checked.push(Checked { path, bytes, frames, state, words });
        }
        Ok(())
    }
}

/// A file in which recovery finds nothing wrong.
fn by_itself(file: &File, is_owned: bool) -> (State, String) {
    let torn = || match file.first_unsound {
        Some(at) => {
            let count = file.unsound;
            (
                State::Torn,
                format!("a write from byte {} on never ended ({count} frames)", at.offset),
            )
        }
        None => (State::Sound, String::new()),
    };
    match file.kind {
        FileKind::Live(start) => {
            let (state, words) = torn();
            let starts = format!("starts at frame {start}");
            let words = if words.is_empty() { starts } else { format!("{starts}; {words}") };
            (state, words)
        }
        FileKind::Spare => (State::Spare, "waits to be used".into()),
        FileKind::Scratch => (State::Torn, "of a format that never ended".into()),
        FileKind::Unreadable if is_owned => (State::Torn, "its first write never ended".into()),
        FileKind::Unreadable => (State::Damaged, "its header cannot be read".into()),
        FileKind::Version(found) => (State::Damaged, format!("it has format {found}")),
        FileKind::Misplaced(number) => {
            (State::Damaged, format!("it is segment {number}, under this name"))
        }
        FileKind::Foreign(found) => (State::Damaged, format!("it belongs to {found}")),
        FileKind::Oversized => (State::Damaged, "it is larger than any segment".into()),
    }
}

fn snapshot(shelved: Shelved) -> Checked {
    let Shelved { path, bytes, holds, .. } = shelved;
    let (state, words) = match holds {
        Ok((holds, _)) => {
            let below = holds.mark.below;
            (State::Sound, format!("a snapshot below slot {below}"))
        }
        Err(why) => (State::Damaged, why.to_string()),
    };
    Checked { path, bytes, frames: None, state, words }
}

impl Verdict {
    /// Whether anything that was durable cannot be read.
    pub fn is_damaged(&self) -> bool {
        self.missing > 0 || self.refused.is_some()
    }
}
