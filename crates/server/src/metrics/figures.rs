//! What the node's threads count for Prometheus: what happened, how often, how long it took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use node::Reply;
use paxos::{Event, Instant, Message, NodeId, Part};

use super::histogram::Histogram;
use super::list::{CHANGES, PREPARES};

/// What clients call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// One request of an append stream.
    Append,
    /// A range of the history.
    Read,
    /// The history as it grows.
    Tail,
    /// What the node sees.
    Status,
}

pub(super) const METHODS: [&str; 4] = ["append", "read", "tail", "status"];

/// What a client was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// What it asked for.
    Done,
    /// To ask the leader.
    NotLeading,
    /// To ask again later.
    Busy,
    /// That it may have been done.
    Unknown,
    /// That it will not be done.
    Refused,
    /// That it could not be had in time.
    TimedOut,
}

pub(super) const OUTCOMES: [&str; 6] =
    ["done", "not_leading", "busy", "unknown", "refused", "timed_out"];

impl<O> From<&Reply<O>> for Outcome {
    fn from(reply: &Reply<O>) -> Outcome {
        match reply {
            Reply::Done { .. } | Reply::Opened { .. } => Outcome::Done,
            Reply::Kept { .. } | Reply::Closed { .. } => Outcome::Done,
            Reply::NotLeading { .. } => Outcome::NotLeading,
            Reply::Busy => Outcome::Busy,
            Reply::Unknown { .. } => Outcome::Unknown,
            Reply::Refused(_) | Reply::TooLarge { .. } => Outcome::Refused,
        }
    }
}

impl From<tonic::Code> for Outcome {
    fn from(code: tonic::Code) -> Outcome {
        match code {
            tonic::Code::Ok => Outcome::Done,
            tonic::Code::ResourceExhausted => Outcome::Busy,
            tonic::Code::DeadlineExceeded => Outcome::TimedOut,
            tonic::Code::Unavailable => Outcome::Unknown,
            _ => Outcome::Refused,
        }
    }
}

/// Shared by the threads of one node.
#[derive(Debug, Default)]
pub struct Figures {
    /// From a request's coming to the protocol thread to its being applied.
    pub commit: Histogram,
    /// Turns that applied something.
    pub apply: Histogram,
    /// Syncs of the journal.
    pub sync: Histogram,
    /// Snapshots made and kept.
    pub snapshot: Histogram,
    /// Bytes of messages that left.
    pub bytes_sent: AtomicU64,
    /// Bytes of messages that were understood.
    pub bytes_received: AtomicU64,
    /// Values that were proposed again.
    pub adopted: AtomicU64,
    changes: [AtomicU64; CHANGES.len()],
    prepares: [AtomicU64; PREPARES.len()],
    /// Between a Prepare and what becomes of it: who is deposed later had led.
    is_preparing: AtomicBool,
    rejects: [AtomicU64; 2],
    proposals: [AtomicU64; OUTCOMES.len()],
    requests: [[AtomicU64; OUTCOMES.len()]; METHODS.len()],
    durations: [Histogram; METHODS.len()],
    /// As many as there are acceptors. Touched once a heartbeat.
    round_trips: Mutex<BTreeMap<NodeId, Histogram>>,
}

impl Figures {
    /// The protocol says what happened.
    pub fn on_event(&self, event: &Event) {
        match event {
            Event::Prepared { .. } => self.is_preparing.store(true, Ordering::Relaxed),
            Event::Elected { adopted, .. } => {
                self.adopted.fetch_add(*adopted, Ordering::Relaxed);
                self.change("elected");
                self.campaign("elected");
            }
            Event::GaveUp { .. } => {
                self.campaign("gave_up");
            }
            // In a campaign, it had not led.
            Event::Deposed { .. } if self.campaign("deposed") => {}
            Event::Deposed { .. } => self.change("deposed"),
            Event::Following { .. } => self.change("following"),
            Event::Forsaken { .. } => self.change("forsaken"),
            Event::Overtaken { .. } => self.change("overtaken"),
            _ => {}
        }
    }

