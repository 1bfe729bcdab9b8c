//! What is cut, kept, given away, fetched and gone on from.

use alloc::vec;

use super::super::tests::{APART, TOGETHER, accept, ballot, hear, heartbeat, lead, node, sent};
use super::*;
use crate::config::Announce;
use crate::digest::Digest;
use crate::effects::Input;
use crate::message::Kind;
use crate::replica::Part;
use crate::value::Value;

fn replica(id: u32) -> Replica {
    let mut replica = node(id, TOGETHER, Announce::EveryLearner);
    replica.config.limits.retained_bytes_max = 0;
    replica
}

fn give(replica: &mut Replica, input: Input) -> Effects {
    let mut effects = Effects::default();
    replica.step(Instant(0), input, &mut effects);
    effects
}

fn snapshot(below: u64) -> SnapshotId {
    SnapshotId { below: Slot(below), bytes: 100_000, digest: Digest([1; 16]) }
}

/// Another node's history of no-ops.
fn noops(count: usize) -> Mark {
    (0..count).fold(Mark::default(), |mark, _| mark.extended(&Value::Noop))
}

fn learn(replica: &mut Replica, first: u64, count: usize) -> Effects {
    let (first, values) = (Slot(first), vec![Value::Noop; count].into());
    let (chosen, truncated) = (first.plus(count as u64), Slot(0));
    hear(replica, 0, 2, Message::Learned { first, values, chosen, truncated })
}

/// An acceptor with a vote in each of the first ten slots.
fn voted() -> Replica {
    let mut acceptor = replica(1);
    for slot in 0..10 {
        hear(&mut acceptor, 0, 2, accept(ballot(1, 2), slot, 7));
    }
    acceptor
}

#[test]
fn votes_are_cut_once_enough_keepers_have_them() {
    let mut acceptor = voted();
    let kept = |below| Message::Kept { below: Slot(below) };
    assert_eq!(hear(&mut acceptor, 0, 2, kept(8)).write.records, [], "one disk is too few");
    let effects = hear(&mut acceptor, 0, 3, kept(6));
    let promised = Record::Promised(ballot(1, 2));
    assert_eq!(effects.write.records, [Record::Truncated(Slot(6)), promised]);
    assert_eq!(acceptor.acceptor().map(|it| it.votes().slots()), Some(4));
    assert_eq!(hear(&mut acceptor, 0, 3, kept(5)).write.records, [], "nothing comes back");
}

#[test]
fn the_last_votes_below_a_snapshot_are_kept_for_who_is_a_little_behind() {
    let mut acceptor = voted();
    acceptor.config.limits.retained_bytes_max = 3 * (5 + 1);
    hear(&mut acceptor, 0, 2, Message::Kept { below: Slot(8) });
    let effects = hear(&mut acceptor, 0, 3, Message::Kept { below: Slot(8) });
    assert_eq!(effects.write.records[0], Record::Truncated(Slot(5)), "three of a byte each");
}

#[test]
fn without_room_there_is_no_vote_and_no_answer_but_a_promise() {
    let mut acceptor = voted();
    let full = |replica: &mut Replica| {
        let refused = hear(replica, 0, 2, accept(ballot(1, 2), 10, 7));
        assert_eq!((refused.write.records, refused.write.then_send), (vec![], vec![]));
        assert_eq!(refused.events, [Event::NoRoom { ballot: ballot(1, 2) }]);
        let again = hear(replica, 0, 2, accept(ballot(1, 2), 9, 7));
        assert_eq!(sent(&again, Kind::Accepted).len(), 3, "what is there needs no room");
        let prepare = Message::Prepare { ballot: ballot(2, 2), from: Slot(0) };
        assert_eq!(sent(&hear(&mut replica.clone(), 0, 2, prepare), Kind::Promise), [2]);
    };
    give(&mut acceptor, Input::Room(false));
    full(&mut acceptor);
    give(&mut acceptor, Input::Room(true));
    // Ten votes of one byte are there.
    acceptor.config.limits.votes_bytes_max = 10 * (32 + 1);
    full(&mut acceptor);
    let again = hear(&mut acceptor.clone(), 0, 2, accept(ballot(2, 2), 9, 7));
    assert_eq!(sent(&again, Kind::Accepted).len(), 3, "what takes another's place finds room");
    acceptor.config.limits.votes_bytes_max += 1;
    let voted = hear(&mut acceptor, 0, 2, accept(ballot(1, 2), 10, 7));
    assert_eq!(voted.write.records.len(), 1);
}

