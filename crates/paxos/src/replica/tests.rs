//! What one replica answers, to whom, and what it makes of what it hears.

use alloc::vec;
use core::time::Duration;

use super::*;
use crate::ballot::Incarnation;
use crate::config::{Limits, Timing};
use crate::digest::Mark;
use crate::effects::ReadRefusal;
use crate::message::Kind;
use crate::quorum::{ClusterId, Configuration, DiskId, Member};
use crate::read::ReadId;
use crate::runs::Run;
use crate::value::Value;

/// Two leaders, three acceptors, one learner.
pub(super) const APART: fn(u32) -> Roles =
    |id| Roles { leader: id <= 2, acceptor: (3..=5).contains(&id), learner: id == 6 };
/// Three nodes that do everything.
pub(super) const TOGETHER: fn(u32) -> Roles =
    |id| Roles { leader: id <= 3, acceptor: id <= 3, learner: false };

const BYTES_MAX: usize = 10;

pub(super) fn node(id: u32, roles: fn(u32) -> Roles, announce: Announce) -> Replica {
    let member = |id| {
        let roles = roles(id);
        (NodeId(id), Member { roles, disk: roles.acceptor.then(DiskId::default) })
    };
    let members = (1..=6).map(member).filter(|(_, member)| member.roles != Roles::default());
    let config = Config {
        node: NodeId(id),
        incarnation: Incarnation(7),
        configuration: Configuration::majority(ClusterId::default(), members.collect()).unwrap(),
        timing: Timing::default(),
        limits: Limits { value_bytes_max: BYTES_MAX, ..Limits::default() },
        announce,
    };
    Replica::recover(config, [], Instant(0), 1)
}

pub(super) fn hear(replica: &mut Replica, now: u64, from: u32, message: Message) -> Effects {
    let mut effects = Effects::default();
    let input = Input::Message { from: NodeId(from), message };
    replica.step(Instant(now), input, &mut effects);
    effects
}

/// The node leads, by the votes of the first two acceptors.
pub(super) fn lead(replica: &mut Replica) -> (Instant, Ballot, Effects) {
    lead_with(replica, &[])
}

/// The same, and these are the votes that each of the two shows.
fn lead_with(replica: &mut Replica, votes: &[Run]) -> (Instant, Ballot, Effects) {
    let now = replica.election.deadline();
    replica.step(now, Input::Tick, &mut Effects::default());
    let acceptors: Vec<u32> =
        replica.config.configuration.acceptors().iter().take(2).map(|id| id.0).collect();
    for from in &acceptors {
        let (promised, progress_age) = (Ballot::NONE, None);
        hear(replica, now.0, *from, Message::ProbeReply { id: 1, promised, progress_age });
    }
    let ballot = replica.ballot().expect("it prepares");
    let mut effects = Effects::default();
    for from in &acceptors {
        let (slot, truncated) = (Slot(0), Slot(0));
        let (votes, suspect) = (votes.to_vec(), Slot(0));
        let page = Page { from: slot, votes, next: None, truncated, suspect };
        effects = hear(replica, now.0, *from, Message::Promise { ballot, page });
    }
    assert_eq!(replica.part(), Part::Leading);
    (now, ballot, effects)
}

pub(super) fn ballot(round: u64, leader: u32) -> Ballot {
    Ballot { round, leader: NodeId(leader), incarnation: Incarnation(0) }
}

pub(super) fn heartbeat(ballot: Ballot) -> Message {
    let proof_age = Some(Duration::ZERO);
    Message::Heartbeat {
        ballot,
        sent: Instant(0),
        proof_age,
        chosen: Slot(0),
        start: Slot(0),
        mark: Mark::default(),
    }
}

pub(super) fn accept(ballot: Ballot, first: u64, byte: u8) -> Message {
    let values = vec![Value::Command(vec![byte].into())].into();
    Message::Accept { run: Run { ballot, first: Slot(first), values }, chosen: Slot(0) }
}

fn learned(byte: u8, count: usize, truncated: u64) -> Message {
    let values = vec![Value::Command(vec![byte].into()); count].into();
    let (first, chosen) = (Slot(0), Slot(count as u64));
    Message::Learned { first, values, chosen, truncated: Slot(truncated) }
}

/// To whom something of that kind goes, at once or behind the disk.
pub(super) fn sent(effects: &Effects, kind: Kind) -> Vec<u32> {
    let all = effects.send.iter().chain(&effects.write.then_send);
    all.filter(|envelope| envelope.message.kind() == kind).map(|envelope| envelope.to.0).collect()
}

