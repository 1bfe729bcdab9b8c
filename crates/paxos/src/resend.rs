//! When to say something again. Every unanswered Prepare, Confirm and Accept is repeated with
//! back-off, so the loss of any message costs time, never progress. Liveness only.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::ballot::Slot;
use crate::config::Timing;
use crate::rng::Rng;
use crate::time::Instant;

/// What waits for an answer, by what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Asked {
    /// Phase 1.
    Prepare,
    /// This round of a leader's for reads.
    Confirm(u64),
    /// Phase 2 of the run that starts here.
    Accept(Slot),
}

/// The timers of everything that is unanswered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resend {
    min: Duration,
    max: Duration,
    timers: BTreeMap<Asked, Timer>,
    /// When to look next. Looking finds what is new and forgets what was answered.
    look: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Timer {
    due: Instant,
    attempts: u32,
}

/// More questions than this are not repeated at one time; the oldest come first.
pub const RESEND_MAX: usize = 64;

/// Doublings of the back-off are counted up to here; `max` is reached before.
const ATTEMPTS_MAX: u32 = 16;

impl Resend {
    /// Nothing is unanswered yet.
    pub fn new(timing: &Timing) -> Resend {
        let (min, max) = (timing.resend_min, timing.resend_max);
        Resend { min, max, timers: BTreeMap::new(), look: None }
    }

    /// When [`Resend::due`] wants to be asked next.
    pub fn deadline(&self) -> Option<Instant> {
        self.look
    }

    /// Something was asked: look after it.
    pub fn asked(&mut self, now: Instant) {
        if self.look.is_none() {
            self.look = Some(now.plus(self.min / 2));
        }
    }

    /// Phase 1 made progress: its timer starts again.
    pub fn answered(&mut self, asked: Asked) {
        self.timers.remove(&asked);
    }

    /// Which of the unanswered questions, given in order, to ask again now. All others are
    /// forgotten.
    pub fn due(
        &mut self,
        now: Instant,
        unanswered: impl Iterator<Item = Asked>,
        rng: &mut Rng,
    ) -> Vec<Asked> {
        if self.look.is_none_or(|look| look > now) {
            return Vec::new();
        }
        let mut again = Vec::new();
        let mut timers = BTreeMap::new();
        for asked in unanswered {
            let first = Timer { due: now.plus(self.min / 2), attempts: 0 };
            let mut timer = self.timers.get(&asked).copied().unwrap_or(first);
            if timer.due <= now && again.len() < RESEND_MAX {
                again.push(asked);
                timer.attempts = (timer.attempts + 1).min(ATTEMPTS_MAX);
                let pause = (self.min * 2u32.pow(timer.attempts)).min(self.max);
                timer.due = now.plus(pause / 2).plus(rng.jitter(pause / 2));
            }
            timers.insert(asked, timer);
        }
        self.look = (!timers.is_empty()).then(|| now.plus(self.min / 2));
        self.timers = timers;
        again
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn a_question_is_repeated_with_growing_pauses_until_answered() {
        let timing = Timing::default();
        let mut resend = Resend::new(&timing);
        let mut rng = Rng::new(1);
        assert_eq!(resend.deadline(), None);
        resend.asked(Instant(0));
        let mut repeats = vec![];
        while let Some(at) = resend.deadline().filter(|at| *at < Instant(10_000_000)) {
            let open = [Asked::Accept(Slot(4))].into_iter();
            if !resend.due(at, open, &mut rng).is_empty() {
                repeats.push(at);
            }
        }
        assert!(repeats[0] <= Instant(0).plus(timing.resend_min));
        assert!((20..60).contains(&repeats.len()), "{} repeats in ten seconds", repeats.len());
        let widest = repeats.windows(2).map(|pair| pair[1].since(pair[0])).max();
        assert!(widest <= Some(timing.resend_max + timing.resend_min));
        let at = resend.deadline().expect("still unanswered");
        assert!(resend.due(at, [].into_iter(), &mut rng).is_empty());
        assert_eq!(resend.deadline(), None, "nothing to look after");
    }

    #[test]
    fn a_storm_is_bounded_and_the_oldest_go_first() {
        let mut resend = Resend::new(&Timing::default());
        let mut rng = Rng::new(1);
        resend.asked(Instant(0));
        let open = || (0..1000).map(|slot| Asked::Accept(Slot(slot)));
        assert!(resend.due(Instant(10_000), open(), &mut rng).is_empty());
        let again = resend.due(Instant(20_000), open(), &mut rng);
        assert_eq!(again.len(), RESEND_MAX);
        assert_eq!(again[0], Asked::Accept(Slot(0)));
    }

    #[test]
    fn an_answer_starts_the_timer_again() {
        let mut rng = Rng::new(1);
        let due = |resend: &mut Resend, at, rng: &mut Rng| {
            resend.due(Instant(at), [Asked::Prepare].into_iter(), rng).len()
        };
        let mut resend = Resend::new(&Timing::default());
        resend.asked(Instant(0));
        assert_eq!(due(&mut resend, 9_999, &mut rng), 0, "it is not looked at yet");
        assert_eq!(due(&mut resend, 10_000, &mut rng), 0, "it is young");
        let mut answered = resend.clone();
        answered.answered(Asked::Prepare);
        // Whoever is woken late looks all the same.
        assert_eq!(due(&mut resend, 500_000, &mut rng), 1);
        assert_eq!(due(&mut answered, 500_000, &mut rng), 0);
        assert_eq!(due(&mut answered, 510_000, &mut rng), 1);
    }
}
