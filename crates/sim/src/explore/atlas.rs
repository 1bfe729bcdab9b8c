//! Every state of a node met so far, as a number, and where each move leads from it.
//!
//! The real code runs once for a node's state and a move. Two numbers name a node: its `LocalId`
//! is what is inside; its [`NodeStateId`] is that and the letters that are on their way to it.
//!
//! Acceptors are alike but for their names, so the atlas also knows each node state with the
//! acceptors renamed: it takes the moves that led there, renamed, from the start renamed. That a
//! run of renamed moves is the renamed run is what the test on the number of states without
//! renaming checks.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use paxos::{Ballot, Message, Slot, Value};

use super::forget::is_over;
use super::local::{Letter, Local, Move, Output, Reading};
use super::scene::Scene;
use super::search::Reduced;
use super::start::start;

/// The number of what is inside a node.
type LocalId = u32;

/// The number of a node's inside and the letters on their way to it.
pub type NodeStateId = u32;

/// The number of a letter.
pub type LetterId = u32;

/// A vote that is on disk now.
pub type Vote = (Slot, Ballot, Value);

/// Letters, sorted.
type Inbox = Rc<[LetterId]>;

/// Where a move, or some silent moves and then one that others notice, leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub to: NodeStateId,
    pub letters: Vec<LetterId>,
    pub votes: Vec<Vote>,
    pub reads: Vec<Reading>,
    /// Nobody else can tell; but the node has learned something.
    pub is_silent: bool,
    pub crashed: bool,
    /// Votes were lost.
    pub lost: bool,
}

/// A renaming: the new place of each place.
pub type Renaming = Vec<usize>;

/// Node states, letters, and how they lead to each other.
pub struct Atlas {
    scene: Scene,
    reduced: Reduced,
    locals: Interned<Local>,
    places: Vec<usize>,
    /// How each local was first reached.
    origins: Vec<Option<(LocalId, Move)>>,
    renamed_locals: Vec<Vec<Option<LocalId>>>,
    letters: Interned<Letter>,
    nodes: Interned<(LocalId, Inbox)>,
    by_node: Vec<OfNode>,
    /// The first is the one that changes nothing.
    renamings: Vec<Renaming>,
    start: Vec<(Local, Vec<Letter>)>,
    ran: HashMap<(LocalId, Move), Rc<Ran>>,
}

/// What was found out about a node state.
struct OfNode {
    outcomes: Option<Rc<[Outcome]>>,
    with_letter: Vec<(LetterId, NodeStateId)>,
    renamed: Vec<Option<NodeStateId>>,
}

/// What came of a move.
#[derive(Clone)]
struct Ran {
    to: LocalId,
    letters: Vec<LetterId>,
    votes: Vec<Vote>,
    reads: Vec<Reading>,
}

impl Atlas {
    /// An atlas that shows nothing yet.
    pub fn new(scene: Scene, reduced: Reduced) -> Atlas {
        Atlas {
            renamings: renamings(&scene, reduced.by_symmetry),
            start: start(&scene),
            scene,
            reduced,
            locals: Interned::default(),
            places: Vec::new(),
            origins: Vec::new(),
            renamed_locals: Vec::new(),
            letters: Interned::default(),
            nodes: Interned::default(),
            by_node: Vec::new(),
            ran: HashMap::new(),
        }
    }

    /// The node states at the start of the world.
    pub fn start(&mut self) -> Vec<NodeStateId> {
        let places = 0..self.scene.places();
        places
            .map(|place| {
                let local = self.start_of(place);
                let letters = self.start[place].1.clone();
                let letters: Vec<LetterId> =
                    letters.into_iter().map(|letter| self.letters.number(letter)).collect();
                self.node(local, letters)
            })
            .collect()
    }

    fn start_of(&mut self, place: usize) -> LocalId {
        let local = self.start[place].0.clone();
        self.intern(local, place, None)
    }

    pub fn local(&self, node: NodeStateId) -> &Local {
        self.locals.get(self.nodes.get(node).0)
    }

    pub fn letter(&self, letter: LetterId) -> &Letter {
        self.letters.get(letter)
    }

