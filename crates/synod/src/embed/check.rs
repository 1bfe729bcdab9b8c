//! A user's own state machine in a painted world.
//!
//! ```
//! # use std::collections::BTreeMap;
//! # use serde::{Deserialize, Serialize};
//! # use synod::{Slot, StateMachine};
//! # #[derive(Clone, Default, Serialize, Deserialize)]
//! # struct Counters(BTreeMap<String, i64>);
//! # #[derive(Clone, Serialize, Deserialize)]
//! # struct Add { key: String, by: i64 }
//! # impl StateMachine for Counters {
//! #     type Command = Add;
//! #     type Output = i64;
//! #     type Snapshot = Self;
//! #     fn apply(&mut self, _slot: Slot, cmd: Add) -> i64 {
//! #         let n = self.0.entry(cmd.key).or_default();
//! #         *n += cmd.by;
//! #         *n
//! #     }
//! #     fn snapshot(&self) -> Self { self.clone() }
//! #     fn restore(s: Self) -> Self { s }
//! # }
//! synod::sim::check(0..20, Counters::default, |rng| Add {
//!     key: "k".into(),
//!     by: 1 + rng.below(9) as i64,
//! });
//! ```

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use node::{Request, StateMachine as _};
pub use paxos::Rng;
use paxos::Slot;

use super::codec::{Output, encode_command};
use super::hosting::{Frozen, Hosting};
use super::machine::StateMachine;

/// Commands of one seed.
const COMMANDS: usize = 60;

/// What was seen of a machine that is sound, over all seeds together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Seeds.
    pub seeds: u64,
    /// Commands that were applied once in every world.
    pub commands: u64,
    /// Nodes that crashed.
    pub crashes: u64,
    /// Snapshots that were taken and compared.
    pub snapshots: u64,
    /// Times that a node went on from a snapshot.
    pub restored: u64,
}

/// A seed that shows that a machine is not deterministic, or does not survive its snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Run it again with `seed..seed + 1`.
    pub seed: u64,
    /// What was seen.
    pub what: String,
}

/// Looks for faults in a state machine, one seed after the other: three nodes replicate it, with
/// `commands` that are drawn, over a network that loses and reorders, with nodes that crash and
/// come back from snapshots. Every output and every snapshot is compared between the nodes; then
/// the log is applied twice more, and once with a snapshot and a restore at a drawn place, and all
/// outputs and all last snapshots must be the same, byte by byte.
///
/// # Panics
/// With the seed and what was seen, if something is wrong.
pub fn check<S: StateMachine>(
    seeds: impl IntoIterator<Item = u64>,
    machine: impl FnMut() -> S,
    commands: impl FnMut(&mut Rng) -> S::Command,
) -> Checked {
    try_check(seeds, machine, commands).unwrap_or_else(|finding| panic!("{finding}"))
}

/// As [`check`], and gives back what is wrong.
pub fn try_check<S: StateMachine>(
    seeds: impl IntoIterator<Item = u64>,
    mut machine: impl FnMut() -> S,
    mut commands: impl FnMut(&mut Rng) -> S::Command,
) -> Result<Checked, Finding> {
    let mut all = Checked::default();
    for seed in seeds {
        let one = AssertUnwindSafe(|| one_seed(seed, &mut machine, &mut commands));
        let found = catch_unwind(one).unwrap_or_else(|panic| Err(words(&*panic)));
        let one = found.map_err(|what| Finding { seed, what })?;
        all.seeds += 1;
        all.commands += one.commands;
        all.crashes += one.crashes;
        all.snapshots += one.snapshots;
        all.restored += one.restored;
    }
    Ok(all)
}