#[test]
fn lower_leaders_look_around_first() {
    for (id, earliest) in [(1, 0), (2, 50_000)] {
        let deadline = node(id, APART, Announce::EveryLearner).deadline();
        let latest = Instant(earliest + 25_000);
        assert!(Some(Instant(earliest)) <= deadline && deadline <= Some(latest), "{deadline:?}");
    }
}

#[test]
fn a_node_knows_who_leads_for_as_long_as_it_hears_it() {
    let mut follower = node(2, APART, Announce::EveryLearner);
    assert_eq!(follower.leader(Instant(0)), None);
    hear(&mut follower, 0, 1, heartbeat(ballot(1, 1)));
    let patience = Instant(0).plus(Timing::default().election_timeout * 2);
    assert_eq!(follower.leader(patience), Some(NodeId(1)));
    assert_eq!(follower.leader(Instant(patience.0 + 1)), None);
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    assert_eq!(leader.leader(now), Some(NodeId(1)));
    for from in [3, 4] {
        let (promised, truncated) = (ballot(9, 2), Slot(0));
        hear(&mut leader, now.0, from, Message::Reject { ballot: own, promised, truncated });
    }
    assert_eq!((leader.part(), leader.leader(now)), (Part::Following, None), "it led just now");
}

#[test]
fn only_an_acceptor_has_something_to_show() {
    let shows = |id| node(id, APART, Announce::EveryLearner).acceptor().is_some();
    assert_eq!([1, 3, 6].map(shows), [false, true, false]);
}

#[test]
fn proposals_go_to_acceptors_and_to_other_learners() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (_, _, effects) = lead(&mut leader);
    assert_eq!(sent(&effects, Kind::Accept), [2, 3, 4, 5, 6]);
    assert_eq!(leader.slots_in_flight(), 1);
    assert_eq!(node(2, APART, Announce::EveryLearner).slots_in_flight(), 0);
    let (_, _, effects) = lead(&mut node(1, TOGETHER, Announce::EveryLearner));
    assert_eq!(sent(&effects, Kind::Accept), [1, 2, 3], "it talks to itself");
}

#[test]
fn votes_go_to_every_learner_or_to_the_leader_alone() {
    for (announce, expected) in
        [(Announce::EveryLearner, vec![1, 2, 6]), (Announce::LeaderOnly, vec![2])]
    {
        let mut acceptor = node(3, APART, announce);
        let effects = hear(&mut acceptor, 0, 2, accept(ballot(1, 2), 0, 7));
        assert_eq!(sent(&effects, Kind::Accepted), expected);
    }
}

#[test]
fn a_leader_that_alone_hears_votes_tells_the_others() {
    for (announce, expected) in
        [(Announce::EveryLearner, vec![]), (Announce::LeaderOnly, vec![2, 6])]
    {
        let mut leader = node(1, APART, announce);
        let (now, ballot, _) = lead(&mut leader);
        let mut last = Effects::default();
        for from in [3, 4] {
            assert!(sent(&last, Kind::Chosen).is_empty());
            let vote = Message::Accepted { ballot, first: Slot(0), end: Slot(1) };
            last = hear(&mut leader, now.0, from, vote);
        }
        assert_eq!(last.chosen, [(Slot(0), Value::LeaderStart)]);
        assert_eq!(sent(&last, Kind::Chosen), expected);
    }
}

#[test]
fn a_fetch_is_answered_with_what_is_chosen_or_else_with_votes() {
    let answer = |replica: &mut Replica, slot| {
        let effects = hear(replica, 0, 2, Message::Fetch { from: Slot(slot) });
        let kinds = [Kind::Learned, Kind::Votes].map(|kind| sent(&effects, kind).len());
        (kinds[0], kinds[1])
    };
    assert_eq!(answer(&mut node(6, APART, Announce::EveryLearner), 0), (1, 0), "it knows nothing");
    assert_eq!(answer(&mut node(3, APART, Announce::EveryLearner), 0), (0, 1));
    let mut both = node(1, TOGETHER, Announce::EveryLearner);
    assert_eq!(answer(&mut both, 0), (0, 1));
    hear(&mut both, 0, 2, learned(7, 1, 0));
    assert_eq!(answer(&mut both, 0), (1, 0));
    assert_eq!(answer(&mut both, 1), (0, 1), "it knows no more than who asks");
}

