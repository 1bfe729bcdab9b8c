//! Begins and ends faults when they are due, looks after nodes that end by themselves, heals
//! everything, and waits until the cluster is whole.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use client::proto::StatusResponse;

use crate::Outcome;
use crate::faults::{self, Begun, replacement};
use crate::notes::Fault;
use crate::plan::Planned;
use crate::world::World;

/// How long a node may take for anything, before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long the cluster may take to be whole once all is healed.
const HEALING_MAX: Duration = Duration::from_secs(90);

/// Between two looks at the world.
const LOOK: Duration = Duration::from_millis(10);

/// What the directory is refused with.
const DAMAGED: i32 = 7;

/// The node says that agreement is broken.
const VIOLATION: i32 = 10;

/// What directing comes to, beside what is in the notes.
#[derive(Debug, Default)]
pub(crate) struct Directed {
    /// Promises that were seen to be broken.
    pub(crate) wrong: Vec<String>,
    /// Disks that were replaced.
    pub(crate) replaced: u32,
    /// Faults for which nobody was free.
    pub(crate) skipped: u32,
    /// From the end of the last fault until all was whole.
    pub(crate) healed: Duration,
}

/// A fault that goes on.
struct Active {
    planned: Planned,
    began: Duration,
    begun: Begun,
}

pub(crate) struct Director<'a> {
    world: &'a mut World,
    active: Vec<Active>,
    directed: Directed,
    /// When a damaged node was looked at last.
    looked: Instant,
}

/// Plays a plan to its end. An error is one of this program or its machine, not of the cluster.
pub(crate) fn direct(world: &mut World, plan: &[Planned]) -> Outcome<Directed> {
    let directed = Directed::default();
    let mut director = Director { world, active: Vec::new(), directed, looked: Instant::now() };
    for planned in plan {
        while director.world.notes.now() < planned.at {
            if director.is_over() {
                break;
            }
            director.look()?;
        }
        if director.is_over() {
            break;
        }
        director.begin(planned)?;
    }
    while !director.active.is_empty() && !director.is_over() {
        director.look()?;
    }
    director.heal()?;
    Ok(director.directed)
}

