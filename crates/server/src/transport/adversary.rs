//! Faults on purpose, between a node and its transport: loss, duplication, delay, reordering and
//! cut links, changeable while it runs. Each message suffers its own fate.
//!
//! The seed and the number of messages before decide what happens to a message. When exactly it
//! happens is up to the machine: for runs that repeat to the byte there is the simulator.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use paxos::{NodeId, Rng};

use super::Outbound;

/// Messages that are held back, at most. More are dropped and counted.
const HELD_MAX: usize = 1 << 16;

/// Their bytes, at most.
const HELD_BYTES_MAX: usize = 64 << 20;

/// With reordering and no delay asked for, a message is held back by up to this.
const REORDER_DELAY: Duration = Duration::from_millis(2);

/// What goes wrong, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages lost, of a million.
    pub loss_ppm: u32,
    /// Messages sent twice, of a million.
    pub duplicate_ppm: u32,
    /// Whether messages to one peer may overtake each other.
    pub reorder: bool,
    /// Each message is held back at least so long.
    pub delay_min: Duration,
    /// And at most so long. `delay_min <= delay_max`.
    pub delay_max: Duration,
    /// Peers to which nothing gets through.
    pub cut_to: BTreeSet<NodeId>,
    /// Peers from which nothing gets through.
    pub cut_from: BTreeSet<NodeId>,
    /// What decides; none draws one.
    pub seed: Option<u64>,
}

impl Faults {
    /// Whether nothing goes wrong.
    pub fn is_none(&self) -> bool {
        *self == Faults { seed: self.seed, ..Faults::default() }
    }

    fn span(&self) -> (Duration, Duration) {
        if self.reorder && self.delay_max.is_zero() {
            (Duration::ZERO, REORDER_DELAY)
        } else {
            (self.delay_min, self.delay_max.max(self.delay_min))
        }
    }
}

/// A transport with faults on purpose.
pub struct Adversary<T> {
    inner: Arc<T>,
    is_active: AtomicBool,
    state: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    lost: AtomicU64,
    duplicated: AtomicU64,
    held: AtomicU64,
    cut: AtomicU64,
    overflowed: AtomicU64,
}

struct State {
    faults: Faults,
    rng: Rng,
    held: BinaryHeap<Reverse<Held>>,
    held_bytes: usize,
    /// Without reordering: when the last message to a peer will leave.
    last: BTreeMap<NodeId, Instant>,
    count: u64,
    stopped: bool,
}

/// A message that waits. Ordered by the time at which it leaves, then by arrival.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Held {
    at: Instant,
    count: u64,
    to: NodeId,
    message: Vec<u8>,
}

impl<T: Outbound + 'static> Adversary<T> {
    /// Puts faults in front of a transport.
    pub fn new(inner: T, faults: Faults) -> io::Result<Adversary<T>> {
        let state = State {
            faults: Faults::default(),
            rng: Rng::new(0),
            held: BinaryHeap::new(),
            held_bytes: 0,
            last: BTreeMap::new(),
            count: 0,
            stopped: false,
        };
        let state = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
            lost: AtomicU64::new(0),
            duplicated: AtomicU64::new(0),
            held: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
        });
        let inner = Arc::new(inner);
        let (shared, out) = (state.clone(), inner.clone());
        let keeper =
            thread::Builder::new().name("adversary".into()).spawn(move || keep(&shared, &*out))?;
        let is_active = AtomicBool::new(false);
        let adversary = Adversary { inner, is_active, state, keeper: Mutex::new(Some(keeper)) };
        adversary.set(faults);
        Ok(adversary)
    }

    /// Replaces the faults; gives back the seed that decides them. What is held back already
    /// leaves when it was to.
    pub fn set(&self, faults: Faults) -> u64 {
        // Without entropy from the system there is still the time; only variety is at stake.
        let drawn = || getrandom::u64().unwrap_or_else(|_| self.state.held.load(Ordering::Relaxed));
        let seed = faults.seed.unwrap_or_else(drawn);
        let mut state = self.state.lock();
        state.rng = Rng::new(seed);
        self.is_active.store(!faults.is_none(), Ordering::Release);
        state.faults = faults;
        seed
    }

    /// Whether what `from` sends gets through.
    pub fn hears(&self, from: NodeId) -> bool {
        if !self.is_active.load(Ordering::Acquire) {
            return true;
        }
        let hears = !self.state.lock().faults.cut_from.contains(&from);
        if !hears {
            self.state.cut.fetch_add(1, Ordering::Relaxed);
        }
        hears
    }

    /// Drops what is held back and ends the thread.
    pub fn stop(&self) {
        self.state.lock().stopped = true;
        self.state.changed.notify_all();
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(keeper) = keeper {
            keeper.join().ok();
        }
    }

    /// Every count, by name.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![
            ("messages_lost", load(&self.state.lost)),
            ("messages_duplicated", load(&self.state.duplicated)),
            ("messages_held_back", load(&self.state.held)),
            ("messages_cut", load(&self.state.cut)),
            ("messages_overflowed", load(&self.state.overflowed)),
        ]
    }
}