#[test]
fn without_room_an_acceptor_keeps_no_votes_for_who_is_behind() {
    let mut acceptor = voted();
    acceptor.config.limits.retained_bytes_max = 1 << 20;
    let hear_kept = |acceptor: &mut Replica, from, below| {
        hear(acceptor, 0, from, Message::Kept { below: Slot(below) }).write.records
    };
    hear_kept(&mut acceptor, 2, 8);
    assert_eq!(hear_kept(&mut acceptor, 3, 8), [], "there is room for all of them");
    give(&mut acceptor, Input::Room(false));
    // No news: nobody knows whether there will be any before it votes again.
    let records = hear_kept(&mut acceptor, 3, 8);
    assert_eq!(records, [Record::Truncated(Slot(8)), Record::Promised(ballot(1, 2))]);
    assert_eq!(hear_kept(&mut acceptor, 3, 8), [], "said once, for a full disk has room for one");
}

#[test]
fn a_leader_whose_open_slots_were_cut_leads_no_more() {
    // They are decided, and nobody will accept anything there again: it would ask for ever.
    let mut leader = replica(1);
    let (now, own, _) = lead(&mut leader);
    let reject = |truncated| Message::Reject { ballot: own, promised: own, truncated };
    hear(&mut leader, now.0, 2, reject(Slot(0)));
    assert_eq!(leader.part(), Part::Leading);
    let effects = hear(&mut leader, now.0, 2, reject(Slot(1)));
    assert_eq!(leader.part(), Part::Following);
    assert_eq!(effects.events, [Event::Behind { truncated: Slot(1) }]);
}

#[test]
fn only_a_snapshot_on_a_disk_is_announced() {
    let announced = |id, roles, is_durable| {
        let mut learner = node(id, roles, Announce::EveryLearner);
        learn(&mut learner, 0, 8);
        give(&mut learner, Input::Kept { snapshot: snapshot(8), is_durable });
        let effects = give(&mut learner, Input::Tick);
        let slots = effects.send.iter().filter_map(|envelope| match envelope.message {
            Message::Kept { below } => Some(below.0),
            _ => None,
        });
        slots.collect::<Vec<u64>>()
    };
    assert_eq!(announced(1, TOGETHER, true), [8; 3]);
    assert_eq!(announced(1, TOGETHER, false), [0; 3], "it has none");
    assert_eq!(announced(1, APART, true), [], "a leader that owns no disk");
}

#[test]
fn what_a_snapshot_covers_is_let_go_and_said_so() {
    let mut learner = replica(1);
    learn(&mut learner, 0, 8);
    give(&mut learner, Input::Kept { snapshot: snapshot(6), is_durable: true });
    assert_eq!(learner.forgotten(), Slot(6));
    let answer = |learner: &mut Replica, from| {
        let effects = hear(learner, 0, 2, Message::Fetch { from: Slot(from) });
        effects.send[0].message.clone()
    };
    let (none, two) = (vec![].into(), vec![Value::Noop; 2].into());
    let (chosen, truncated) = (Slot(8), Slot(6));
    let learned = |first, values| Message::Learned { first, values, chosen, truncated };
    assert_eq!(answer(&mut learner, 5), learned(Slot(5), none));
    assert_eq!(answer(&mut learner, 6), learned(Slot(6), two));
}

#[test]
fn a_leader_keeps_what_it_must_compare() {
    // Slots of a run in flight are compared with what is chosen until the whole run is.
    let mut leader = replica(1);
    let (now, own, _) = lead(&mut leader);
    let vote = |first, end| Message::Accepted { ballot: own, first: Slot(first), end: Slot(end) };
    for from in [2, 3] {
        hear(&mut leader, now.0, from, vote(0, 1));
    }
    leader.step(now, Input::Propose(vec![[1].into(); 4]), &mut Effects::default());
    let (first, values) = (Slot(1), vec![Value::Command([1].into()); 2].into());
    let (chosen, truncated) = (Slot(3), Slot(0));
    hear(&mut leader, now.0, 2, Message::Learned { first, values, chosen, truncated });
    assert_eq!(leader.chosen(), Slot(3));
    leader.step(
        now,
        Input::Kept { snapshot: snapshot(3), is_durable: true },
        &mut Effects::default(),
    );
    for from in [2, 3] {
        hear(&mut leader, now.0, from, vote(1, 5));
    }
    assert_eq!((leader.part(), leader.chosen()), (Part::Leading, Slot(5)));
}

