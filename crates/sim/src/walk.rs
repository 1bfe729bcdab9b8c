//! One random walk: a seed and options in, an outcome out.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use paxos::{Announce, ConfigurationError, Instant, Limits, NODES_MAX, Rng};
use serde::{Deserialize, Serialize};

use crate::broken::Broken;
use crate::check::Wrong;
use crate::faults::Faults;
use crate::names;
use crate::recording::Happened;
use crate::shape::Shape;
use crate::world::World;

/// What is walked over. Everything else follows from the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// How many clients append, 1 to 255.
    pub clients: u8,
    /// How many values each of them appends.
    pub requests: u64,
    /// How many of a client's looks at the cluster read some learner's history, too.
    pub reads_permille: u64,
    /// Whom acceptors tell of their votes.
    #[serde(with = "names::announce")]
    pub announce: Announce,
    /// Every node's bounds.
    #[serde(with = "names::limits")]
    pub limits: Limits,
    /// A node takes a snapshot each time that it has applied so many bytes; zero: never.
    pub snapshot_every_bytes: u64,
    /// Of what snapshots cover, nodes keep so many bytes of values all the same.
    pub retained_bytes: usize,
    /// Misfortunes that do not happen, by their number from zero: what shrinking leaves out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub spared: BTreeSet<u64>,
    /// How the world itself is broken, to see that it is noticed.
    #[serde(skip)]
    pub broken: Option<Broken>,
    /// Who takes part.
    pub shape: Shape,
    /// What goes wrong.
    pub faults: Faults,
}

/// How many values a client of a world appends, at most.
const REQUESTS_MAX: u64 = 1_000_000;

/// How many lines a violation comes with.
const LINES_MAX: usize = 40;

/// How a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first promise that was broken; none in a sound world.
    pub violation: Option<Violation>,
    /// What happened, counted.
    pub statistics: Statistics,
    /// Over every happening, its time and bytes: equal for equal seeds and options.
    pub fingerprint: u64,
}

/// A promise was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The seed that shows it again.
    pub seed: u64,
    /// When, in virtual time.
    pub at: Instant,
    /// Which promise: the file under `check` that noticed.
    pub promise: &'static str,
    /// What was seen.
    pub what: String,
    /// The last lines of the trace.
    pub trace: Vec<String>,
}

/// What happened, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Messages that left their nodes: encoded, judged, and given to the network.
    pub sent: u64,
    /// Messages that arrived at a node that heard them, were decoded and stepped.
    pub delivered: u64,
    /// Everything that the world's queue held.
    pub happenings: u64,
    /// Lives ended by a crash.
    pub crashes: u64,
    /// Lives ended by a disk that failed.
    pub disk_failures: u64,
    /// Damaged disks that their acceptors refused.
    pub damage_refused: u64,
    /// Damaged last batches, which no journal can tell from torn ones; taken back by the world.
    pub damage_unseen: u64,
    /// Acceptors' disks that were lost for good.
    pub disks_lost: u64,
    /// How many of them were replaced.
    pub disks_replaced: u64,
    /// Starts with a configuration that was over, which their acceptors refused.
    pub epochs_refused: u64,
    /// Messages of another epoch, which nobody heard.
    pub epochs_unheard: u64,
    /// Misfortunes other than crashes.
    pub misfortunes: u64,
    /// Misfortunes that were due, crashes and those that were spared included.
    pub due: u64,
    /// Slots chosen.
    pub slots: u64,
    /// Values acknowledged to clients.
    pub acknowledged: u64,
    /// Snapshots written.
    pub snapshots: u64,
    /// Snapshots that were damaged, or lost with their disk.
    pub snapshots_lost: u64,
    /// Reads, by how much they were to show and how they were answered.
    pub reads: BTreeMap<(&'static str, &'static str), u64>,
    /// Virtual time from the healing until everybody agreed, in microseconds.
    pub converged_us: u64,
    /// Events, by name.
    pub events: BTreeMap<&'static str, u64>,
    /// Answers to clients, by kind.
    pub replies: BTreeMap<&'static str, u64>,
    /// Messages sent, by kind.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl Options {
    /// A draw from everything that there is, broken worlds excepted.
    pub fn drawn(seed: u64) -> Options {
        // Another sequence than the walk's own, which starts from the seed itself.
        let mut rng = Rng::new(!seed);
        let mut shapes = Shape::all();
        let shape = shapes.swap_remove(rng.index(shapes.len()));
        let announce =
            if rng.below(2) == 0 { Announce::EveryLearner } else { Announce::LeaderOnly };
        let limits = if rng.below(2) == 0 { Limits::default() } else { Options::tight() };
        let faults = Faults::drawn(&mut rng);
        let clients = 1 + rng.below(3).to_le_bytes()[0];
        let mut options = Options {
            shape,
            announce,
            limits,
            faults,
            clients,
            requests: 10 + rng.below(30),
            reads_permille: rng.below(500),
            snapshot_every_bytes: (200 + rng.below(5_000)) * rng.below(4).min(1),
            retained_bytes: rng.index(2_000) * rng.index(2),
            spared: BTreeSet::new(),
            broken: None,
        };
        // Drawn last, so that the rest of a seed's world is as it was before disks rotted, before
        // they were lost, and before leaders handed over.
        options.faults.rot_permille = rng.below(401) * rng.below(2);
        options.faults.lost_disk = rng.below(3) * rng.below(2);
        options.faults.replace_us_max = 20_000 + rng.below(800_000);
        options.faults.hand_over = rng.below(9) * rng.below(2);
        options
    }

    /// Whether this is a world that can be walked over; says what is wrong if not.
    pub fn check(&self) -> Result<(), String> {
        if self.clients == 0 {
            return Err("clients must be 1 to 255".into());
        }
        if self.requests > REQUESTS_MAX {
            return Err(format!("requests must be at most {REQUESTS_MAX}"));
        }
        if usize::try_from(self.shape.nodes()).is_ok_and(|nodes| nodes > NODES_MAX) {
            return Err(format!("too many nodes: at most {NODES_MAX}"));
        }
        match self.shape.configuration() {
            Ok(_) => {}
            Err(ConfigurationError::NoAcceptor) => return Err("there is no acceptor".into()),
            Err(ConfigurationError::NoLeader) => return Err("there is no leader".into()),
            Err(why) => return Err(format!("this is no cluster: {why:?}")),
        }
        let Faults { weather, disk, .. } = &self.faults;
        for (name, permille) in [
            ("reads_permille", self.reads_permille),
            ("faults.damage_permille", self.faults.damage_permille),
            ("faults.snapshot_loss_permille", self.faults.snapshot_loss_permille),
            ("faults.rot_permille", self.faults.rot_permille),
            ("faults.weather.late_permille", weather.late_permille),
            ("faults.weather.loss_permille", weather.loss_permille),
            ("faults.weather.repeat_permille", weather.repeat_permille),
            ("faults.disk.stall_permille", disk.stall_permille),
            ("faults.disk.fail_permille", disk.fail_permille),
        ] {
            if permille > 1000 {
                return Err(format!("{name} must be at most 1000"));
            }
        }
        Ok(())
    }

    /// The same draw with damage beyond what the protocol promises to survive: rotten, lost and
    /// swapped disks. Such a walk is promised no progress, and agreement all the same.
    pub fn drawn_beyond(seed: u64) -> Options {
        let mut options = Options::drawn(seed);
        options.faults.damage_permille = 300;
        options.faults.crash += 2;
        options
    }

    /// Bounds so small that every one of them is met.
    pub fn tight() -> Limits {
        Limits {
            value_bytes_max: 200,
            run_bytes_max: 150,
            run_slots_max: 3,
            slots_in_flight_max: 4,
            bytes_in_flight_max: 400,
            queue_values_max: 6,
            queue_bytes_max: 500,
            ahead_slots_max: 12,
            ahead_bytes_max: 1_000,
            retained_bytes_max: 200,
            votes_bytes_max: 100_000,
            snapshot_bytes_max: 1 << 20,
            part_bytes_max: 100,
            parts_in_flight_max: 3,
            reads_max: 3,
        }
    }
}

