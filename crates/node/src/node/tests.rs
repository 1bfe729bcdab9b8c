//! One node that is a whole cluster: leader and acceptor, talking to itself.

use alloc::collections::VecDeque;
use alloc::vec;
use core::time::Duration;

use paxos::{
    Announce, ClusterId, Configuration, DiskId, Incarnation, Limits, Member, Message, Part, Roles,
    Timing,
};

use super::*;
use crate::history::History;
use crate::reads::Consistency;
use crate::request::Nonce;

struct Alone {
    node: Node<History>,
    now: Instant,
    inbox: VecDeque<Message>,
    effects: Effects<History>,
    replies: Vec<(Ticket, Reply<()>)>,
    reads: Vec<(Ticket, ReadReply)>,
}

impl Alone {
    fn start(incarnation: u64, records: Vec<Record>) -> Alone {
        let roles = Roles { leader: true, acceptor: true, learner: false };
        let member = Member { roles, disk: Some(DiskId::default()) };
        let members = [(NodeId(1), member)].into();
        let config = Config {
            node: NodeId(1),
            incarnation: Incarnation(incarnation),
            configuration: Configuration::majority(ClusterId::default(), members).unwrap(),
            timing: Timing::default(),
            limits: Limits { value_bytes_max: 100, ..Limits::default() },
            announce: Announce::default(),
        };
        let now = Instant(0);
        let node = Node::recover(config, records, History::default(), now, 1);
        let (inbox, effects, replies) = (VecDeque::new(), Effects::default(), Vec::new());
        Alone { node, now, inbox, effects, replies, reads: Vec::new() }
    }

    fn step(&mut self, input: Input) {
        self.node.step(self.now, input, &mut self.effects);
        let effects = &mut self.effects;
        let sent = effects.replica.send.drain(..).chain(effects.replica.write.then_send.drain(..));
        self.inbox.extend(sent.map(|envelope| envelope.message));
        self.replies.append(&mut effects.replies);
        self.reads.append(&mut effects.reads);
        effects.clear();
    }

    fn settle(&mut self) {
        while let Some(message) = self.inbox.pop_front() {
            self.step(Input::Message { from: NodeId(1), message });
        }
    }

    fn lead(&mut self) {
        while self.node.replica().part() != Part::Leading {
            self.now = self.now.plus(Duration::from_millis(10));
            self.step(Input::Tick);
            self.settle();
        }
    }

    /// What its disk holds.
    fn records(&self) -> Vec<Record> {
        let acceptor = self.node.replica().acceptor().expect("it is one");
        let votes = acceptor.votes().iter().cloned().map(Record::Accepted);
        [Record::Promised(acceptor.promised())].into_iter().chain(votes).collect()
    }

    /// Leads, and has a session: the second slot's, after the leader's start.
    fn lead_with_a_session(&mut self) {
        self.lead();
        self.settle();
        self.append(0, &Request::open(Nonce::default(), HOUR));
        self.settle();
        assert_eq!(self.replies, [(Ticket(0), Reply::Opened { session: SESSION })]);
        self.replies.clear();
    }

    fn append(&mut self, ticket: u64, request: &Request) {
        let append = Append { ticket: Ticket(ticket), request: request.clone() };
        self.step(Input::Append(vec![append]));
    }
}

const SESSION: Slot = Slot(1);
const HOUR: u64 = 3_600_000_000;

fn request(sequence: u64, first_unanswered: u64) -> Request {
    Request::append(SESSION, sequence, first_unanswered, b"value").unwrap()
}

fn slot_of(reply: &Reply<()>) -> Option<u64> {
    match reply {
        Reply::Done { slot, .. } => Some(slot.0),
        _ => None,
    }
}

#[test]
fn a_request_is_answered_with_its_slot_when_it_is_applied() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(7, &request(1, 1));
    assert_eq!(alone.replies, [], "not before it is chosen");
    alone.settle();
    assert_eq!(alone.replies.len(), 1);
    assert_eq!(alone.replies[0].0, Ticket(7));
    let slot = slot_of(&alone.replies[0].1).expect("done");
    assert_eq!(alone.node.machine().entries().next().unwrap().slot.0, slot);
    assert_eq!(alone.node.waiting(), 0);
}

#[test]
fn a_retry_is_answered_and_applied_once() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    alone.append(2, &request(1, 1));
    assert_eq!(alone.replies, [(Ticket(1), Reply::Unknown { leader: None })], "asked again since");
    alone.settle();
    alone.append(3, &request(1, 1));
    let slots: Vec<_> = alone.replies[1..].iter().map(|(_, reply)| slot_of(reply)).collect();
    assert!(slots.iter().all(|slot| slot.is_some() && *slot == slots[0]));
    assert_eq!(alone.node.machine().held(), 1);
}

