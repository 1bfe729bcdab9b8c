//! From a walk that breaks a promise to a small one that breaks the same.
//!
//! The seed stays; what is walked over gets less: a shorter time, fewer misfortunes, calmer
//! weather, fewer clients and values, a simpler cluster. A smaller world draws other luck, so it
//! may fail for another reason or not at all; what counts is that the same promise is broken.
//!
//! Source: leaving out halves, then quarters and so on, is Zeller and Hildebrandt, "Simplifying and
//! Isolating Failure-Inducing Input", TSE 2002.

use std::collections::BTreeSet;

use paxos::{Announce, Limits};

use crate::faults::{DiskSpeed, Faults, Weather};
use crate::shape::Shape;
use crate::walk::{Options, Outcome, walk};

/// A walk that was made smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// What is left.
    pub options: Options,
    /// How it ends: with a violation.
    pub outcome: Outcome,
    /// How many walks it took.
    pub walks: u64,
}

struct Shrinker<'a> {
    seed: u64,
    promise: &'static str,
    best: Options,
    outcome: Outcome,
    walks: u64,
    walks_max: u64,
    tell: &'a mut dyn FnMut(u64, &Options),
}

/// Makes the walk smaller, in at most about `walks_max` tries; none if it breaks no promise. `tell`
/// hears the number of tries and the smallest so far.
pub fn shrink(
    seed: u64,
    options: &Options,
    walks_max: u64,
    tell: &mut dyn FnMut(u64, &Options),
) -> Option<Shrunk> {
    let outcome = walk(seed, options);
    let promise = outcome.violation.as_ref()?.promise;
    let best = options.clone();
    let mut shrinker = Shrinker { seed, promise, best, outcome, walks: 1, walks_max, tell };
    // What one pass leaves out may let the next one leave out more.
    while shrinker.pass() {}
    let Shrinker { best: options, outcome, walks, .. } = shrinker;
    Some(Shrunk { options, outcome, walks })
}

impl Shrinker<'_> {
    /// Tries everything once; whether something got smaller.
    fn pass(&mut self) -> bool {
        let before = self.best.clone();
        self.end_early();
        self.spare();
        for calmer in CALMER {
            self.change(calmer);
        }
        self.fewer(|options| &mut options.requests, 1);
        self.change(|options| options.clients = 1);
        self.change(|options| options.reads_permille = 0);
        for shape in Shape::all() {
            if size(&shape) < size(&self.best.shape) {
                self.change(|options| options.shape = shape.clone());
            }
        }
        self.best != before && self.walks < self.walks_max
    }

    /// Nothing that comes after the violation is needed.
    fn end_early(&mut self) {
        if let Some(violation) = &self.outcome.violation {
            let lasts_us = violation.at.0 + 1;
            if lasts_us < self.best.faults.lasts_us {
                self.change(|options| options.faults.lasts_us = lasts_us);
            }
        }
        self.fewer(|options| &mut options.faults.lasts_us, 1_000);
    }

    /// Leaves out misfortunes, many at a time and then fewer.
    fn spare(&mut self) {
        let mut length = self.outcome.statistics.due.max(1);
        while length > 0 {
            let mut first = 0;
            while first < self.outcome.statistics.due {
                let more: BTreeSet<u64> = (first..first + length).collect();
                if !more.is_subset(&self.best.spared) {
                    self.change(|options| options.spared.extend(&more));
                }
                first += length;
            }
            length /= 2;
        }
        let due = self.outcome.statistics.due;
        self.best.spared.retain(|number| *number < due);
    }

    /// Halves a number as long as that works, down to `least`.
    fn fewer(&mut self, number: fn(&mut Options) -> &mut u64, least: u64) {
        loop {
            let now = *number(&mut self.best.clone());
            let next = (now / 2).max(least);
            if next >= now || !self.change(|options| *number(options) = next) {
                return;
            }
        }
    }

    /// Tries a smaller world, and keeps it if it breaks the same promise.
    fn change(&mut self, change: impl FnOnce(&mut Options)) -> bool {
        let mut options = self.best.clone();
        change(&mut options);
        if options == self.best || self.walks >= self.walks_max {
            return false;
        }
        self.walks += 1;
        let outcome = walk(self.seed, &options);
        let same = outcome.violation.as_ref().is_some_and(|it| it.promise == self.promise);
        if same {
            (self.best, self.outcome) = (options, outcome);
        }
        (self.tell)(self.walks, &self.best);
        same
    }
}

