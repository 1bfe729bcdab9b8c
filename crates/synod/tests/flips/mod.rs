//! A node's directory that a real run has made, copies of it with one byte flipped each, and what a
//! start makes of them.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use client::{Client, Options as ClientOptions};
use paxos::{Limits, NodeId, Rng};
use server::config::{Config, Storage, Timing};
use server::local::{Layout, Local};
use server::{Found, Options, rehearse};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As without the flip.
    Same,
    /// The older snapshot, or none, and the journal as it was.
    OlderSnapshot,
    /// Records of the last batch are taken for a torn write. No later one vouches for it.
    TornTail,
    /// Votes are missing, and it says so: it is not counted in phase 1 until it has mended.
    Suspect,
    /// Refused, with a reason.
    Refused,
    /// Records are missing that are not the last ones, or there are more than were written.
    Wrong,
    /// It panicked.
    Panicked,
}

/// A directory, and how a start reads it.
pub struct Made {
    config: Config,
    options: Options,
    files: Vec<(PathBuf, Vec<u8>)>,
    found: Found,
}

fn options() -> Options {
    Options {
        limits: Limits {
            retained_bytes_max: 32 << 10,
            run_bytes_max: 4 << 10,
            ..Limits::default()
        },
        journal: journal::Options { segment_bytes: 64 << 10 },
        ..Options::default()
    }
}

/// Runs three nodes until their journals are cut and two snapshots lie in each directory.
pub async fn make(directory: &Path) -> Made {
    let layout = Layout { both: 3, ..Layout::default() };
    let storage = Storage { history_bytes: 128 << 10, snapshot_bytes: 64 << 10 };
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(500),
    };
    let local = Local::start(layout, directory, timing, storage, options()).expect("a cluster");
    let endpoints = local.leader_endpoints();
    let client = Client::new(ClientOptions { timeout: PATIENCE, ..ClientOptions::new(endpoints) });
    let client = client.expect("a client");
    for _ in 0..8 {
        let mut appends = JoinSet::new();
        for number in 0u64..500 {
            let client = client.clone();
            appends.spawn(async move { client.append(number.to_le_bytes().repeat(20)).await });
        }
        for appended in appends.join_all().await {
            appended.expect("appended");
        }
    }
    let config = local.configs()[&NodeId(1)].clone();
    assert!(local.stop().await.is_empty());
    let home = config.data_dir.clone().expect("it has a disk");
    let mut files = Vec::new();
    gather(&home, Path::new(""), &mut files);
    let mut made = Made { config, options: options(), files, found: Found::default() };
    made.found = made.start(None, directory).expect("nothing is flipped");
    made
}

fn gather(home: &Path, below: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(home.join(below)).expect("a directory") {
        let entry = entry.expect("an entry");
        let name = below.join(entry.file_name());
        if entry.path().is_dir() {
            gather(home, &name, files);
        } else if name.extension().is_some_and(|it| it == "segment") {
            let bytes = fs::read(entry.path()).expect("a file");
            files.push((name, bytes));
        }
    }
    files.sort();
}

impl Made {
    /// The sizes of all files together.
    pub fn bytes(&self) -> usize {
        self.files.iter().map(|(_, bytes)| bytes.len()).sum()
    }

    /// Flips a byte at each of so many positions, drawn from a seed. Counts outcomes by what was
    /// flipped and what followed, with a reason where there is one.
    pub fn flip(
        &self,
        positions: usize,
        seed: u64,
        scratch: &Path,
    ) -> BTreeMap<(&'static str, Outcome, String), usize> {
        let mut rng = Rng::new(seed);
        let mut outcomes = BTreeMap::new();
        for _ in 0..positions {
            let at = usize::try_from(rng.below(self.bytes() as u64)).expect("it is a place");
            let by = u8::try_from(rng.below(255)).expect("it is a byte") + 1;
            let (file, offset) = self.place(at);
            let is_snapshot = self.files[file].0.parent() != Some(Path::new(""));
            let kind = if is_snapshot { "snapshot" } else { "journal" };
            let (outcome, why) = self.outcome((file, offset, by), scratch);
            *outcomes.entry((kind, outcome, why)).or_default() += 1;
        }
        outcomes
    }

    fn place(&self, mut at: usize) -> (usize, usize) {
        for (file, (_, bytes)) in self.files.iter().enumerate() {
            if at < bytes.len() {
                return (file, at);
            }
            at -= bytes.len();
        }
        unreachable!("the position is within all files")
    }

    fn outcome(&self, flip: (usize, usize, u8), scratch: &Path) -> (Outcome, String) {
        let started = catch_unwind(AssertUnwindSafe(|| self.start(Some(flip), scratch)));
        let outcome = match started {
            Err(_) => Outcome::Panicked,
            Ok(Err(why)) => return (Outcome::Refused, why),
            Ok(Ok(found)) if found == self.found => Outcome::Same,
            Ok(Ok(Found { is_suspect: true, .. })) => Outcome::Suspect,
            Ok(Ok(Found { records, snapshot, .. })) => {
                let is_older = snapshot < self.found.snapshot;
                match (records.cmp(&self.found.records), is_older) {
                    (std::cmp::Ordering::Equal, true) => Outcome::OlderSnapshot,
                    (std::cmp::Ordering::Less, false) => Outcome::TornTail,
                    _ => Outcome::Wrong,
                }
            }
        };
        (outcome, String::new())
    }

    /// Lays the files out anew, one byte flipped, and starts on them.
    fn start(&self, flip: Option<(usize, usize, u8)>, scratch: &Path) -> Result<Found, String> {
        let home = scratch.join("flipped");
        drop(fs::remove_dir_all(&home));
        for (at, (name, bytes)) in self.files.iter().enumerate() {
            let path = home.join(name);
            fs::create_dir_all(path.parent().expect("it is below home")).expect("a directory");
            let mut bytes = bytes.clone();
            if let Some((_, offset, by)) = flip.filter(|(file, ..)| *file == at) {
                bytes[offset] ^= by;
            }
            fs::write(path, bytes).expect("a file");
        }
        let config = Config { data_dir: Some(home), ..self.config.clone() };
        rehearse(&config, &self.options).map_err(|error| {
            // The kind of reason, not the place: that is another one each time.
            let text = error.to_string();
            let reason = text.rsplit(".segment").next().unwrap_or(&text);
            let words = reason.rsplit("flipped").next().unwrap_or(reason);
            words.chars().filter(|letter| !letter.is_ascii_digit()).collect()
        })
    }
}
