//! One acceptor's disk, and the production journal on it.
//!
//! Decides what a power cut, a killed process, a failing sync and damage leave behind, and tells
//! whether a journal that opens gives back what it has acknowledged. Knows no time: the world says
//! when a batch is written and when its sync ends.
//!
//! ```text
//!   waiting --begin--> written into the journal --end--> acknowledged
//! ```

use std::ops::Range;

use journal::{Disk, DiskError, Entry, Fault, FaultyDisk, Identity, Journal, OpenError, Options};
use journal::{FormatError, SECTOR_BYTES, SegmentNumber, Sequence};
use node::Ledger;
use node::recovery::{Recovery, RecoveryError, replacement};
use paxos::acceptor::Acceptor;
use paxos::wire::{WireError, encode_record};
use paxos::{Configuration, Epoch, NodeId, Record, Rng};

/// A segment's size: so small that a walk of a few seconds fills several.
const SEGMENT_BYTES: usize = 8 * SECTOR_BYTES;

/// One acceptor's storage, across all its lives.
#[derive(Debug)]
pub struct Storage {
    configuration: Configuration,
    identity: Identity,
    state: State,
    /// What was acknowledged, in order, each with its frame: a later life must find all of it.
    acknowledged: Vec<(u64, Record)>,
    /// How many of those the last successful sync acknowledged.
    last_batch: usize,
    /// What was appended since. A later life may find a prefix of it.
    appended: Vec<(u64, Record)>,
    /// What was acknowledged, and a life could not read.
    holed: Vec<(u64, Record)>,
    /// What all acknowledged records fold to, those included that were cut since.
    folded: Acceptor,
    /// Which frames are needed.
    ledger: Ledger,
    /// Frames below were cut, or are about to be.
    cut: u64,
    /// The latest epoch of what was acknowledged, and of what was appended since.
    written_in: Epoch,
    appended_in: Epoch,
    bytes: Vec<u8>,
}

#[derive(Debug)]
enum State {
    Open(Box<Journal<FaultyDisk>>),
    Closed(FaultyDisk),
}

/// How a life ends, as far as its disk is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The process dies; the system writes what it was given.
    Killed,
    /// The power goes; every unsynced sector is kept, lost or torn.
    PowerLost,
}

/// What befalls a disk that no protocol can bear: the acceptor must not vote any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit of one file is another.
    Rot,
    /// A sector reads as before it was written.
    Stale,
    /// A sector reads as another one.
    Misdirected,
    /// One file is gone.
    FileLost,
    /// Every file is gone.
    Lost,
    /// It is another acceptor's disk.
    Swapped,
}

impl Damage {
    /// Every kind.
    pub const ALL: [Damage; 6] = [
        Damage::Rot,
        Damage::Stale,
        Damage::Misdirected,
        Damage::FileLost,
        Damage::Lost,
        Damage::Swapped,
    ];
}

impl Damage {
    /// Whether it may hit nothing that matters, or only the last batch.
    pub fn may_be_harmless(self) -> bool {
        matches!(self, Damage::Rot | Damage::Stale | Damage::Misdirected | Damage::FileLost)
    }
}

/// What a new life finds on its disk.
#[derive(Debug)]
pub enum Found {
    /// Every acknowledged record that can be read, and the late ones at their end. If some cannot
    /// and that is news, Suspect is the last.
    Whole { records: Vec<Record>, late: Vec<Record> },
    /// The journal refuses, so the acceptor must not start.
    Refused(OpenError),
    /// It opens and lacks records, and no promise bounds them, so the acceptor must not start.
    PromiseLost {
        /// The first of them, counted in frames.
        from: u64,
    },
    /// It opens and holds a record of this later epoch, so the acceptor must not start in ours.
    Later(Epoch),
    /// It opens and lacks acknowledged records of the last batch, from some record to its end: the
    /// one damage that a journal alone cannot see, for only a later batch vouches for this one.
    LastBatchGone,
    /// It opens and lacks more than the last batch, all from the end: what a journal cannot see
    /// either if its last file is gone, and must see otherwise.
    TailGone,
    /// It opens, and something that still counts was cut.
    Forgetful,
    /// It opens and gives back something else.
    Other,
}

impl Storage {
    /// A formatted, empty journal.
    pub fn new(configuration: Configuration, node: NodeId, rng: &mut Rng) -> Storage {
        let identity = identity(&configuration, node);
        let disk = formatted(identity, rng.draw());
        let epoch = configuration.epoch();
        Storage {
            configuration,
            identity,
            state: State::Closed(disk),
            acknowledged: Vec::new(),
            last_batch: 0,
            appended: Vec::new(),
            holed: Vec::new(),
            folded: Acceptor::default(),
            ledger: Ledger::default(),
            cut: 0,
            written_in: epoch,
            appended_in: epoch,
            bytes: Vec::new(),
        }
    }

