//! Breadth first through all states of a scene, so that a counterexample is a shortest one.

use std::collections::HashSet;

use super::atlas::{Atlas, Inbox, LocalId};
use super::judge::Judge;
use super::local::Move;
use super::scene::{PLACES_MAX, Scene};
use super::story::{Step, story};

/// What is looked at once although it is many states. Neither loses a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// States that differ only in the names of acceptors.
    pub by_symmetry: bool,
    /// A move after which nobody else can tell the difference (nothing was sent, no disk changed)
    /// is put off until just before the same node's next move that does tell. Letters can be
    /// delivered for ever, so there is never a reason to hurry.
    pub by_silence: bool,
}

impl Reduced {
    /// Both.
    pub const FULLY: Reduced = Reduced { by_symmetry: true, by_silence: true };
}

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// States that differ by more than the names of acceptors.
    pub states: usize,
    /// States with the names of acceptors told apart.
    pub states_by_name: u64,
    /// Moves in the longest shortest way to a state.
    pub depth: usize,
    /// States of single nodes.
    pub node_states: usize,
    /// Different messages between given ends.
    pub messages: usize,
    /// Whether every reachable state was looked at.
    pub is_complete: bool,
    /// What went wrong, by a shortest way.
    pub counterexample: Option<Counterexample>,
}

/// A way to a state that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// What is wrong there.
    pub what: String,
    /// How it came to that, a sentence a move.
    pub story: Vec<String>,
}

/// Looks at every state of the scene, or at about `states_max` of them.
///
/// # Panics
/// If the scene is no valid cluster or too large, or an invariant of the core breaks.
pub fn explore(scene: &Scene, reduced: Reduced, states_max: usize) -> Found {
    assert!(scene.places() <= PLACES_MAX, "a state fits into 128 bits");
    let mut search = Search {
        scene: *scene,
        atlas: Atlas::new(*scene, reduced),
        judge: Judge::new(scene),
        met: HashSet::new(),
        trail: Vec::new(),
        states_by_name: 0,
    };
    search.run(states_max)
}

struct Search {
    scene: Scene,
    atlas: Atlas,
    judge: Judge,
    met: HashSet<u128>,
    /// By the order of discovery: the state before, the place that moved, and where to.
    trail: Vec<(u32, u8, LocalId)>,
    states_by_name: u64,
}

/// A state that is to be looked at, and its place in the trail.
type Open = (State, u32);

/// The node state at each place; zero where there is none.
type State = [LocalId; PLACES_MAX];

impl Search {
    fn run(&mut self, states_max: usize) -> Found {
        let mut depth = 0;
        let start = self.start();
        let mut counterexample = None;
        let mut open: Vec<Open> = Vec::new();
        if let Err(what) = self.meet(&start, (0, 0, 0), &mut open) {
            counterexample = Some(what);
        }
        let mut is_complete = true;
        while !open.is_empty() && counterexample.is_none() {
            let mut next = Vec::new();
            for (state, number) in &open {
                if let Err(what) = self.leave(state, *number, &mut next) {
                    counterexample = Some(what);
                    break;
                }
            }
            depth += usize::from(!next.is_empty());
            open = next;
            if self.met.len() >= states_max && !open.is_empty() {
                is_complete = false;
                break;
            }
        }
        let counterexample = counterexample.map(|what| {
            let story = self.story();
            Counterexample { what, story }
        });
        let (node_states, messages) = self.atlas.size();
        Found {
            states: self.met.len(),
            states_by_name: self.states_by_name,
            depth,
            node_states,
            messages,
            is_complete: is_complete && counterexample.is_none(),
            counterexample,
        }
    }

    /// Takes every move that the state allows.
    fn leave(&mut self, state: &State, number: u32, next: &mut Vec<Open>) -> Result<(), String> {
        let places = self.scene.places();
        for place in 0..places {
            let id = state[place];
            let inbox = self.inbox(state, place);
            for &(to, is_silent) in self.atlas.moves(id, &inbox).iter() {
                if self.atlas.crashed(id, to) && !self.may_crash(state, place) {
                    continue;
                }
                let mut after = *state;
                after[place] = to;
                let way = (number, tag(place), to);
                if is_silent {
                    // Nobody else can tell, so there is no need to go on from here.
                    if let Err(what) = self.judge.look(&self.atlas, &after[..places]) {
                        self.trail.push(way);
                        return Err(what);
                    }
                } else {
                    self.meet(&after, way, next)?;
                }
            }
        }
        Ok(())
    }

