//! Inputs to the replica, its effects to the machine, answers to those who wait.

use alloc::vec::Vec;

use paxos::{Command, Config, Instant, NodeId, Record, RefusalReason, Replica, Slot, Value};

use crate::machine::StateMachine;
use crate::request::Request;
use crate::sessions::{Known, Refused, Sessions};
use crate::waiters::Waiters;

/// One node.
#[derive(Clone, Debug)]
pub struct Node<M: StateMachine> {
    replica: Replica,
    machine: M,
    sessions: Sessions<M::Output>,
    waiters: Waiters,
    applied: Slot,
}

/// Names one question of the driver's; comes back with the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request, and who wants to know what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Append {
    /// Comes back in the answer. Not used twice.
    pub ticket: Ticket,
    /// What to append.
    pub request: Request,
}

/// What a node reacts to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Input {
    /// A message arrived from a peer.
    Message {
        /// The peer.
        from: NodeId,
        /// What it says.
        message: paxos::Message,
    },
    /// Clients ask. What is given together travels together.
    Append(Vec<Append>),
    /// The deadline has passed.
    Tick,
}

/// What a node wants done. Reused: clearing keeps the capacity.
#[derive(Clone, Debug)]
pub struct Effects<O> {
    /// Messages, writes and events. `chosen` and `refused` are always empty: the node has turned
    /// them into state and answers.
    pub replica: paxos::Effects,
    /// Answers, each to a ticket given earlier or just now.
    pub replies: Vec<(Ticket, Reply<O>)>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply<O> {
    /// Chosen and applied, once.
    Done {
        /// Where; also the fencing token of the effect.
        slot: Slot,
        /// What the machine answered.
        output: O,
    },
    /// Not proposed here.
    NotLeading {
        /// Who leads, if that is known.
        leader: Option<NodeId>,
    },
    /// Not proposed: too much is waiting.
    Busy,
    /// Proposed, and lost from sight. Asking again with the same sequence is safe.
    Unknown {
        /// Who leads now, if that is known.
        leader: Option<NodeId>,
    },
    /// Not applied now, and never will be under this sequence. Whether it was applied earlier is
    /// known only where the reason says so.
    Refused(Refused),
    /// Not proposed: larger than a value may be.
    TooLarge {
        /// The largest size of a request, in bytes.
        bytes_max: usize,
    },
}

impl<O> Default for Effects<O> {
    fn default() -> Effects<O> {
        Effects { replica: paxos::Effects::default(), replies: Vec::new() }
    }
}

impl<O> Effects<O> {
    /// Empties every list and keeps its memory.
    pub fn clear(&mut self) {
        self.replica.clear();
        self.replies.clear();
    }
}

impl<M: StateMachine> Node<M> {
    /// A node as its journal left it; see [`Replica::recover`]. The machine starts empty: what was
    /// chosen is learned again from the others.
    pub fn recover(
        config: Config,
        records: impl IntoIterator<Item = Record>,
        machine: M,
        now: Instant,
        seed: u64,
    ) -> Node<M> {
        let replica = Replica::recover(config, records, now, seed);
        let (sessions, waiters) = (Sessions::new(), Waiters::default());
        Node { replica, machine, sessions, waiters, applied: Slot::FIRST }
    }

    /// Reacts to one input.
    pub fn step(&mut self, now: Instant, input: Input, effects: &mut Effects<M::Output>) {
        let input = match input {
            Input::Message { from, message } => paxos::Input::Message { from, message },
            Input::Append(appends) => paxos::Input::Propose(self.register(appends, effects)),
            Input::Tick => paxos::Input::Tick,
        };
        self.replica.step(now, input, &mut effects.replica);
        self.answer_refused(now, effects);
        self.apply_chosen(effects);
    }

    /// When to step with [`Input::Tick`], if nothing else happens before.
    pub fn deadline(&self) -> Option<Instant> {
        self.replica.deadline()
    }

    /// The protocol's part.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The replicated state, as far as it is applied here.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// One past the last slot that the machine has applied.
    pub fn applied(&self) -> Slot {
        self.applied
    }

    /// How many requests wait for an answer here.
    pub fn waiting(&self) -> usize {
        self.waiters.len()
    }

    /// Notes who waits, before anything is proposed: an answer must always find its waiter.
    fn register(&mut self, appends: Vec<Append>, effects: &mut Effects<M::Output>) -> Vec<Command> {
        let mut commands = Vec::with_capacity(appends.len());
        for Append { ticket, request } in appends {
            match self.sessions.look(&request) {
                Known::Done(slot, output) => {
                    effects.replies.push((ticket, Reply::Done { slot, output }));
                }
                Known::Refused(refused @ (Refused::Answered | Refused::Window)) => {
                    effects.replies.push((ticket, Reply::Refused(refused)));
                }
                // A client that is not known here may only be unknown *yet*: a node that has just
                // started has applied nothing. Its place in the history decides.
                Known::No | Known::Refused(Refused::Expired) => {
                    match self.waiters.wait(&request, ticket) {
                        None => commands.push(request.command().clone()),
                        // It is on its way already. Who asked before has asked again since.
                        Some(earlier) => {
                            effects.replies.push((earlier, Reply::Unknown { leader: None }));
                        }
                    }
                }
            }
        }
        commands
    }

    fn answer_refused(&mut self, now: Instant, effects: &mut Effects<M::Output>) {
        for refusal in effects.replica.refused.drain(..) {
            let Ok(request) = Request::decode(&refusal.command) else {
                continue;
            };
            let Some(ticket) = self.waiters.take(&request) else {
                continue;
            };
            let reply = match refusal.reason {
                RefusalReason::NotLeading { leader } => Reply::NotLeading { leader },
                RefusalReason::WindowFull => Reply::Busy,
                RefusalReason::TooLarge { bytes_max } => Reply::TooLarge { bytes_max },
                RefusalReason::Deposed { .. } => {
                    Reply::Unknown { leader: self.replica.leader(now) }
                }
            };
            effects.replies.push((ticket, reply));
        }
    }

    fn apply_chosen(&mut self, effects: &mut Effects<M::Output>) {
        for (slot, value) in effects.replica.chosen.drain(..) {
            assert!(slot == self.applied, "slots are applied in order, each once");
            self.applied = slot.plus(1);
            let Value::Command(command) = value else {
                continue;
            };
            // Whoever proposed it, these bytes were chosen. Bytes that are no request change
            // nothing, on every node alike.
            let Ok(request) = Request::decode(&command) else {
                continue;
            };
            let machine = &mut self.machine;
            let apply = || machine.apply(slot, &request);
            let known = self.sessions.apply_once(slot, &request, apply);
            if let Some(ticket) = self.waiters.take(&request) {
                effects.replies.push((ticket, reply(known)));
            }
        }
    }
}

fn reply<O>(known: Known<O>) -> Reply<O> {
    match known {
        Known::Done(slot, output) => Reply::Done { slot, output },
        Known::Refused(refused) => Reply::Refused(refused),
        Known::No => unreachable!("what is applied is known"),
    }
}

#[cfg(test)]
mod tests;