    /// How many renamings there are; the first changes nothing.
    pub fn renamings(&self) -> usize {
        self.renamings.len()
    }

    /// The new place of each place.
    pub fn renaming(&self, renaming: usize) -> &[usize] {
        &self.renamings[renaming]
    }

    /// Where the node can go.
    pub fn outcomes(&mut self, node: NodeStateId) -> Rc<[Outcome]> {
        if let Some(known) = &self.by_node[node as usize].outcomes {
            return known.clone();
        }
        let learned = self.local(node).replica.chosen();
        let (crashes, losses) = (self.local(node).crashes, self.local(node).losses);
        let mut outcomes: Vec<Outcome> = Vec::new();
        for Reached { ran, is_silent, .. } in self.reach(node) {
            let Ran { to: local, letters, votes, reads } = (*ran).clone();
            let after = self.locals.get(local);
            let (crashed, lost) = (after.crashes != crashes, after.losses != losses);
            if is_silent && after.replica.chosen() == learned {
                continue;
            }
            let inbox = self.nodes.get(node).1.to_vec();
            let to = self.node(local, inbox);
            let outcome = Outcome { to, letters, votes, reads, is_silent, crashed, lost };
            if !outcomes.contains(&outcome) {
                outcomes.push(outcome);
            }
        }
        let outcomes: Rc<[Outcome]> = outcomes.into();
        self.by_node[node as usize].outcomes = Some(outcomes.clone());
        outcomes
    }

    /// Every inside within reach by silent moves and at most one other.
    fn reach(&mut self, node: NodeStateId) -> Vec<Reached> {
        let (start, inbox) = self.nodes.get(node).clone();
        let mut reached: Vec<Reached> = Vec::new();
        let mut met = HashSet::from([start]);
        let (mut at, mut before) = (start, None);
        loop {
            let deliveries = inbox.iter().map(|letter| Move::Deliver(*letter));
            let own = self.locals.get(at).own_moves(&self.scene, self.places[start as usize]);
            for act in deliveries.chain(own) {
                let ran = self.run(at, act);
                let is_said =
                    !ran.letters.is_empty() || !ran.votes.is_empty() || !ran.reads.is_empty();
                let is_loud = is_said || self.shows(at, ran.to);
                // Two ways to one silent state are one; on loud ones something was said.
                if is_loud || met.insert(ran.to) {
                    let is_silent = self.reduced.by_silence && !is_loud;
                    reached.push(Reached { ran, is_silent, before, act });
                }
            }
            let next = before.map_or(0, |before| before + 1);
            let Some(place) = (next..reached.len()).find(|n| reached[*n].is_silent) else {
                return reached;
            };
            (at, before) = (reached[place].ran.to, Some(place));
        }
    }

    /// A shortest way to an outcome.
    pub fn way(&mut self, node: NodeStateId, outcome: &Outcome) -> Vec<Move> {
        let to = self.nodes.get(outcome.to).0;
        let reached = self.reach(node);
        let same = |reached: &Reached| {
            let Ran { to: local, letters, votes, reads } = &*reached.ran;
            (*local, letters, votes, reads)
                == (to, &outcome.letters, &outcome.votes, &outcome.reads)
        };
        let mut at = reached.iter().position(same);
        let mut way = Vec::new();
        while let Some(place) = at {
            way.push(reached[place].act);
            at = reached[place].before;
        }
        way.reverse();
        way
    }

    /// Whether an observer of disks and crashes can tell these apart.
    fn shows(&self, before: LocalId, after: LocalId) -> bool {
        let (before, after) = (self.locals.get(before), self.locals.get(after));
        let counts = |local: &Local| (local.crashes, local.losses);
        (&before.disk, &before.wrong) != (&after.disk, &after.wrong)
            || counts(before) != counts(after)
    }

    /// The node with a letter more on its way to it.
    pub fn with_letter(&mut self, node: NodeStateId, letter: LetterId) -> NodeStateId {
        let known = self.by_node[node as usize].with_letter.iter();
        if let Some((_, known)) = known.into_iter().find(|(known, _)| *known == letter) {
            return *known;
        }
        let (local, inbox) = self.nodes.get(node).clone();
        let mut letters = inbox.to_vec();
        letters.push(letter);
        let with = self.node(local, letters);
        self.by_node[node as usize].with_letter.push((letter, with));
        with
    }