    /// A message of a peer was understood by a node that plays this part.
    pub fn on_message(&self, from: NodeId, message: &Message, part: Part, now: Instant) {
        match message {
            // The time came back over the network; `since` is zero for what is not over yet.
            Message::HeartbeatReply { sent, .. } => {
                let mut all = self.round_trips.lock().unwrap_or_else(PoisonError::into_inner);
                all.entry(from).or_default().observe(now.since(*sent));
            }
            Message::Reject { .. } => {
                let place = usize::from(part != Part::Preparing);
                self.rejects[place].fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    /// The protocol thread answers a request that it was given so long ago.
    pub fn on_reply<O>(&self, reply: &Reply<O>, took: Duration) {
        let outcome = Outcome::from(reply);
        self.proposals[outcome as usize].fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Done {
            self.commit.observe(took);
        }
    }

    /// A client is answered that asked so long ago.
    pub fn on_request(&self, method: Method, outcome: Outcome, took: Duration) {
        self.requests[method as usize][outcome as usize].fetch_add(1, Ordering::Relaxed);
        self.durations[method as usize].observe(took);
    }

    fn change(&self, reason: &str) {
        if let Some(place) = CHANGES.iter().position(|it| *it == reason) {
            self.changes[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// False if there was no campaign.
    fn campaign(&self, result: &str) -> bool {
        let is_preparing = self.is_preparing.swap(false, Ordering::Relaxed);
        if let Some(place) = PREPARES.iter().position(|it| *it == result).filter(|_| is_preparing) {
            self.prepares[place].fetch_add(1, Ordering::Relaxed);
        }
        is_preparing
    }

    pub(super) fn changes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&CHANGES, &self.changes)
    }

    pub(super) fn prepares(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&PREPARES, &self.prepares)
    }

    pub(super) fn rejects(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&["1", "2"], &self.rejects)
    }

    pub(super) fn proposals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        named(&OUTCOMES, &self.proposals)
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        METHODS.iter().zip(&self.requests).flat_map(|(method, outcomes)| {
            named(&OUTCOMES, outcomes).map(move |(outcome, count)| (*method, outcome, count))
        })
    }

    pub(super) fn durations(&self) -> impl Iterator<Item = (&'static str, &Histogram)> {
        METHODS.iter().copied().zip(&self.durations)
    }

    pub(super) fn round_trips(&self, mut each: impl FnMut(NodeId, &Histogram)) {
        let all = self.round_trips.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().for_each(|(peer, histogram)| each(*peer, histogram));
    }
}

fn named(
    names: &'static [&'static str],
    counts: &[AtomicU64],
) -> impl Iterator<Item = (&'static str, u64)> {
    names.iter().zip(counts).map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use paxos::{Ballot, Slot};

    use super::*;

    fn of(all: impl Iterator<Item = (&'static str, u64)>) -> Vec<(&'static str, u64)> {
        all.filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn who_is_deposed_in_a_campaign_had_not_led() {
        let figures = Figures::default();
        let (ballot, by) = (Ballot::NONE, Ballot::NONE);
        for event in [
            Event::Prepared { ballot },
            Event::Deposed { by },
            Event::Prepared { ballot },
            Event::Elected { ballot, adopted: 3, noops: 1 },
            Event::Deposed { by },
            Event::Following { ballot },
        ] {
            figures.on_event(&event);
        }
        assert_eq!(of(figures.prepares()), [("elected", 1), ("deposed", 1)]);
        assert_eq!(of(figures.changes()), [("elected", 1), ("following", 1), ("deposed", 1)]);
        assert_eq!(figures.adopted.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn rejects_count_for_the_phase_that_was_under_way() {
        let figures = Figures::default();
        let (ballot, truncated) = (Ballot::NONE, Slot::FIRST);
        let message = Message::Reject { ballot, promised: ballot, truncated };
        for part in [Part::Preparing, Part::Leading, Part::Leading] {
            figures.on_message(NodeId(3), &message, part, Instant(0));
        }
        assert_eq!(of(figures.rejects()), [("1", 1), ("2", 2)]);
    }

    #[test]
    fn only_what_was_done_has_a_commit_duration() {
        let figures = Figures::default();
        let took = Duration::from_millis(1);
        figures.on_reply(&Reply::<()>::Busy, took);
        figures.on_reply(&Reply::Done { slot: Slot(3), output: () }, took);
        assert_eq!(of(figures.proposals()), [("done", 1), ("busy", 1)]);
        assert_eq!(figures.commit.read().sum_us, 1000);
    }
}