#[test]
fn parts_are_given_within_the_snapshot_that_is_there() {
    let mut learner = replica(1);
    learn(&mut learner, 0, 8);
    let ask = |learner: &mut Replica, snapshot, offset| {
        hear(learner, 0, 2, Message::FetchPart { snapshot, offset }).parts
    };
    assert_eq!(ask(&mut learner, None, 0), [], "there is none");
    let (own, bytes) = (snapshot(8), learner.config.limits.part_bytes_max);
    give(&mut learner, Input::Kept { snapshot: own, is_durable: true });
    let part = |offset, bytes| PartWanted { to: NodeId(2), snapshot: own, offset, bytes };
    assert_eq!(ask(&mut learner, None, 0), [part(0, bytes)]);
    assert_eq!(ask(&mut learner, Some(own), 99_999), [part(99_999, 1)]);
    assert_eq!(ask(&mut learner, Some(own), 100_000), []);
    assert_eq!(ask(&mut learner, Some(snapshot(3)), 50_000), [part(0, bytes)], "another one");
}

#[test]
fn a_learner_that_is_told_so_fetches_a_snapshot_and_goes_on_from_it() {
    let mut learner = replica(1);
    let (values, chosen, truncated) = (vec![].into(), Slot(9), Slot(6));
    let told = Message::Learned { first: Slot(0), values, chosen, truncated };
    assert_eq!(hear(&mut learner, 0, 2, told).events, [Event::Behind { truncated }]);
    assert_eq!(sent(&give(&mut learner, Input::Tick), Kind::FetchPart), [2]);
    let content = vec![5; 20];
    let named = SnapshotId { below: Slot(7), bytes: 20, digest: Digest::of(&content) };
    let part = Message::Part { snapshot: named, offset: 0, bytes: content.clone().into() };
    let restored = hear(&mut learner, 0, 2, part).restored;
    assert_eq!(restored, Some(Restored { snapshot: named, bytes: content }));
    learn(&mut learner, 8, 1);
    let effects = give(&mut learner, Input::Restored(noops(7)));
    assert_eq!(effects.events, [Event::Restored { below: Slot(7) }]);
    assert_eq!((learner.chosen(), learner.mark()), (Slot(7), noops(7)));
    assert_eq!(learner.transfer.deadline(), None, "it has what it asked for");
    let chosen = learn(&mut learner, 7, 1).chosen;
    assert_eq!(chosen, [(Slot(7), Value::Noop), (Slot(8), Value::Noop)]);
    assert_eq!(give(&mut learner, Input::Restored(noops(3))).events, [], "never back");
    assert_eq!(learner.chosen(), Slot(9));
}

#[test]
fn what_follows_a_snapshot_is_asked_for_at_once() {
    let mut learner = replica(1);
    let (values, chosen, truncated) = (vec![].into(), Slot(9), Slot(6));
    hear(&mut learner, 0, 2, Message::Learned { first: Slot(0), values, chosen, truncated });
    let mut effects = Effects::default();
    for now in (0..1000).map(|ms| Instant(ms * 1000)) {
        learner.step(now, Input::Tick, &mut effects);
    }
    assert!(!sent(&effects, Kind::Fetch).is_empty(), "it asks for what nobody has");
    let effects = give(&mut learner, Input::Restored(noops(7)));
    let fetch = Message::Fetch { from: Slot(7) };
    assert!(effects.send.iter().any(|it| it.message == fetch), "{:?}", effects.send);
}

#[test]
fn a_leader_that_goes_on_from_a_snapshot_leads_no_more() {
    let mut leader = replica(1);
    lead(&mut leader);
    give(&mut leader, Input::Restored(noops(7)));
    assert_eq!((leader.part(), leader.chosen()), (Part::Following, Slot(7)));
}

#[test]
fn another_history_is_told_with_both_sides() {
    let mut follower = replica(1);
    learn(&mut follower, 0, 64);
    let with = |mark| match heartbeat(ballot(1, 2)) {
        Message::Heartbeat { ballot, sent, proof_age, start, .. } => {
            Message::Heartbeat { ballot, sent, proof_age, chosen: Slot(128), start, mark }
        }
        other => other,
    };
    let same = hear(&mut follower, 0, 2, with(noops(64))).events;
    assert_eq!(same, [Event::Following { ballot: ballot(1, 2) }]);
    let (below, theirs) = (Slot(64), Digest([9; 16]));
    let events = hear(&mut follower, 0, 2, with(Mark { below, digest: theirs })).events;
    let ours = noops(64).digest;
    assert_eq!(events, [Event::Diverged { from: NodeId(2), below, ours, theirs }]);
    let mark = Mark { below: Slot(128), digest: theirs };
    assert_eq!(hear(&mut follower, 0, 2, with(mark)).events, [], "not there yet");
    let events = learn(&mut follower, 64, 64).events;
    assert!(matches!(events[..], [Event::Diverged { below: Slot(128), .. }]), "{events:?}");
}