    fn node(&mut self, local: LocalId, mut letters: Vec<LetterId>) -> NodeStateId {
        if self.reduced.by_forgetting {
            letters.retain(|letter| !self.is_over(local, *letter));
        }
        letters.sort_unstable();
        letters.dedup();
        let node = self.nodes.number((local, letters.into()));
        if node as usize == self.by_node.len() {
            let mut renamed = vec![None; self.renamings.len()];
            renamed[0] = Some(node);
            self.by_node.push(OfNode { outcomes: None, with_letter: Vec::new(), renamed });
        }
        node
    }

    fn is_over(&mut self, id: LocalId, letter: LetterId) -> bool {
        let ran = self.run(id, Move::Deliver(letter));
        let (place, local) = (self.places[id as usize], self.locals.get(id));
        let answers = |letter: &LetterId| {
            // Who has lost votes asks for what was decided, whatever it hears.
            !matches!(self.letters.get(*letter).message, Message::Fetch { .. })
        };
        let (changes, speaks) = (ran.to != id, ran.letters.iter().any(answers));
        let over = is_over(&self.scene, place, local, self.letters.get(letter), changes, speaks);
        if over {
            let after = self.locals.get(ran.to);
            assert!(!self.shows(id, ran.to), "what is over changes no disk");
            assert!(ran.votes.is_empty(), "what is over is voted for already");
            assert_eq!(after.replica.chosen(), local.replica.chosen(), "what is over is known");
            let (after, before) = (after.replica.acceptor(), local.replica.acceptor());
            assert_eq!(after, before, "what is over waits for no disk either");
        }
        over
    }

    /// The same node state, had the acceptors been named otherwise.
    pub fn rename(&mut self, node: NodeStateId, renaming: usize) -> NodeStateId {
        if let Some(known) = self.by_node[node as usize].renamed[renaming] {
            return known;
        }
        let (local, inbox) = self.nodes.get(node).clone();
        let letters = inbox.iter().map(|letter| self.rename_letter(*letter, renaming)).collect();
        let local = self.rename_local(local, renaming);
        let renamed = self.node(local, letters);
        self.by_node[node as usize].renamed[renaming] = Some(renamed);
        renamed
    }

    fn rename_local(&mut self, id: LocalId, renaming: usize) -> LocalId {
        if let Some(known) = self.renamed_locals[id as usize][renaming] {
            return known;
        }
        let renamed = match self.origins[id as usize] {
            None => self.start_of(self.renamings[renaming][self.places[id as usize]]),
            Some((before, act)) => {
                let before = self.rename_local(before, renaming);
                let act = match act {
                    Move::Deliver(letter) => Move::Deliver(self.rename_letter(letter, renaming)),
                    act => act,
                };
                self.run(before, act).to
            }
        };
        self.renamed_locals[id as usize][renaming] = Some(renamed);
        renamed
    }

    fn rename_letter(&mut self, letter: LetterId, renaming: usize) -> LetterId {
        // No message names an acceptor inside; only its ends do.
        let Letter { from, to, message } = self.letters.get(letter).clone();
        let renaming = &self.renamings[renaming];
        let from = Scene::node(renaming[Scene::place(from)]);
        let to = Scene::node(renaming[Scene::place(to)]);
        self.letters.number(Letter { from, to, message })
    }

    fn run(&mut self, id: LocalId, act: Move) -> Rc<Ran> {
        if let Some(known) = self.ran.get(&(id, act)) {
            return known.clone();
        }
        let before = self.locals.get(id);
        let (mut local, place) = (before.clone(), self.places[id as usize]);
        let mut output = Output::default();
        match act {
            Move::Deliver(letter) => {
                local.deliver(&self.scene, self.letters.get(letter), &mut output);
            }
            act => local.act(&self.scene, place, act, &mut output),
        }
        if self.scene.flaw.is_none() && fell(before, &local) {
            local.wrong = Some(format!("acceptor {} has lost what was on its disk", place + 1));
        }
        let to = self.intern(local, place, Some((id, act)));
        let mut letters: Vec<LetterId> =
            output.letters.into_iter().map(|letter| self.letters.number(letter)).collect();
        letters.sort_unstable();
        letters.dedup();
        let ran = Rc::new(Ran { to, letters, votes: output.votes, reads: output.reads });
        self.ran.insert((id, act), ran.clone());
        ran
    }

