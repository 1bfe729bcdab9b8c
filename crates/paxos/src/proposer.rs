//! Idle, preparing or leading: one leader's half of both phases. Safety; no time, no sending.
//!
//! The state is an enum whose variants own their data, so a promise counted for one ballot cannot
//! be looked at under another. Who sends what and when is decided elsewhere.
//!
//! ```text
//!   from ........ until ..... next ......... from + slots_in_flight_max
//!   | adopted and | own values | own values  | the window
//!   | no-ops      | in flight  | wait        |
//! ```
//!
//! Source: Lamport, "Paxos Made Simple", sections 2.2 (phases 1a and 2a) and 3 (many instances,
//! no-ops). Differs from section 3: a leader-start entry follows the recovered slots, so that what
//! an older leader left open is closed before new values are proposed.

mod introduced;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::mem;

use crate::ballot::{Ballot, Incarnation, NodeId, Slot};
use crate::config::Limits;
use crate::message::Page;
use crate::quorum::{Configuration, Phase1, Phase2, Voters};
use crate::runs::{Run, Runs};
use crate::value::{Command, VALUE_OVERHEAD, Value, Values, distance};

/// One leader's memory. It owns no disk; a new life has a new incarnation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposer {
    me: NodeId,
    incarnation: Incarnation,
    /// The highest round seen in any ballot; the next own round lies above it.
    round_seen: u64,
    state: State,
    /// Clients' values that wait for a slot.
    queue: VecDeque<Command>,
    queue_bytes: usize,
    /// So many of them, the first ones, were proposed before in slots that hold something else.
    requeued: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum State {
    /// Does not lead. Values that it introduced earlier wait here for their fate.
    Idle(Introduced),
    Preparing(Preparing),
    Leading(Leading),
}

/// Clients' values that this leader was the first to propose, by the slot in which it did, and
/// that it does not know to be chosen. Values that it adopted are never in here: re-queueing those
/// would have them chosen twice.
type Introduced = BTreeMap<Slot, Command>;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Preparing {
    ballot: Ballot,
    from: Slot,
    introduced: Introduced,
    /// Per slot the reported vote of the highest ballot, over all pages so far.
    votes: Runs,
    /// Acceptors whose promise is not complete: where their next page starts.
    pages: BTreeMap<NodeId, Slot>,
    complete: Voters<Phase1>,
    against: Voters<Phase1>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leading {
    ballot: Ballot,
    /// Reported votes in slots from `next` on, still to be proposed again.
    adopted: Runs,
    /// The slot of the leader-start entry: one past the last slot with a reported vote.
    start: Slot,
    /// The next slot to propose in.
    next: Slot,
    flights: BTreeMap<Slot, Flight>,
    bytes_in_flight: usize,
    /// Own values of an earlier ballot that the quorum reported in their own slots. They are
    /// proposed again as adopted ones; should this ballot lose them too, they are still ours.
    introduced: Introduced,
    against: Voters<Phase2>,
}

/// A proposed run that is not chosen yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Flight {
    run: Run,
    voters: Voters<Phase2>,
    /// Whether the values are this leader's own, not adopted.
    introduced: bool,
}

/// What a promise led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promised {
    /// It was for another ballot, or the page was not the one asked for.
    Stale,
    /// The acceptor has more votes to show, from this slot on.
    More(Slot),
    /// The acceptor's promise is complete; a quorum is not.
    Counted,
    /// Votes may be missing: what the page shows counts, and the promise does not.
    Suspect,
    /// A phase-1 quorum is complete: this node leads.
    Elected {
        /// Slots whose reported value is proposed again.
        adopted: u64,
        /// Slots below them without a value.
        noops: u64,
    },
    /// Slots that this node does not know were cut: it must not lead before it has a snapshot.
    Behind(Slot),
}

/// What a rejection led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It was for another ballot, or carries no higher one.
    Stale,
    /// A quorum is left for our ballot. The acceptor will never come back to it, though.
    Contested,
    /// No quorum is left. This node is idle now.
    Deposed,
}