    /// The journal of a disk that takes the place of a lost one: it says that every vote is lost,
    /// or is just empty if the world `forgets` to say it.
    pub fn replacing(
        configuration: Configuration,
        node: NodeId,
        forgets: bool,
        rng: &mut Rng,
    ) -> Storage {
        let mut storage = Storage::new(configuration, node, rng);
        let State::Closed(disk) = storage.state else { unreachable!("it was just formatted") };
        let options = Options { segment_bytes: SEGMENT_BYTES };
        let opened = Journal::open(disk, storage.identity, options, |_| {});
        let (mut journal, _) = opened.expect("a formatted journal opens");
        if !forgets {
            let frame = journal.append(&replacement(&storage.configuration));
            let frame = frame.expect("no fault is scheduled").0;
            journal.sync().expect("no fault is scheduled");
            storage.acknowledged.push((frame, Record::Suspect));
            storage.folded.apply(&Record::Suspect);
            storage.last_batch = 1;
        }
        storage.state = State::Closed(journal.into_disk());
        storage
    }

    /// The next life writes in this configuration.
    pub fn go_over(&mut self, configuration: Configuration) {
        self.configuration = configuration;
    }

    /// The latest epoch in which anything was written.
    pub fn written_in(&self) -> Epoch {
        self.written_in
    }

    /// What a life would find that begins with this configuration. Nothing changes.
    pub fn found_in(&self, configuration: &Configuration) -> Found {
        let State::Closed(disk) = &self.state else {
            unreachable!("only asked between two lives");
        };
        let mut other = Storage {
            configuration: configuration.clone(),
            identity: identity(configuration, NodeId(self.identity.node)),
            state: State::Closed(disk.clone()),
            acknowledged: self.acknowledged.clone(),
            last_batch: self.last_batch,
            appended: self.appended.clone(),
            holed: self.holed.clone(),
            folded: self.folded.clone(),
            ledger: Ledger::default(),
            cut: self.cut,
            written_in: self.written_in,
            appended_in: self.appended_in,
            bytes: Vec::new(),
        };
        other.open()
    }

    /// Opens the journal as a new life does, and compares what it says with what it must. Unless
    /// it is whole, the disk is empty afterwards.
    pub fn open(&mut self) -> Found {
        let closed = State::Closed(FaultyDisk::new(0));
        let State::Closed(disk) = std::mem::replace(&mut self.state, closed) else {
            unreachable!("a life begins after the one before has ended");
        };
        let (mut recovery, mut frames) = (Recovery::default(), Vec::new());
        let mut holes: Vec<Range<u64>> = Vec::new();
        let options = Options { segment_bytes: SEGMENT_BYTES };
        let opened = Journal::open(disk, self.identity, options, |entry| match entry {
            Entry::Frame(sequence, frame) => {
                frames.push(sequence.0);
                recovery.frame(&self.configuration, frame);
            }
            Entry::Hole { from, to } => {
                holes.push(from.0..to.0);
                recovery.hole(from.0, to.0);
            }
        });
        let (journal, _) = match opened {
            Ok(opened) => opened,
            Err(why) => return Found::Refused(why),
        };
        let records = match recovery.finish() {
            Ok(records) => records,
            Err(RecoveryError::PromiseLost { from, .. }) => return Found::PromiseLost { from },
            Err(RecoveryError::Foreign { why: WireError::Epoch(epoch), .. }) => {
                return Found::Later(Epoch(epoch));
            }
            Err(RecoveryError::Foreign { .. }) => return Found::Other,
        };
        let found: Vec<(u64, Record)> = frames.into_iter().zip(records.clone()).collect();
        // What was cut may be gone, and may still be there.
        let first = found.first().map_or(self.cut, |(frame, _)| (*frame).min(self.cut));
        self.acknowledged.retain(|(frame, _)| *frame >= first);
        let is_lost = |frame| holes.iter().any(|hole| hole.contains(&frame));
        let holed = self.acknowledged.extract_if(.., |(frame, _)| is_lost(*frame));
        let holed: Vec<(u64, Record)> = holed.collect();
        let is_holed = !holed.is_empty();
        self.holed.extend(holed);
        let kept = self.acknowledged.len();
        let mut known = self.acknowledged.iter().chain(&self.appended).peekable();
        let mut is_back = false;
        for it in &found {
            if known.next_if_eq(&it).is_none() {
                if !self.holed.contains(it) {
                    return Found::Other;
                }
                is_back = true;
            }
        }
        if is_back {
            // A hole is one because of what follows, and that is gone now.
            return Found::TailGone;
        }
        if found.len() < kept {
            let is_last = found.len() >= kept.saturating_sub(self.last_batch);
            return if is_last { Found::LastBatchGone } else { Found::TailGone };
        }
        let late: Vec<Record> = found[kept..].iter().map(|(_, record)| record.clone()).collect();
        if !late.is_empty() {
            self.last_batch = late.len();
            self.written_in = self.appended_in;
        }
        for (_, record) in &found[kept..] {
            self.folded.apply(record);
        }
        let folds_to = folded(&found);
        if !is_holed && self.folded != folds_to {
            return Found::Forgetful;
        }
        self.folded = folds_to;
        self.ledger = Ledger::default();
        for (frame, record) in &found {
            self.ledger.note(*frame, record);
        }
        self.acknowledged = found;
        self.appended.clear();
        self.state = State::Open(Box::new(journal));
        Found::Whole { records, late }
    }