impl<T: Outbound + 'static> Outbound for Adversary<T> {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        if !self.is_active.load(Ordering::Acquire) {
            self.inner.send(to, messages);
            return;
        }
        let mut now: Vec<&[u8]> = Vec::with_capacity(messages.len());
        {
            let mut state = self.state.lock();
            for message in messages {
                for at in self.state.fates(&mut state, to) {
                    match at {
                        None => now.push(message),
                        Some(at) => self.state.hold(&mut state, at, to, message),
                    }
                }
            }
        }
        self.state.changed.notify_all();
        if !now.is_empty() {
            self.inner.send(to, &now);
        }
    }
}

impl<T> Drop for Adversary<T> {
    fn drop(&mut self) {
        // The thread holds what it needs and ends by itself.
        self.state.lock().stopped = true;
        self.state.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When each copy of the next message leaves; none: now. No copies: it is lost.
    fn fates(&self, state: &mut State, to: NodeId) -> Vec<Option<Instant>> {
        let State { faults, rng, last, .. } = state;
        if faults.cut_to.contains(&to) {
            self.cut.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        }
        // Every draw is made for every message, so that one setting does not shift another's.
        let (loss, copy) = (rng.below(1_000_000), rng.below(1_000_000));
        let (min, max) = faults.span();
        let delays = [rng.jitter(max - min), rng.jitter(max - min)];
        if loss < u64::from(faults.loss_ppm) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return Vec::new();
        }
        let copies = if copy < u64::from(faults.duplicate_ppm) {
            self.duplicated.fetch_add(1, Ordering::Relaxed);
            2
        } else {
            1
        };
        if max.is_zero() {
            return vec![None; copies];
        }
        let now = Instant::now();
        let times = delays[..copies].iter().map(|delay| {
            let mut at = now + min + *delay;
            if !faults.reorder {
                at = last.get(&to).map_or(at, |last| at.max(*last));
                last.insert(to, at);
            }
            Some(at)
        });
        times.collect()
    }