impl Director<'_> {
    fn is_over(&self) -> bool {
        self.world.is_stopping.load(Ordering::Relaxed) || !self.directed.wrong.is_empty()
    }

    fn begin(&mut self, planned: &Planned) -> Outcome<()> {
        let began = self.world.notes.now();
        let name = planned.kind.name();
        if let Some(begun) = faults::begin(planned, self.world)? {
            let lasts = planned.lasts.as_secs_f64();
            say(began, &format!("{name} for {lasts:.1} s: {}", begun.says));
            self.active.push(Active { planned: *planned, began, begun });
        } else {
            say(began, &format!("{name} finds nobody"));
            self.directed.skipped += 1;
        }
        Ok(())
    }

    /// One look: ends what is over, goes on with what lasts, sees who has ended.
    fn look(&mut self) -> Outcome<()> {
        std::thread::sleep(LOOK);
        let now = self.world.notes.now();
        let (over, active) = std::mem::take(&mut self.active)
            .into_iter()
            .partition(|it| it.began + it.planned.lasts <= now);
        self.active = active;
        for active in over {
            self.end(active)?;
        }
        for active in &mut self.active {
            if let Some(goes_on) = &mut active.begun.goes_on {
                goes_on(self.world)?;
            }
        }
        self.see_who_ended()?;
        self.see_who_is_whole();
        Ok(())
    }

    fn end(&mut self, active: Active) -> Outcome<()> {
        let Active { planned, began, begun } = active;
        let what = begun.says.clone();
        (begun.end)(self.world)?;
        let kind = planned.kind.name().to_owned();
        let ended = self.world.notes.now();
        self.world.notes.fault(&Fault { kind, began: micros(began), ended: micros(ended), what });
        Ok(())
    }

    fn see_who_ended(&mut self) -> Outcome<()> {
        for (node, status) in self.world.cluster.ended()? {
            let name = self.world.name(node);
            let now = self.world.notes.now();
            let state = &self.world.cluster.nodes[node];
            match status.code() {
                Some(VIOLATION) => {
                    self.directed.wrong.push(format!("{name} says that agreement is broken"));
                }
                Some(DAMAGED) if state.is_damaged => {
                    say(now, &format!("{name} refuses its data; its disk is replaced"));
                    self.replace(node)?;
                }
                // It cannot write, and says so: it is started again when the fault ends.
                Some(1) if state.is_disk_bad => {
                    say(now, &format!("{name} ended, for its disk fails"));
                }
                // A damaged place may be met later than at the start.
                Some(1) if state.is_damaged && !state.is_held => {
                    say(now, &format!("{name} met its damage, and is started again"));
                    self.world.start(node)?;
                }
                _ => self.directed.wrong.push(format!("{name} ended by itself: {status}")),
            }
        }
        Ok(())
    }

    /// All other faults end first: an operator would not restart everybody in the middle of them.
    fn replace(&mut self, node: usize) -> Outcome<()> {
        for active in std::mem::take(&mut self.active) {
            self.end(active)?;
        }
        let began = self.world.notes.now();
        replacement::replace(node, self.world)?;
        // A second one at once would find too few who remember.
        let is_whole = self
            .world
            .wait(HEALING_MAX, |world| world.status(node).is_some_and(|status| !status.suspect));
        let (name, ended) = (self.world.name(node), self.world.notes.now());
        if !is_whole && !self.world.is_stopping.load(Ordering::Relaxed) {
            self.directed.wrong.push(format!("{name} does not get its votes again"));
        }
        let kind = "replacement".to_owned();
        let fault = Fault { kind, began: micros(began), ended: micros(ended), what: name.clone() };
        self.world.notes.fault(&fault);
        say(ended, &format!("{name} has its votes again"));
        self.world.cluster.nodes[node].is_damaged = false;
        self.directed.replaced += 1;
        Ok(())
    }

    /// A damaged node that answers, and is not suspect, is whole: others may be damaged.
    fn see_who_is_whole(&mut self) {
        if self.looked.elapsed() < Duration::from_millis(500) {
            return;
        }
        self.looked = Instant::now();
        for node in 0..self.world.cluster.nodes.len() {
            let state = &self.world.cluster.nodes[node];
            if !state.is_damaged || state.is_held || !self.world.cluster.runs(node) {
                continue;
            }
            if self.world.status(node).is_some_and(|status| !status.suspect) {
                say(self.world.notes.now(), &format!("{} is whole", self.world.name(node)));
                self.world.cluster.nodes[node].is_damaged = false;
            }
        }
    }

    /// Ends all faults, and waits until every learner holds the same and nobody is suspect.
    fn heal(&mut self) -> Outcome<()> {
        for active in std::mem::take(&mut self.active) {
            self.end(active)?;
        }
        self.world.adversaries.clear();
        let began = self.world.notes.now();
        say(began, "all is healed");
        let until = Instant::now() + HEALING_MAX;
        while self.directed.wrong.is_empty() {
            for node in 0..self.world.cluster.nodes.len() {
                self.world.tell_adversary(node);
            }
            if let Some(all) = self.whole() {
                self.tell(&all);
                break;
            }
            if Instant::now() > until || self.world.is_stopping.load(Ordering::Relaxed) {
                let states = self.states();
                self.directed.wrong.push(format!("the cluster does not get whole: {states}"));
            }
            self.look()?;
        }
        self.directed.healed = self.world.notes.now().saturating_sub(began);
        Ok(())
    }

    /// Somebody leads, nobody is suspect or without room, and all run one epoch.
    fn whole(&self) -> Option<Vec<StatusResponse>> {
        let nodes = 0..self.world.cluster.nodes.len();
        let all = nodes.map(|node| self.world.status(node)).collect::<Option<Vec<_>>>()?;
        let is_whole = all.iter().filter(|it| it.state == "leading").count() == 1
            && all.iter().all(|it| !it.suspect && !it.disk_full && it.epoch == all[0].epoch);
        is_whole.then_some(all)
    }

    /// Whether what long runs need has happened: votes were cut, history was let go.
    fn tell(&self, all: &[StatusResponse]) {
        let list = |of: fn(&StatusResponse) -> u64| {
            let numbers = all.iter().map(of).filter(|number| *number > 0);
            numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
        };
        say(self.world.notes.now(), &format!("votes are cut below {}", list(|it| it.truncated)));
        say(self.world.notes.now(), &format!("snapshots cover {}", list(|it| it.snapshot)));
        say(self.world.notes.now(), &format!("histories begin at {}", list(|it| it.first_held)));
    }

    fn states(&self) -> String {
        let leaders_and_others = 0..self.world.cluster.nodes.len();
        let states = leaders_and_others.map(|node| {
            let name = self.world.name(node);
            match self.world.status(node) {
                None => format!("{name} is silent"),
                Some(it) => {
                    let suspect = if it.suspect { ", suspect" } else { "" };
                    let full = if it.disk_full { ", full" } else { "" };
                    format!("{name} {} (epoch {}){suspect}{full}", it.state, it.epoch)
                }
            }
        });
        states.collect::<Vec<_>>().join("; ")
    }
}

/// One line in the log of the run.
pub(crate) fn say(now: Duration, what: &str) {
    println!("{:>9.3} s  {what}", now.as_secs_f64());
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
