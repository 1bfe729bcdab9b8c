//! What a replica does as an acceptor that has lost votes: it says so on its disk before anything
//! else, listens for a leader above all that was lost, and asks learners for what was decided.

use super::Replica;
use crate::acceptor::Answer;
use crate::ballot::{Ballot, NodeId, Slot};
use crate::effects::Effects;
use crate::event::{Decline, Event};
use crate::message::Message;
use crate::record::Record;
use crate::runs::Run;
use crate::time::Instant;
use crate::value::Values;

impl Replica {
    /// What was lost is written down before anything is said or kept.
    pub(super) fn mark_loss(&mut self, effects: &mut Effects) {
        for record in self.acceptor.mark() {
            self.keep_doubt(record, effects);
        }
    }

    /// A leader says where it started, and that every slot below `chosen` is chosen.
    pub(super) fn settle_doubt(
        &mut self,
        ballot: Ballot,
        start: Slot,
        chosen: Slot,
        effects: &mut Effects,
    ) {
        let Some(doubt) = self.acceptor.doubt().filter(|doubt| doubt.is_past(ballot)) else {
            return;
        };
        if let Some(below) = doubt.settles(ballot, start, chosen) {
            self.keep_doubt(Record::Settled(below), effects);
        }
        self.mend.heard(ballot, chosen);
    }

    /// A learner says what was decided, perhaps where a vote is missing.
    pub(super) fn mend(
        &mut self,
        from: NodeId,
        first: Slot,
        values: Values,
        effects: &mut Effects,
    ) {
        let Some((ballot, chosen)) = self.mend.word() else {
            return;
        };
        // What is decided is what the leader of this ballot would propose, or has proposed, and
        // only where it says so: elsewhere it may have proposed what a higher ballot overruled.
        let decided = Run { ballot, first, values }.clip(Slot::FIRST, chosen);
        let mut at = decided.first;
        while let Some((gap, end)) = self.acceptor.gap(at).filter(|(gap, _)| *gap < decided.end()) {
            let run = decided.clip(gap, end);
            at = run.end();
            match self.acceptor.accept(&run) {
                // Without room it asks again later; by then votes may have been cut.
                Answer::Yes(_) if !self.has_room_for(&run) => {
                    effects.events.push(Event::NoRoom { ballot });
                    return;
                }
                Answer::Yes(record) => self.keep(record, effects),
                // A later leader was promised meanwhile; its word will do as well.
                Answer::Known | Answer::No => return,
                Answer::Contradiction => {
                    effects.events.push(Event::Declined { from, why: Decline::Contradiction });
                    return;
                }
            }
        }
    }

    /// After each step: whether it is whole, or something is left to ask for.
    pub(super) fn look_for_gaps(&mut self, now: Instant, effects: &mut Effects) {
        let below = self.acceptor.suspect();
        if below == Slot::FIRST || below == Slot::LIMIT {
            return;
        }
        let gap = self.acceptor.gap(self.mend.whole()).map(|(first, _)| first);
        if gap.is_none() {
            self.keep_doubt(Record::Settled(Slot::FIRST), effects);
        }
        // No question is worth asking before a word says what may be kept of the answer.
        let useful = gap.filter(|gap| {
            let word = self.mend.word();
            word.is_some_and(|(ballot, chosen)| *gap < chosen && ballot >= self.acceptor.promised())
        });
        if self.mend.look(now, useful) {
            self.ask_what_was_decided(effects);
        }
    }

    pub(super) fn ask_what_was_decided(&mut self, effects: &mut Effects) {
        if let Some(learner) = self.mend.whom(&self.config.configuration) {
            effects.send(learner, Message::Fetch { from: self.mend.whole() });
        }
    }

    fn keep_doubt(&mut self, record: Record, effects: &mut Effects) {
        let before = self.acceptor.suspect();
        let is_mark = record == Record::Suspect;
        self.keep(record, effects);
        let below = self.acceptor.suspect();
        if is_mark || below != before {
            effects.events.push(Event::Suspect { below });
        }
    }
}

#[cfg(test)]
mod tests;
