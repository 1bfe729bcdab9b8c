//! What becomes of clients' values that this leader was the first to propose, when it leads no
//! more: kept until their fate is known, queued again where they were not chosen, or handed back.

use alloc::vec::Vec;
use core::mem;

use super::{Introduced, Proposer, State, commands, holds};
use crate::ballot::Slot;
use crate::value::{Command, Value};

impl Proposer {
    /// Settles the fate of values that it introduced below `prefix`, while `chosen` still tells
    /// what is there. Those of the ballot that it leads are settled by [`Proposer::settled`].
    pub fn learned<'a>(&mut self, prefix: Slot, chosen: impl Fn(Slot) -> Option<&'a Value>) {
        let introduced = match &mut self.state {
            State::Idle(introduced) => introduced,
            State::Preparing(preparing) => &mut preparing.introduced,
            State::Leading(_) => return,
        };
        let open = introduced.split_off(&prefix);
        let below = mem::replace(introduced, open).into_iter();
        let lost = below.filter(|(slot, command)| !holds(chosen(*slot), command));
        self.requeue(lost.map(|(_, command)| command).collect());
    }

    /// Becomes idle and keeps the values that it introduced.
    pub fn give_up(&mut self) {
        let introduced = self.take_introduced();
        self.state = State::Idle(introduced);
    }

    /// Whether it holds values whose fate it does not know.
    pub fn holds_values(&self) -> bool {
        let introduced = match &self.state {
            State::Idle(introduced) => !introduced.is_empty(),
            State::Preparing(preparing) => !preparing.introduced.is_empty(),
            State::Leading(_) => true,
        };
        introduced || !self.queue.is_empty()
    }

    /// Lets go of the values that wait and were never proposed.
    pub fn hand_back_unproposed(&mut self) -> Vec<Command> {
        let fresh: Vec<Command> = self.queue.drain(self.requeued.min(self.queue.len())..).collect();
        self.queue_bytes -= fresh.iter().map(|command| command.len()).sum::<usize>();
        fresh
    }

    /// Lets go of every value that it introduced or queued; another node leads now.
    pub fn hand_back(&mut self) -> Vec<Command> {
        let introduced = self.take_introduced();
        self.state = State::Idle(Introduced::new());
        self.queue_bytes = 0;
        self.requeued = 0;
        introduced.into_values().chain(mem::take(&mut self.queue)).collect()
    }

    pub(super) fn take_introduced(&mut self) -> Introduced {
        match mem::replace(&mut self.state, State::Idle(Introduced::new())) {
            State::Idle(introduced) => introduced,
            State::Preparing(preparing) => preparing.introduced,
            State::Leading(leading) => {
                let mut introduced = leading.introduced;
                let own = leading.flights.into_values().filter(|flight| flight.introduced);
                introduced.extend(own.flat_map(|flight| commands(&flight.run)));
                introduced
            }
        }
    }

    /// Puts values back at the head of the queue, in their order.
    pub(super) fn requeue(&mut self, commands: Vec<Command>) {
        self.requeued += commands.len();
        for command in commands.into_iter().rev() {
            self.queue_bytes += command.len();
            self.queue.push_front(command);
        }
    }
}
