//! Well-formed messages, records and requests of the input's choice, mostly about ballots and slots
//! that matter at the moment.

use std::time::Duration;

use node::{Nonce, Request};
use paxos::wire::{decode_record, encode_record};
use paxos::{
    Ballot, Configuration, Digest, Incarnation, Instant, Mark, Message, NodeId, Page, Record, Run,
    Slot, SnapshotId, Value, Values,
};

use crate::cursor::Cursor;

/// What matters at the moment.
pub(crate) struct Present {
    /// What the node prepares, leads or follows.
    pub(crate) ballot: Ballot,
    pub(crate) promised: Ballot,
    pub(crate) chosen: Slot,
}

impl Present {
    /// Anything that can be said; not all of it can stand on the wire.
    pub(crate) fn message(&self, cursor: &mut Cursor<'_>) -> Message {
        let ballot = self.ballot(cursor);
        match cursor.below(23) {
            0 => Message::Prepare { ballot, from: self.slot(cursor) },
            1 => Message::Promise { ballot, page: self.page(cursor) },
            2 => {
                let promised = self.ballot(cursor);
                Message::Reject { ballot, promised, truncated: self.slot(cursor) }
            }
            3 => Message::Accept { run: self.run(cursor, ballot), chosen: self.slot(cursor) },
            4 => {
                let first = self.slot(cursor);
                Message::Accepted { ballot, first, end: first.plus(length(cursor)) }
            }
            5 => Message::Chosen { ballot, chosen: self.slot(cursor) },
            6 => {
                let (sent, proof_age) = (Instant(cursor.u64()), age(cursor));
                let (chosen, start) = (self.slot(cursor), self.slot(cursor));
                let mark = self.mark(cursor);
                Message::Heartbeat { ballot, sent, proof_age, chosen, start, mark }
            }
            7 => {
                let (sent, is_suspect) = (Instant(cursor.u64()), cursor.below(2) == 1);
                Message::HeartbeatReply { ballot, sent, is_suspect }
            }
            8 => Message::Probe { id: cursor.u64() },
            9 => {
                let (id, progress_age) = (u64::from(cursor.byte()), age(cursor));
                Message::ProbeReply { id, promised: ballot, progress_age }
            }
            10 => Message::Fetch { from: self.slot(cursor) },
            11 => {
                let (first, values) = (self.slot(cursor), values(cursor));
                let (chosen, truncated) = (self.slot(cursor), self.slot(cursor));
                Message::Learned { first, values, chosen, truncated }
            }
            12 => Message::Votes { page: self.page(cursor) },
            13 => Message::Confirm { ballot, round: u64::from(cursor.byte()) },
            14 => Message::Confirmed { ballot, round: u64::from(cursor.byte() % 4) },
            15 => Message::ReadIndex { id: cursor.u64() },
            16 => {
                let id = u64::from(cursor.byte() % 4);
                let index = (cursor.below(4) > 0).then(|| self.slot(cursor));
                Message::ReadIndexReply { id, index }
            }
            17 => Message::Kept { below: self.slot(cursor) },
            18 => {
                // On the wire the name of nothing stands for none.
                let named = |id: &SnapshotId| *id != SnapshotId::default();
                let snapshot = (cursor.below(4) > 0).then(|| self.snapshot(cursor)).filter(named);
                Message::FetchPart { snapshot, offset: u64::from(cursor.byte()) }
            }
            19 => {
                let (snapshot, offset) = (self.snapshot(cursor), u64::from(cursor.byte()));
                let bytes = vec![cursor.byte(); cursor.below(200)].into();
                Message::Part { snapshot, offset, bytes }
            }
            20 => Message::Offer { ballot, number: u64::from(cursor.byte() % 4) },
            21 => {
                let (number, chosen) = (u64::from(cursor.byte() % 4), self.slot(cursor));
                Message::Willing { ballot, number, chosen }
            }
            _ => Message::HandOver { ballot, number: u64::from(cursor.byte() % 4) },
        }
    }

    /// Mostly one that matters now.
    fn ballot(&self, cursor: &mut Cursor<'_>) -> Ballot {
        match cursor.below(8) {
            0..=2 => self.ballot,
            3 => self.promised,
            4 => Ballot { round: self.ballot.round.saturating_add(1), ..owner(cursor) },
            5 => Ballot { round: cursor.u64(), ..owner(cursor) },
            _ => Ballot { round: u64::from(cursor.byte() % 8), ..owner(cursor) },
        }
    }