    fn hold(&self, state: &mut State, at: Instant, to: NodeId, message: &[u8]) {
        let bytes = state.held_bytes + message.len();
        if state.held.len() >= HELD_MAX || bytes > HELD_BYTES_MAX {
            self.overflowed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        state.held_bytes = bytes;
        state.count += 1;
        let count = state.count;
        state.held.push(Reverse(Held { at, count, to, message: message.to_vec() }));
    }
}

/// Sends each message that is held back when its time has come.
fn keep(shared: &Shared, out: &impl Outbound) {
    let mut state = shared.lock();
    while !state.stopped {
        let now = Instant::now();
        let next = state.held.peek().map(|Reverse(held)| held.at);
        match next {
            Some(at) if at <= now => {
                if let Some(Reverse(held)) = state.held.pop() {
                    state.held_bytes -= held.message.len();
                    drop(state);
                    out.send(held.to, &[&held.message]);
                    state = shared.lock();
                }
            }
            Some(at) => {
                let waited = shared.changed.wait_timeout(state, at - now);
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            None => {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what gets through.
    #[derive(Default)]
    struct Ear(Mutex<Vec<(NodeId, Vec<u8>)>>);

    impl Outbound for Ear {
        fn send(&self, to: NodeId, messages: &[&[u8]]) {
            let mut heard = self.0.lock().unwrap();
            heard.extend(messages.iter().map(|message| (to, message.to_vec())));
        }
    }

    fn heard_after(faults: Faults, count: u32, wait: Duration) -> Vec<u32> {
        let ear = Arc::new(Ear::default());
        let adversary = Adversary::new(ear.clone(), faults).unwrap();
        for number in 0..count {
            adversary.send(NodeId(1), &[&number.to_le_bytes()]);
        }
        thread::sleep(wait);
        adversary.stop();
        let heard = ear.0.lock().unwrap();
        heard.iter().map(|(_, m)| u32::from_le_bytes(m[..].try_into().unwrap())).collect()
    }

    fn seeded(faults: Faults) -> Faults {
        Faults { seed: Some(9), ..faults }
    }

    #[test]
    fn without_faults_everything_gets_through_in_order() {
        let heard = heard_after(Faults::default(), 1000, Duration::ZERO);
        assert!(heard.into_iter().eq(0..1000));
    }

    #[test]
    fn the_share_lost_is_the_share_asked_for_and_the_seed_decides_which() {
        let lossy = || seeded(Faults { loss_ppm: 100_000, ..Faults::default() });
        let heard = heard_after(lossy(), 100_000, Duration::ZERO);
        assert!((89_500..90_500).contains(&heard.len()), "{} of 100,000", heard.len());
        assert_eq!(heard, heard_after(lossy(), 100_000, Duration::ZERO));
        let other = Faults { seed: Some(10), ..lossy() };
        assert_ne!(heard, heard_after(other, 100_000, Duration::ZERO));
    }

    #[test]
    fn duplicates_come_twice() {
        let faults = seeded(Faults { duplicate_ppm: 1_000_000, ..Faults::default() });
        assert_eq!(heard_after(faults, 3, Duration::ZERO), [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn messages_overtake_only_where_they_may() {
        let late = Duration::from_millis(100);
        let overtaking = seeded(Faults { reorder: true, ..Faults::default() });
        let heard = heard_after(overtaking.clone(), 200, late);
        assert_eq!(heard.len(), 200);
        assert!(!heard.is_sorted());
        let delay = Duration::from_millis(5);
        let delayed = Faults { reorder: false, delay_max: delay, ..overtaking };
        assert!(heard_after(delayed, 200, late).into_iter().eq(0..200));
    }

    #[test]
    fn a_cut_is_one_way() {
        let ear = Arc::new(Ear::default());
        let cut = Faults {
            cut_to: [NodeId(1)].into(),
            cut_from: [NodeId(2)].into(),
            ..Faults::default()
        };
        let adversary = Adversary::new(ear.clone(), cut).unwrap();
        adversary.send(NodeId(1), &[b"x"]);
        adversary.send(NodeId(2), &[b"y"]);
        assert_eq!(*ear.0.lock().unwrap(), [(NodeId(2), b"y".to_vec())]);
        assert!(adversary.hears(NodeId(1)));
        assert!(!adversary.hears(NodeId(2)));
        adversary.set(Faults::default());
        assert!(adversary.hears(NodeId(2)));
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let hour = Duration::from_secs(3600);
        let faults = Faults { delay_min: hour, delay_max: hour, ..Faults::default() };
        let adversary = Adversary::new(Arc::new(Ear::default()), faults).unwrap();
        for _ in 0..HELD_MAX + 10 {
            adversary.send(NodeId(1), &[b"x"]);
        }
        assert!(adversary.counters().contains(&("messages_overflowed", 10)));
        assert_eq!(adversary.state.lock().held.len(), HELD_MAX);
        adversary.stop();
    }
}