impl Proposer {
    /// A leader that has seen no ballot yet.
    pub fn new(me: NodeId, incarnation: Incarnation) -> Proposer {
        Proposer {
            me,
            incarnation,
            round_seen: 0,
            state: State::Idle(Introduced::new()),
            queue: VecDeque::new(),
            queue_bytes: 0,
            requeued: 0,
        }
    }

    /// The ballot that this node prepares or leads.
    pub fn ballot(&self) -> Option<Ballot> {
        match &self.state {
            State::Idle(_) => None,
            State::Preparing(preparing) => Some(preparing.ballot),
            State::Leading(leading) => Some(leading.ballot),
        }
    }

    /// The ballot that this node leads.
    pub fn leading(&self) -> Option<Ballot> {
        match &self.state {
            State::Leading(leading) => Some(leading.ballot),
            State::Idle(_) | State::Preparing(_) => None,
        }
    }

    /// The slot of this leader's start entry.
    pub fn start(&self) -> Option<Slot> {
        match &self.state {
            State::Leading(leading) => Some(leading.start),
            State::Idle(_) | State::Preparing(_) => None,
        }
    }

    /// Whether phase 1 is under way.
    pub fn is_preparing(&self) -> bool {
        matches!(self.state, State::Preparing(_))
    }

    /// Notes a ballot, so that the next own one lies above it.
    pub fn saw(&mut self, ballot: Ballot) {
        self.round_seen = self.round_seen.max(ballot.round);
    }

    /// The highest round seen.
    pub fn round_seen(&self) -> u64 {
        self.round_seen
    }

    /// Slots proposed and not known to be chosen, from the first open one to the last proposed.
    pub fn slots_in_flight(&self) -> u64 {
        match &self.state {
            State::Leading(leading) => leading.next.since(leading.lowest_open()),
            State::Idle(_) | State::Preparing(_) => 0,
        }
    }

    /// Bytes proposed and not known to be chosen.
    pub fn bytes_in_flight(&self) -> usize {
        match &self.state {
            State::Leading(leading) => leading.bytes_in_flight,
            State::Idle(_) | State::Preparing(_) => 0,
        }
    }