    /// Adds records to the batch that the next [`sync`](Self::sync) makes durable.
    pub fn append(&mut self, records: &[Record]) -> Result<(), DiskError> {
        let State::Open(journal) = &mut self.state else {
            unreachable!("only a living node writes");
        };
        for record in records {
            self.bytes.clear();
            encode_record(&self.configuration, record, &mut self.bytes);
            let frame = journal.append(&self.bytes).map_err(|error| match error {
                journal::AppendError::Full(error) | journal::AppendError::Disk(error) => error,
                journal::AppendError::TooLong { .. } => {
                    unreachable!("a run's limit lies far below a frame's")
                }
            })?;
            self.ledger.note(frame.0, record);
            self.appended.push((frame.0, record.clone()));
            self.appended_in = self.configuration.epoch();
        }
        Ok(())
    }

    /// Ends the batch. What it held is acknowledged, unless the disk fails.
    pub fn sync(&mut self, fails: Option<Fault>) -> Result<Vec<Record>, DiskError> {
        let State::Open(journal) = &mut self.state else {
            unreachable!("only a living node syncs");
        };
        if let Some(fault) = fails {
            let disk = journal.disk_mut();
            // The write comes first, then its sync.
            disk.schedule(disk.operations() + 1, fault);
        }
        journal.sync()?;
        let batch = std::mem::take(&mut self.appended);
        if !batch.is_empty() {
            self.last_batch = batch.len();
            self.written_in = self.appended_in;
        }
        self.acknowledged.extend_from_slice(&batch);
        let batch: Vec<Record> = batch.into_iter().map(|(_, record)| record).collect();
        for record in &batch {
            self.folded.apply(record);
        }
        if batch.iter().any(|record| matches!(record, Record::Truncated(_)))
            && let Some(needed) = self.ledger.cut()
        {
            self.cut = needed;
            journal.cut(Sequence(needed))?;
        }
        Ok(batch)
    }

    /// Makes the next segment while nothing else is to be done.
    pub fn prepare(&mut self) -> Result<(), DiskError> {
        match &mut self.state {
            State::Open(journal) => journal.prepare(),
            State::Closed(_) => Ok(()),
        }
    }

    /// Ends a life at a drawn moment of the batch that is under way, if there is one.
    pub fn end(&mut self, ending: Ending, rng: &mut Rng) {
        let closed = State::Closed(FaultyDisk::new(0));
        let State::Open(mut journal) = std::mem::replace(&mut self.state, closed) else {
            unreachable!("a life ends once");
        };
        if !self.appended.is_empty() {
            let at = journal.disk_mut().operations();
            let fault = if ending == Ending::Killed { Fault::Fail } else { Fault::PowerCut };
            // Before the write, at the write, at its sync, or after both. This life learns of none.
            let moment = rng.below(4);
            if moment == 1 || moment == 2 {
                journal.disk_mut().schedule(at + moment - 1, fault);
            }
            if moment > 0 {
                drop(journal.sync());
            }
        }
        let mut disk = journal.into_disk();
        if ending == Ending::PowerLost {
            disk.crash();
        }
        self.state = State::Closed(disk);
    }

    /// Ends a life whose disk has failed. Whoever opens it again reads the device, not the cache.
    pub fn end_failed(&mut self) {
        let closed = State::Closed(FaultyDisk::new(0));
        let State::Open(journal) = std::mem::replace(&mut self.state, closed) else {
            unreachable!("a life ends once");
        };
        let mut disk = journal.into_disk();
        disk.crash();
        self.state = State::Closed(disk);
    }