#[test]
fn a_learner_is_behind_only_what_it_lacks() {
    let mut learner = node(6, APART, Announce::EveryLearner);
    let behind = |effects: &Effects| {
        effects.events.iter().filter(|event| matches!(event, Event::Behind { .. })).count()
    };
    assert_eq!(behind(&hear(&mut learner, 0, 1, learned(7, 2, 1))), 1);
    assert_eq!(learner.chosen(), Slot(2));
    assert_eq!(behind(&hear(&mut learner, 0, 1, learned(7, 2, 2))), 0);
    assert_eq!(behind(&hear(&mut learner, 0, 1, learned(7, 2, 3))), 1);
}

#[test]
fn a_value_may_be_as_large_as_the_bound() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, _, _) = lead(&mut leader);
    let commands: Vec<Command> =
        [BYTES_MAX, BYTES_MAX + 1].map(|length| vec![7; length].into()).to_vec();
    let mut effects = Effects::default();
    leader.step(now, Input::Propose(commands.clone()), &mut effects);
    let reason = RefusalReason::TooLarge { bytes_max: BYTES_MAX };
    assert_eq!(effects.refused, [Refusal { command: commands[1].clone(), reason }]);
}

#[test]
fn a_lower_leaders_heartbeat_changes_nothing_for_a_higher_one() {
    let mut leader = node(2, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    assert!(own > ballot(1, 1));
    hear(&mut leader, now.0, 1, heartbeat(ballot(1, 1)));
    assert_eq!(leader.part(), Part::Leading);
    let effects = hear(&mut leader, now.0, 1, heartbeat(ballot(2, 1)));
    assert_eq!(leader.part(), Part::Following);
    assert!(effects.events.contains(&Event::Deposed { by: ballot(2, 1) }));
}

#[test]
fn values_are_let_go_when_somebody_else_is_supported() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, own, _) = lead(&mut leader);
    leader.step(now, Input::Propose(vec![vec![7].into()]), &mut Effects::default());
    let other = ballot(own.round + 1, 2);
    let refused = |leader: &mut Replica, promised, progress_age| {
        hear(leader, now.0, 3, Message::ProbeReply { id: 9, promised, progress_age }).refused.len()
    };
    let lately = Some(Duration::ZERO);
    assert_eq!(refused(&mut leader, other, lately), 0, "while it leads itself");
    for from in [3, 4] {
        let reject = Message::Reject { ballot: own, promised: other, truncated: Slot(0) };
        hear(&mut leader, now.0, from, reject);
    }
    assert_eq!(leader.part(), Part::Following);
    let silent = Some(Timing::default().election_timeout);
    assert_eq!(refused(&mut leader, other, None), 0);
    assert_eq!(refused(&mut leader, other, silent), 0, "too long ago");
    assert_eq!(refused(&mut leader, own, lately), 0, "that was itself");
    assert_eq!(refused(&mut leader, other, lately), 1);
}

#[test]
fn two_values_chosen_in_one_slot_are_told() {
    let mut learner = node(6, APART, Announce::EveryLearner);
    hear(&mut learner, 0, 1, learned(7, 1, 0));
    learner.learner.learn(Slot(1), vec![Value::Noop].into()).unwrap();
    let effects = hear(&mut learner, 0, 1, learned(7, 2, 0));
    assert_eq!(effects.events, [Event::Conflict { slot: Slot(1) }]);
}

#[test]
fn a_second_value_of_one_ballot_is_declined_and_told() {
    let mut acceptor = node(3, APART, Announce::EveryLearner);
    hear(&mut acceptor, 0, 1, accept(ballot(1, 1), 0, 7));
    let effects = hear(&mut acceptor, 0, 1, accept(ballot(1, 1), 0, 8));
    let declined = Event::Declined { from: NodeId(1), why: Decline::Contradiction };
    assert_eq!(effects.events, [declined]);
    assert!(effects.write.is_empty());
    let mut learner = node(6, APART, Announce::EveryLearner);
    hear(&mut learner, 0, 1, accept(ballot(1, 1), 0, 7));
    let effects = hear(&mut learner, 0, 1, accept(ballot(1, 1), 0, 8));
    assert_eq!(effects.events, [declined]);
}

