//! Faults on purpose, between a node and its transport: loss, repeats, delay, reordering and cut
//! links, on a live network.
//!
//! Each message suffers its own fate, not each datagram, and the fate of the n-th message follows
//! from the seed and n alone. Which message is the n-th is up to the threads that send: a seed
//! repeats the weather, not the run. Knows nothing about what messages mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use paxos::{NodeId, Rng};

use super::Outbound;

/// Messages that are held back, at most. Further ones are dropped and counted.
pub const HELD_MESSAGES_MAX: usize = 1 << 16;

/// Their bytes, at most.
pub const HELD_BYTES_MAX: usize = 64 << 20;

/// How long a message is held back, at most: longer delays count as this one.
pub const DELAY_MAX: Duration = Duration::from_secs(60);

/// How long a message is held back at most if it is to be overtaken and no delay is given.
pub const REORDER_DELAY_MAX: Duration = Duration::from_millis(2);

const MILLION: u64 = 1_000_000;

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// How many of a million messages are lost.
    pub loss_ppm: u32,
    /// How many of a million messages that are not lost come twice.
    pub duplicate_ppm: u32,
    /// Whether messages to one peer may overtake each other.
    pub reorder: bool,
    /// How long each message is held back, at least.
    pub delay_min: Duration,
    /// How long each message is held back, at most: `delay_min <= delay_max`, else it counts as
    /// equal.
    pub delay_max: Duration,
    /// To whom nothing goes.
    pub cut_to: BTreeSet<NodeId>,
    /// From whom nothing is heard.
    pub cut_from: BTreeSet<NodeId>,
    /// What decides; drawn if there is none.
    pub seed: Option<u64>,
}

impl Faults {
    /// Whether nothing goes wrong, whatever the seed.
    pub fn is_none(&self) -> bool {
        *self == Faults { seed: self.seed, ..Faults::default() }
    }

    /// The shortest and the longest time that a message is held back.
    fn delays(&self) -> Option<(Duration, Duration)> {
        let shortest = self.delay_min.min(DELAY_MAX);
        let longest = self.delay_max.min(DELAY_MAX).max(shortest);
        match (longest.is_zero(), self.reorder) {
            (false, _) => Some((shortest, longest)),
            (true, true) => Some((Duration::ZERO, REORDER_DELAY_MAX)),
            (true, false) => None,
        }
    }
}

/// A transport on which things go wrong.
pub struct Adversary<T: Outbound + 'static> {
    shared: Arc<Shared<T>>,
}

/// What the thread that holds messages back shares with those that send.
struct Shared<T> {
    inner: T,
    /// Whether `state` must be asked: there are faults, or all is over.
    interferes: AtomicBool,
    state: Mutex<State>,
    /// The first message to leave is another one now, or all is over.
    changed: Condvar,
    counters: Counters,
}

struct State {
    faults: Faults,
    fates: Rng,
    seeds: Rng,
    held: Held,
    is_stopped: bool,
    thread: Option<JoinHandle<()>>,
}

/// Messages that are held back, in the order of their departure.
#[derive(Default)]
struct Held {
    /// By the time of departure and, for equal times, by arrival.
    messages: BTreeMap<(Instant, u64), (NodeId, Vec<u8>)>,
    /// The sum of their lengths, at most [`HELD_BYTES_MAX`].
    bytes: usize,
    arrivals: u64,
    /// The latest departure to each peer, since the faults were set.
    latest: BTreeMap<NodeId, Instant>,
}

#[derive(Default)]
struct Counters {
    lost: AtomicU64,
    duplicated: AtomicU64,
    delayed: AtomicU64,
    cut: AtomicU64,
    /// Messages that there was no room to hold.
    overflowed: AtomicU64,
    /// Messages that were held, or came, when all was over.
    stopped: AtomicU64,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fate {
    is_lost: bool,
    is_repeated: bool,
    /// How long the message and its repeat are held back; none if all pass at once.
    delays: Option<[Duration; 2]>,
}

impl<T: Outbound + 'static> Adversary<T> {
    /// Stands between a node and `inner`. No thread is started before a message is held back.
    ///
    /// # Errors
    /// If the system has no randomness to draw seeds from.
    pub fn new(inner: T, faults: Faults) -> io::Result<Adversary<T>> {
        let state = State {
            faults: Faults::default(),
            fates: Rng::new(0),
            seeds: Rng::new(getrandom::u64().map_err(io::Error::other)?),
            held: Held::default(),
            is_stopped: false,
            thread: None,
        };
        let adversary = Adversary {
            shared: Arc::new(Shared {
                inner,
                interferes: AtomicBool::new(false),
                state: Mutex::new(state),
                changed: Condvar::new(),
                counters: Counters::default(),
            }),
        };
        adversary.set(faults);
        Ok(adversary)
    }