    /// Starts phase 1 with a ballot above everything seen, for all slots from `from` on; whatever
    /// was under way is given up. `from` is the end of the chosen prefix, and `chosen` tells what
    /// is below it.
    pub fn prepare<'a>(
        &mut self,
        configuration: &Configuration,
        from: Slot,
        chosen: impl Fn(Slot) -> Option<&'a Value>,
    ) -> Ballot {
        self.round_seen += 1;
        let ballot =
            Ballot { round: self.round_seen, leader: self.me, incarnation: self.incarnation };
        // What is chosen below the prefix is settled: ours, or another value and ours moves on.
        self.give_up();
        self.learned(from, chosen);
        let introduced = self.take_introduced();
        self.state = State::Preparing(Preparing {
            ballot,
            from,
            introduced,
            votes: Runs::default(),
            pages: configuration.acceptors().iter().map(|acceptor| (*acceptor, from)).collect(),
            complete: Voters::default(),
            against: Voters::default(),
        });
        ballot
    }

    /// The acceptors whose promise is not complete, each with the page to ask for.
    pub fn unpromised(&self) -> impl Iterator<Item = (NodeId, Slot)> {
        let pages = match &self.state {
            State::Preparing(preparing) => Some(&preparing.pages),
            State::Idle(_) | State::Leading(_) => None,
        };
        pages.into_iter().flatten().map(|(acceptor, from)| (*acceptor, *from))
    }

    /// Phase 1b arrived.
    pub fn promise(
        &mut self,
        configuration: &Configuration,
        acceptor: NodeId,
        ballot: Ballot,
        page: Page,
    ) -> Promised {
        let State::Preparing(preparing) = &mut self.state else {
            return Promised::Stale;
        };
        // Exactly this ballot, and exactly the page asked for: a late or repeated reply to an
        // earlier question must not stand in for one that is still missing.
        if preparing.ballot != ballot || preparing.pages.get(&acceptor) != Some(&page.from) {
            return Promised::Stale;
        }
        if page.truncated > preparing.from {
            // Those slots are decided, not free. Only a snapshot tells what they hold.
            self.give_up();
            return Promised::Behind(page.truncated);
        }
        for run in page.votes {
            // Phase 2a's rule, Paxos Made Simple section 2.2: the value of the highest-numbered
            // vote, over the whole quorum.
            preparing.votes.merge(&run.clip(preparing.from, Slot::LIMIT));
        }
        // A true vote can only make us propose what may have been chosen. If a higher one is lost
        // and was chosen, the quorum shows it, which does without this acceptor.
        if page.suspect > page.from {
            return Promised::Suspect;
        }
        if let Some(next) = page.next.filter(|next| *next > page.from) {
            preparing.pages.insert(acceptor, next);
            return Promised::More(next);
        }
        preparing.pages.remove(&acceptor);
        configuration.count(&mut preparing.complete, acceptor);
        if !configuration.is_quorum(preparing.complete) {
            return Promised::Counted;
        }
        self.lead()
    }

    /// Takes clients' values into the queue while this node leads or is about to. Gives back what
    /// does not fit.
    pub fn propose(&mut self, commands: Vec<Command>, limits: &Limits) -> Vec<Command> {
        let mut commands = commands.into_iter();
        for command in commands.by_ref() {
            let fits = self.queue.len() < limits.queue_values_max
                && self.queue_bytes + command.len() <= limits.queue_bytes_max;
            if !fits {
                // In order or not at all: a later, smaller value must not overtake.
                return core::iter::once(command).chain(commands).collect();
            }
            self.queue_bytes += command.len();
            self.queue.push_back(command);
        }
        Vec::new()
    }

    /// Phase 2a: the next run to send to the acceptors, if the window has room for one.
    pub fn next_run(&mut self, limits: &Limits) -> Option<Run> {
        let State::Leading(leading) = &mut self.state else {
            return None;
        };
        let used = leading.next.since(leading.lowest_open());
        let slots = limits.slots_in_flight_max.saturating_sub(used);
        let slots = limits.run_slots_max.min(usize::try_from(slots).unwrap_or(usize::MAX));
        if slots == 0 || leading.bytes_in_flight >= limits.bytes_in_flight_max {
            return None;
        }
        let introduced = leading.next > leading.start;
        let values = if introduced {
            let (queue, bytes) = (&mut self.queue, &mut self.queue_bytes);
            let batch = take_batch(queue, bytes, slots, limits.run_bytes_max);
            self.requeued = self.requeued.saturating_sub(batch.len());
            batch
        } else {
            leading.recovered(slots)
        };
        if values.is_empty() {
            return None;
        }
        let run = Run { ballot: leading.ballot, first: leading.next, values };
        leading.next = run.end();
        leading.bytes_in_flight += run.values.bytes();
        let flight = Flight { run: run.clone(), voters: Voters::default(), introduced };
        leading.flights.insert(run.first, flight);
        Some(run)
    }

    /// Phase 2b arrived: the runs that are chosen by it.
    pub fn accepted(
        &mut self,
        configuration: &Configuration,
        acceptor: NodeId,
        ballot: Ballot,
        first: Slot,
        end: Slot,
    ) -> Vec<Run> {
        let State::Leading(leading) = &mut self.state else {
            return Vec::new();
        };
        if leading.ballot != ballot || first >= end {
            return Vec::new();
        }
        // Acceptors answer for runs as they were sent, or several together. An answer for a part
        // of a run counts for nothing; the whole is sent again.
        let within = leading.flights.range_mut(first..end);
        let whole = within.filter(|(_, flight)| flight.run.end() <= end);
        let mut chosen = Vec::new();
        for (at, flight) in whole {
            configuration.count(&mut flight.voters, acceptor);
            if configuration.is_quorum(flight.voters) {
                chosen.push(*at);
            }
        }
        chosen.iter().filter_map(|at| leading.land(*at)).collect()
    }

    /// Closes what the node has learned to be chosen by other means, below `prefix`. Gives back
    /// the first slot that proves this ballot to be over, if there is one.
    ///
    /// Where a value was chosen that this ballot did not propose, and could not have adopted, a
    /// higher ballot chose it, with a phase-1 quorum behind it. Going on to lead would be unsafe,
    /// not only useless: a leader's word for its prefix is taken to mean its own proposals. The
    /// smallest bad interleaving: ballot 1 proposes x in slot 0, to a learner only; ballot 2 has y
    /// chosen there, and the leader of ballot 1 learns it; its heartbeat says that slot 0 is
    /// chosen, and the learner, who has seen only x, believes x.
    pub fn settled<'a>(
        &mut self,
        prefix: Slot,
        chosen: impl Fn(Slot) -> Option<&'a Value>,
    ) -> Option<Slot> {
        let State::Leading(leading) = &mut self.state else {
            return None;
        };
        let below = leading.flights.range(..prefix);
        let proposed = below.flat_map(|(_, flight)| {
            (flight.run.first.0..prefix.0).map(Slot).zip(flight.run.values.iter())
        });
        if let Some((slot, _)) =
            proposed.into_iter().find(|(slot, value)| chosen(*slot) != Some(*value))
        {
            return Some(slot);
        }
        let below = leading.flights.range(..prefix);
        let known: Vec<Slot> =
            below.filter(|(_, flight)| flight.run.end() <= prefix).map(|(at, _)| *at).collect();
        for at in known {
            leading.land(at);
        }
        leading.land_below(prefix);
        if leading.next < prefix {
            if leading.start < prefix {
                // Nobody in our quorum had voted there.
                return Some(leading.next.max(leading.start));
            }
            // What is chosen need not be proposed again.
            leading.adopted.cut_below(prefix);
            leading.next = prefix;
        }
        None
    }

    /// While this node leads, everything chosen so far lies below, or was chosen at a higher
    /// ballot: at this ballot only slots below `next` can be chosen, and at lower ones only slots
    /// below `start`. One more, so that what is shown ends with what this ballot has closed.
    pub fn read_index(&self) -> Option<Slot> {
        match &self.state {
            State::Leading(leading) => Some(leading.next.max(leading.start.plus(1))),
            State::Idle(_) | State::Preparing(_) => None,
        }
    }

    /// Runs in flight, in slot order, each with the acceptors that have not accepted it.
    pub fn unaccepted<'a>(
        &'a self,
        configuration: &'a Configuration,
    ) -> impl Iterator<Item = (&'a Run, impl Iterator<Item = NodeId> + 'a)> {
        let flights = match &self.state {
            State::Leading(leading) => Some(&leading.flights),
            State::Idle(_) | State::Preparing(_) => None,
        };
        flights
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|flight| (&flight.run, configuration.missing(flight.voters)))
    }

    /// An acceptor has promised `promised` and refuses `ballot`.
    pub fn rejected(
        &mut self,
        configuration: &Configuration,
        acceptor: NodeId,
        ballot: Ballot,
        promised: Ballot,
    ) -> Rejected {
        if self.ballot() != Some(ballot) || promised <= ballot {
            return Rejected::Stale;
        }
        self.saw(promised);
        let quorum_left = match &mut self.state {
            State::Idle(_) => return Rejected::Stale,
            State::Preparing(preparing) => {
                configuration.count(&mut preparing.against, acceptor);
                configuration.is_quorum_left(preparing.against)
            }
            State::Leading(leading) => {
                configuration.count(&mut leading.against, acceptor);
                configuration.is_quorum_left(leading.against)
            }
        };
        if quorum_left {
            return Rejected::Contested;
        }
        self.give_up();
        Rejected::Deposed
    }

    fn lead(&mut self) -> Promised {
        let state = mem::replace(&mut self.state, State::Idle(Introduced::new()));
        let State::Preparing(Preparing { ballot, from, introduced, votes, .. }) = state else {
            unreachable!("only a preparing node is elected");
        };
        // An own value that the quorum reports in its own slot will be proposed again there. Any
        // other was not chosen and never can be in that slot, for a quorum has promised.
        let reported = |slot: Slot| votes.get(slot).map(|(_, value)| value);
        let (held, lost): (Introduced, Introduced) =
            introduced.into_iter().partition(|(slot, command)| holds(reported(*slot), command));
        self.requeue(lost.into_values().collect());
        let start = votes.end().max(from);
        let adopted = votes.slots();
        let noops = start.since(from) - adopted;
        self.state = State::Leading(Leading {
            ballot,
            adopted: votes,
            start,
            next: from,
            flights: BTreeMap::new(),
            bytes_in_flight: 0,
            introduced: held,
            against: Voters::default(),
        });
        Promised::Elected { adopted, noops }
    }

    /// The slots between which this leader proposes: the lowest open one and the next.
    ///
    /// `lowest open <= next`.
    pub(crate) fn window(&self) -> Option<(Slot, Slot)> {
        match &self.state {
            State::Leading(leading) => Some((leading.lowest_open(), leading.next)),
            State::Idle(_) | State::Preparing(_) => None,
        }
    }
}