#[test]
fn an_acceptor_answers_heartbeats_by_its_promise() {
    let mut acceptor = node(3, APART, Announce::EveryLearner);
    let prepare = Message::Prepare { ballot: ballot(2, 1), from: Slot(0) };
    let effects = hear(&mut acceptor, 0, 1, prepare);
    assert_eq!(effects.write.records, [Record::Promised(ballot(2, 1))]);
    assert_eq!(sent(&effects, Kind::Promise), [1]);
    for (round, from, confirmed) in [(1, 2, false), (2, 1, true), (3, 1, true)] {
        let effects = hear(&mut acceptor, 0, from, heartbeat(ballot(round, from)));
        assert_eq!(sent(&effects, Kind::HeartbeatReply) == [from], confirmed);
        assert_eq!(sent(&effects, Kind::Reject) == [from], !confirmed);
    }
    let effects = hear(&mut node(6, APART, Announce::EveryLearner), 0, 1, heartbeat(ballot(2, 1)));
    assert!(effects.send.is_empty() && effects.write.is_empty(), "only acceptors answer");
}

#[test]
fn accepting_a_higher_ballot_is_progress_and_accepting_more_of_it_is_none() {
    let mut acceptor = node(3, APART, Announce::EveryLearner);
    let age = |acceptor: &mut Replica, now| {
        let effects = hear(acceptor, now, 2, Message::Probe { id: 1 });
        match effects.send[0].message {
            Message::ProbeReply { progress_age, .. } => progress_age.map(|age| age.as_micros()),
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(age(&mut acceptor, 0), None);
    hear(&mut acceptor, 10, 1, accept(ballot(1, 1), 0, 7));
    assert_eq!(age(&mut acceptor, 30), Some(20));
    hear(&mut acceptor, 40, 1, accept(ballot(1, 1), 1, 7));
    assert_eq!(age(&mut acceptor, 50), Some(40));
    hear(&mut acceptor, 60, 1, accept(ballot(2, 1), 1, 8));
    assert_eq!(age(&mut acceptor, 70), Some(10));
}

#[test]
fn a_leader_that_learns_of_another_value_in_its_slot_leads_no_more() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, _, _) = lead(&mut leader);
    let effects = hear(&mut leader, now.0, 2, learned(7, 1, 0));
    assert!(effects.events.contains(&Event::Overtaken { slot: Slot(0) }));
    assert_eq!(leader.part(), Part::Following);
}

#[test]
fn a_leader_closes_its_holes_by_resending_and_says_how_much() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, ballot, _) = lead(&mut leader);
    leader.step(now, Input::Propose(vec![vec![7].into()]), &mut Effects::default());
    for from in [3, 4] {
        let vote = Message::Accepted { ballot, first: Slot(1), end: Slot(2) };
        hear(&mut leader, now.0, from, vote);
    }
    assert_eq!((leader.chosen(), leader.slots_in_flight()), (Slot(0), 2));
    let mut events = Vec::new();
    for after in [10, 50] {
        let mut effects = Effects::default();
        let later = now.plus(Duration::from_millis(after));
        leader.step(later, Input::Tick, &mut effects);
        assert!(sent(&effects, Kind::Fetch).is_empty());
        let heartbeats = sent(&effects, Kind::Heartbeat);
        events.push((heartbeats.len(), effects.events));
    }
    let again = Event::SentAgain { messages: 3 };
    assert_eq!(events, [(0, vec![]), (6, vec![again])], "one slot, to three acceptors");
}

fn read(replica: &mut Replica, now: Instant, id: u64) -> Effects {
    let mut effects = Effects::default();
    replica.step(now, Input::Read(vec![ReadId(id)]), &mut effects);
    effects
}

/// A leader whose prefix is past its leader start, with one slot more in flight.
fn leader_with_a_slot_open() -> (Replica, Instant, Ballot) {
    let mut leader = node(1, APART, Announce::EveryLearner);
    let (now, ballot, _) = lead(&mut leader);
    for from in [3, 4] {
        let vote = Message::Accepted { ballot, first: Slot(0), end: Slot(1) };
        hear(&mut leader, now.0, from, vote);
    }
    leader.step(now, Input::Propose(vec![vec![7].into()]), &mut Effects::default());
    assert_eq!((leader.chosen(), leader.slots_in_flight()), (Slot(1), 1));
    (leader, now, ballot)
}