impl Statistics {
    /// Adds another walk's counts.
    pub fn add(&mut self, other: &Statistics) {
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.happenings += other.happenings;
        self.crashes += other.crashes;
        self.disk_failures += other.disk_failures;
        self.damage_refused += other.damage_refused;
        self.damage_unseen += other.damage_unseen;
        self.disks_lost += other.disks_lost;
        self.disks_replaced += other.disks_replaced;
        self.epochs_refused += other.epochs_refused;
        self.epochs_unheard += other.epochs_unheard;
        self.misfortunes += other.misfortunes;
        self.due += other.due;
        self.snapshots += other.snapshots;
        self.snapshots_lost += other.snapshots_lost;
        self.slots += other.slots;
        self.acknowledged += other.acknowledged;
        self.converged_us = self.converged_us.max(other.converged_us);
        let maps = [
            (&mut self.events, &other.events),
            (&mut self.replies, &other.replies),
            (&mut self.kinds, &other.kinds),
        ];
        for (mine, theirs) in maps {
            for (name, count) in theirs {
                *mine.entry(name).or_insert(0) += count;
            }
        }
        for (name, count) in &other.reads {
            *self.reads.entry(*name).or_insert(0) += count;
        }
    }
}

/// Walks. The same seed and options give the same outcome, to the byte. An invariant of the core
/// that breaks is a violation like any other.
///
/// # Panics
/// If the shape of the options is no valid configuration.
pub fn walk(seed: u64, options: &Options) -> Outcome {
    let mut outcome = walked(seed, World::new(seed, options.clone())).0;
    if let Some(violation) = &mut outcome.violation {
        // Rare enough to walk once more, so that no other walk has to remember its last lines.
        let (_, happened) = replay(seed, options);
        let skipped = happened.len().saturating_sub(LINES_MAX);
        violation.trace = happened[skipped..].iter().map(Happened::to_string).collect();
    }
    outcome
}

/// The same walk, with everything that happened in it.
///
/// # Panics
/// As [`walk`].
pub fn replay(seed: u64, options: &Options) -> (Outcome, Vec<Happened>) {
    let mut world = World::new(seed, options.clone());
    world.recording().begin();
    walked(seed, world)
}

fn walked(seed: u64, mut world: World) -> (Outcome, Vec<Happened>) {
    // Whatever an assertion leaves behind is only counted and shown.
    let run = catch_unwind(AssertUnwindSafe(|| world.run()));
    let wrong = run.unwrap_or_else(|panic| Err(asserted(&*panic))).err();
    let violation = wrong.map(|wrong| Violation {
        seed,
        at: world.now(),
        promise: wrong.promise,
        what: wrong.what,
        trace: Vec::new(),
    });
    let (fingerprint, happened) = (world.fingerprint(), world.recording().end());
    (Outcome { violation, fingerprint, statistics: world.into_statistics() }, happened)
}

fn asserted(panic: &dyn Any) -> Wrong {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    let what = text.unwrap_or("an assertion of the core").to_owned();
    Wrong { promise: "assertion", what }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        let at = self.at.0;
        write!(f, "seed {} at {at} us breaks {}: {}", self.seed, self.promise, self.what)
    }
}