    /// Replaces all faults, and counts messages from zero again. Returns the seed in force.
    ///
    /// Messages that are held back stay so for their time; later ones may overtake them.
    pub fn set(&self, faults: Faults) -> u64 {
        let mut state = self.shared.lock();
        let seed = faults.seed.unwrap_or_else(|| state.seeds.draw());
        state.fates = Rng::new(seed);
        self.shared.interferes.store(state.is_stopped || !faults.is_none(), Ordering::Relaxed);
        state.faults = faults;
        state.held.latest.clear();
        seed
    }

    /// Whether what comes from this peer is to be heard. Counts it as cut if not.
    pub fn hears(&self, from: NodeId) -> bool {
        if !self.shared.interferes.load(Ordering::Relaxed) {
            return true;
        }
        let hears = !self.shared.lock().faults.cut_from.contains(&from);
        if !hears {
            add(&self.shared.counters.cut, 1);
        }
        hears
    }

    /// Drops what is held back, and all that comes later; waits for the thread. To call it again
    /// does nothing.
    pub fn stop(&self) {
        let shared = &self.shared;
        let mut state = shared.lock();
        state.is_stopped = true;
        shared.interferes.store(true, Ordering::Relaxed);
        let held = std::mem::take(&mut state.held);
        let thread = state.thread.take();
        drop(state);
        add(&shared.counters.stopped, held.messages.len());
        shared.changed.notify_all();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that holds messages back panicked");
        }
    }

    /// What was counted since the start, by name.
    pub fn counters(&self) -> Vec<(&'static str, u64)> {
        let counters = &self.shared.counters;
        [
            ("lost", &counters.lost),
            ("duplicated", &counters.duplicated),
            ("delayed", &counters.delayed),
            ("cut", &counters.cut),
            ("overflowed", &counters.overflowed),
            ("stopped", &counters.stopped),
        ]
        .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
        .to_vec()
    }
}

impl<T: Outbound + 'static> Outbound for Adversary<T> {
    fn send(&self, to: NodeId, messages: &[&[u8]]) {
        let shared = &self.shared;
        if !shared.interferes.load(Ordering::Relaxed) {
            return shared.inner.send(to, messages);
        }
        let passing = shared.interfere(to, messages);
        if !passing.is_empty() {
            shared.inner.send(to, &passing);
        }
    }
}