/// The index that a question gets, once the acceptors' answers are in.
fn index(leader: &mut Replica, now: Instant, ballot: Ballot, id: u64) -> Option<Slot> {
    let effects = hear(leader, now.0, 2, Message::ReadIndex { id });
    let Some(Message::Confirm { round, .. }) = effects.send.first().map(|it| it.message.clone())
    else {
        panic!("it asks the acceptors first: {effects:?}");
    };
    assert_eq!(sent(&effects, Kind::Confirm), [3, 4, 5]);
    assert!(sent(&effects, Kind::ReadIndexReply).is_empty());
    let mut effects = Effects::default();
    for from in [3, 4] {
        assert!(sent(&effects, Kind::ReadIndexReply).is_empty());
        effects = hear(leader, now.0, from, Message::Confirmed { ballot, round });
    }
    match effects.send.first().map(|it| &it.message) {
        Some(Message::ReadIndexReply { id: answered, index }) if *answered == id => *index,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_index_is_past_what_is_in_flight() {
    // Another learner may have counted the votes for it, and shown it.
    let (mut leader, now, ballot) = leader_with_a_slot_open();
    assert_eq!(index(&mut leader, now, ballot, 5), Some(Slot(2)));
}

#[test]
fn an_index_is_past_the_leader_start_even_where_that_is_not_proposed_yet() {
    let mut leader = node(1, APART, Announce::EveryLearner);
    leader.config.limits.slots_in_flight_max = 2;
    let values = vec![Value::Noop; 5].into();
    let votes = vec![Run { ballot: Ballot::NONE, first: Slot(0), values }];
    let (now, own, _) = lead_with(&mut leader, &votes);
    assert_eq!(leader.slots_in_flight(), 2);
    assert_eq!(index(&mut leader, now, own, 5), Some(Slot(6)));
}

#[test]
fn an_acceptor_confirms_by_its_promise_and_at_once() {
    let mut acceptor = node(3, APART, Announce::EveryLearner);
    let prepare = Message::Prepare { ballot: ballot(2, 1), from: Slot(0) };
    hear(&mut acceptor, 0, 1, prepare);
    for (round, from, confirmed) in [(1, 2, false), (2, 1, true), (3, 2, true)] {
        let confirm = Message::Confirm { ballot: ballot(round, from), round: 9 };
        let effects = hear(&mut acceptor, 0, from, confirm);
        let kind = if confirmed { Kind::Confirmed } else { Kind::Reject };
        assert!(effects.write.is_empty(), "it commits to nothing");
        assert_eq!(sent(&effects, kind), [from]);
        assert_eq!(effects.send.len(), 1);
    }
    assert_eq!(acceptor.acceptor.promised(), ballot(2, 1), "seeing is not promising");
}

#[test]
fn a_leader_that_was_deposed_gives_no_index() {
    let (mut leader, now, own) = leader_with_a_slot_open();
    hear(&mut leader, now.0, 2, Message::ReadIndex { id: 5 });
    hear(&mut leader, now.0, 6, Message::ReadIndex { id: 6 });
    let (promised, truncated) = (ballot(9, 2), Slot(0));
    hear(&mut leader, now.0, 3, Message::Reject { ballot: own, promised, truncated });
    let last = hear(&mut leader, now.0, 4, Message::Reject { ballot: own, promised, truncated });
    let nothing = |id| Message::ReadIndexReply { id, index: None };
    let replies: Vec<Message> = last.send.into_iter().map(|it| it.message).collect();
    assert_eq!(replies, [nothing(5), nothing(6)]);
    let after = hear(&mut leader, now.0, 2, Message::ReadIndex { id: 7 });
    assert_eq!(after.send.first().map(|it| it.message.clone()), Some(nothing(7)));
}

#[test]
fn a_leader_reads_as_everybody_does_and_asks_again_until_a_quorum_has_answered() {
    let (mut leader, now, ballot) = leader_with_a_slot_open();
    let effects = read(&mut leader, now, 1);
    let Some(Message::ReadIndex { id }) = effects.send.first().map(|it| it.message.clone()) else {
        panic!("it asks itself: {effects:?}");
    };
    assert_eq!(sent(&effects, Kind::ReadIndex), [1]);
    hear(&mut leader, now.0, 1, Message::ReadIndex { id });
    hear(&mut leader, now.0, 4, Message::Confirmed { ballot, round: 1 });
    let mut again = Vec::new();
    for after in [10, 35] {
        let mut effects = Effects::default();
        leader.step(now.plus(Duration::from_millis(after)), Input::Tick, &mut effects);
        again.extend(sent(&effects, Kind::Confirm));
    }
    assert_eq!(again, [3, 5]);
    let effects = hear(&mut leader, now.0, 3, Message::Confirmed { ballot, round: 1 });
    assert_eq!(sent(&effects, Kind::ReadIndexReply), [1]);
    let index = Some(Slot(2));
    let effects = hear(&mut leader, now.0, 1, Message::ReadIndexReply { id, index });
    assert!(effects.readable.is_empty(), "slot 1 is not chosen");
    let mut effects = Effects::default();
    for from in [3, 4] {
        let vote = Message::Accepted { ballot, first: Slot(1), end: Slot(2) };
        effects = hear(&mut leader, now.0, from, vote);
    }
    assert_eq!(effects.chosen.len(), 1);
    assert_eq!(effects.readable, [(ReadId(1), Slot(2))]);
}

#[test]
fn a_learner_asks_for_more_once_it_is_answered_and_not_because_more_is_chosen() {
    let mut learner = node(6, APART, Announce::EveryLearner);
    let leads = ballot(1, 1);
    hear(&mut learner, 0, 1, Message::Chosen { ballot: leads, chosen: Slot(9) });
    let mut effects = Effects::default();
    learner.step(Instant(0).plus(Timing::default().fetch_delay), Input::Tick, &mut effects);
    assert_eq!(sent(&effects, Kind::Fetch).len(), 1);
    let now = learner.deadline().expect("it waits for an answer").0 - 1;
    for slot in 0..3 {
        hear(&mut learner, now, 1, accept(leads, slot, 7));
        for from in [3, 4] {
            let vote = Message::Accepted { ballot: leads, first: Slot(slot), end: Slot(slot + 1) };
            assert_eq!(sent(&hear(&mut learner, now, from, vote), Kind::Fetch), []);
        }
    }
    assert_eq!(learner.chosen(), Slot(3));
    assert_eq!(sent(&hear(&mut learner, now, 1, learned(7, 5, 0)), Kind::Fetch).len(), 1);
    assert_eq!(sent(&hear(&mut learner, now, 1, learned(7, 7, 0)), Kind::Fetch), [], "an old one");
}

#[test]
fn a_learner_waits_for_the_slots_below_its_index() {
    let mut learner = node(6, APART, Announce::EveryLearner);
    assert!(read(&mut learner, Instant(0), 1).send.is_empty(), "it knows nobody to ask");
    let effects = hear(&mut learner, 0, 1, heartbeat(ballot(1, 1)));
    assert_eq!(sent(&effects, Kind::ReadIndex), [1]);
    let Some(Message::ReadIndex { id }) = effects.send.first().map(|it| it.message.clone()) else {
        panic!("{effects:?}");
    };
    hear(&mut learner, 0, 1, Message::ReadIndexReply { id, index: None });
    assert_eq!(learner.reads_waiting(), 1, "that says nothing");
    let index = Some(Slot(2));
    let effects = hear(&mut learner, 0, 1, Message::ReadIndexReply { id, index });
    assert!(effects.readable.is_empty());
    assert!(hear(&mut learner, 0, 1, learned(7, 1, 0)).readable.is_empty());
    let effects = hear(&mut learner, 0, 1, learned(7, 3, 0));
    assert_eq!(effects.readable, [(ReadId(1), Slot(2))]);
    assert_eq!(learner.reads_waiting(), 0);
}

#[test]
fn a_read_is_refused_with_a_reason() {
    let mut acceptor = node(3, APART, Announce::EveryLearner);
    let effects = read(&mut acceptor, Instant(0), 1);
    assert_eq!(effects.unreadable, [(ReadId(1), ReadRefusal::NotLearning)]);
    let mut learner = node(6, APART, Announce::EveryLearner);
    let reads_max = Limits::default().reads_max as u64;
    let mut effects = Effects::default();
    learner.step(Instant(0), Input::Read((0..=reads_max).map(ReadId).collect()), &mut effects);
    assert_eq!(effects.unreadable, [(ReadId(reads_max), ReadRefusal::TooMany)]);
    let mut effects = Effects::default();
    let at = Instant(0).plus(Timing::default().read_patience);
    learner.step(Instant(at.0 - 1), Input::Tick, &mut effects);
    assert!(effects.unreadable.is_empty());
    learner.step(at, Input::Tick, &mut effects);
    assert_eq!(effects.unreadable.len() as u64, reads_max);
    assert_eq!(effects.unreadable[0], (ReadId(0), ReadRefusal::TimedOut { leader: None }));
}