#[test]
fn who_does_not_lead_says_so_and_proposes_nothing() {
    let mut alone = Alone::start(1, vec![]);
    alone.append(1, &request(1, 1));
    assert_eq!(alone.replies, [(Ticket(1), Reply::NotLeading { leader: None })]);
    assert_eq!(alone.node.waiting(), 0);
}

#[test]
fn a_value_that_is_too_large_is_refused_with_the_bound() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead();
    let large = Request::append(SESSION, 1, 1, &[0; 100]).unwrap();
    alone.append(1, &large);
    assert_eq!(alone.replies, [(Ticket(1), Reply::TooLarge { bytes_max: 100 })]);
}

#[test]
fn a_node_that_knows_nothing_yet_calls_no_client_expired() {
    // A restarted leader learns its history again from the acceptors; until then it cannot know
    // which sessions there are. Only the place in the history decides.
    let mut alone = Alone::start(1, vec![]);
    alone.lead();
    alone.append(1, &request(5, 4));
    assert_eq!(alone.replies, [], "no verdict from an empty table");
    alone.settle();
    assert_eq!(alone.replies, [(Ticket(1), Reply::Refused(Refused::Expired))]);
    assert!(alone.node.machine().entries().next().is_none());
    // Once slot 1 is applied, what it did not open is not proposed any more.
    alone.append(2, &request(5, 4));
    assert_eq!(alone.replies[1..], [(Ticket(2), Reply::Refused(Refused::Expired))]);
    assert_eq!(alone.node.waiting(), 0);
}

#[test]
fn what_was_chosen_is_applied_again_after_a_crash() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    alone.settle();
    let mut again = Alone::start(2, alone.records());
    again.lead();
    again.settle();
    assert_eq!(again.node.machine(), alone.node.machine());
    again.append(1, &request(1, 1));
    assert_eq!(
        slot_of(&again.replies[0].1),
        Some(2),
        "known, after the leader's start and the session"
    );
}

#[test]
fn each_of_a_clients_requests_has_its_own_waiter() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    alone.append(2, &request(2, 1));
    assert_eq!(alone.replies, []);
    assert_eq!(alone.node.waiting(), 2);
    alone.settle();
    let answers: Vec<_> =
        alone.replies.iter().map(|(ticket, reply)| (ticket.0, slot_of(reply))).collect();
    assert_eq!(answers, [(1, Some(2)), (2, Some(3))]);
    assert_eq!(alone.node.waiting(), 0);
}

#[test]
fn a_node_says_what_it_has_applied_and_when_to_wake_it() {
    let mut alone = Alone::start(1, vec![]);
    assert_eq!(alone.node.applied(), Slot(0));
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    alone.settle();
    assert_eq!(alone.node.applied(), Slot(3), "the leader's start, a session and a value");
    assert!(alone.node.deadline() > Some(alone.now), "a heartbeat is due");
    assert_eq!(alone.node.deadline(), alone.node.replica().deadline());
}

#[test]
fn cleared_effects_are_empty() {
    let mut effects: Effects<History> = Effects::default();
    effects.replies.push((Ticket(1), Reply::Busy));
    effects.replica.events.push(paxos::Event::Probed);
    effects.clear();
    assert!(effects.replies.is_empty());
    assert_eq!(effects.replica, paxos::Effects::default());
}

#[test]
fn a_request_on_its_way_is_not_proposed_again() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    alone.append(2, &request(1, 1));
    alone.settle();
    assert_eq!(alone.node.applied(), Slot(3), "the leader's start, a session and one value");
}

#[test]
fn each_refusal_is_answered_with_what_it_says_of_the_request() {
    let mut alone = Alone::start(1, vec![]);
    let leader = Some(NodeId(2));
    let answers = [
        (RefusalReason::NotLeading { leader }, Reply::NotLeading { leader }),
        (RefusalReason::WindowFull, Reply::Busy),
        (RefusalReason::TooLarge { bytes_max: 7 }, Reply::TooLarge { bytes_max: 7 }),
        // It may have been chosen: nobody may call that a failure.
        (RefusalReason::Deposed { leader: NodeId(2) }, Reply::Unknown { leader: None }),
    ];
    for (reason, reply) in answers {
        let (request, mut effects) = (request(1, 1), Effects::default());
        alone.node.waiters.wait(&request, Ticket(1));
        let command = request.command().clone();
        effects.replica.refused.push(paxos::Refusal { command, reason });
        alone.node.answer_refused(alone.now, &mut effects);
        assert_eq!(effects.replies, [(Ticket(1), reply)]);
        assert_eq!(alone.node.waiting(), 0);
    }
}