    fn slot(&self, cursor: &mut Cursor<'_>) -> Slot {
        match cursor.below(8) {
            0..=2 => self.chosen,
            3 => self.chosen.plus(u64::from(cursor.byte() % 20)),
            4 => Slot(self.chosen.0.saturating_sub(u64::from(cursor.byte() % 20))),
            5 => Slot(cursor.u64()),
            _ => Slot(u64::from(cursor.byte() % 40)),
        }
    }

    fn run(&self, cursor: &mut Cursor<'_>, ballot: Ballot) -> Run {
        Run { ballot, first: self.slot(cursor), values: values(cursor) }
    }

    fn mark(&self, cursor: &mut Cursor<'_>) -> Mark {
        Mark { below: self.slot(cursor), digest: digest(cursor) }
    }

    fn snapshot(&self, cursor: &mut Cursor<'_>) -> SnapshotId {
        let bytes = u64::from(cursor.byte()) * 2;
        SnapshotId { below: self.slot(cursor), bytes, digest: digest(cursor) }
    }

    fn page(&self, cursor: &mut Cursor<'_>) -> Page {
        let from = self.slot(cursor);
        let count = cursor.below(4);
        let vote = |_| {
            let ballot = self.ballot(cursor);
            self.run(cursor, ballot)
        };
        let votes = (0..count).map(vote).collect();
        let next = (cursor.below(4) == 3).then(|| self.slot(cursor));
        let truncated = cursor.pick(&[Slot::FIRST, Slot::FIRST, from]);
        let suspect = cursor.pick(&[Slot::FIRST, Slot::FIRST, from.plus(1)]);
        Page { from, votes, next, truncated, suspect }
    }
}

/// A record that can stand in a journal.
pub(crate) fn record(cursor: &mut Cursor<'_>, configuration: &Configuration) -> Option<Record> {
    // Not one of the last rounds: who has used them up has nothing more to say.
    let ballot = Ballot { round: cursor.u64() >> (8 + cursor.byte() % 56), ..owner(cursor) };
    let first = Slot(cursor.u64() >> (cursor.byte() % 64));
    let record = match cursor.below(6) {
        0 => Record::Promised(ballot),
        1 => Record::Truncated(first),
        2 => Record::Suspect,
        3 => Record::Settled(first),
        _ => Record::Accepted(Run { ballot, first, values: values(cursor) }),
    };
    let mut bytes = Vec::new();
    encode_record(configuration, &record, &mut bytes);
    decode_record(configuration, &bytes).ok()
}

fn digest(cursor: &mut Cursor<'_>) -> Digest {
    Digest([cursor.byte() % 4; 16])
}

fn owner(cursor: &mut Cursor<'_>) -> Ballot {
    let leader = NodeId(1 + u32::from(cursor.byte() % 8));
    Ballot { round: 0, leader, incarnation: Incarnation(u64::from(cursor.byte() % 3)) }
}

fn values(cursor: &mut Cursor<'_>) -> Values {
    let count = cursor.below(8);
    let value = |_| match cursor.below(4) {
        0 => Value::Noop,
        1 => Value::LeaderStart,
        2 => Value::Command(vec![cursor.byte(); cursor.below(120)].into()),
        _ => Value::Command(request(cursor).command().clone()),
    };
    (0..count).map(value).collect::<Vec<Value>>().into()
}

/// Few sessions and numbers, so that they meet again.
pub(crate) fn request(cursor: &mut Cursor<'_>) -> Request {
    let session = Slot(u64::from(cursor.byte() % 8));
    match cursor.below(8) {
        0 => Request::open(Nonce([cursor.byte() % 3; 16]), cursor.u64() >> (cursor.byte() % 64)),
        1 => Request::keep_alive(session),
        2 => Request::close(session),
        _ => append(cursor, session),
    }
}

fn append(cursor: &mut Cursor<'_>, session: Slot) -> Request {
    let sequence = match cursor.byte() {
        255 => u64::MAX - u64::from(cursor.byte() % 2),
        small => 1 + u64::from(small % 8),
    };
    let ahead = u64::from(cursor.byte()).min(sequence - 1);
    let value = vec![cursor.byte(); cursor.below(90)];
    let request = Request::append(session, sequence, sequence - ahead, &value);
    request.expect("the numbers are in order")
}

fn age(cursor: &mut Cursor<'_>) -> Option<Duration> {
    match cursor.below(4) {
        0 => None,
        1 => Some(Duration::ZERO),
        2 => Some(Duration::from_micros(u64::from(cursor.u32()))),
        _ => Some(Duration::from_micros(cursor.u64() >> 1)),
    }
}

fn length(cursor: &mut Cursor<'_>) -> u64 {
    match cursor.below(8) {
        7 => cursor.u64(),
        short => 1 + short as u64,
    }
}
