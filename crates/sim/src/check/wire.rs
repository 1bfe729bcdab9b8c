//! Promise: what a node has once said binds it, whatever it forgets.
//!
//! These monitors hear every message as it leaves, and know what is on the speaker's disk.
//! - No Promise or Accepted at a ballot below one that the acceptor has spoken for.
//! - A Promise or Votes shows every vote that the acceptor has announced; but not what it may have
//!   lost with a part of its disk, if it says so, or if a later leader's start has settled it.
//! - Promise, Accepted and Votes say only what is on disk.
//! - Accepted only what was sent in an Accept; one value a ballot and slot.
//! - No Confirmed at a ballot below one that the acceptor has spoken for.
//! - A ballot belongs to one life of one leader.
//! - Whoever leads in a later epoch leads at a higher ballot: no earlier vote outranks its own.
//!
//! A lost disk takes all of it with it. What binds the acceptor on another disk begins anew, and it
//! is in doubt of every slot until a leader of the epoch of that disk has led.

use std::collections::BTreeMap;

use paxos::acceptor::Acceptor;
use paxos::{Ballot, Epoch, Message, NodeId, Page, Run, Runs, Slot, Value};

use super::{Checked, Wrong};

/// Everything ever said.
#[derive(Debug, Default)]
pub struct Wire {
    acceptors: BTreeMap<NodeId, Said>,
    proposed: BTreeMap<(Ballot, Slot), Value>,
    owners: BTreeMap<Ballot, (NodeId, u32)>,
    /// The highest ballot whose leader has said that it leads, by epoch.
    led: BTreeMap<Epoch, Ballot>,
}

/// What one acceptor has said, in all its lives.
#[derive(Debug, Default)]
struct Said {
    /// The highest ballot of a Promise or Accepted.
    spoken: Ballot,
    /// Per slot the highest ballot of an Accepted.
    announced: BTreeMap<Slot, Ballot>,
    /// Votes that may be lost, until that is settled.
    lost: Option<Lost>,
}

/// Votes that may be lost.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// The highest ballot of any of them, as far as it binds.
    bound: Ballot,
    /// Below this slot they were in doubt when last looked at.
    below: Slot,
    /// Leaders of earlier epochs settle nothing.
    since: Epoch,
}

impl Wire {
    /// An acceptor has lost a part of its disk.
    pub fn loses_votes(&mut self, acceptor: NodeId) {
        let said = self.acceptors.entry(acceptor).or_default();
        let since = said.lost.map_or(Epoch(0), |lost| lost.since);
        said.lost = Some(Lost { bound: said.spoken, below: Slot::LIMIT, since });
    }

    /// An acceptor has another disk, from this epoch on.
    pub fn loses_disk(&mut self, acceptor: NodeId, since: Epoch) {
        let lost = Some(Lost { bound: Ballot::NONE, below: Slot::LIMIT, since });
        self.acceptors.insert(acceptor, Said { lost, ..Said::default() });
    }