#[test]
fn what_is_proposed_carries_the_leaders_time() {
    let mut alone = Alone::start(1, vec![]);
    alone.now = Instant(1 << 50);
    alone.lead_with_a_session();
    let opened = alone.node.sessions().time_us();
    assert!(opened < 1_000_000, "time before the first leader is not counted: {opened}");
    alone.now = alone.now.plus(Duration::from_secs(7));
    alone.append(1, &request(1, 1));
    alone.settle();
    assert_eq!(alone.node.sessions().time_us(), opened + 7_000_000);
    assert_eq!(
        alone.node.machine().entries().next().unwrap().request.stamp_us(),
        opened + 7_000_000
    );
    // After a crash the log's time goes on where it was, without the time between.
    let records = alone.records();
    let mut again = Alone::start(2, records);
    again.now = Instant(5);
    again.lead();
    again.settle();
    again.append(1, &Request::keep_alive(SESSION));
    again.settle();
    assert_eq!(again.replies, [(Ticket(1), Reply::Kept { slot: Slot(4) })]);
    let passed = again.node.sessions().time_us() - (opened + 7_000_000);
    assert!(passed < 1_000_000, "{passed}");
}

#[test]
fn a_session_ends_by_the_leaders_time_and_its_client_is_told() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    alone.settle();
    alone.now = alone.now.plus(Duration::from_micros(HOUR + 1));
    alone.append(2, &request(2, 2));
    alone.settle();
    assert_eq!(alone.replies[1..], [(Ticket(2), Reply::Refused(Refused::Expired))]);
    assert_eq!(alone.node.machine().held(), 1);
    assert_eq!(alone.node.sessions().count(), 0);
}

#[test]
fn a_session_can_be_kept_and_closed() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &Request::keep_alive(SESSION));
    alone.append(2, &Request::close(SESSION));
    alone.settle();
    let (kept, closed) = (Reply::Kept { slot: Slot(2) }, Reply::Closed { slot: Slot(3) });
    assert_eq!(alone.replies, [(Ticket(1), kept), (Ticket(2), closed)]);
    assert!(alone.node.machine().entries().next().is_none(), "no business of the machine");
    alone.append(3, &request(1, 1));
    assert_eq!(alone.replies[2..], [(Ticket(3), Reply::Refused(Refused::Expired))]);
}

#[test]
fn each_answer_says_what_is_known() {
    let slot = Slot(4);
    let (leader, bytes_max) = (None, 7);
    let answers = [
        (Reply::Done { slot, output: () }, Outcome::Done(slot)),
        (Reply::Opened { session: slot }, Outcome::Done(slot)),
        (Reply::Kept { slot }, Outcome::Done(slot)),
        (Reply::Closed { slot }, Outcome::Done(slot)),
        (Reply::NotLeading { leader }, Outcome::NotApplied),
        (Reply::Busy, Outcome::NotApplied),
        (Reply::TooLarge { bytes_max }, Outcome::NotApplied),
        (Reply::Refused(Refused::Window), Outcome::NotApplied),
        (Reply::Refused(Refused::Answered), Outcome::Unknown),
        (Reply::Refused(Refused::Expired), Outcome::Unknown),
        (Reply::Unknown { leader }, Outcome::Unknown),
    ];
    for (reply, outcome) in answers {
        assert_eq!(reply.outcome(), outcome, "{reply:?}");
    }
}

#[test]
fn a_node_that_does_not_lead_counts_no_time() {
    let mut alone = Alone::start(1, vec![]);
    alone.node.log_clock.start(0, alone.now);
    alone.step(Input::Tick);
    assert_eq!(alone.node.log_clock, LogClock::default(), "it led, and leads no more");
}

/// Appends ten values and gives back the snapshot that was asked for.
fn captured(alone: &mut Alone) -> (SnapshotId, Vec<u8>) {
    alone.lead_with_a_session();
    alone.node.snapshot_every = 400;
    let mut frozen = vec![];
    for sequence in 1..=10 {
        let append = Append { ticket: Ticket(sequence), request: request(sequence, 1) };
        let mut input = Some(Input::Append(vec![append]));
        while let Some(input) = input.take().or_else(|| {
            let message = alone.inbox.pop_front()?;
            Some(Input::Message { from: NodeId(1), message })
        }) {
            alone.node.step(alone.now, input, &mut alone.effects);
            frozen.extend(alone.effects.capture.take());
            let effects = &mut alone.effects.replica;
            let sent = effects.send.drain(..).chain(effects.write.then_send.drain(..));
            alone.inbox.extend(sent.map(|envelope| envelope.message));
            alone.effects.clear();
        }
    }
    assert_eq!(frozen.len(), 1, "no second one while the first is being made");
    frozen.remove(0).encode()
}

