//! What the threads around a node ask of the state machine that it replicates, beside what the node
//! asks of it.

use std::fmt;

use node::{Consistency, History, StateMachine};
use paxos::{NodeId, Slot};

/// A state machine that threads can host.
pub trait Hosted: StateMachine<Output: Send, Frozen: Send> + Send + 'static {
    /// How many values it was ever given.
    fn values(&self) -> u64;

    /// What was applied below this slot can no longer be shown, where everything below `applied`
    /// is applied.
    fn first_held(&self, applied: Slot) -> Slot;
}

/// Something that is asked of the state once it may be shown.
pub trait Question<M>: fmt::Debug + Send {
    /// Whether nobody waits for the answer any more.
    fn is_closed(&self) -> bool;

    /// Looks at the state, or is told why it may not. `room` is how many entries all questions of
    /// one turn may still take together.
    fn answer(self: Box<Self>, state: Result<State<'_, M>, Unreadable>, room: &mut usize);
}

/// A question, and how much must be applied before it is put; none is whatever this node knows.
#[derive(Debug)]
pub struct Read<M> {
    /// What must be shown.
    pub consistency: Option<Consistency>,
    /// The question.
    pub question: Box<dyn Question<M>>,
}

/// The state at one moment.
#[derive(Debug)]
pub struct State<'a, M> {
    /// The machine.
    pub machine: &'a M,
    /// One past the last slot that it has applied.
    pub applied: Slot,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It begins below what is still held here.
    Gone {
        /// The first slot that is.
        first_held: Slot,
    },
    /// This node keeps no history.
    NotLearning,
    /// Too many reads wait here.
    Busy,
    /// What it must show could not be had within the node's patience.
    TimedOut {
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
}

impl Hosted for History {
    fn values(&self) -> u64 {
        self.total()
    }

    fn first_held(&self, applied: Slot) -> Slot {
        if self.total() == self.held() {
            return Slot::FIRST;
        }
        self.first().unwrap_or(applied)
    }
}