    /// The letters that may arrive at a place.
    fn inbox(&self, state: &State, place: usize) -> Inbox {
        let mut inbox = Inbox::default();
        for &sender in &state[..self.scene.places()] {
            let sent = self.atlas.outbox(sender, place);
            for (all, some) in inbox.iter_mut().zip(sent) {
                *all |= some;
            }
        }
        inbox
    }

    fn may_crash(&self, state: &State, place: usize) -> bool {
        let state = &state[..self.scene.places()];
        let (leaders, acceptors) = state.split_at(self.scene.leaders);
        let (alike, max) = if self.scene.is_leader(place) {
            (leaders, self.scene.leader_crashes)
        } else {
            (acceptors, self.scene.acceptor_crashes)
        };
        alike.iter().map(|id| self.atlas.local(*id).crashes).sum::<u8>() < max
    }

    /// Judges a state if it is new.
    fn meet(
        &mut self,
        state: &State,
        way: (u32, u8, LocalId),
        next: &mut Vec<Open>,
    ) -> Result<(), String> {
        let (form, names) = self.normal(state).0;
        if !self.met.insert(pack(&form[..self.scene.places()])) {
            return Ok(());
        }
        self.states_by_name += names;
        let number = u32::try_from(self.trail.len()).expect("memory ends before");
        self.trail.push(way);
        self.judge.look(&self.atlas, &form[..self.scene.places()])?;
        next.push((form, number));
        Ok(())
    }

    fn start(&mut self) -> State {
        let mut state = State::default();
        let start = self.atlas.start();
        state[..start.len()].copy_from_slice(&start);
        state
    }

    /// The least form of the state over all renamings of acceptors, how many forms there are, and
    /// the renaming that leads to it.
    fn normal(&mut self, state: &State) -> ((State, u64), usize) {
        let count = self.atlas.renamings();
        let mut least = (*state, 0);
        let mut same = 1;
        for renaming in 1..count {
            let mut form = *state;
            for &id in &state[..self.scene.places()] {
                let (to, id) = self.atlas.rename(id, renaming);
                form[to] = id;
            }
            // As many renamings lead to each form as leave the state as it is.
            same += u64::from(form == *state);
            if form < least.0 {
                least = (form, renaming);
            }
        }
        ((least.0, count as u64 / same), least.1)
    }

    /// The way to the state that was met last, with the names that acceptors had at its start.
    fn story(&mut self) -> Vec<String> {
        let mut way = Vec::new();
        let mut at = self.trail.len() - 1;
        while at > 0 {
            let (before, place, to) = self.trail[at];
            way.push((usize::from(place), to));
            at = before as usize;
        }
        let mut state = self.start();
        // The place at the start of what is now at each place.
        let mut names: Vec<usize> = (0..self.scene.places()).collect();
        let mut steps = Vec::new();
        for (place, to) in way.into_iter().rev() {
            let inbox = self.inbox(&state, place);
            for act in self.atlas.way(state[place], &inbox, to) {
                let letter = match act {
                    Move::Deliver(letter) => Some(self.atlas.letter(place, letter).clone()),
                    _ => None,
                };
                steps.push(Step { place: names[place], act, letter, names: names.clone() });
            }
            state[place] = to;
            let ((form, _), renaming) = self.normal(&state);
            let renaming = self.atlas.renaming(renaming).to_vec();
            let before = names.clone();
            for (from, to) in renaming.into_iter().enumerate() {
                names[to] = before[from];
            }
            state = form;
        }
        story(&self.scene, &steps)
    }
}

fn tag(place: usize) -> u8 {
    u8::try_from(place).expect("a few places")
}

fn pack(state: &[LocalId]) -> u128 {
    let bits = 128 / state.len();
    state.iter().fold(0, |packed, id| {
        assert!(u128::from(*id) < 1 << bits, "fewer node states than fit");
        packed << bits | u128::from(*id)
    })
}
