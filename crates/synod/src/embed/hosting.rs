//! A user's state machine as a node hosts it: bytes in, bytes out, and nothing that it does wrong
//! goes unnoticed.
//!
//! Beside the state it holds the newest commands as they were applied, for those who follow the
//! log. They are local: not part of the state, nor of snapshots.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use node::{Entry, History, Request};
use paxos::Slot;
use server::hosted::Hosted;

use super::codec::{Output, Undecodable, decode_command, whole};
use super::machine::StateMachine;

/// What went wrong in a machine; whoever asks why its node has stopped finds it here.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// What stopped the node.
    fatal: OnceLock<String>,
    /// A snapshot of another version was seen.
    foreign: OnceLock<u32>,
}

/// A user's machine, and what belongs to it.
pub(crate) struct Hosting<S> {
    /// None in the one that only knows how to read snapshots.
    machine: Option<S>,
    faults: Arc<Faults>,
    /// One past the last slot in which a command was applied.
    end: Slot,
    /// How many commands were applied.
    commands: u64,
    /// What the machine was before is not in the log.
    log_from: Slot,
    log: History,
    log_bytes: u64,
}

/// A snapshot whose bytes are still to be made.
pub(crate) struct Frozen<T> {
    end: Slot,
    commands: u64,
    /// Locked once, by whoever writes it: a snapshot need not be shared between threads.
    snapshot: Arc<Mutex<T>>,
    faults: Arc<Faults>,
}

/// The version, how many commands, and where they end.
const HEAD_BYTES: usize = 4 + 8 + 8;

impl Faults {
    /// What stopped the node, if its machine did.
    pub(crate) fn fatal(&self) -> Option<String> {
        self.fatal.get().cloned()
    }

    /// The version of a snapshot that another version of the machine has written.
    pub(crate) fn foreign(&self) -> Option<u32> {
        self.foreign.get().copied()
    }

    /// Stops the node: its state is unknown from here on.
    fn stop(&self, why: &str) -> ! {
        self.fatal.set(why.to_owned()).ok();
        panic!("{why}");
    }

    fn guard<T>(&self, what: &str, call: impl FnOnce() -> T) -> T {
        match catch_unwind(AssertUnwindSafe(call)) {
            Ok(done) => done,
            Err(panic) => {
                self.stop(&format!("the state machine panicked {what}: {}", words(&*panic)))
            }
        }
    }
}

impl<S: StateMachine> Hosting<S> {
    pub(crate) fn new(machine: S, log_bytes: u64) -> Hosting<S> {
        Hosting { machine: Some(machine), ..Hosting::like(Arc::default(), log_bytes) }
    }

    /// One that only knows how to read snapshots.
    pub(crate) fn like(faults: Arc<Faults>, log_bytes: u64) -> Hosting<S> {
        let (end, log_from) = (Slot::FIRST, Slot::FIRST);
        let log = History::within(log_bytes);
        Hosting { machine: None, faults, end, commands: 0, log_from, log, log_bytes }
    }

    pub(crate) fn faults(&self) -> &Arc<Faults> {
        &self.faults
    }

    pub(crate) fn machine(&self) -> &S {
        self.machine.as_ref().expect("only one that applies nothing is without a machine")
    }

    /// The commands at and above a slot, as they were applied, as far as they are held.
    pub(crate) fn log(&self, from: Slot) -> impl Iterator<Item = &Entry> {
        self.log.from(from)
    }
}

impl<S: StateMachine> node::StateMachine for Hosting<S> {
    type Output = Output;
    type Frozen = Frozen<S::Snapshot>;

    fn apply(&mut self, slot: Slot, request: &Request) -> Output {
        let command = match decode_command::<S>(request.value()) {
            Ok(command) => command,
            Err(Undecodable::Version(theirs)) => self.faults.stop(&format!(
                "slot {slot} holds a command of version {theirs} of the state machine, and this \
                 program is version {}: run version {theirs} here, too",
                S::VERSION
            )),
            Err(Undecodable::Malformed(why)) => self.faults.stop(&format!(
                "slot {slot} holds a command that this program cannot read ({why}): another \
                 program has written it and calls itself version {}, too",
                S::VERSION
            )),
        };
        let machine = self.machine.as_mut().expect("a node that applies has a machine");
        let apply = || machine.apply(slot, command);
        let output = self.faults.guard(&format!("in apply, in slot {slot}"), apply);
        (self.end, self.commands) = (slot.plus(1), self.commands + 1);
        node::StateMachine::apply(&mut self.log, slot, request);
        match Output::of(&output) {
            Ok(output) => output,
            Err(why) => self.faults.stop(&format!("the output of slot {slot} has no bytes: {why}")),
        }
    }

    fn freeze(&self) -> Frozen<S::Snapshot> {
        let machine = self.machine();
        let snapshot = self.faults.guard("in snapshot", || machine.snapshot());
        Frozen {
            end: self.end,
            commands: self.commands,
            snapshot: Arc::new(Mutex::new(snapshot)),
            faults: self.faults.clone(),
        }
    }

    fn encode(frozen: &Frozen<S::Snapshot>, out: &mut Vec<u8>) {
        out.extend(S::VERSION.to_le_bytes());
        out.extend(frozen.commands.to_le_bytes());
        out.extend(frozen.end.0.to_le_bytes());
        let snapshot = frozen.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        match postcard::to_extend(&*snapshot, std::mem::take(out)) {
            Ok(bytes) => *out = bytes,
            Err(why) => frozen.faults.stop(&format!("the snapshot has no bytes: {why}")),
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<Hosting<S>> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let (version, numbers) = head.split_first_chunk::<4>()?;
        let (commands, end) = numbers.split_first_chunk::<8>()?;
        let version = u32::from_le_bytes(*version);
        if version != S::VERSION {
            self.faults.foreign.set(version).ok();
            return None;
        }
        let end = Slot(u64::from_le_bytes(end.try_into().ok()?));
        let snapshot = whole::<S::Snapshot>(rest)
            .inspect_err(|why| tracing::error!(why, "a snapshot cannot be read"))
            .ok()?;
        let machine = catch_unwind(AssertUnwindSafe(|| S::restore(snapshot)))
            .inspect_err(|panic| {
                tracing::error!(why = words(&**panic), "the state machine panicked in restore");
            })
            .ok()?;
        let like = Hosting::like(self.faults.clone(), self.log_bytes);
        let commands = u64::from_le_bytes(*commands);
        Some(Hosting { machine: Some(machine), end, commands, log_from: end, ..like })
    }
}

impl<S: StateMachine> Hosted for Hosting<S> {
    fn values(&self) -> u64 {
        self.commands
    }

    fn first_held(&self, applied: Slot) -> Slot {
        if self.log.total() == self.log.held() {
            return self.log_from;
        }
        self.log.first().unwrap_or(applied)
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words")
}

impl<T> Clone for Frozen<T> {
    fn clone(&self) -> Frozen<T> {
        Frozen {
            end: self.end,
            commands: self.commands,
            snapshot: self.snapshot.clone(),
            faults: self.faults.clone(),
        }
    }
}

impl<T> fmt::Debug for Frozen<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen").field("end", &self.end).finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for Hosting<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let commands = &self.commands;
        f.debug_struct("Hosting").field("commands", commands).finish_non_exhaustive()
    }
}
