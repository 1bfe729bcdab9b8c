//! Breadth first through all states of a scene, so that a counterexample is a shortest one.

use std::collections::HashSet;

use super::atlas::{Atlas, NodeStateId, Outcome};
use super::judge::Judge;
use super::local::Move;
use super::scene::{PLACES_MAX, Scene};
use super::story::{Step, story};

/// What is looked at once although it is many states. None loses a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reduced {
    /// States that differ only in the names of acceptors.
    pub by_symmetry: bool,
    /// A move after which nobody else can tell the difference (nothing was sent, no disk changed)
    /// is put off until just before the same node's next move that does tell. Letters can be
    /// delivered for ever, so there is never a reason to hurry.
    pub by_silence: bool,
    /// States that differ only in what can never again make a difference: letters that nobody will
    /// react to, votes that can choose nothing any more.
    pub by_forgetting: bool,
}

impl Reduced {
    /// All of it.
    pub const FULLY: Reduced = Reduced { by_symmetry: true, by_silence: true, by_forgetting: true };
}

/// Where a search ends that has not seen every state, so that it ends before memory does.
const STATES_MAX: usize = 20_000_000;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// States that differ by more than the names of acceptors.
    pub states: usize,
    /// States with the names of acceptors told apart.
    pub states_by_name: u64,
    /// Moves in the longest shortest way to a state.
    pub depth: usize,
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

/// Looks at every state of the scene that is at most `depth_max` moves away from its start, or at
/// about `STATES_MAX` of them.
///
/// # Panics
/// If the scene is no valid cluster or too large, or an invariant of the core breaks.
pub fn explore(scene: &Scene, reduced: Reduced, depth_max: usize) -> Found {
    Search::new(scene, reduced).run(depth_max)
}

struct Search {
    scene: Scene,
    atlas: Atlas,
    judge: Judge,
    met: HashSet<u128>,
    /// By the order of discovery: the state before, the place that moved, and which of its
    /// outcomes it was.
    trail: Vec<(u32, u8, u32)>,
    states_by_name: u64,
}

/// A state that is to be looked at, and its place in the trail.
type Open = (State, u32);

/// The node state at each place, zero where there is none, and last what the observer knows.
type State = [NodeStateId; PLACES_MAX + 1];

impl Search {
    fn new(scene: &Scene, reduced: Reduced) -> Search {
        assert!(scene.places() <= PLACES_MAX, "a state fits into 128 bits");
        Search {
            scene: *scene,
            atlas: Atlas::new(*scene, reduced),
            judge: Judge::new(scene, reduced.by_forgetting),
            met: HashSet::new(),
            trail: Vec::new(),
            states_by_name: 0,
        }
    }

    fn run(&mut self, depth_max: usize) -> Found {
        let mut depth = 0;
        let start = self.start();
        let mut open: Vec<Open> = Vec::new();
        let mut wrong = self.meet(&start, (0, 0, 0), &mut open).err();
        while !open.is_empty() && wrong.is_none() {
            if depth == depth_max || self.met.len() >= STATES_MAX {
                break;
            }
            let mut next = Vec::new();
            for (state, number) in &open {
                wrong = self.leave(state, *number, &mut next).err();
                if wrong.is_some() {
                    break;
                }
            }
            depth += usize::from(!next.is_empty());
            open = next;
        }
        let is_complete = open.is_empty() && wrong.is_none();
        let counterexample = wrong.map(|what| {
            let story = self.story();
            Counterexample { what, story }
        });
        Found {
            states: self.met.len(),
            states_by_name: self.states_by_name,
            depth,
            is_complete,
            counterexample,
        }
    }

