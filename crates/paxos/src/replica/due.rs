//! What a replica does when time has passed: probes, heartbeats, repeats, fetches. Liveness only.

use super::Replica;
use crate::catchup::Target;
use crate::effects::Effects;
use crate::election::Due;
use crate::event::Event;
use crate::message::Message;
use crate::resend::Asked;
use crate::time::Instant;

impl Replica {
    pub(super) fn on_tick(&mut self, now: Instant, effects: &mut Effects) {
        if self.roles.leader {
            while let Some(due) = self.election.due(now, &mut self.rng) {
                match due {
                    Due::Probe { id, spared } => self.probe(id, spared, effects),
                    Due::Heartbeat => self.heartbeat(now, effects),
                    Due::Prepare => self.prepare(now, effects),
                    Due::GiveUp => {
                        if let Some(ballot) = self.proposer.ballot() {
                            effects.events.push(Event::GaveUp { ballot });
                        }
                        self.give_up(now);
                    }
                }
            }
            self.send_again(now, effects);
        }
        self.give_up_reads(now, effects);
        let leader = self.election.leader(now);
        let (me, prefix) = (self.config.node, self.learner.prefix());
        let configuration = &self.config.configuration;
        if let Some(target) = self.catchup.due(now, prefix, me, leader, configuration) {
            self.fetch(target, effects);
        }
        if self.mend.due(now) {
            self.ask_what_was_decided(effects);
        }
        self.announce_kept(now, effects);
        self.fetch_parts(now, effects);
    }

    fn probe(&mut self, id: u64, spared: bool, effects: &mut Effects) {
        if let (true, Some(ballot)) = (spared, self.election.followed()) {
            effects.events.push(Event::CampaignSpared { leader: ballot.leader });
        }
        effects.events.push(Event::Probed);
        let acceptors = self.config.configuration.acceptors().iter().copied();
        effects.send_all(acceptors, &Message::Probe { id });
    }

    pub(super) fn heartbeat(&mut self, now: Instant, effects: &mut Effects) {
        let Some(ballot) = self.proposer.leading() else {
            return;
        };
        let configuration = &self.config.configuration;
        let proof_age = self.contact.proof_age(configuration, now);
        if self.election.is_forsaken(proof_age, now) {
            effects.events.push(Event::Forsaken { ballot });
            self.give_up(now);
            return;
        }
        let bytes_max = self.config.limits.bytes_in_flight_max;
        self.pace.beat(proof_age, self.config.timing.heartbeat, bytes_max);
        let (chosen, mark) = (self.learner.prefix(), self.learner.marks().latest());
        let start = self.proposer.start().expect("a leader has a start");
        let sent = now;
        let heartbeat = Message::Heartbeat { ballot, sent, proof_age, chosen, start, mark };
        effects.send_all(configuration.members().keys().copied(), &heartbeat);
    }

    fn send_again(&mut self, now: Instant, effects: &mut Effects) {
        let configuration = &self.config.configuration;
        let preparing = self.proposer.is_preparing().then_some(Asked::Prepare);
        let runs = self.proposer.unaccepted(configuration).map(|(run, _)| run.first);
        let round = self.indexer.unconfirmed(configuration);
        let confirm = round.map(|(_, round, _)| Asked::Confirm(round));
        let unanswered = preparing.into_iter().chain(confirm).chain(runs.map(Asked::Accept));
        let again = self.resend.due(now, unanswered, &mut self.rng);
        if again.is_empty() {
            return;
        }
        let chosen = self.learner.prefix();
        let before = effects.send.len();
        if let (Some(Asked::Prepare), Some(ballot)) = (again.first(), self.proposer.ballot()) {
            for (acceptor, from) in self.proposer.unpromised() {
                effects.send(acceptor, Message::Prepare { ballot, from });
            }
        }
        if let Some((ballot, round, silent)) = self.indexer.unconfirmed(configuration)
            && again.binary_search(&Asked::Confirm(round)).is_ok()
        {
            effects.send_all(silent, &Message::Confirm { ballot, round });
        }
        for (run, missing) in self.proposer.unaccepted(configuration) {
            if again.binary_search(&Asked::Accept(run.first)).is_ok() {
                effects.send_all(missing, &Message::Accept { run: run.clone(), chosen });
            }
        }
        let messages = (effects.send.len() - before) as u64;
        effects.events.push(Event::SentAgain { messages });
    }

    pub(super) fn fetch(&mut self, target: Target, effects: &mut Effects) {
        let from = self.learner.prefix();
        let fetch = Message::Fetch { from };
        effects.events.push(Event::Fetched { from });
        match target {
            Target::Learner(node) => effects.send(node, fetch),
            Target::Acceptors => {
                let acceptors = self.config.configuration.acceptors().iter().copied();
                effects.send_all(acceptors, &fetch);
            }
        }
    }
}