fn one_seed<S: StateMachine>(
    seed: u64,
    machine: &mut dyn FnMut() -> S,
    commands: &mut dyn FnMut(&mut Rng) -> S::Command,
) -> Result<Checked, String> {
    let mut rng = Rng::new(seed);
    let mut values = Vec::new();
    for _ in 0..COMMANDS {
        let value = encode_command::<S>(commands(&mut rng));
        values.push(value.map_err(|error| error.to_string())?);
    }
    let seen = Arc::new(Mutex::new(Seen::default()));
    let make = &mut || Witnessed { hosting: hosting(machine()), seen: seen.clone() };
    let replicated = sim::replicate(rng.draw(), make, values);
    let seen = std::mem::take(&mut *lock(&seen));
    // What a machine has answered otherwise is the reason of what differs later.
    if let Some(finding) = seen.finding {
        return Err(finding);
    }
    let replicated = replicated?;
    let log: Vec<(Slot, Request, Output)> =
        seen.log.into_iter().map(|(slot, (request, output))| (slot, request, output)).collect();

    let mut last = None;
    for round in ["once more", "twice more"] {
        let mut hosting = hosting(machine());
        replay(&mut hosting, &log, round)?;
        let bytes = bytes(&hosting);
        if last.is_some_and(|last| last != bytes) {
            return Err("one log, applied twice, ends in snapshots whose bytes differ".into());
        }
        last = Some(bytes);
    }
    // A machine that was restored in the middle must go on as if it had not been.
    let (before, after) = log.split_at(rng.index(log.len() + 1));
    let mut whole = hosting(machine());
    replay(&mut whole, before, "up to a snapshot")?;
    let taken = bytes(&whole);
    let Some(mut restored) = whole.decode(&taken) else {
        return Err("a snapshot cannot be restored from its own bytes".into());
    };
    if bytes(&restored) != taken {
        return Err(
            "a restored machine's snapshot has other bytes than the one it came from".into()
        );
    }
    replay(&mut restored, after, "from a snapshot on")?;
    if last != Some(bytes(&restored)) {
        return Err("a log with a snapshot and a restore in its middle ends in other bytes".into());
    }
    Ok(Checked {
        seeds: 1,
        commands: COMMANDS as u64,
        crashes: replicated.crashes,
        snapshots: replicated.snapshots,
        restored: replicated.restored,
    })
}

fn replay<S: StateMachine>(
    hosting: &mut Hosting<S>,
    log: &[(Slot, Request, Output)],
    how: &str,
) -> Result<(), String> {
    for (slot, request, output) in log {
        if hosting.apply(*slot, request) != *output {
            return Err(format!("the log, applied {how}, gives another output in slot {slot}"));
        }
    }
    Ok(())
}

fn hosting<S: StateMachine>(machine: S) -> Hosting<S> {
    Hosting::new(machine, 0)
}

fn bytes<S: StateMachine>(hosting: &Hosting<S>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Hosting::<S>::encode(&hosting.freeze(), &mut bytes);
    bytes
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or("a panic".into())
}

/// What all replicas of one world have applied, and what the first of them has answered.
#[derive(Default)]
struct Seen {
    log: BTreeMap<Slot, (Request, Output)>,
    finding: Option<String>,
}

/// A machine whose outputs are compared with those of the other replicas.
struct Witnessed<S> {
    hosting: Hosting<S>,
    seen: Arc<Mutex<Seen>>,
}

impl<S: StateMachine> node::StateMachine for Witnessed<S> {
    type Output = Output;
    type Frozen = Frozen<S::Snapshot>;

    fn apply(&mut self, slot: Slot, request: &Request) -> Output {
        let output = self.hosting.apply(slot, request);
        let mut seen = lock(&self.seen);
        let first = seen.log.entry(slot).or_insert_with(|| (request.clone(), output.clone()));
        if first.1 != output {
            let what = format!("two replicas give other outputs in slot {slot}");
            seen.finding.get_or_insert(what);
        }
        output
    }

    fn freeze(&self) -> Self::Frozen {
        self.hosting.freeze()
    }

    fn encode(frozen: &Self::Frozen, out: &mut Vec<u8>) {
        Hosting::<S>::encode(frozen, out);
    }

    fn decode(&self, bytes: &[u8]) -> Option<Witnessed<S>> {
        let hosting = self.hosting.decode(bytes)?;
        Some(Witnessed { hosting, seen: self.seen.clone() })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}", self.seed, self.what)
    }
}

impl std::error::Error for Finding {}