#[test]
fn a_snapshot_is_asked_for_once_until_it_is_kept_or_not() {
    let asks = |input: fn(SnapshotId) -> Input| {
        let mut alone = Alone::start(1, vec![]);
        let (snapshot, _) = captured(&mut alone);
        alone.step(input(snapshot));
        // As much again as the state is large: a large one is not written again and again.
        for sequence in 11..=30 {
            alone.append(10 + sequence, &request(sequence, 1));
        }
        let mut asks = 0;
        while let Some(message) = alone.inbox.pop_front() {
            let input = Input::Message { from: NodeId(1), message };
            alone.node.step(alone.now, input, &mut alone.effects);
            asks += usize::from(alone.effects.capture.is_some());
            let effects = &mut alone.effects.replica;
            let sent = effects.send.drain(..).chain(effects.write.then_send.drain(..));
            alone.inbox.extend(sent.map(|envelope| envelope.message));
            alone.effects.clear();
        }
        asks
    };
    assert_eq!(asks(|snapshot| Input::Kept { snapshot, is_durable: true }), 1);
    assert_eq!(asks(|_| Input::NotKept), 0, "not at once");
    assert_eq!(asks(|_| Input::Tick), 0);
}

/// One of three nodes, which has gone on from a snapshot of another's.
fn installed(named: impl FnOnce(SnapshotId) -> SnapshotId) -> (Node<History>, Effects<History>) {
    let roles = Roles { leader: true, acceptor: true, learner: false };
    let member = |id| (NodeId(id), Member { roles, disk: Some(DiskId::default()) });
    let members = [1, 2, 3].map(member).into();
    let config = Config {
        node: NodeId(1),
        incarnation: Incarnation(1),
        configuration: Configuration::majority(ClusterId::default(), members).unwrap(),
        timing: Timing::default(),
        limits: Limits::default(),
        announce: Announce::default(),
    };
    let mark = paxos::Mark { below: Slot(12), digest: paxos::Digest([1; 16]) };
    let (sessions, history) = (Sessions::default(), History::default());
    let (name, bytes) = Frozen::new(&config.configuration, mark, &sessions, &history).encode();
    let mut node = Node::recover(config, [], History::default(), Instant(0), 1);
    let mut effects = Effects::default();
    let (first, values) = (Slot(0), vec![].into());
    let (chosen, truncated) = (Slot(12), Slot(12));
    let told = Message::Learned { first, values, chosen, truncated };
    let part = Message::Part { snapshot: named(name), offset: 0, bytes: bytes.into() };
    for message in [told, part] {
        node.step(Instant(0), Input::Message { from: NodeId(2), message }, &mut effects);
    }
    assert_eq!(node.applied(), Slot(0), "its state is made elsewhere");
    node.install_fetched(Instant(0), &mut effects);
    (node, effects)
}

#[test]
fn a_snapshot_is_kept_under_its_true_name_only() {
    let (node, effects) = installed(|name| name);
    assert_eq!(effects.installed.map(|it| it.snapshot.below), Some(Slot(12)));
    assert_eq!((node.applied(), effects.unusable), (Slot(12), None));
    let (node, effects) = installed(|name| SnapshotId { below: Slot(1_000_000), ..name });
    assert_eq!(effects.installed, None);
    assert_eq!(node.applied(), Slot(0), "nothing of it is believed");
}

#[test]
fn who_could_not_keep_a_snapshot_tries_again() {
    let (mut node, mut effects) = installed(|name| name);
    node.step(Instant(0), Input::NotKept, &mut effects);
    effects.clear();
    let ask = Message::FetchPart { snapshot: None, offset: 0 };
    let asked = Input::Message { from: NodeId(3), message: ask.clone() };
    node.step(Instant(1), asked, &mut effects);
    assert!(effects.capture.is_none(), "its disk is full");
    effects.clear();
    node.step(Instant(0).plus(CAPTURE_PAUSE), Input::Tick, &mut effects);
    assert_eq!(effects.capture.map(|frozen| frozen.below()), Some(Slot(12)));
}

#[test]
fn who_could_not_keep_what_it_froze_freezes_again() {
    let mut alone = Alone::start(1, vec![]);
    captured(&mut alone);
    alone.step(Input::NotKept);
    alone.now = alone.now.plus(CAPTURE_PAUSE);
    alone.node.step(alone.now, Input::Tick, &mut alone.effects);
    assert!(alone.effects.capture.is_some());
}

