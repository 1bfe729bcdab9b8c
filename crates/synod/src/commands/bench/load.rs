//! How load is made: so many clients who each wait for their answer, or a fixed rate that waits for
//! nobody.
//!
//! A closed loop shows what a system bears, and hides what a stall costs: while nothing is answered
//! nothing is asked. An open loop asks at its rate whatever happens, and each latency counts from
//! the moment at which the operation was *intended* to start, not from when it could be sent: a
//! system that stalls for a second has kept a second's worth of operations waiting ("coordinated
//! omission", Gil Tene).
//!
//! Knows no protocol and no command line: what an operation is comes in as a function.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::tally::Tally;

/// After a failure a closed loop rests: where failing is quick it would only count failures.
const REST: Duration = Duration::from_millis(50);

/// Operations that an open loop may have under way, at most, whatever it is told.
pub const UNDER_WAY_MAX: usize = 1 << 16;

/// When the next operation begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// When an earlier one is answered.
    Closed,
    /// At its time: so many a second, above zero.
    Rate(f64),
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub clients: usize,
    /// Operations a client may have under way.
    pub window: usize,
    pub pace: Pace,
    /// Not measured: caches fill, leaders settle.
    pub warmup: Duration,
    /// Measured, from the end of the warm-up on.
    pub duration: Duration,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Append,
    Read,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// It has failed, and changed nothing.
    NotApplied,
    /// It may have been done or not.
    Unknown,
}

/// An operation: who does it, and its number among all.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    pub client: usize,
    pub number: u64,
}

/// A run under way. Clones share it.
#[derive(Clone, Debug)]
pub struct Run {
    plan: Plan,
    begin: Instant,
    next: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
}

