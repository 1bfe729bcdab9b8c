//! What a replica makes of snapshots: it lets go of what they cover, gives them away and fetches
//! them, and cuts votes that enough of them cover.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Replica, refuse};
use crate::ballot::{NodeId, Slot};
use crate::digest::{Mark, SnapshotId};
use crate::effects::{Effects, PartWanted, RefusalReason, Restored};
use crate::event::Event;
use crate::marks::Differs;
use crate::message::Message;
use crate::record::Record;
use crate::time::Instant;
use crate::transfer::Ask;

impl Replica {
    /// There is a snapshot of this node's own that others may have.
    pub(super) fn on_snapshot(&mut self, now: Instant, snapshot: SnapshotId, is_durable: bool) {
        // What nobody could fetch, or does not know itself, is not to be relied on by anybody.
        let is_known = snapshot.below <= self.learner.prefix();
        let sizes = 1..=self.config.limits.snapshot_bytes_max;
        if !is_known || !sizes.contains(&snapshot.bytes) {
            return;
        }
        self.kept.add(snapshot, is_durable, now);
        let learner = &self.learner;
        self.proposer.learned(learner.prefix(), |slot| learner.get(slot));
        // What is in flight is compared with what is chosen, until it lands.
        let open = self.proposer.window().map_or(snapshot.below, |(lowest_open, _)| lowest_open);
        let retained = self.config.limits.retained_bytes_max;
        self.learner.forget(snapshot.below.min(open), retained);
    }

    pub(super) fn announce_kept(&mut self, now: Instant, effects: &mut Effects) {
        if let Some(below) = self.kept.due(now) {
            let acceptors = self.config.configuration.acceptors().iter().copied();
            effects.send_all(acceptors, &Message::Kept { below });
        }
    }

    /// A keeper says how far its snapshot reaches. Votes that enough of them cover are cut, but for
    /// the last few, so that who is a little behind needs no snapshot. Without room on its disk an
    /// acceptor cannot afford those: they are bounded in values, and what a journal makes of small
    /// ones may be all that its disk holds. It would never vote again.
    pub(super) fn on_kept(&mut self, from: NodeId, below: Slot, effects: &mut Effects) {
        let news = self.reports.heard(&self.config.configuration, from, below);
        // What it lacks an acceptor may know only after the last news, and that it has no room.
        let is_in_need = self.acceptor.suspect() > Slot::FIRST || !self.has_room;
        let again = is_in_need.then(|| self.reports.covered());
        let Some(covered) = news.or(again) else {
            return;
        };
        let retained = if self.has_room { self.config.limits.retained_bytes_max } else { 0 };
        let first = self.acceptor.votes().tail(covered, retained);
        // Where a vote is missing that a snapshot covers, learners may no longer know the value.
        let is_gap = |gap: (Slot, Slot)| gap.0 < covered;
        let first = if self.acceptor.gap(first).is_some_and(is_gap) { covered } else { first };
        if first > self.acceptor.truncated() {
            self.keep(Record::Truncated(first), effects);
            // Said again, so that the journal may cut all that is older.
            self.keep(Record::Promised(self.acceptor.promised()), effects);
        }
    }

    pub(super) fn on_fetch_part(
        &mut self,
        from: NodeId,
        asked: Option<SnapshotId>,
        offset: u64,
        effects: &mut Effects,
    ) {
        let Some(snapshot) = self.kept.offer(asked) else {
            effects.snapshot_wanted = true;
            return;
        };
        let offset = if asked == Some(snapshot) { offset } else { 0 };
        let rest = usize::try_from(snapshot.bytes.saturating_sub(offset)).unwrap_or(usize::MAX);
        let bytes = rest.min(self.config.limits.part_bytes_max);
        if bytes > 0 {
            effects.parts.push(PartWanted { to: from, snapshot, offset, bytes });
        }
    }

    /// Somebody has only a snapshot of what this node lacks.
    pub(super) fn want_snapshot(
        &mut self,
        now: Instant,
        from: NodeId,
        truncated: Slot,
        effects: &mut Effects,
    ) {
        if truncated > self.learner.prefix() && self.transfer.want(now, from, truncated) {
            effects.events.push(Event::Behind { truncated });
        }
    }

    pub(super) fn fetch_parts(&mut self, now: Instant, effects: &mut Effects) {
        let asks = self.transfer.due(now, self.config.node, &self.config.configuration);
        ask(asks, effects);
    }

    pub(super) fn on_part(
        &mut self,
        now: Instant,
        from: NodeId,
        snapshot: SnapshotId,
        offset: u64,
        bytes: Arc<[u8]>,
        effects: &mut Effects,
    ) {
        let prefix = self.learner.prefix();
        let (asks, whole) = self.transfer.part(now, from, prefix, snapshot, offset, bytes);
        ask(asks, effects);
        if let Some(bytes) = whole {
            effects.restored = Some(Restored { snapshot, bytes });
        }
    }

    /// Whoever drives us has restored a snapshot, and goes on from there.
    pub(super) fn on_restored(&mut self, now: Instant, mark: Mark, effects: &mut Effects) {
        self.transfer.go_on(now);
        if mark.below <= self.learner.prefix() {
            return;
        }
        // What it proposed below can no longer be compared with what was chosen.
        if let Some(ballot) = self.proposer.ballot() {
            effects.events.push(Event::GaveUp { ballot });
            self.give_up(now);
        }
        // Whether its values are among what is in the snapshot, it cannot tell.
        let leader = self.leader(now).unwrap_or(self.config.node);
        refuse(self.proposer.hand_back(), RefusalReason::Deposed { leader }, effects);
        self.learner.restore(mark);
        self.transfer.reached(mark.below);
        effects.events.push(Event::Restored { below: mark.below });
        // While the snapshot came, what follows was asked for in vain, and ever less often.
        self.catchup.answered_all();
        if let Some(target) = self.catchup.progressed(now, mark.below) {
            self.fetch(target, effects);
        }
    }

    pub(super) fn diverged(differs: Option<Differs>, effects: &mut Effects) {
        if let Some(Differs { from, below, ours, theirs }) = differs {
            effects.events.push(Event::Diverged { from, below, ours, theirs });
        }
    }
}

fn ask(asks: Vec<Ask>, effects: &mut Effects) {
    for Ask { to, snapshot, offset } in asks {
        effects.send(to, Message::FetchPart { snapshot, offset });
    }
}

#[cfg(test)]
mod tests;