    /// A node in its `life` and epoch says something; `durable` is what its disk folds to.
    pub fn leaves(
        &mut self,
        from: NodeId,
        life: u32,
        epoch: Epoch,
        message: &Message,
        durable: &Acceptor,
    ) -> Checked {
        let said = self.acceptors.entry(from).or_default();
        said.settles(from, durable.suspect(), epoch, &self.led)?;
        if let Message::Heartbeat { ballot, .. } = message {
            let before = self.led.range(..epoch).map(|(_, led)| *led).max().unwrap_or_default();
            if *ballot < before {
                return wrong(format!(
                    "{from} leads at {ballot} in epoch {}, and {before} led in an earlier one",
                    epoch.0
                ));
            }
            let led = self.led.entry(epoch).or_default();
            *led = (*led).max(*ballot);
        }
        match message {
            Message::Prepare { ballot, .. }
            | Message::Heartbeat { ballot, .. }
            | Message::Chosen { ballot, .. }
            | Message::Confirm { ballot, .. } => self.owns(from, life, *ballot),
            Message::Accept { run, .. } => {
                self.owns(from, life, run.ballot)?;
                self.proposes(from, run)
            }
            Message::Promise { ballot, page } => {
                said.speaks(from, *ballot)?;
                if durable.promised() < *ballot {
                    return wrong(format!("{from} promises {ballot} before it is on disk"));
                }
                said.shows(from, page)?;
                on_disk(from, &page.votes, durable)
            }
            Message::Votes { page } => {
                said.shows(from, page)?;
                on_disk(from, &page.votes, durable)
            }
            Message::Accepted { ballot, first, end } => {
                said.speaks(from, *ballot)?;
                for slot in (first.0..end.0).map(Slot) {
                    said.announced.insert(slot, *ballot);
                    if !self.proposed.contains_key(&(*ballot, slot)) {
                        return wrong(format!(
                            "{from} accepted slot {slot} at {ballot}, which nobody proposed"
                        ));
                    }
                    if !has(durable, slot, *ballot) || durable.promised() < *ballot {
                        return wrong(format!(
                            "{from} accepted slot {slot} at {ballot} before it is on disk"
                        ));
                    }
                }
                Ok(())
            }
            Message::Confirmed { ballot, .. } if *ballot < said.spoken => {
                let spoken = said.spoken;
                wrong(format!("{from} confirms {ballot} after it has spoken for {spoken}"))
            }
            Message::Confirmed { .. }
            | Message::Reject { .. }
            | Message::HeartbeatReply { .. }
            | Message::Probe { .. }
            | Message::ProbeReply { .. }
            | Message::Fetch { .. }
            | Message::Learned { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::Kept { .. }
            | Message::FetchPart { .. }
            | Message::Part { .. }
            | Message::Offer { .. }
            | Message::Willing { .. }
            | Message::HandOver { .. } => Ok(()),
        }
    }

    fn owns(&mut self, from: NodeId, life: u32, ballot: Ballot) -> Checked {
        let (owner, its_life) = *self.owners.entry(ballot).or_insert((from, life));
        if (owner, its_life) == (from, life) {
            return Ok(());
        }
        wrong(format!("{ballot} is used by {from} in life {life}, and by {owner} in {its_life}"))
    }

    fn proposes(&mut self, from: NodeId, run: &Run) -> Checked {
        for (slot, value) in (run.first.0..).map(Slot).zip(run.values.iter()) {
            let known = self.proposed.entry((run.ballot, slot)).or_insert_with(|| value.clone());
            if known != value {
                return wrong(format!(
                    "{from} proposes {value:?} in slot {slot} at {}, and before {known:?}",
                    run.ballot
                ));
            }
        }
        Ok(())
    }
}

impl Said {
    fn speaks(&mut self, from: NodeId, ballot: Ballot) -> Checked {
        if ballot < self.spoken {
            let spoken = self.spoken;
            return wrong(format!("{from} speaks for {ballot} after it has for {spoken}"));
        }
        self.spoken = ballot;
        Ok(())
    }

    /// Below `suspect` votes may be missing. At and above, what was lost is settled, if a leader
    /// above all of it has led, up to the epoch of the acceptor: no word for it binds any more.
    fn settles(
        &mut self,
        from: NodeId,
        suspect: Slot,
        epoch: Epoch,
        led: &BTreeMap<Epoch, Ballot>,
    ) -> Checked {
        let Some(lost) = self.lost.filter(|lost| suspect < lost.below) else {
            return Ok(());
        };
        let Lost { bound, below, since } = lost;
        let led = led.iter().filter(|(at, _)| (since..=epoch).contains(*at));
        let led = led.map(|(_, ballot)| *ballot).max().unwrap_or_default();
        if led <= bound {
            return wrong(format!(
                "{from} settles votes lost at {bound}, and {led} led last, since epoch {}",
                since.0
            ));
        }
        self.lost = (suspect > Slot::FIRST).then_some(Lost { below: suspect, ..lost });
        if below == Slot::LIMIT {
            // Whole again, it shows what is below anew.
            self.announced.retain(|slot, ballot| *slot < suspect || *ballot > bound);
        }
        Ok(())
    }

    fn shows(&self, from: NodeId, page: &Page) -> Checked {
        let end = page.next.unwrap_or(Slot::LIMIT);
        let mut shown = Runs::default();
        for run in &page.votes {
            shown.merge(run);
        }
        let first = page.from.max(page.truncated).max(page.suspect);
        for (slot, ballot) in self.announced.range(first..end.max(first)) {
            let vote = shown.get(*slot).map(|(vote, _)| vote);
            if vote < Some(*ballot) {
                return wrong(format!("{from} hides its vote in slot {slot} at {ballot}"));
            }
        }
        Ok(())
    }
}

/// Whether the vote is on disk, or was, before it was cut.
fn has(durable: &Acceptor, slot: Slot, ballot: Ballot) -> bool {
    let vote = durable.votes().get(slot).map(|(vote, _)| vote);
    slot < durable.truncated() || vote >= Some(ballot)
}

fn on_disk(from: NodeId, votes: &[Run], durable: &Acceptor) -> Checked {
    for run in votes {
        for slot in (run.first.0..run.end().0).map(Slot) {
            if !has(durable, slot, run.ballot) {
                return wrong(format!("{from} shows a vote in slot {slot} before it is on disk"));
            }
        }
    }
    Ok(())
}

fn wrong(what: String) -> Checked {
    Err(Wrong { promise: "wire", what })
}