#[test]
fn a_leader_says_what_its_history_is() {
    let mut leader = replica(1);
    learn(&mut leader, 0, 70);
    let now = leader.election.deadline();
    leader.step(now, Input::Tick, &mut Effects::default());
    for from in [2, 3] {
        let promised = ballot(0, 0);
        hear(&mut leader, now.0, from, Message::ProbeReply { id: 1, promised, progress_age: None });
    }
    let own = leader.ballot().unwrap();
    let mut said = Effects::default();
    for from in [2, 3] {
        let (slot, zero) = (Slot(70), Slot(0));
        let page = crate::message::Page {
            from: slot,
            votes: vec![],
            next: None,
            truncated: zero,
            suspect: zero,
        };
        said = hear(&mut leader, now.0, from, Message::Promise { ballot: own, page });
    }
    let marks = said.send.iter().filter_map(|envelope| match &envelope.message {
        Message::Heartbeat { mark, .. } => Some(*mark),
        _ => None,
    });
    assert!(marks.eq([noops(64); 3]));
}

#[test]
fn a_keeper_speaks_from_its_first_moment_on() {
    // Its former life may have said more than this one has.
    let mut reborn = replica(2);
    assert_eq!(sent(&give(&mut reborn, Input::Tick), Kind::Kept), [1, 2, 3]);
}

#[test]
fn where_nothing_is_ever_cut_there_is_no_budget() {
    let mut acceptor = node(3, APART, Announce::EveryLearner);
    acceptor.config.limits.votes_bytes_max = 1;
    let voted = hear(&mut acceptor, 0, 2, accept(ballot(1, 2), 0, 7));
    assert_eq!(voted.write.records.len(), 1);
}

#[test]
fn what_cannot_be_fetched_or_is_not_known_is_neither_announced_nor_relied_on() {
    let mut learner = replica(1);
    learn(&mut learner, 0, 8);
    let huge = SnapshotId { bytes: u64::MAX, ..snapshot(8) };
    let empty = SnapshotId { bytes: 0, ..snapshot(8) };
    for snapshot in [huge, empty, snapshot(9)] {
        give(&mut learner, Input::Kept { snapshot, is_durable: true });
        assert_eq!(learner.forgotten(), Slot(0));
        assert_eq!(learner.kept.due(Instant(u64::MAX)), Some(Slot(0)), "no vote is cut for it");
        let asked = hear(&mut learner, 0, 2, Message::FetchPart { snapshot: None, offset: 0 });
        assert_eq!((asked.parts, asked.snapshot_wanted), (vec![], true));
    }
}

#[test]
fn what_was_chosen_is_not_proposed_again_once_it_is_in_a_snapshot() {
    for restores in [false, true] {
        let mut leader = replica(1);
        let (now, own, _) = lead(&mut leader);
        leader.step(now, Input::Propose(vec![[9].into()]), &mut Effects::default());
        for from in [2, 3] {
            let (promised, truncated) = (ballot(2, 2), Slot(0));
            hear(&mut leader, now.0, from, Message::Reject { ballot: own, promised, truncated });
        }
        assert!(leader.proposer.holds_values());
        let values = vec![Value::LeaderStart, Value::Command([9].into())];
        if restores {
            let mark = values.iter().fold(Mark::default(), Mark::extended);
            let refused = give(&mut leader, Input::Restored(mark)).refused;
            assert_eq!(refused.len(), 1, "its fate is not known here");
        } else {
            let (first, chosen, truncated) = (Slot(0), Slot(2), Slot(0));
            let values = values.into();
            hear(&mut leader, now.0, 2, Message::Learned { first, values, chosen, truncated });
            give(&mut leader, Input::Kept { snapshot: snapshot(2), is_durable: true });
        }
        assert!(!leader.proposer.holds_values());
    }
}

#[test]
fn a_digest_of_what_is_not_chosen_is_nobodys() {
    let mut follower = replica(1);
    let mark = Mark { below: Slot(1 << 40), digest: Digest([9; 16]) };
    let said = Message::Heartbeat {
        ballot: ballot(1, 2),
        sent: Instant(0),
        proof_age: None,
        chosen: Slot(64),
        start: Slot(0),
        mark,
    };
    hear(&mut follower, 0, 2, said);
    let next = Message::Heartbeat {
        ballot: ballot(1, 2),
        sent: Instant(0),
        proof_age: None,
        chosen: Slot(64),
        start: Slot(0),
        mark: Mark { below: Slot(64), digest: Digest([9; 16]) },
    };
    hear(&mut follower, 0, 2, next);
    let events = learn(&mut follower, 0, 64).events;
    assert!(matches!(events[..], [Event::Diverged { .. }]), "{events:?}");
}