    /// Takes every move that the state allows.
    fn leave(&mut self, state: &State, number: u32, next: &mut Vec<Open>) -> Result<(), String> {
        for place in 0..self.scene.places() {
            let outcomes = self.atlas.outcomes(state[place]);
            for (which, outcome) in (0..).zip(outcomes.iter()) {
                if outcome.crashed && !self.may_crash(state, place)
                    || outcome.lost && !self.may_lose(state)
                {
                    continue;
                }
                let way = (number, tag(place), which);
                if outcome.is_silent {
                    // Nobody else can tell, so there is no need to go on from here.
                    let known = state[PLACES_MAX];
                    if let Err(what) = self.judge.look(&self.atlas, known, outcome.to) {
                        self.trail.push(way);
                        return Err(what);
                    }
                } else {
                    match self.after(state, place, outcome) {
                        Ok(after) => self.meet(&after, way, next)?,
                        Err(what) => {
                            self.trail.push(way);
                            return Err(what);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The state after a move.
    fn after(&mut self, state: &State, place: usize, outcome: &Outcome) -> Result<State, String> {
        let mut after = *state;
        after[place] = outcome.to;
        for &letter in &outcome.letters {
            let to = Scene::place(self.atlas.letter(letter).to);
            after[to] = self.atlas.with_letter(after[to], letter);
        }
        let (nodes, known) = (&after[..self.scene.places()], state[PLACES_MAX]);
        after[PLACES_MAX] = self.judge.see(&self.atlas, nodes, known, place, outcome)?;
        Ok(after)
    }

    fn may_crash(&self, state: &State, place: usize) -> bool {
        let state = &state[..self.scene.places()];
        let (leaders, acceptors) = state.split_at(self.scene.leaders);
        let (alike, max) = if self.scene.is_leader(place) {
            (leaders, self.scene.leader_crashes)
        } else {
            (acceptors, self.scene.acceptor_crashes)
        };
        alike.iter().map(|node| self.atlas.local(*node).crashes).sum::<u8>() < max
    }

    fn may_lose(&self, state: &State) -> bool {
        let nodes = state[..self.scene.places()].iter();
        nodes.map(|node| self.atlas.local(*node).losses).sum::<u8>() < self.scene.losses
    }

    /// Judges a state if it is new.
    fn meet(
        &mut self,
        state: &State,
        way: (u32, u8, u32),
        next: &mut Vec<Open>,
    ) -> Result<(), String> {
        let (form, names) = self.normal(state).0;
        if !self.met.insert(self.pack(&form)) {
            return Ok(());
        }
        self.states_by_name += names;
        let number = u32::try_from(self.trail.len()).expect("memory ends before");
        self.trail.push(way);
        for &node in &form[..self.scene.places()] {
            self.judge.look(&self.atlas, form[PLACES_MAX], node)?;
        }
        next.push((form, number));
        Ok(())
    }

    fn start(&mut self) -> State {
        let mut state = State::default();
        let start = self.atlas.start();
        state[..start.len()].copy_from_slice(&start);
        state[PLACES_MAX] = self.judge.start(&self.atlas, &start);
        self.normal(&state).0.0
    }

    /// The least form of the state over all renamings of acceptors, how many forms there are, and
    /// the renaming that leads to it.
    fn normal(&mut self, state: &State) -> ((State, u64), usize) {
        let count = self.atlas.renamings();
        let mut least = (*state, 0);
        let mut same = 1;
        for renaming in 1..count {
            let mut form = *state;
            for (place, node) in state[..self.scene.places()].iter().enumerate() {
                let to = self.atlas.renaming(renaming)[place];
                form[to] = self.atlas.rename(*node, renaming);
            }
            form[PLACES_MAX] = self.judge.rename(&self.atlas, state[PLACES_MAX], renaming);
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
            let (before, place, which) = self.trail[at];
            way.push((usize::from(place), which as usize));
            at = before as usize;
        }
        let mut state = self.start();
        // The place at the start of what is now at each place.
        let mut names: Vec<usize> = (0..self.scene.places()).collect();
        let mut steps = Vec::new();
        for (place, which) in way.into_iter().rev() {
            let outcome = self.atlas.outcomes(state[place])[which].clone();
            for act in self.atlas.way(state[place], &outcome) {
                let letter = match act {
                    Move::Deliver(letter) => Some(self.atlas.letter(letter).clone()),
                    _ => None,
                };
                steps.push(Step { place: names[place], act, letter, names: names.clone() });
            }
            let Ok(after) = self.after(&state, place, &outcome) else {
                break;
            };
            let ((form, _), renaming) = self.normal(&after);
            let renaming = self.atlas.renaming(renaming).to_vec();
            let before = names.clone();
            for (from, to) in renaming.into_iter().enumerate() {
                names[to] = before[from];
            }
            state = form;
        }
        story(&self.scene, &steps)
    }

    fn pack(&self, state: &State) -> u128 {
        let parts = state[..self.scene.places()].iter().chain(&state[PLACES_MAX..]);
        let bits = 128 / (self.scene.places() + 1);
        parts.fold(0, |packed, part| {
            assert!(u128::from(*part) < 1 << bits, "fewer node states than fit");
            packed << bits | u128::from(*part)
        })
    }
}

fn tag(place: usize) -> u8 {
    u8::try_from(place).expect("a few places")
}

/// For the tests of the reductions.
#[cfg(test)]
impl Search {
    fn unpack(&self, packed: u128) -> State {
        let mut state = State::default();
        let (places, mut packed) = (self.scene.places(), packed);
        let bits = 128 / (places + 1);
        for part in [PLACES_MAX].into_iter().chain((0..places).rev()) {
            state[part] = NodeStateId::try_from(packed & ((1 << bits) - 1)).expect("few bits");
            packed >>= bits;
        }
        state
    }

    fn forgotten(&mut self, state: &State) -> State {
        let mut form = *state;
        let places = self.scene.places();
        form[PLACES_MAX] = self.judge.forgotten(&self.atlas, &state[..places], state[PLACES_MAX]);
        for node in &mut form[..places] {
            *node = self.atlas.forgotten(*node);
        }
        self.normal(&form).0.0
    }
}

#[cfg(test)]
mod tests;
