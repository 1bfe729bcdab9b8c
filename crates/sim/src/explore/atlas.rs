//! Every node state met so far, as a number, and where each move leads from it.
//!
//! The real code runs once for a node state and a move. Acceptors are alike but for their names,
//! so the atlas also knows each node state with the acceptors renamed: it takes the moves that led
//! there, renamed, from the start renamed. That a run of renamed moves is the renamed run is what
//! the test on the number of states without renaming checks.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::local::{Letter, Local, Move, Sent};
use super::scene::Scene;
use super::search::Reduced;

/// The number of a node state.
pub type LocalId = u32;

const UNKNOWN: LocalId = LocalId::MAX;

/// A set of letters to one place, by their numbers.
pub type Inbox = [u64; INBOX_WORDS];

const INBOX_WORDS: usize = 8;

/// Where a node state can go: to states that others can tell from it, and, marked as silent, to
/// states in which only it has learned something.
pub type Moves = Rc<[(LocalId, bool)]>;

/// A renaming: the new place of each place.
pub type Renaming = Vec<usize>;

/// Node states, letters, and how they lead to each other.
pub struct Atlas {
    scene: Scene,
    locals: Vec<Entry>,
    ids: HashMap<Rc<Local>, LocalId>,
    /// By the place of the receiver.
    letters: Vec<Vec<Letter>>,
    letter_ids: HashMap<Letter, Sent>,
    /// The first is the one that changes nothing.
    renamings: Vec<Renaming>,
    by_silence: bool,
    moves: HashMap<(LocalId, Inbox), Moves>,
}

struct Entry {
    local: Rc<Local>,
    place: usize,
    /// How it was first reached.
    origin: Option<(LocalId, Move)>,
    /// Letters that it has sent, by the place of the receiver.
    outbox: Vec<Inbox>,
    after_letter: Vec<LocalId>,
    own_moves: Option<Rc<[(Move, LocalId)]>>,
    renamed: Vec<LocalId>,
}