#[test]
fn a_snapshot_of_another_nodes_does_not_end_the_wait_for_ones_own() {
    let mut alone = Alone::start(1, vec![]);
    let (snapshot, _) = captured(&mut alone);
    let other = SnapshotId { below: Slot(1), ..snapshot };
    alone.step(Input::Kept { snapshot: other, is_durable: true });
    assert!(alone.node.capturing.is_some());
    alone.step(Input::Kept { snapshot, is_durable: true });
    assert!(alone.node.capturing.is_none());
}

#[test]
fn who_has_no_snapshot_makes_one_for_who_needs_it() {
    let (mut node, mut effects) = installed(|name| name);
    effects.clear();
    let ask = Message::FetchPart { snapshot: None, offset: 0 };
    node.step(Instant(1), Input::Message { from: NodeId(3), message: ask }, &mut effects);
    assert_eq!(effects.capture.map(|frozen| frozen.below()), Some(Slot(12)));
}

#[test]
fn a_node_goes_on_from_a_snapshot_as_if_it_had_applied_all_of_it() {
    let mut alone = Alone::start(1, vec![]);
    let (snapshot, bytes) = captured(&mut alone);
    let mut late = Alone::start(2, alone.records());
    assert_eq!(late.node.restore(late.now, &bytes, &mut late.effects), Ok(snapshot));
    assert_eq!(late.node.applied(), snapshot.below);
    late.lead();
    late.settle();
    // Values of the snapshot are known, and what came after it was learned from the votes.
    assert_eq!(late.node.machine().held(), 10);
    late.append(30, &request(1, 1));
    late.append(31, &request(10, 1));
    let slots: Vec<Option<u64>> = late.replies.iter().map(|(_, it)| slot_of(it)).collect();
    assert_eq!(slots, [Some(2), Some(11)]);
    let older = late.node.restore(late.now, &bytes, &mut late.effects);
    assert_eq!(older, Ok(snapshot), "it is one");
    assert_eq!(late.node.machine().held(), 10, "and nothing is gone back to");
}

#[test]
fn who_waits_when_a_snapshot_comes_is_told_that_nothing_is_known() {
    let mut alone = Alone::start(1, vec![]);
    let (_, bytes) = captured(&mut alone);
    let mut late = Alone::start(2, vec![]);
    late.lead();
    late.append(5, &request(1, 1));
    assert_eq!(late.node.waiting(), 1);
    late.node.restore(late.now, &bytes, &mut late.effects).unwrap();
    assert_eq!(late.node.waiting(), 0);
    let ticket = late.effects.replies.iter().map(|(ticket, _)| ticket.0);
    assert!(ticket.eq([5]));
    assert!(matches!(late.effects.replies[0].1, Reply::Unknown { .. }));
}

#[test]
fn a_snapshot_that_is_none_changes_nothing() {
    let mut alone = Alone::start(1, vec![]);
    let (_, mut bytes) = captured(&mut alone);
    bytes.truncate(40);
    let mut late = Alone::start(2, vec![]);
    let refused = late.node.restore(late.now, &bytes, &mut late.effects);
    assert_eq!(refused, Err(SnapshotError::Short));
    assert_eq!((late.node.applied(), late.node.machine().held()), (Slot(0), 0));
}

#[test]
fn a_read_shows_what_was_answered_before_it_began() {
    let mut alone = Alone::start(1, vec![]);
    alone.lead_with_a_session();
    alone.append(1, &request(1, 1));
    let read = |ticket, consistency| Read { ticket: Ticket(ticket), consistency };
    alone.step(Input::Read(vec![read(2, Consistency::Linearizable)]));
    assert_eq!((alone.reads.len(), alone.node.reads_waiting()), (0, 1));
    alone.settle();
    let applied = alone.node.applied();
    assert_eq!(alone.reads, [(Ticket(2), ReadReply::Ready { applied })]);
    assert_eq!(slot_of(&alone.replies[0].1).map(|slot| slot + 1), Some(applied.0));
    alone.reads.clear();
    let at_least = applied.plus(1);
    alone.step(Input::Read(vec![read(3, Consistency::Sequential { at_least })]));
    let until = alone.now.plus(Timing::default().read_patience);
    while alone.reads.is_empty() {
        alone.now = alone.node.deadline().expect("a read waits");
        alone.step(Input::Tick);
        alone.settle();
    }
    assert_eq!(alone.now, until);
    let leader = Some(NodeId(1));
    assert_eq!(alone.reads, [(Ticket(3), ReadReply::TimedOut { leader })]);
}
