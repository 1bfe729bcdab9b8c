//! What a replica does as an acceptor: it asks the acceptor's rules, keeps what they say, and
//! answers, always.

use core::time::Duration;

use super::{Replica, note};
use crate::acceptor::Answer;
use crate::ballot::{Ballot, NodeId, Slot};
use crate::config::Announce;
use crate::effects::Effects;
use crate::event::{Decline, Event};
use crate::message::Message;
use crate::record::Record;
use crate::runs::Run;
use crate::time::Instant;

/// About what a vote takes in memory beside its value's bytes.
const VOTE_OVERHEAD: usize = 32;

impl Replica {
    pub(super) fn on_prepare(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
        slot: Slot,
        effects: &mut Effects,
    ) {
        self.proposer.saw(ballot);
        match self.acceptor.prepare(ballot) {
            Answer::Yes(record) => {
                self.keep(record, effects);
                self.witness.promised(now);
                effects.events.push(Event::Promised { ballot });
            }
            Answer::Known => self.witness.asked(slot, now),
            Answer::No | Answer::Contradiction => {
                self.reject(from, ballot, effects);
                return;
            }
        }
        let page = self.acceptor.page(slot, self.config.limits.run_bytes_max);
        effects.send(from, Message::Promise { ballot, page });
    }

    pub(super) fn on_accept(
        &mut self,
        now: Instant,
        from: NodeId,
        run: &Run,
        chosen: Slot,
        effects: &mut Effects,
    ) {
        self.proposer.saw(run.ballot);
        if self.roles.acceptor {
            self.accept(now, from, run, effects);
            self.witness_lead(now, run.ballot, chosen);
        }
        // Our own proposals need no copy here: their proposer counts the votes.
        if self.roles.learns() && from != self.config.node {
            let seen = self.learner.see(&self.config.configuration, run);
            note(from, seen, effects);
            self.on_chosen(from, run.ballot, chosen, effects);
        }
    }

    pub(super) fn accept(&mut self, now: Instant, from: NodeId, run: &Run, effects: &mut Effects) {
        let raises = run.ballot > self.acceptor.promised();
        match self.acceptor.accept(run) {
            Answer::Yes(_) if !self.has_room_for(run) => {
                effects.events.push(Event::NoRoom { ballot: run.ballot });
                return;
            }
            Answer::Yes(record) => {
                self.keep(record, effects);
                if raises {
                    self.witness.promised(now);
                }
            }
            Answer::Known => {}
            Answer::No => {
                self.reject(from, run.ballot, effects);
                return;
            }
            Answer::Contradiction => {
                effects.events.push(Event::Declined { from, why: Decline::Contradiction });
                return;
            }
        }
        let accepted = Message::Accepted { ballot: run.ballot, first: run.first, end: run.end() };
        match self.config.announce {
            Announce::EveryLearner => {
                effects.send_all(self.config.configuration.learners(), &accepted);
            }
            Announce::LeaderOnly => effects.send(from, accepted),
        }
    }

    /// The leader of a ballot says how far everything is chosen.
    pub(super) fn witness_lead(&mut self, now: Instant, ballot: Ballot, chosen: Slot) {
        if self.roles.acceptor && ballot == self.acceptor.promised() {
            self.witness.led(chosen, now);
        }
    }

    /// Whether there is room for a vote, on the disk and in the acceptor's budget. Without, it
    /// stays silent, as if the Accept were lost: the leader says it again, and by then votes may
    /// have been cut. Promises are always given: they are small, and somebody must lead.
    pub(super) fn has_room_for(&self, run: &Run) -> bool {
        let votes = self.acceptor.votes();
        let replaced = votes.bytes_within(run.first, run.end());
        let bytes = votes.bytes() + run.values.bytes() - replaced;
        let overhead = usize::try_from(votes.slots()).unwrap_or(usize::MAX);
        let used = overhead.saturating_mul(VOTE_OVERHEAD).saturating_add(bytes);
        // Where nothing is ever cut, a budget would only be an end.
        let is_bounded = self.config.configuration.copies().is_some();
        self.has_room && (!is_bounded || used <= self.config.limits.votes_bytes_max)
    }

    pub(super) fn keep(&mut self, record: Record, effects: &mut Effects) {
        self.acceptor.apply(&record);
        effects.write.records.push(record);
    }

    pub(super) fn reject(&mut self, to: NodeId, ballot: Ballot, effects: &mut Effects) {
        let promised = self.acceptor.promised();
        let truncated = self.acceptor.truncated();
        effects.events.push(Event::Rejected { ballot, promised });
        effects.send(to, Message::Reject { ballot, promised, truncated });
    }

    pub(super) fn answer_heartbeat(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
        sent: Instant,
        proof_age: Option<Duration>,
        effects: &mut Effects,
    ) {
        if !self.roles.acceptor {
            return;
        }
        if ballot < self.acceptor.promised() {
            // It does not know yet that it was deposed.
            self.reject(from, ballot, effects);
            return;
        }
        self.witness.heard(proof_age, self.config.timing.election_timeout, now);
        // A higher ballot settles what a lower one cannot.
        let is_unsettled = self.acceptor.suspect() == Slot::LIMIT;
        let is_past = self.acceptor.doubt().is_some_and(|doubt| doubt.is_past(ballot));
        let is_suspect = is_unsettled && !is_past;
        effects.send(from, Message::HeartbeatReply { ballot, sent, is_suspect });
    }

    pub(super) fn on_probe(&mut self, now: Instant, from: NodeId, id: u64, effects: &mut Effects) {
        let promised = self.acceptor.promised();
        let progress_age = self.witness.age(now);
        effects.send(from, Message::ProbeReply { id, promised, progress_age });
    }
}