impl Atlas {
    /// An atlas that shows nothing yet.
    pub fn new(scene: Scene, reduced: Reduced) -> Atlas {
        let leaders: Renaming = (0..scene.leaders).collect();
        let mut renamings = vec![leaders];
        for place in scene.leaders..scene.places() {
            // Each new acceptor goes to every position among the ones before it.
            let longer = |renaming: &Renaming| -> Vec<Renaming> {
                let first = if reduced.by_symmetry { scene.leaders } else { renaming.len() };
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
        Atlas {
            letters: vec![Vec::new(); scene.places()],
            scene,
            locals: Vec::new(),
            ids: HashMap::new(),
            letter_ids: HashMap::new(),
            renamings,
            by_silence: reduced.by_silence,
            moves: HashMap::new(),
        }
    }

    /// The node states at the start of the world.
    pub fn start(&mut self) -> Vec<LocalId> {
        (0..self.scene.places()).map(|place| self.start_of(place)).collect()
    }

    fn start_of(&mut self, place: usize) -> LocalId {
        self.intern(Local::new(&self.scene, place), place, None)
    }

    pub fn local(&self, id: LocalId) -> &Local {
        &self.locals[id as usize].local
    }

    pub fn letter(&self, place: usize, number: u32) -> &Letter {
        &self.letters[place][number as usize]
    }

    /// How many renamings there are; the first changes nothing.
    pub fn renamings(&self) -> usize {
        self.renamings.len()
    }

    /// The new place of each place.
    pub fn renaming(&self, renaming: usize) -> &[usize] {
        &self.renamings[renaming]
    }

    /// How many node states and letters there are.
    pub fn size(&self) -> (usize, usize) {
        (self.locals.len(), self.letter_ids.len())
    }

    /// The letters that a node state has sent to a place.
    pub fn outbox(&self, id: LocalId, place: usize) -> &Inbox {
        &self.locals[id as usize].outbox[place]
    }

    /// Where the node state can go with these letters.
    pub fn moves(&mut self, id: LocalId, inbox: &Inbox) -> Moves {
        if let Some(known) = self.moves.get(&(id, *inbox)) {
            return known.clone();
        }
        let learned = self.local(id).replica.chosen();
        let reached = self.reach(id, inbox);
        let tell = |to: &(LocalId, Option<usize>, Move)| {
            let silent = !self.is_loud(id, to.0);
            let worth = !silent || self.local(to.0).replica.chosen() > learned;
            worth.then_some((to.0, silent))
        };
        let moves: Moves = reached.iter().filter_map(tell).collect();
        self.moves.insert((id, *inbox), moves.clone());
        moves
    }

    /// Every state within reach, with the place in this list of the one before, and the last move.
    /// Loud states are the ends.
    fn reach(&mut self, id: LocalId, inbox: &Inbox) -> Vec<(LocalId, Option<usize>, Move)> {
        let mut reached: Vec<(LocalId, Option<usize>, Move)> = Vec::new();
        let mut met = HashSet::from([id]);
        let (mut at, mut before) = (id, None);
        loop {
            let letters =
                (0..64 * INBOX_WORDS).filter(|bit| inbox[bit / 64] >> (bit % 64) & 1 == 1);
            for letter in letters {
                let letter = u32::try_from(letter).expect("a few letters");
                let to = self.deliver(at, letter);
                if met.insert(to) {
                    reached.push((to, before, Move::Deliver(letter)));
                }
            }
            for &(act, to) in self.own_moves(at).iter() {
                if met.insert(to) {
                    reached.push((to, before, act));
                }
            }
            let next = before.map_or(0, |before| before + 1);
            let Some(place) = (next..reached.len()).find(|n| !self.is_loud(id, reached[*n].0))
            else {
                return reached;
            };
            (at, before) = (reached[place].0, Some(place));
        }
    }

    /// A shortest way between two node states, with these letters.
    pub fn way(&mut self, id: LocalId, inbox: &Inbox, to: LocalId) -> Vec<Move> {
        let reached = self.reach(id, inbox);
        let mut at = reached.iter().position(|(reached, _, _)| *reached == to);
        let mut way = Vec::new();
        while let Some(place) = at {
            way.push(reached[place].2);
            at = reached[place].1;
        }
        way.reverse();
        way
    }

    /// Whether anybody else, the observer of disks included, can tell these states of a node apart.
    fn is_loud(&self, before: LocalId, after: LocalId) -> bool {
        let (before, after) = (self.local(before), self.local(after));
        !self.by_silence || after.differs_outside(before)
    }

    /// Whether the node has crashed in between.
    pub fn crashed(&self, before: LocalId, after: LocalId) -> bool {
        self.local(before).crashes != self.local(after).crashes
    }

    /// Where a letter leads.
    fn deliver(&mut self, id: LocalId, letter: u32) -> LocalId {
        let known = self.locals[id as usize].after_letter.get(letter as usize);
        match known {
            Some(&next) if next != UNKNOWN => next,
            _ => {
                let next = self.run(id, Move::Deliver(letter));
                let after = &mut self.locals[id as usize].after_letter;
                let length = after.len().max(letter as usize + 1);
                after.resize(length, UNKNOWN);
                after[letter as usize] = next;
                next
            }
        }
    }

    /// Where the moves lead that need no letter.
    fn own_moves(&mut self, id: LocalId) -> Rc<[(Move, LocalId)]> {
        let entry = &self.locals[id as usize];
        if let Some(known) = &entry.own_moves {
            return known.clone();
        }
        let moves = entry.local.own_moves(&self.scene, entry.place);
        let moves: Rc<[(Move, LocalId)]> =
            moves.into_iter().map(|act| (act, self.run(id, act))).collect();
        self.locals[id as usize].own_moves = Some(moves.clone());
        moves
    }

    /// The same node state and its place, had the acceptors been named otherwise.
    pub fn rename(&mut self, id: LocalId, renaming: usize) -> (usize, LocalId) {
        let entry = &self.locals[id as usize];
        let to = self.renamings[renaming][entry.place];
        let (place, origin, known) = (entry.place, entry.origin, entry.renamed[renaming]);
        if known != UNKNOWN {
            return (to, known);
        }
        let renamed = match origin {
            None => self.start_of(to),
            Some((before, act)) => {
                let (_, before) = self.rename(before, renaming);
                match act {
                    Move::Deliver(letter) => {
                        let letter = self.rename_letter(place, letter, renaming);
                        self.deliver(before, letter)
                    }
                    _ => self.run(before, act),
                }
            }
        };
        self.locals[id as usize].renamed[renaming] = renamed;
        (to, renamed)
    }

    fn rename_letter(&mut self, place: usize, letter: u32, renaming: usize) -> u32 {
        // No message names an acceptor inside; only its ends do.
        let Letter { from, to, message } = self.letter(place, letter).clone();
        let renaming = &self.renamings[renaming];
        let from = Scene::node(renaming[Scene::place(from)]);
        let to = Scene::node(renaming[Scene::place(to)]);
        let letter = Letter { from, to, message };
        post(&mut self.letters, &mut self.letter_ids, letter).1
    }

    fn run(&mut self, id: LocalId, act: Move) -> LocalId {
        let entry = &self.locals[id as usize];
        let (mut local, place) = (Local::clone(&entry.local), entry.place);
        let (letters, ids) = (&mut self.letters, &mut self.letter_ids);
        if let Move::Deliver(number) = act {
            let letter = letters[place][number as usize].clone();
            local.deliver(&self.scene, &letter, &mut |letter| post(letters, ids, letter));
        } else {
            local.act(&self.scene, place, act, &mut |letter| post(letters, ids, letter));
        }
        self.intern(local, place, Some((id, act)))
    }

    fn intern(&mut self, local: Local, place: usize, origin: Option<(LocalId, Move)>) -> LocalId {
        if let Some(&id) = self.ids.get(&local) {
            return id;
        }
        let id = LocalId::try_from(self.locals.len()).expect("far fewer than the states");
        let mut outbox = vec![Inbox::default(); self.scene.places()];
        for &(to, letter) in &local.sent {
            outbox[to][letter as usize / 64] |= 1 << (letter % 64);
        }
        let local = Rc::new(local);
        let mut renamed = vec![UNKNOWN; self.renamings.len()];
        renamed[0] = id;
        self.ids.insert(local.clone(), id);
        let (after_letter, own_moves) = (Vec::new(), None);
        self.locals.push(Entry { local, place, origin, outbox, after_letter, own_moves, renamed });
        id
    }
}

fn post(letters: &mut [Vec<Letter>], ids: &mut HashMap<Letter, Sent>, letter: Letter) -> Sent {
    if let Some(&sent) = ids.get(&letter) {
        return sent;
    }
    let to = Scene::place(letter.to);
    let number = u32::try_from(letters[to].len()).expect("a few letters");
    assert!(letters[to].len() < 64 * INBOX_WORDS, "a scene is small");
    letters[to].push(letter.clone());
    ids.insert(letter, (to, number));
    (to, number)
}