    fn intern(&mut self, local: Local, place: usize, origin: Option<(LocalId, Move)>) -> LocalId {
        let id = self.locals.number(local);
        if id as usize == self.places.len() {
            let mut renamed = vec![None; self.renamings.len()];
            renamed[0] = Some(id);
            self.places.push(place);
            self.origins.push(origin);
            self.renamed_locals.push(renamed);
        }
        id
    }
}

/// An inside within reach, what was said and voted for last, and how it was reached: the place in
/// the list of the one before, and the last move.
struct Reached {
    ran: Rc<Ran>,
    is_silent: bool,
    before: Option<usize>,
    act: Move,
}

/// Whether a promise on disk has fallen, or a vote given way to a lower one, unless it was cut or
/// the world has lost it.
fn fell(before: &Local, after: &Local) -> bool {
    let kept = |slot: Slot, ballot: Ballot| {
        let is_gone = slot < after.disk.truncated() || after.losses != before.losses;
        is_gone || after.disk.votes().get(slot).is_some_and(|(after, _)| after >= ballot)
    };
    let mut votes = before.disk.votes().iter();
    after.disk.promised() < before.disk.promised()
        || !votes.all(|run| (run.first.0..run.end().0).all(|slot| kept(Slot(slot), run.ballot)))
}

/// All ways to rename acceptors, or only the one that changes nothing.
fn renamings(scene: &Scene, by_symmetry: bool) -> Vec<Renaming> {
    let leaders: Renaming = (0..scene.leaders).collect();
    let mut renamings = vec![leaders];
    for place in scene.leaders..scene.places() {
        // Each new acceptor goes to every position among the ones before it.
        let longer = |renaming: &Renaming| -> Vec<Renaming> {
            let first = if by_symmetry { scene.leaders } else { renaming.len() };
            let positions = (first..=renaming.len()).rev();
            let put = |position| {
                let mut longer = renaming.clone();
                longer.insert(position, place);
                longer
            };
            positions.map(put).collect()
        };
        renamings = renamings.iter().flat_map(longer).collect();
    }
    renamings
}

/// Things by number, in the order in which they were first met.
struct Interned<T> {
    all: Vec<Rc<T>>,
    numbers: HashMap<Rc<T>, u32>,
}

impl<T: Eq + std::hash::Hash> Interned<T> {
    fn number(&mut self, thing: T) -> u32 {
        if let Some(&known) = self.numbers.get(&thing) {
            return known;
        }
        let number = u32::try_from(self.all.len()).expect("memory ends before");
        let thing = Rc::new(thing);
        self.all.push(thing.clone());
        self.numbers.insert(thing, number);
        number
    }

    fn get(&self, number: u32) -> &T {
        &self.all[number as usize]
    }
}

impl<T> Default for Interned<T> {
    fn default() -> Interned<T> {
        Interned { all: Vec::new(), numbers: HashMap::new() }
    }
}

/// For the tests of the reductions.
#[cfg(test)]
impl Atlas {
    pub fn forgotten(&mut self, node: NodeStateId) -> NodeStateId {
        let (local, inbox) = self.nodes.get(node).clone();
        let kept = inbox.iter().copied().filter(|letter| !self.is_over(local, *letter));
        let kept = kept.collect();
        self.node(local, kept)
    }

    /// The inside of the node with this number, if there is one.
    pub fn known(&self, local: usize) -> Option<&Local> {
        self.locals.all.get(local).map(|local| &**local)
    }

    pub fn view(&self, node: NodeStateId) -> String {
        let (local, inbox) = self.nodes.get(node);
        let local = self.locals.get(*local);
        let mut letters: Vec<String> =
            inbox.iter().map(|letter| format!("{:?}", self.letter(*letter))).collect();
        letters.sort();
        format!("{:?} {} {letters:?}", local.disk, local.crashes)
    }
}
