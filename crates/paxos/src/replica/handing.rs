//! How leadership passes from one replica to another: heard of, or handed over on purpose. The
//! order of the steps is told in `handover.rs`.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Replica, refuse};
use crate::ballot::{Ballot, NodeId, Slot};
use crate::effects::{Effects, RefusalReason};
use crate::event::Event;
use crate::handover::{Due, HandOverId, HandOverRefusal};
use crate::message::Message;
use crate::time::Instant;

impl Replica {
    pub(super) fn on_heartbeat(
        &mut self,
        now: Instant,
        from: NodeId,
        ballot: Ballot,
        proof_age: Option<Duration>,
        chosen: Slot,
        effects: &mut Effects,
    ) {
        self.proposer.saw(ballot);
        if from == self.config.node {
            return;
        }
        if self.roles.learns() {
            self.on_chosen(from, ballot, chosen, effects);
        }
        if self.proposer.ballot().is_some_and(|own| own > ballot) {
            return;
        }
        // Only a node that a phase-1 quorum has promised sends heartbeats, so no quorum is left
        // for any lower ballot: ours is over, and our values' fate is the new leader's to decide.
        if self.proposer.ballot().is_some() {
            self.proposer.give_up();
            effects.events.push(Event::Deposed { by: ballot });
        }
        if self.election.heard(ballot, proof_age, now, &mut self.rng) {
            effects.events.push(Event::Following { ballot });
        }
        if let Some(id) = self.handover.heard(ballot) {
            effects.handed_over.push((id, Ok(ballot)));
        }
        self.let_go(from, effects);
    }

    /// Another node leads: what becomes of our values is for it to decide, and for our clients to
    /// ask. What was never proposed is theirs to ask for there at once. Does nothing while this
    /// node has a ballot of its own.
    pub(super) fn let_go(&mut self, leader: NodeId, effects: &mut Effects) {
        if self.proposer.ballot().is_none() && self.proposer.holds_values() {
            let fresh = self.proposer.hand_back_unproposed();
            refuse(fresh, RefusalReason::NotLeading { leader: Some(leader) }, effects);
            let reason = RefusalReason::Deposed { leader };
            refuse(self.proposer.hand_back(), reason, effects);
        }
    }

    // ---- the leader ----

    pub(super) fn on_hand_over(
        &mut self,
        now: Instant,
        id: HandOverId,
        to: Option<NodeId>,
        effects: &mut Effects,
    ) {
        let (me, leader) = (self.config.node, self.leader(now));
        let is_leader = |node: NodeId| self.config.configuration.roles(node).leader;
        let begun = match (self.proposer.leading(), to) {
            (_, Some(node)) if !is_leader(node) => Err(HandOverRefusal::NoLeader { node }),
            (None, _) => Err(HandOverRefusal::NotLeading { leader }),
            (Some(ballot), Some(node)) if node == me => {
                effects.handed_over.push((id, Ok(ballot)));
                return;
            }
            (Some(ballot), to) => {
                let others = self.config.configuration.leaders().filter(|node| *node != me);
                let among: Vec<NodeId> = to.map_or_else(|| others.collect(), |node| vec![node]);
                self.handover.begin(id, ballot, among, self.learner.prefix(), now)
            }
        };
        if let Err(why) = begun {
            effects.handed_over.push((id, Err(why)));
        }
    }

    pub(super) fn on_willing(&mut self, from: NodeId, ballot: Ballot, number: u64, chosen: Slot) {
        self.handover.willing(from, ballot, number, chosen);
    }

    /// Goes on with handing over, once the step has changed what it may have.
    pub(super) fn look_after_handover(&mut self, now: Instant, effects: &mut Effects) {
        if let Some(own) = self.proposer.ballot()
            && let Some(id) = self.handover.heard(own)
        {
            // It was deposed, and tries again: its clients need not wait for that wish.
            let leader = self.leader(now);
            effects.handed_over.push((id, Err(HandOverRefusal::NotLeading { leader })));
        }
        if self.proposer.leading().is_some()
            && let Some(to) = self.handover.pick(now)
        {
            effects.events.push(Event::HandsOver { to });
        }
        self.handover.drained(self.proposer.slots_in_flight() == 0, now);
        while let Some(due) = self.handover.due(now) {
            let is_leading = |ballot| self.proposer.leading() == Some(ballot);
            match due {
                Due::Offer(ballot, number, among) if is_leading(ballot) => {
                    effects.send_all(among.into_iter(), &Message::Offer { ballot, number });
                }
                Due::Tell(ballot, number, to) if is_leading(ballot) => {
                    // What it knows to be chosen it need not adopt.
                    let chosen = self.learner.prefix();
                    effects.send(to, Message::Chosen { ballot, chosen });
                    effects.send(to, Message::HandOver { ballot, number });
                }
                Due::Over(id, ballot, why) if is_leading(ballot) => {
                    effects.events.push(Event::KeepsLeading { ballot });
                    effects.handed_over.push((id, Err(why)));
                }
                Due::Over(id, ..) => {
                    let leader = self.leader(now);
                    effects.handed_over.push((id, Err(HandOverRefusal::NotLeading { leader })));
                }
                // It was deposed: whoever did it will be heard.
                Due::Offer(..) | Due::Tell(..) => {}
            }
        }
    }

    // ---- who is to lead ----

    pub(super) fn on_offer(&mut self, ballot: Ballot, number: u64, effects: &mut Effects) {
        if !self.follows(ballot) {
            return;
        }
        let election = &mut self.election;
        let Some((id, reached)) = self.standby.offered(ballot, number, || election.ask()) else {
            return;
        };
        let silent = self.config.configuration.missing(reached);
        effects.send_all(silent, &Message::Probe { id });
    }

    /// An acceptor hears us, and we hear it.
    pub(super) fn on_reached(
        &mut self,
        now: Instant,
        acceptor: NodeId,
        id: u64,
        effects: &mut Effects,
    ) {
        let until = now.plus(self.config.timing.election_timeout * 2);
        let configuration = &self.config.configuration;
        if let Some((ballot, number)) = self.standby.probed(configuration, acceptor, id, until)
            && self.follows(ballot)
        {
            let chosen = self.learner.prefix();
            effects.send(ballot.leader, Message::Willing { ballot, number, chosen });
        }
    }

    pub(super) fn on_told(
        &mut self,
        now: Instant,
        ballot: Ballot,
        number: u64,
        effects: &mut Effects,
    ) {
        if self.follows(ballot) && self.standby.told(ballot, number, now) {
            effects.events.push(Event::TakesOver { from: ballot });
            self.prepare(now, effects);
        }
    }

    /// Whether it follows that very ballot, and has not begun to look for another.
    fn follows(&self, ballot: Ballot) -> bool {
        self.proposer.ballot().is_none() && self.election.follows(ballot)
    }
}

#[cfg(test)]
mod tests;
