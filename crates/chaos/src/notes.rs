//! Everything that was asked, heard, seen and done, in files that people can read and the judge
//! reads back. Times are microseconds since the run began.
//!
//! ```text
//!   appends.csv       value,asked,answered,answer     answer: a slot, "declined" or "unknown"
//!   reads.csv         node,asked,answered,at_least,first,below,count,digest
//!   shown-NODE.csv    slot,value  or  from,slot       where following begins (again)
//!   faults.csv        kind,began,ended,what
//! ```
//!
//! One thread writes; the queue before it is bounded, so whoever notes waits rather than grows.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use paxos::Slot;
use sim::told::{Answer, Append, Read, Shown, Told};
use tokio::sync::mpsc;

use crate::Outcome;

const QUEUE_MAX: usize = 4096;

/// A line for a file.
#[derive(Debug)]
struct Line {
    file: String,
    text: String,
}

/// A pen. Clones write into the same files.
#[derive(Clone, Debug)]
pub(crate) struct Notes {
    origin: Instant,
    lines: mpsc::Sender<Line>,
}

/// Ends when the last pen is dropped.
pub(crate) struct Writer(JoinHandle<std::io::Result<()>>);

/// A fault that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: String,
    pub(crate) began: u64,
    pub(crate) ended: u64,
    pub(crate) what: String,
}

/// Opens the files of a directory.
pub(crate) fn open(directory: &Path) -> (Notes, Writer) {
    let (lines, mut queue) = mpsc::channel::<Line>(QUEUE_MAX);
    let directory = directory.to_owned();
    let writer = std::thread::spawn(move || {
        let mut files: BTreeMap<String, BufWriter<File>> = BTreeMap::new();
        while let Some(Line { file, text }) = queue.blocking_recv() {
            if !files.contains_key(&file) {
                let path = directory.join(&file);
                files.insert(file.clone(), BufWriter::new(File::create(path)?));
            }
            if let Some(into) = files.get_mut(&file) {
                into.write_all(text.as_bytes())?;
            }
        }
        files.values_mut().try_for_each(BufWriter::flush)
    });
    (Notes { origin: Instant::now(), lines }, Writer(writer))
}

impl Notes {
    /// Since the run began.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// The same as the checkers count it.
    pub(crate) fn instant(&self) -> paxos::Instant {
        paxos::Instant(0).plus(self.now())
    }

    pub(crate) async fn append(&self, append: Append) {
        let Append { value, asked, answered, answer } = append;
        let answer = match answer {
            Answer::Done(slot) => slot.0.to_string(),
            Answer::NotApplied => "declined".into(),
            Answer::Unknown => "unknown".into(),
        };
        let text = format!("{value},{},{},{answer}\n", asked.0, answered.0);
        self.write("appends.csv".into(), text).await;
    }

    pub(crate) async fn read(&self, read: &Read) {
        let Read { learner, asked, answered, at_least, first, below, shown } = read;
        let at_least = at_least.map_or_else(String::new, |slot| slot.0.to_string());
        let Shown { count, digest } = shown;
        let (asked, answered, first, below) = (asked.0, answered.0, first.0, below.0);
        let text =
            format!("{learner},{asked},{answered},{at_least},{first},{below},{count},{digest}\n");
        self.write("reads.csv".into(), text).await;
    }

    /// A learner is followed from this slot on.
    pub(crate) async fn begins(&self, learner: &str, slot: u64) {
        self.write(shown_file(learner), format!("from,{slot}\n")).await;
    }

    pub(crate) async fn shows(&self, learner: &str, slot: u64, value: u64) {
        self.write(shown_file(learner), format!("{slot},{value}\n")).await;
    }

    /// From a thread that may wait.
    pub(crate) fn fault(&self, fault: &Fault) {
        let Fault { kind, began, ended, what } = fault;
        let text = format!("{kind},{began},{ended},{what}\n");
        // Gone only when the writer failed, which the end of the run says.
        drop(self.lines.blocking_send(Line { file: "faults.csv".into(), text }));
    }

    async fn write(&self, file: String, text: String) {
        drop(self.lines.send(Line { file, text }).await);
    }
}