type Change = fn(&mut Options);

const CALMER: [Change; 15] = [
    |options| options.faults.weather = Weather::CALM,
    |options| options.faults.disk = DiskSpeed::STEADY,
    |options| options.faults.weather.loss_permille = 0,
    |options| options.faults.weather.repeat_permille = 0,
    |options| options.faults.weather.late_permille = 0,
    |options| options.faults.disk.stall_permille = 0,
    |options| options.faults.disk.fail_permille = 0,
    |options| options.faults.damage_permille = 0,
    |options| options.faults.rot_permille = 0,
    |options| options.faults.lost_disk = 0,
    |options| options.faults.hand_over = 0,
    |options| options.limits = Limits::default(),
    |options| options.announce = Announce::default(),
    |options| options.shape.failed = 0,
    |options| options.faults = Faults { lasts_us: options.faults.lasts_us, ..Faults::NONE },
];

/// How much there is to look at in a cluster.
fn size(shape: &Shape) -> (u32, bool) {
    let Shape { all_in_one, leaders, acceptors, learners, .. } = shape;
    (2 * all_in_one + leaders + acceptors + learners, shape.quorums.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broken::Broken;

    fn failing(broken: Broken) -> (u64, Options) {
        let options = |seed| Options { broken: Some(broken), ..Options::drawn(seed) };
        let seed = (0..200).find(|seed| walk(*seed, &options(*seed)).violation.is_some());
        let seed = seed.expect("a broken world is noticed");
        (seed, options(seed))
    }

    #[test]
    fn a_walk_that_breaks_a_promise_gets_smaller_and_breaks_the_same() {
        for broken in [Broken::SendsBeforeSync, Broken::HiddenVotes, Broken::Amnesia] {
            let (seed, options) = failing(broken);
            let before = walk(seed, &options);
            let shrunk = shrink(seed, &options, 400, &mut |_, _| {}).expect("it breaks a promise");
            let (old, new) = (before.violation.unwrap(), shrunk.outcome.violation.clone().unwrap());
            assert_eq!(new.promise, old.promise);
            let left = shrunk.outcome.statistics.due - shrunk.options.spared.len() as u64;
            let due = before.statistics.due;
            println!("{broken:?}: {left} of {due} misfortunes left, after {} walks", shrunk.walks);
            // A calm network delivers more, so messages need not get fewer.
            assert!(left <= due);
            assert!(shrunk.options.requests < options.requests);
            assert_eq!(walk(seed, &shrunk.options), shrunk.outcome, "and again");
        }
    }

    #[test]
    fn a_walk_that_breaks_nothing_is_not_shrunk() {
        assert_eq!(shrink(1, &Options::drawn(1), 10, &mut |_, _| {}), None);
    }

    #[test]
    fn a_misfortune_that_is_spared_leaves_the_others_as_they_are() {
        let options = Options::drawn(5);
        let told = |options: &Options| -> Vec<String> {
            let happened = crate::walk::replay(5, options).1;
            let world = happened.into_iter().filter_map(|it| match it.what {
                crate::recording::What::World(what) if what.contains(" cut") => Some(what),
                _ => None,
            });
            world.collect()
        };
        let all = told(&options);
        let fewer = told(&Options { spared: [0, 2].into(), ..options.clone() });
        assert!(fewer.len() < all.len());
        let mut rest = all.iter();
        assert!(fewer.iter().all(|cut| rest.any(|other| other == cut)), "{fewer:?} of {all:?}");
    }
}