impl Leading {
    fn lowest_open(&self) -> Slot {
        self.flights.first_key_value().map_or(self.next, |(at, _)| *at)
    }

    fn land(&mut self, at: Slot) -> Option<Run> {
        let flight = self.flights.remove(&at)?;
        self.bytes_in_flight -= flight.run.values.bytes();
        self.introduced.retain(|slot, _| *slot < at || *slot >= flight.run.end());
        Some(flight.run)
    }

    /// Lands the part below `prefix` of the run that lies on both sides of it. The rest must be
    /// able to stand alone: acceptors may have cut what is below.
    fn land_below(&mut self, prefix: Slot) {
        let Some(entry) = self.flights.first_entry().filter(|entry| *entry.key() < prefix) else {
            return;
        };
        let (at, flight) = entry.remove_entry();
        let rest = flight.run.clip(prefix, flight.run.end());
        self.bytes_in_flight -= flight.run.values.bytes() - rest.values.bytes();
        self.introduced.retain(|slot, _| *slot < at || *slot >= prefix);
        self.flights.insert(prefix, Flight { run: rest, ..flight });
    }

    /// What must be proposed at `next`, at or below the leader-start slot: an adopted value, a
    /// no-op where nobody in the quorum has voted, or the leader-start entry.
    fn recovered(&mut self, slots: usize) -> Values {
        if self.next == self.start {
            return Values::from(alloc::vec![Value::LeaderStart]);
        }
        let run = self.adopted.next_from(self.next);
        let hole_end = run.as_ref().map_or(self.start, |run| run.first);
        let hole = distance(self.next, hole_end).min(slots);
        if hole > 0 {
            return Values::from(alloc::vec![Value::Noop; hole]);
        }
        let run = run.expect("below the leader-start slot, what is not a hole is a vote");
        let count = run.values.len().min(slots);
        self.adopted.cut_below(self.next.plus(count as u64));
        run.values.slice(0, count)
    }
}

fn holds(value: Option<&Value>, command: &Command) -> bool {
    value.and_then(Value::command) == Some(command)
}

fn commands(run: &Run) -> Vec<(Slot, Command)> {
    let slots = (run.first.0..).map(Slot);
    let pairs = slots.zip(run.values.iter());
    pairs.filter_map(|(slot, value)| Some((slot, value.command()?.clone()))).collect()
}

/// Takes values off the queue, as many as one run may hold; at least one if there is any.
fn take_batch(
    queue: &mut VecDeque<Command>,
    queue_bytes: &mut usize,
    slots: usize,
    bytes_max: usize,
) -> Values {
    let mut values = Vec::new();
    let mut bytes = 0;
    while let Some(command) = queue.front() {
        bytes += VALUE_OVERHEAD + command.len();
        if values.len() == slots || (bytes > bytes_max && !values.is_empty()) {
            break;
        }
        *queue_bytes -= command.len();
        values.extend(queue.pop_front().map(Value::Command));
    }
    Values::from(values)
}

#[cfg(test)]
mod tests;