impl Writer {
    /// Waits until everything is written. All pens must be gone.
    pub(crate) fn finish(self) -> Outcome<()> {
        Ok(self.0.join().map_err(|_| "the writer of notes panicked")??)
    }
}

fn shown_file(learner: &str) -> String {
    format!("shown-{learner}.csv")
}

/// Reads all appends back.
pub(crate) fn appends(directory: &Path) -> Outcome<Vec<Append>> {
    let mut appends = Vec::new();
    each_line(&directory.join("appends.csv"), |words| {
        let [value, asked, answered, answer] = words[..] else { return Err("4 words".into()) };
        let answer = match answer {
            "declined" => Answer::NotApplied,
            "unknown" => Answer::Unknown,
            slot => Answer::Done(Slot(slot.parse()?)),
        };
        let (asked, answered) = (instant(asked)?, instant(answered)?);
        appends.push(Append { value: value.parse()?, asked, answered, answer });
        Ok(())
    })?;
    Ok(appends)
}

/// Reads all reads back.
pub(crate) fn reads(directory: &Path) -> Outcome<Vec<Read>> {
    let mut reads = Vec::new();
    each_line(&directory.join("reads.csv"), |words| {
        let [learner, asked, answered, at_least, first, below, count, digest] = words[..] else {
            return Err("8 words".into());
        };
        let at_least = match at_least {
            "" => None,
            slot => Some(Slot(slot.parse()?)),
        };
        reads.push(Read {
            learner: learner.to_owned(),
            asked: instant(asked)?,
            answered: instant(answered)?,
            at_least,
            first: Slot(first.parse()?),
            below: Slot(below.parse()?),
            shown: Shown { count: count.parse()?, digest: digest.parse()? },
        });
        Ok(())
    })?;
    Ok(reads)
}

/// Reads back what all learners showed. What breaks the promise at once is the inner error.
pub(crate) fn told(directory: &Path) -> Outcome<Result<Told, sim::Wrong>> {
    let mut told = Told::default();
    for (learner, path) in shown_files(directory)? {
        let mut wrong = None;
        each_line(&path, |words| {
            let [slot, value] = words[..] else { return Err("2 words".into()) };
            let checked = match slot {
                "from" => told.begins(&learner, Slot(value.parse()?)),
                slot => told.shows(&learner, Slot(slot.parse()?), value.parse()?),
            };
            wrong = wrong.take().or(checked.err());
            Ok(())
        })?;
        if let Some(wrong) = wrong {
            return Ok(Err(wrong));
        }
    }
    Ok(Ok(told))
}

/// Reads all faults back.
pub(crate) fn faults(directory: &Path) -> Outcome<Vec<Fault>> {
    let mut faults = Vec::new();
    let path = directory.join("faults.csv");
    if !path.exists() {
        return Ok(faults);
    }
    each_line(&path, |words| {
        let [kind, began, ended, what @ ..] = words else { return Err("4 words".into()) };
        let (kind, what) = ((*kind).to_owned(), what.join(","));
        faults.push(Fault { kind, began: began.parse()?, ended: ended.parse()?, what });
        Ok(())
    })?;
    Ok(faults)
}

fn shown_files(directory: &Path) -> Outcome<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let learner = name.strip_prefix("shown-").and_then(|rest| rest.strip_suffix(".csv"));
        if let Some(learner) = learner {
            files.push((learner.to_owned(), path.clone()));
        }
    }
    files.sort();
    Ok(files)
}

fn instant(text: &str) -> Outcome<paxos::Instant> {
    Ok(paxos::Instant(text.parse()?))
}

fn each_line(path: &Path, mut read: impl FnMut(&[&str]) -> Outcome<()>) -> Outcome<()> {
    let file = File::open(path).map_err(|error| format!("{}: {error}", path.display()))?;
    for (number, line) in (1..).zip(BufReader::new(file).lines()) {
        let line = line?;
        let words: Vec<&str> = line.split(',').collect();
        read(&words).map_err(|error| format!("{}:{number}: {error}", path.display()))?;
    }
    Ok(())
}