impl<T: Outbound + 'static> Drop for Adversary<T> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<T: Outbound + 'static> Shared<T> {
    /// Decides the fate of each message. Returns those that leave now.
    fn interfere<'a>(self: &Arc<Self>, to: NodeId, messages: &[&'a [u8]]) -> Vec<&'a [u8]> {
        let mut passing = Vec::new();
        let now = Instant::now();
        let mut state = self.lock();
        if state.is_stopped {
            add(&self.counters.stopped, messages.len());
            return passing;
        }
        for &message in messages {
            let fate = state.next_fate();
            if state.faults.cut_to.contains(&to) {
                add(&self.counters.cut, 1);
                continue;
            }
            if fate.is_lost {
                add(&self.counters.lost, 1);
                continue;
            }
            if fate.is_repeated {
                add(&self.counters.duplicated, 1);
            }
            let copies = 1 + usize::from(fate.is_repeated);
            match fate.delays {
                None => passing.extend([message, message].iter().take(copies)),
                Some(delays) => {
                    for delay in delays.into_iter().take(copies) {
                        self.hold(&mut state, now + delay, to, message);
                    }
                }
            }
        }
        passing
    }

    fn hold(self: &Arc<Self>, state: &mut State, due: Instant, to: NodeId, message: &[u8]) {
        let is_in_order = !state.faults.reorder;
        if !self.is_running(state) || !state.held.push(due, is_in_order, to, message) {
            return add(&self.counters.overflowed, 1);
        }
        add(&self.counters.delayed, 1);
        self.changed.notify_all();
    }

    /// Starts the thread if there is none. Without one, there is nowhere to hold a message.
    fn is_running(self: &Arc<Self>, state: &mut State) -> bool {
        if state.thread.is_none() {
            let shared = self.clone();
            let thread = thread::Builder::new().name("adversary".into());
            state.thread = thread.spawn(move || shared.release()).ok();
        }
        state.thread.is_some()
    }

    /// The thread: sends each message that was held back when its time has come.
    fn release(&self) {
        let mut state = self.lock();
        while !state.is_stopped {
            let now = Instant::now();
            if let Some((to, message)) = state.held.pop(now) {
                drop(state);
                self.inner.send(to, &[&message]);
                state = self.lock();
                continue;
            }
            state = match state.held.first() {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(due) => {
                    let wait = due.saturating_duration_since(now);
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// A panic in between can cost a message, which is what this module is for.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Always draws as often, so that the n-th fate depends on the seed and n alone, and a fault
    /// more leaves the others as they were.
    fn next_fate(&mut self) -> Fate {
        let (rng, faults) = (&mut self.fates, &self.faults);
        let is_lost = rng.below(MILLION) < u64::from(faults.loss_ppm);
        let is_repeated = rng.below(MILLION) < u64::from(faults.duplicate_ppm);
        let delays = faults.delays();
        let (shortest, longest) = delays.unwrap_or_default();
        let spread = longest.saturating_sub(shortest);
        let drawn = [rng.jitter(spread), rng.jitter(spread)];
        let delays = delays.map(|_| drawn.map(|more| shortest + more));
        Fate { is_lost, is_repeated, delays }
    }
}

impl Held {
    /// False if there is no room.
    fn push(&mut self, due: Instant, is_in_order: bool, to: NodeId, message: &[u8]) -> bool {
        if self.messages.len() == HELD_MESSAGES_MAX || self.bytes + message.len() > HELD_BYTES_MAX {
            return false;
        }
        let latest = self.latest.entry(to).or_insert(due);
        let due = if is_in_order { due.max(*latest) } else { due };
        *latest = due.max(*latest);
        self.bytes += message.len();
        self.messages.insert((due, self.arrivals), (to, message.to_vec()));
        self.arrivals += 1;
        true
    }

    fn first(&self) -> Option<Instant> {
        self.messages.first_key_value().map(|((due, _), _)| *due)
    }

    /// The first message, if it is due.
    fn pop(&mut self, now: Instant) -> Option<(NodeId, Vec<u8>)> {
        let first = self.messages.first_entry().filter(|first| first.key().0 <= now)?;
        let (to, message) = first.remove();
        self.bytes -= message.len();
        Some((to, message))
    }
}

fn add(count: &AtomicU64, more: usize) {
    count.fetch_add(more as u64, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    const PEER: NodeId = NodeId(2);
    /// Long enough to be reached by a broken build only.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Passes on what it is given.
    struct Recorder(Mutex<Sender<(NodeId, Vec<u8>)>>);

    impl Outbound for Recorder {
        fn send(&self, to: NodeId, messages: &[&[u8]]) {
            let into = self.0.lock().unwrap();
            for message in messages {
                // Who has dropped the other end does not want to know.
                into.send((to, message.to_vec())).ok();
            }
        }
    }

    fn before_recorder(faults: Faults) -> (Adversary<Recorder>, Receiver<(NodeId, Vec<u8>)>) {
        let (into, sent) = channel();
        (Adversary::new(Recorder(Mutex::new(into)), faults).unwrap(), sent)
    }

    fn count(adversary: &Adversary<Recorder>, name: &str) -> u64 {
        adversary.counters().into_iter().find(|(known, _)| *known == name).expect(name).1
    }

    fn seeded() -> Faults {
        Faults { seed: Some(1), ..Faults::default() }
    }

    /// Sends 300 numbers in groups of three; returns those that came out, in their order.
    fn numbers_through(faults: Faults) -> Vec<u32> {
        let (adversary, sent) = before_recorder(faults);
        let numbers: Vec<[u8; 4]> = (0..300_u32).map(u32::to_le_bytes).collect();
        for group in numbers.chunks(3) {
            let group: Vec<&[u8]> = group.iter().map(|number| &number[..]).collect();
            adversary.send(PEER, &group);
        }
        let one = || u32::from_le_bytes(sent.recv_timeout(PATIENCE).unwrap().1.try_into().unwrap());
        numbers.iter().map(|_| one()).collect()
    }

    fn in_order() -> Vec<u32> {
        (0..300).collect()
    }

    #[test]
    fn without_faults_everything_passes_in_order_and_no_thread_starts() {
        let (adversary, sent) = before_recorder(seeded());
        adversary.send(PEER, &[b"a", b"b"]);
        assert_eq!(
            sent.try_iter().collect::<Vec<_>>(),
            [(PEER, b"a".to_vec()), (PEER, b"b".to_vec())]
        );
        assert!(adversary.hears(PEER));
        assert!(adversary.shared.lock().thread.is_none());
        assert!(adversary.counters().iter().all(|(_, count)| *count == 0));
    }

    #[test]
    fn a_tenth_of_the_messages_is_lost() {
        let (adversary, sent) = before_recorder(Faults { loss_ppm: 100_000, ..seeded() });
        for _ in 0..50_000 {
            adversary.send(PEER, &[b"x", b"y"]);
        }
        let lost = count(&adversary, "lost");
        // Five standard deviations are 475.
        assert!((9_525..=10_475).contains(&lost), "{lost}");
        assert_eq!(sent.try_iter().count() as u64 + lost, 100_000);
    }

    #[test]
    fn all_are_lost_or_doubled_at_a_million_in_a_million() {
        let (adversary, sent) = before_recorder(Faults { duplicate_ppm: 1_000_000, ..seeded() });
        adversary.send(PEER, &[b"a", b"b"]);
        let bytes: Vec<_> = sent.try_iter().flat_map(|(_, message)| message).collect();
        assert_eq!(bytes, b"aabb");
        assert_eq!(count(&adversary, "duplicated"), 2);
        adversary.set(Faults { loss_ppm: 1_000_000, duplicate_ppm: 1_000_000, ..seeded() });
        adversary.send(PEER, &[b"a", b"b"]);
        assert_eq!(sent.try_iter().count(), 0);
        assert_eq!(count(&adversary, "lost"), 2);
    }

    #[test]
    fn messages_overtake_each_other_only_where_asked() {
        let delay_max = Duration::from_millis(5);
        assert_eq!(numbers_through(Faults { delay_max, ..seeded() }), in_order());
        for delay_max in [Duration::ZERO, delay_max] {
            let mut numbers = numbers_through(Faults { reorder: true, delay_max, ..seeded() });
            assert_ne!(numbers, in_order());
            numbers.sort_unstable();
            assert_eq!(numbers, in_order());
        }
    }

    #[test]
    fn a_delayed_message_is_not_early() {
        let delay = Duration::from_millis(20);
        let faults = Faults { delay_min: delay, duplicate_ppm: 1_000_000, ..seeded() };
        let (adversary, sent) = before_recorder(faults);
        let start = Instant::now();
        adversary.send(PEER, &[b"x"]);
        for _ in 0..2 {
            assert_eq!(sent.recv_timeout(PATIENCE).unwrap(), (PEER, b"x".to_vec()));
            assert!(start.elapsed() >= delay);
        }
        assert_eq!(count(&adversary, "delayed"), 2);
    }

    #[test]
    fn a_cut_has_one_direction() {
        let (deaf, mute) = (NodeId(3), NodeId(4));
        let (adversary, sent) = before_recorder(Faults {
            cut_to: BTreeSet::from([deaf]),
            cut_from: BTreeSet::from([mute]),
            ..seeded()
        });
        adversary.send(deaf, &[b"x"]);
        adversary.send(mute, &[b"y"]);
        assert_eq!(sent.try_iter().collect::<Vec<_>>(), [(mute, b"y".to_vec())]);
        assert!(adversary.hears(deaf));
        assert!(!adversary.hears(mute));
        assert_eq!(count(&adversary, "cut"), 2);
        adversary.set(seeded());
        adversary.send(deaf, &[b"x"]);
        assert!(adversary.hears(mute));
        assert_eq!(sent.try_iter().count(), 1);
    }

    #[test]
    fn what_is_held_back_is_bounded_in_number_and_in_bytes() {
        let faults = Faults { delay_min: DELAY_MAX, ..seeded() };
        let (adversary, sent) = before_recorder(faults.clone());
        for _ in 0..HELD_MESSAGES_MAX + 10 {
            adversary.send(PEER, &[b"x"]);
        }
        assert_eq!(count(&adversary, "overflowed"), 10);
        adversary.stop();
        assert_eq!(count(&adversary, "stopped"), HELD_MESSAGES_MAX as u64);
        assert_eq!(sent.try_iter().count(), 0);

        let (adversary, _sent) = before_recorder(faults);
        let large = vec![0; HELD_BYTES_MAX / 16];
        for _ in 0..17 {
            adversary.send(PEER, &[&large]);
        }
        assert_eq!(count(&adversary, "overflowed"), 1);
        assert_eq!(adversary.shared.lock().held.bytes, HELD_BYTES_MAX);
    }

    #[test]
    fn a_delay_beyond_all_bounds_is_cut_to_the_longest() {
        let (adversary, _sent) = before_recorder(Faults { delay_min: Duration::MAX, ..seeded() });
        adversary.send(PEER, &[b"x"]);
        let due = adversary.shared.lock().held.first().unwrap();
        assert!(due <= Instant::now() + DELAY_MAX);
    }

    #[test]
    fn stop_ends_the_thread_and_lets_nothing_pass() {
        let (adversary, sent) = before_recorder(Faults { reorder: true, ..seeded() });
        adversary.send(PEER, &[b"x"]);
        assert!(adversary.shared.lock().thread.is_some());
        adversary.stop();
        assert_eq!(Arc::strong_count(&adversary.shared), 1, "the thread had the other one");
        adversary.stop();
        adversary.set(Faults::default());
        let before = sent.try_iter().count();
        assert!(before <= 1);
        adversary.send(PEER, &[b"y"]);
        assert_eq!(sent.try_iter().count(), 0);
        assert_eq!(count(&adversary, "stopped"), 2 - before as u64);
    }

    fn fates(faults: Faults, seed: u64) -> Vec<Fate> {
        let (adversary, _sent) = before_recorder(Faults { seed: Some(seed), ..faults });
        let mut state = adversary.shared.lock();
        (0..1_000).map(|_| state.next_fate()).collect()
    }

    #[test]
    fn one_seed_decides_the_same_fates() {
        let lossy = Faults { loss_ppm: 100_000, duplicate_ppm: 100_000, ..seeded() };
        let slow = Faults { delay_max: Duration::from_millis(5), ..lossy.clone() };
        assert_eq!(fates(slow.clone(), 7), fates(slow.clone(), 7));
        assert_ne!(fates(slow.clone(), 7), fates(slow.clone(), 8));
        let without_delays: Vec<Fate> =
            fates(slow, 7).into_iter().map(|fate| Fate { delays: None, ..fate }).collect();
        assert_eq!(fates(lossy, 7), without_delays, "a delay changes nothing but delays");
    }

    #[test]
    fn the_seed_in_force_is_told_and_starts_the_count_anew() {
        let faults = Faults { loss_ppm: 500_000, ..Faults::default() };
        let (adversary, sent) = before_recorder(Faults::default());
        let run = |seed| {
            let in_force = adversary.set(Faults { seed, ..faults.clone() });
            for n in 0..100_u8 {
                adversary.send(PEER, &[&[n]]);
            }
            (in_force, sent.try_iter().collect::<Vec<_>>())
        };
        let first = run(None);
        assert_eq!(run(Some(first.0)), first);
        assert_ne!(run(None).1, first.1);
    }
}
