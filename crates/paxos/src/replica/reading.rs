//! What a replica does for reads: as an acceptor, as a leader, and as the learner that was asked.
//! Why the answers may be relied on is told in `read.rs`.

use alloc::vec::Vec;

use super::Replica;
use crate::ballot::{Ballot, NodeId, Slot};
use crate::effects::{Effects, ReadRefusal};
use crate::message::Message;
use crate::read::{Questions, ReadId};
use crate::time::Instant;

impl Replica {
    /// Slots not known to be chosen, below one that is.
    pub fn gaps(&self) -> u64 {
        self.learner.gaps()
    }

    /// How many reads wait here.
    pub fn reads_waiting(&self) -> usize {
        self.reader.waiting()
    }

    pub(super) fn on_read(&mut self, now: Instant, reads: Vec<ReadId>, effects: &mut Effects) {
        if self.roles.learns() {
            let too_many = self.reader.read(now, reads);
            refuse(too_many, ReadRefusal::TooMany, effects);
        } else {
            refuse(reads, ReadRefusal::NotLearning, effects);
        }
    }

    /// As an acceptor. Neither answer commits it to anything.
    pub(super) fn on_confirm(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        round: u64,
        effects: &mut Effects,
    ) {
        self.proposer.saw(ballot);
        if ballot < self.acceptor.promised() {
            self.reject(from, ballot, effects);
        } else {
            effects.send(from, Message::Confirmed { ballot, round });
        }
    }

    /// As a leader.
    pub(super) fn on_confirmed(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        round: u64,
        effects: &mut Effects,
    ) {
        let configuration = &self.config.configuration;
        let confirmed = self.indexer.confirmed(configuration, from, ballot, round);
        if let Some((index, questions)) = confirmed {
            answer(questions, Some(index), effects);
        }
    }

    /// As the learner that asked. No index is an answer that changes nothing: it asks again.
    pub(super) fn on_read_index_reply(&mut self, now: Instant, id: u64, index: Option<Slot>) {
        if let Some(index) = index {
            self.reader.indexed(now, id, index);
        }
    }

    /// Looks after both halves, once the step has changed what it may have.
    pub(super) fn look_after_reads(&mut self, now: Instant, effects: &mut Effects) {
        let leading = self.proposer.leading();
        answer(self.indexer.leads(leading), None, effects);
        let led = leading.zip(self.proposer.read_index());
        if let Some((ballot, index)) = led
            && let Some(round) = self.indexer.begin(ballot, index)
        {
            let acceptors = self.config.configuration.acceptors().iter().copied();
            effects.send_all(acceptors, &Message::Confirm { ballot, round });
            self.resend.asked(now);
        }
        self.reader.reached(self.learner.prefix(), &mut effects.readable);
        let leader = self.leader(now);
        if let Some((leader, id)) = self.reader.ask(now, leader) {
            effects.send(leader, Message::ReadIndex { id });
        }
    }

    /// Refuses the reads that have waited for too long.
    pub(super) fn give_up_reads(&mut self, now: Instant, effects: &mut Effects) {
        let leader = self.leader(now);
        refuse(self.reader.late(now), ReadRefusal::TimedOut { leader }, effects);
    }
}

fn answer(questions: Questions, index: Option<Slot>, effects: &mut Effects) {
    for (learner, id) in questions {
        effects.send(learner, Message::ReadIndexReply { id, index });
    }
}

fn refuse(reads: Vec<ReadId>, why: ReadRefusal, effects: &mut Effects) {
    effects.unreadable.extend(reads.into_iter().map(|id| (id, why)));
}