    /// Damages the disk between two lives. Gives back what was there before.
    pub fn damage(&mut self, damage: Damage, rng: &mut Rng) -> FaultyDisk {
        let State::Closed(disk) = &mut self.state else {
            unreachable!("a disk is damaged between two lives");
        };
        let before = disk.clone();
        match damage {
            Damage::Rot => {
                if let Some((number, offset)) = somewhere(disk, rng) {
                    disk.flip(number, offset, 1 << rng.below(8));
                }
            }
            Damage::Stale | Damage::Misdirected => {
                let (here, there) = (somewhere(disk, rng), somewhere(disk, rng));
                if let (Some((number, offset)), Some((other, from))) = (here, there) {
                    let source =
                        (damage == Damage::Misdirected).then_some((other, from / SECTOR_BYTES));
                    disk.misread(number, offset / SECTOR_BYTES, source);
                }
            }
            Damage::FileLost => {
                let files = disk.list().expect("the power is back");
                let file = files[rng.index(files.len())];
                disk.remove(file.number).expect("it was there a line above");
            }
            Damage::Lost => *disk = FaultyDisk::new(rng.draw()),
            Damage::Swapped => {
                let mut disk_id = self.identity.disk;
                disk_id[0] ^= 0xff;
                *disk = formatted(Identity { disk: disk_id, ..self.identity }, rng.draw());
            }
        }
        before
    }

    /// Flips a bit in each of these acknowledged frames, counted from zero, between two lives.
    /// Whether a promise follows them is for the next life to see.
    pub fn rot(&mut self, range: Range<usize>) {
        let State::Closed(disk) = &mut self.state else {
            unreachable!("a disk rots between two lives");
        };
        let files = disk.list().expect("the power is back");
        for (frame, record) in &self.acknowledged[range] {
            // A frame's header holds its sequence, 16 bytes before the payload.
            let mut sought = frame.to_le_bytes().to_vec();
            sought.extend([0; 8]);
            encode_record(&self.configuration, record, &mut sought);
            // The checksum, and the epoch that it was written in.
            let unknown = |at: usize| (8..16).contains(&at) || (34..42).contains(&at);
            for file in &files {
                let mut bytes = vec![0; file.bytes];
                disk.read_at(file.number, 0, &mut bytes).expect("the power is back");
                for (offset, here) in bytes.windows(sought.len()).enumerate() {
                    let mut bytes = here.iter().zip(&sought).enumerate();
                    if bytes.all(|(at, (one, other))| one == other || unknown(at)) {
                        disk.flip(file.number, offset + 16, 1);
                    }
                }
            }
        }
    }

    /// The same, with frames that are drawn such that a promise follows, and what vouches for them.
    /// False if there are none.
    pub fn rot_somewhere(&mut self, rng: &mut Rng) -> bool {
        let bears_a_promise = |(_, record): &(u64, Record)| {
            matches!(record, Record::Promised(_) | Record::Accepted(_))
        };
        let last = self.acknowledged.iter().rposition(bears_a_promise).unwrap_or(0);
        let last = last.min(self.acknowledged.len().saturating_sub(self.last_batch));
        if last == 0 {
            return false;
        }
        let from = rng.index(last);
        let to = from + 1 + rng.index(last - from);
        self.rot(from..to);
        true
    }

    /// Takes damage back.
    pub fn restore(&mut self, disk: FaultyDisk) {
        self.state = State::Closed(disk);
    }

    /// Puts a journal in place that holds the first `keep` records and seems whole. No walk over a
    /// sound world does this.
    pub fn forget(&mut self, keep: usize, rng: &mut Rng) {
        self.state = State::Closed(formatted(self.identity, rng.draw()));
        let kept = self.acknowledged.drain(..).take(keep);
        let kept: Vec<Record> = kept.map(|(_, record)| record).collect();
        self.appended.clear();
        self.cut = 0;
        self.folded = Acceptor::default();
        if !matches!(self.open(), Found::Whole { .. }) {
            unreachable!("a formatted journal opens");
        }
        self.append(&kept).expect("no fault is scheduled");
        self.sync(None).expect("no fault is scheduled");
        let ending = Ending::Killed;
        self.end(ending, rng);
    }

    /// How many records were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.len()
    }
}

fn folded(records: &[(u64, Record)]) -> Acceptor {
    let mut acceptor = Acceptor::default();
    for (_, record) in records {
        acceptor.apply(record);
    }
    acceptor
}

fn identity(configuration: &Configuration, node: NodeId) -> Identity {
    let member = &configuration.members()[&node];
    let disk = member.disk.expect("an acceptor has a disk").0;
    Identity { cluster: configuration.cluster().0, node: node.0, disk }
}

/// A byte of the disk.
fn somewhere(disk: &mut FaultyDisk, rng: &mut Rng) -> Option<(SegmentNumber, usize)> {
    let files = disk.list().expect("the power is back");
    let file = files[rng.index(files.len())];
    (file.bytes > 0).then(|| (file.number, rng.index(file.bytes)))
}

fn formatted(identity: Identity, seed: u64) -> FaultyDisk {
    let mut disk = FaultyDisk::new(seed);
    let formatted: Result<(), FormatError> = Journal::format(&mut disk, identity);
    formatted.expect("a new disk is empty and has no faults");
    disk
}
