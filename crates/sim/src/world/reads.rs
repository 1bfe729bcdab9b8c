//! Clients' reads through the nodes, and how broken worlds forge what they rest on.

use std::time::Duration;

use node::{Consistency, Input, ReadReply, Ticket};
use paxos::{Ballot, Instant, Message, NodeId, Slot};

use super::{Happening, LOOK_US, World};
use crate::broken::Broken;
use crate::check::linearizable::{Read, shows_enough};
use crate::check::{Checked, Wrong};
use crate::clock::TRUE_PACE;
use crate::readers::{Asked, kind};

/// Clocks of another pace show whole microseconds: so much is lost to rounding, at most.
const ROUNDING_US: u64 = 100;
/// Once it has converged, a cluster answers a read within so long.
const LAST_READ_US: u64 = 3_000_000;

/// The world's own reads at the end: a healed cluster answers each learner's.
#[derive(Debug)]
pub struct LastRead {
    pub node: NodeId,
    asked: Option<Instant>,
}

impl LastRead {
    pub fn new(node: NodeId) -> LastRead {
        LastRead { node, asked: None }
    }
}

impl World {
    /// A client asks some learner for its history.
    pub fn ask_to_read(&mut self, client: usize) {
        let learners = self.configuration.learners();
        let place = self.luck.clients.index(learners.count());
        let node = self.configuration.learners().nth(place).expect("an index below their number");
        let wants = self.readers.wants(client, &mut self.luck.clients);
        let Some(at) = self.network.carry_client(self.now, &mut self.luck.network) else {
            return;
        };
        let happening = match wants {
            None => Happening::Read { node },
            Some(consistency) => {
                let (client, at, chosen) = (Some(client), self.now, Slot::FIRST);
                let asked = Asked { client, node, at, consistency, chosen };
                Happening::AskToRead { node, read: self.readers.asks(asked) }
            }
        };
        self.at(at, happening);
    }

    /// A node is asked to read by its rules.
    pub fn begin_to_read(&mut self, id: NodeId, read: node::Read) -> Checked {
        let host = &self.hosts[id];
        if host.node.is_none() || host.is_silent {
            return Ok(());
        }
        self.fingerprint.note(self.now, &read.ticket.0.to_le_bytes());
        self.readers.begins(read.ticket, self.checks.agreement.end());
        self.step(id, Input::Read(vec![read]))
    }

    /// Whoever does not care how old it is reads what is there.
    pub fn read(&mut self, id: NodeId) {
        let host = &self.hosts[id];
        let Some(node) = host.node.as_ref().filter(|_| !host.is_silent) else {
            return;
        };
        let shown = node.applied();
        self.fingerprint.note(self.now, &shown.0.to_le_bytes());
        if let Some(answered) = self.network.carry_client(self.now, &mut self.luck.network) {
            let read = Read { node: id, asked: Instant(0), answered, shown };
            self.at(answered, Happening::Shown { client: None, read, kind: "weak" });
        }
    }

    /// A node answers a read: what is shown is what its machine holds at this moment.
    pub fn read_reply(&mut self, id: NodeId, ticket: Ticket, reply: ReadReply) -> Checked {
        let Some(asked) = self.readers.answered(ticket).filter(|asked| asked.node == id) else {
            let what = format!("{id} answers {ticket:?}, which is not open there");
            return Err(Wrong { promise: "linearizable", what });
        };
        let kind = kind(asked.consistency);
        let name = match reply {
            ReadReply::Ready { .. } => "ready",
            ReadReply::NotLearning => "not_learning",
            ReadReply::Busy => "busy",
            ReadReply::TimedOut { .. } => "timed_out",
        };
        *self.statistics.reads.entry((kind, name)).or_insert(0) += 1;
        if !matches!(reply, ReadReply::Ready { .. }) {
            return Ok(());
        }
        let shown = self.hosts[id].node.as_ref().map_or(Slot::FIRST, node::Node::applied);
        shows_enough(id, asked.consistency, asked.chosen, shown)?;
        self.fingerprint.note(self.now, &shown.0.to_le_bytes());
        let oldest = self.oldest(asked.at, asked.consistency);
        let mut read = Read { node: id, asked: oldest, answered: self.now, shown };
        if asked.client.is_none() {
            self.last_reads.as_mut().expect("it has begun").retain(|last| last.node != id);
            self.checks.linearizable.reads(read);
        } else if let Some(at) = self.network.carry_client(self.now, &mut self.luck.network)
            && !self.hosts[id].is_silent
        {
            read.answered = at;
            self.at(at, Happening::Shown { client: asked.client, read, kind });
        }
        Ok(())
    }

