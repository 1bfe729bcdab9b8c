//! What `synod::sim::check` finds, and what it does not mind.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use synod::sim::{Rng, check, try_check};
use synod::{Slot, StateMachine};

/// A map of sums, each kind of which does one thing wrong.
struct Sums<K: Kind> {
    sums: BTreeMap<u8, u64>,
    kind: K,
}

trait Kind: Send + Default + 'static {
    type Kept: Serialize + for<'de> Deserialize<'de> + Send + 'static;

    fn output(&mut self, slot: Slot, sum: u64) -> u64 {
        let _ = slot;
        sum
    }

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept;
    fn restore(kept: Self::Kept) -> BTreeMap<u8, u64>;
}

impl<K: Kind> StateMachine for Sums<K> {
    type Command = (u8, u64);
    type Output = u64;
    type Snapshot = K::Kept;

    fn apply(&mut self, slot: Slot, (key, by): (u8, u64)) -> u64 {
        let sum = self.sums.entry(key).or_default();
        *sum += by;
        self.kind.output(slot, *sum)
    }

    fn snapshot(&self) -> K::Kept {
        K::keep(&self.sums)
    }

    fn restore(snapshot: K::Kept) -> Self {
        Sums { sums: K::restore(snapshot), kind: K::default() }
    }
}

fn sums<K: Kind>() -> Sums<K> {
    Sums { sums: BTreeMap::new(), kind: K::default() }
}

fn command(rng: &mut Rng) -> (u8, u64) {
    (u8::try_from(rng.below(20)).expect("small"), rng.below(9))
}

fn found<K: Kind>() -> String {
    try_check(0..20, sums::<K>, command).expect_err("it must be noticed").to_string()
}

#[derive(Default)]
struct Sound;

impl Kind for Sound {
    type Kept = BTreeMap<u8, u64>;

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept {
        sums.clone()
    }

    fn restore(kept: Self::Kept) -> BTreeMap<u8, u64> {
        kept
    }
}

/// Its snapshot is a hash map: equal states, other bytes.
#[derive(Default)]
struct HashOrder;

impl Kind for HashOrder {
    type Kept = HashMap<u8, u64>;

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept {
        sums.iter().map(|(key, sum)| (*key, *sum)).collect()
    }

    fn restore(kept: Self::Kept) -> BTreeMap<u8, u64> {
        kept.into_iter().collect()
    }
}

/// It counts in a place that is no part of the state.
#[derive(Default)]
struct Outside;

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

impl Kind for Outside {
    type Kept = BTreeMap<u8, u64>;

    fn output(&mut self, _slot: Slot, sum: u64) -> u64 {
        CALLS.set(CALLS.get() + 1);
        sum + CALLS.get() / 50
    }

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept {
        sums.clone()
    }

    fn restore(kept: Self::Kept) -> BTreeMap<u8, u64> {
        kept
    }
}

/// Its snapshot forgets what is zero.
#[derive(Default)]
struct Forgetful;

impl Kind for Forgetful {
    type Kept = BTreeMap<u8, u64>;

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept {
        sums.clone()
    }

    fn restore(mut kept: Self::Kept) -> BTreeMap<u8, u64> {
        kept.retain(|key, _| *key != 3);
        kept
    }
}

/// What it remembers beside its snapshot shows in its outputs.
#[derive(Default)]
struct Beside(u64);

impl Kind for Beside {
    type Kept = BTreeMap<u8, u64>;

    fn output(&mut self, _slot: Slot, sum: u64) -> u64 {
        self.0 += 1;
        sum + self.0
    }

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept {
        sums.clone()
    }

    fn restore(kept: Self::Kept) -> BTreeMap<u8, u64> {
        kept
    }
}

/// It panics at times.
#[derive(Default)]
struct Panics;

impl Kind for Panics {
    type Kept = BTreeMap<u8, u64>;

    fn output(&mut self, _slot: Slot, sum: u64) -> u64 {
        assert!(sum < 20, "too much");
        sum
    }

    fn keep(sums: &BTreeMap<u8, u64>) -> Self::Kept {
        sums.clone()
    }

    fn restore(kept: Self::Kept) -> BTreeMap<u8, u64> {
        kept
    }
}

#[test]
fn a_sound_machine_passes() {
    let checked = check(0..50, sums::<Sound>, command);
    assert_eq!((checked.seeds, checked.commands), (50, 3000));
    assert!(checked.crashes > 20 && checked.restored > 20 && checked.snapshots > 50, "{checked:?}");
}

#[test]
fn the_order_of_a_hash_map_is_noticed() {
    assert!(found::<HashOrder>().contains("snapshots"), "{}", found::<HashOrder>());
}

#[test]
fn a_counter_outside_of_the_state_is_noticed() {
    assert!(found::<Outside>().contains("output"), "{}", found::<Outside>());
}

#[test]
fn a_snapshot_that_forgets_is_noticed() {
    found::<Forgetful>();
}

#[test]
fn what_is_not_in_the_snapshot_is_noticed() {
    assert!(found::<Beside>().contains("output"), "{}", found::<Beside>());
}

#[test]
#[should_panic(expected = "the state machine panicked in apply, in slot")]
fn a_panic_is_told_with_its_seed() {
    check(0..20, sums::<Panics>, command);
}