impl Run {
    /// Begins now. There must be a client with room for an operation.
    pub fn new(plan: Plan) -> Run {
        assert!(plan.clients > 0);
        assert!(plan.window > 0);
        Run {
            plan,
            begin: Instant::now(),
            next: Arc::default(),
            is_over: Arc::default(),
            tally: Arc::default(),
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has been measured so far.
    pub fn so_far(&self) -> Tally {
        self.tally().clone()
    }

    /// Operations of the measured time that are done so far.
    pub fn done(&self) -> u64 {
        self.tally().done()
    }

    /// Nothing new begins.
    pub fn stop(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    /// How much of the measured time is over.
    pub fn measured_for(&self) -> Duration {
        let over = Instant::now().saturating_duration_since(self.measured_from());
        over.min(self.plan.duration)
    }

    fn measured_from(&self) -> Instant {
        self.begin + self.plan.warmup
    }

    fn end(&self) -> Instant {
        self.measured_from() + self.plan.duration
    }

    fn goes_on(&self, at: Instant) -> bool {
        at < self.end() && !self.is_over.load(Ordering::Relaxed)
    }

    fn is_measured(&self, intended: Instant) -> bool {
        intended >= self.measured_from() && intended < self.end()
    }

    /// Makes the load to its end, and waits for every answer. `operate` does one operation.
    pub async fn finish<Operate, Operation>(self, operate: Operate)
    where
        Operate: Fn(Turn) -> Operation + Clone + Send + Sync + 'static,
        Operation: Future<Output = (Kind, Ended)> + Send + 'static,
    {
        match self.plan.pace {
            Pace::Closed => self.closed(operate).await,
            Pace::Rate(rate) => {
                // Timers of the runtime are a millisecond apart. A thread of its own sleeps better.
                let runtime = tokio::runtime::Handle::current();
                let pacer = move || {
                    runtime.block_on(self.open(rate, operate, async |until: Instant| {
                        std::thread::sleep(until.saturating_duration_since(Instant::now()));
                    }));
                };
                let ended = tokio::task::spawn_blocking(pacer).await;
                ended.expect("the pacer does not panic");
            }
        }
    }

    async fn closed<Operate, Operation>(self, operate: Operate)
    where
        Operate: Fn(Turn) -> Operation + Clone + Send + Sync + 'static,
        Operation: Future<Output = (Kind, Ended)> + Send + 'static,
    {
        let mut loops = JoinSet::new();
        for client in 0..self.plan.clients {
            for _ in 0..self.plan.window {
                let (run, operate) = (self.clone(), operate.clone());
                loops.spawn(async move {
                    loop {
                        let start = Instant::now();
                        if !run.goes_on(start) {
                            return;
                        }
                        let number = run.next.fetch_add(1, Ordering::Relaxed);
                        if run.operate(&operate, Turn { client, number }, start).await.is_err() {
                            tokio::time::sleep(REST).await;
                        }
                    }
                });
            }
        }
        while let Some(ended) = loops.join_next().await {
            ended.expect("an operation does not panic");
        }
    }

    /// `wait_until` returns at an instant or shortly after it.
    async fn open<Operate, Operation>(
        self,
        rate: f64,
        operate: Operate,
        wait_until: impl AsyncFn(Instant),
    ) where
        Operate: Fn(Turn) -> Operation + Clone + Send + Sync + 'static,
        Operation: Future<Output = (Kind, Ended)> + Send + 'static,
    {
        assert!(rate > 0.0);
        let places = self.places();
        let room = Arc::new(Semaphore::new(places));
        // Since a start found no room, and until one is on time again.
        let mut is_behind = false;
        for number in 0.. {
            let intended = self.begin + nth(number, rate);
            if !self.goes_on(intended) {
                break;
            }
            while Instant::now() < intended {
                is_behind = false;
                wait_until(intended).await;
            }
            // The only wait for answers, so that memory is bounded. It makes starts late, which the
            // latencies hold and the tally counts.
            let place = if let Ok(place) = room.clone().try_acquire_owned() {
                place
            } else {
                is_behind = true;
                room.clone().acquire_owned().await.expect("nobody closes it")
            };
            if !self.goes_on(intended) {
                break;
            }
            if is_behind && self.is_measured(intended) {
                self.tally().crowded();
            }
            // Later than the whole measured time: what is left to begin would show a longer queue
            // and nothing else, and might take for ever. It is overloaded by then, and says so.
            if Instant::now() > self.end() + self.plan.duration {
                break;
            }
            let (run, operate) = (self.clone(), operate.clone());
            let client = usize::try_from(number).unwrap_or_default() % self.plan.clients;
            tokio::spawn(async move {
                run.operate(&operate, Turn { client, number }, intended).await.ok();
                drop(place);
            });
        }
        let all = u32::try_from(places).expect("bounded");
        drop(room.acquire_many(all).await.expect("nobody closes it"));
    }

    /// Operations that an open loop may have under way.
    pub fn places(&self) -> usize {
        self.plan.clients.saturating_mul(self.plan.window).min(UNDER_WAY_MAX)
    }

    /// Does one operation and notes how it went.
    async fn operate<Operate, Operation>(
        &self,
        operate: &Operate,
        turn: Turn,
        intended: Instant,
    ) -> Result<(), ()>
    where
        Operate: Fn(Turn) -> Operation,
        Operation: Future<Output = (Kind, Ended)>,
    {
        let is_measured = self.is_measured(intended);
        if is_measured {
            self.tally().begun(Instant::now() - intended);
        }
        let (kind, ended) = operate(turn).await;
        if is_measured {
            let now = Instant::now();
            // From the intended start: see the top of this file.
            self.tally().ended(kind, ended, now - intended, now - self.measured_from());
        }
        if ended == Ended::Done { Ok(()) } else { Err(()) }
    }
}

/// When the n-th operation is due, counted from the beginning. Computed anew each time, so that no
/// error adds up.
#[expect(clippy::cast_precision_loss, reason = "after 2^53 operations a run is long over")]
fn nth(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(pace: Pace) -> Plan {
        Plan { clients: 4, window: 512, pace, warmup: SECOND, duration: SECOND * 10 }
    }

    /// In virtual time, against a system that answers after 1 ms but for one stall: what is asked
    /// within that second is answered at its end.
    async fn with_a_stall(plan: Plan) -> Tally {
        let run = Run::new(plan);
        let begin = Instant::now();
        let stall = begin + SECOND * 5..begin + SECOND * 6;
        let operate = move |_| {
            let stall = stall.clone();
            async move {
                if stall.contains(&Instant::now()) {
                    tokio::time::sleep_until(stall.end).await;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                (Kind::Append, Ended::Done)
            }
        };
        let done = run.clone();
        match plan.pace {
            Pace::Closed => run.closed(operate).await,
            Pace::Rate(rate) => run.open(rate, operate, tokio::time::sleep_until).await,
        }
        done.so_far()
    }

    fn ms(tally: &Tally, percent: f64) -> u64 {
        tally.latency(Kind::Append).us_at(percent) / 1000
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_of_a_second_keeps_a_tenth_of_ten_seconds_waiting() {
        let tally = with_a_stall(plan(Pace::Rate(1000.0))).await;
        assert_eq!(tally.done(), 10_000);
        assert_eq!(ms(&tally, 50.0), 1);
        // The operations of the stall wait for 1,000 down to 0 ms; nine tenths wait for none.
        let p99 = ms(&tally, 99.0);
        assert!((890..=910).contains(&p99), "{p99}");
        let p95 = ms(&tally, 95.0);
        assert!((490..=510).contains(&p95), "{p95}");
        assert_eq!(tally.late_starts(), 0, "there was room for all");
        assert!(!tally.is_overloaded());
    }

    /// The same with so few places that most starts wait for room: sent late, they would look quick
    /// if their latency counted from there.
    #[tokio::test(start_paused = true)]
    async fn a_start_that_waits_for_room_is_counted_from_when_it_was_due() {
        let few = Plan { clients: 4, window: 5, ..plan(Pace::Rate(1000.0)) };
        let tally = with_a_stall(few).await;
        assert_eq!(tally.done(), 10_000);
        let p99 = ms(&tally, 99.0);
        assert!((890..=930).contains(&p99), "{p99}");
        assert!(tally.late_starts() > 900, "{}", tally.late_starts());
        assert!(tally.latest_start() > Duration::from_millis(900));
        assert!(tally.is_overloaded());
    }

    /// What the open loop is for: the same stall is one slow answer a client here.
    #[tokio::test(start_paused = true)]
    async fn a_closed_loop_hides_a_stall() {
        let tally = with_a_stall(Plan { window: 1, ..plan(Pace::Closed) }).await;
        assert_eq!((ms(&tally, 99.0), ms(&tally, 100.0) >= 1000), (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_warm_up_is_not_measured_and_the_last_answers_are() {
        let run = Run::new(Plan { warmup: SECOND, duration: SECOND, ..plan(Pace::Rate(100.0)) });
        let begin = Instant::now();
        // Slow before the warm-up ends, and after the last operation has begun.
        let slow = move |_| async move {
            let first = Instant::now() < begin + SECOND;
            let last = Instant::now() >= begin + Duration::from_millis(1990);
            let pause = if first || last { SECOND * 3 } else { Duration::from_millis(2) };
            tokio::time::sleep(pause).await;
            (Kind::Read, Ended::Done)
        };
        let done = run.clone();
        run.open(100.0, slow, tokio::time::sleep_until).await;
        let latency = done.so_far().latency(Kind::Read).clone();
        assert_eq!(latency.count(), 100);
        assert_eq!(latency.us_at(98.0) / 1000, 2);
        assert!(latency.us_at(100.0) >= 3_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_are_counted_and_a_closed_loop_rests_after_them() {
        let run = Run::new(Plan { clients: 1, window: 1, ..plan(Pace::Closed) });
        let done = run.clone();
        run.closed(|turn: Turn| async move {
            (
                Kind::Append,
                if turn.number.is_multiple_of(2) { Ended::Unknown } else { Ended::NotApplied },
            )
        })
        .await;
        let tally = done.so_far();
        let seconds = u64::try_from(SECOND.as_millis() / REST.as_millis()).unwrap();
        assert_eq!(tally.unknown() + tally.not_applied(), 10 * seconds);
        assert_eq!(tally.unknown(), tally.not_applied());
        assert_eq!(tally.latency(Kind::Append).count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn stopped_it_begins_nothing_and_says_what_is_unanswered() {
        let run = Run::new(Plan { warmup: Duration::ZERO, ..plan(Pace::Rate(100.0)) });
        let never = |_| std::future::pending::<(Kind, Ended)>();
        let open = run.clone().open(100.0, never, tokio::time::sleep_until);
        assert!(tokio::time::timeout(SECOND, open).await.is_err());
        run.stop();
        assert_eq!(run.so_far().unanswered(), 100);
        assert_eq!(run.done(), 0);
    }

    #[test]
    fn no_error_adds_up_over_an_hour() {
        let rate = 3_000.0;
        assert_eq!(nth(3_000 * 3600, rate), Duration::from_secs(3600));
        assert_eq!(nth(0, rate), Duration::ZERO);
    }
}