    /// What was answered before then must be shown.
    ///
    /// A stale read's age is measured by its node's clock, in true time at most as much longer as
    /// that may be slow.
    fn oldest(&self, asked: Instant, consistency: Consistency) -> Instant {
        let age_us = |max_age: Duration| u64::try_from(max_age.as_micros()).unwrap_or(u64::MAX);
        match consistency {
            Consistency::Linearizable => asked,
            Consistency::Sequential { .. } => Instant(0),
            Consistency::Stale { max_age } if self.options.faults.drift == 0 => {
                Instant(asked.0.saturating_sub(age_us(max_age)))
            }
            Consistency::Stale { max_age } => {
                let slowest = TRUE_PACE - self.options.faults.drift_permille_max.min(TRUE_PACE - 1);
                let true_us = age_us(max_age).saturating_mul(TRUE_PACE) / slowest;
                Instant(asked.0.saturating_sub(true_us + ROUNDING_US))
            }
        }
    }

    pub fn shown(&mut self, client: Option<usize>, read: Read, kind: &'static str) {
        if kind == "weak" {
            *self.statistics.reads.entry((kind, "ready")).or_insert(0) += 1;
        }
        if let Some(client) = client {
            self.readers.knows(client, read.shown);
        }
        self.checks.linearizable.reads(read);
    }

    /// Whether every living learner has answered a linearizable read since all have converged.
    pub fn last_reads_are_answered(&mut self) -> bool {
        let learners = self.configuration.learners();
        let living = learners.filter(|id| self.hosts[*id].node.is_some());
        let mut last =
            self.last_reads.take().unwrap_or_else(|| living.map(LastRead::new).collect());
        for LastRead { node, asked } in &mut last {
            // Whoever stopped meanwhile is asked anew, and so is who refused.
            let is_due = asked.is_none_or(|at| self.now.0 - at.0 > LAST_READ_US);
            if is_due {
                *asked = Some(self.now);
                let consistency = Consistency::Linearizable;
                let (node, at, chosen) = (*node, self.now, Slot::FIRST);
                let ask = Asked { client: None, node, at, consistency, chosen };
                let read = self.readers.asks(ask);
                self.after(LOOK_US / 2, Happening::AskToRead { node, read });
            }
        }
        let is_done = last.is_empty();
        self.last_reads = Some(last);
        is_done
    }

    /// In a broken world, what a message about reads becomes on its way. Gives back whose answer it
    /// is, if it has become one: that needs no network, for nobody is asked.
    pub fn forge(&mut self, from: NodeId, to: NodeId, message: &mut Message) -> Option<NodeId> {
        let is_confirmed = |ballot: &Ballot| match self.options.broken? {
            Broken::UnconfirmedIndex => Some(to),
            Broken::OldConfirmation => self.confirmed.contains(&(to, *ballot)).then_some(to),
            _ => None,
        };
        match message {
            Message::Confirm { ballot, round } => {
                let acceptor = is_confirmed(ballot)?;
                *message = Message::Confirmed { ballot: *ballot, round: *round };
                Some(acceptor)
            }
            Message::Confirmed { ballot, .. } => {
                self.confirmed.insert((from, *ballot));
                None
            }
            Message::ReadIndexReply { index: Some(index), .. }
                if self.options.broken == Some(Broken::LowIndex) =>
            {
                let node = self.hosts[from].node.as_ref()?;
                *index = node.replica().chosen();
                None
            }
            _ => None,
        }
    }
}
