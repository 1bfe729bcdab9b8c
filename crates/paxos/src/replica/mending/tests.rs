//! How an acceptor that has lost votes finds out what they were, and what it may not conclude.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::acceptor::Acceptor;
use crate::ballot::Incarnation;
use crate::config::{Announce, Config, Limits, Timing};
use crate::digest::Mark;
use crate::effects::Input;
use crate::message::Kind;
use crate::quorum::{ClusterId, Configuration, DiskId, Member, Roles};
use crate::value::Value;

/// Leaders 1 and 2, acceptors 3 to 5, learner 6.
fn recovered(node: u32, records: &[Record]) -> Replica {
    let member = |id: u32| {
        let roles = Roles { leader: id <= 2, acceptor: (3..=5).contains(&id), learner: id == 6 };
        (NodeId(id), Member { roles, disk: (id != 6).then(DiskId::default) })
    };
    let members = (1..=6).map(member).collect();
    let config = Config {
        node: NodeId(node),
        incarnation: Incarnation(7),
        configuration: Configuration::majority(ClusterId::default(), members).unwrap(),
        timing: Timing::default(),
        limits: Limits::default(),
        announce: Announce::EveryLearner,
    };
    Replica::recover(config, records.iter().cloned(), Instant(0), 1)
}

fn ballot(round: u64, leader: u32) -> Ballot {
    Ballot { round, leader: NodeId(leader), incarnation: Incarnation(0) }
}

fn run(ballot: Ballot, first: u64, bytes: &[u8]) -> Run {
    let values: Vec<Value> = bytes.iter().map(|byte| Value::Command(vec![*byte].into())).collect();
    Run { ballot, first: Slot(first), values: values.into() }
}

/// Acceptor 3, which promised 3·1 and then lost what it knew below slot 4 and above slot 1.
fn suspect() -> Replica {
    let before = [Record::Accepted(run(ballot(3, 1), 0, b"a")), Record::Suspect];
    recovered(3, &before)
}

fn hear(replica: &mut Replica, at: u64, from: u32, message: Message) -> Effects {
    let mut effects = Effects::default();
    replica.step(Instant(at), Input::Message { from: NodeId(from), message }, &mut effects);
    effects
}

fn heartbeat(ballot: Ballot, start: u64, chosen: u64) -> Message {
    Message::Heartbeat {
        ballot,
        sent: Instant(0),
        proof_age: None,
        chosen: Slot(chosen),
        start: Slot(start),
        mark: Mark::default(),
    }
}

fn learned(first: u64, bytes: &[u8]) -> Message {
    let values = run(Ballot::NONE, first, bytes).values;
    let chosen = Slot(first).plus(values.count());
    Message::Learned { first: Slot(first), values, chosen, truncated: Slot(0) }
}

/// The slots that are asked for, and whom.
fn asked(effects: &Effects) -> Vec<(u32, u64)> {
    let asks = |envelope: &crate::Envelope| match envelope.message {
        Message::Fetch { from } => Some((envelope.to.0, from.0)),
        _ => None,
    };
    effects.send.iter().filter_map(asks).collect()
}

fn replies_suspect(effects: &Effects) -> bool {
    let reply = |envelope: &crate::Envelope| match envelope.message {
        Message::HeartbeatReply { is_suspect, .. } => Some(is_suspect),
        _ => None,
    };
    effects.write.then_send.iter().find_map(reply).expect("it answers")
}

#[test]
fn a_loss_is_on_disk_before_anything_else_is() {
    let mut acceptor = suspect();
    let prepare = Message::Prepare { ballot: ballot(4, 2), from: Slot(0) };
    let effects = hear(&mut acceptor, 0, 2, prepare);
    let mark = [Record::Suspect, Record::Promised(ballot(3, 1)), Record::Truncated(Slot(0))];
    assert_eq!(effects.write.records[..3], mark);
    assert_eq!(effects.write.records[3..], [Record::Promised(ballot(4, 2))]);
    assert!(effects.events.contains(&Event::Suspect { below: Slot::LIMIT }));
    let Message::Promise { page, .. } = &effects.write.then_send[0].message else {
        panic!("it promises as ever");
    };
    assert_eq!((page.votes.len(), page.suspect), (1, Slot::LIMIT));
    let accept = Message::Accept { run: run(ballot(4, 2), 0, b"a"), chosen: Slot(0) };
    let effects = hear(&mut acceptor, 1, 2, accept);
    assert_eq!(effects.write.records.len(), 1, "one mark, and it accepts as ever");
}

#[test]
fn what_a_leader_above_the_loss_says_is_chosen_is_mended() {
    let mut acceptor = suspect();
    let b = ballot(4, 2);
    let effects = hear(&mut acceptor, 0, 2, heartbeat(b, 3, 3));
    assert_eq!((acceptor.acceptor.suspect(), asked(&effects)), (Slot::LIMIT, vec![]));
    let effects = hear(&mut acceptor, 1, 2, heartbeat(b, 3, 5));
    assert_eq!(effects.write.records, [Record::Settled(Slot(4))]);
    assert_eq!(asked(&effects), [(1, 0)]);
    // The vote that it remembers in slot 0 is as old as those that it has lost.
    let effects = hear(&mut acceptor, 2, 1, learned(0, b"xy"));
    assert_eq!(effects.write.records, [Record::Accepted(run(b, 0, b"xy"))]);
    assert_eq!(asked(&effects), [(1, 2)], "the same learner, for the rest, at once");
    let effects = hear(&mut acceptor, 3, 1, learned(2, b"zsmore"));
    let rest = [Record::Accepted(run(b, 2, b"zs")), Record::Settled(Slot::FIRST)];
    assert_eq!(effects.write.records, rest, "and not a slot more than is missing");
    assert!(effects.events.contains(&Event::Suspect { below: Slot::FIRST }));
    assert_eq!((acceptor.mend.deadline(), acceptor.acceptor.suspect()), (None, Slot::FIRST));
    let effects = hear(&mut acceptor, 4, 6, learned(0, b"xy"));
    assert_eq!(effects, Effects::default(), "a late answer");
}

#[test]
fn a_replaced_disk_is_whole_once_it_holds_what_was_decided_before_its_time() {
    // Its journal begins with Suspect, in a configuration of its own: any leader of that will do.
    let mut acceptor = recovered(3, &[Record::Suspect]);
    let b = ballot(1, 2);
    let effects = hear(&mut acceptor, 0, 2, Message::Prepare { ballot: b, from: Slot(0) });
    let Message::Promise { page, .. } = &effects.write.then_send[0].message else {
        panic!("it promises as ever");
    };
    assert_eq!(page.suspect, Slot::LIMIT);
    let effects = hear(&mut acceptor, 1, 2, heartbeat(b, 2, 3));
    assert_eq!(effects.write.records, [Record::Settled(Slot(3))]);
    let effects = hear(&mut acceptor, 2, 1, learned(0, b"xyz"));
    let kept = [Record::Accepted(run(b, 0, b"xyz")), Record::Settled(Slot::FIRST)];
    assert_eq!(effects.write.records, kept);
}

#[test]
fn the_leader_of_the_ballot_at_which_votes_were_lost_settles_nothing() {
    let mut acceptor = suspect();
    let effects = hear(&mut acceptor, 0, 1, heartbeat(ballot(3, 1), 3, 5));
    assert!(replies_suspect(&effects), "a higher ballot is needed");
    assert_eq!((acceptor.acceptor.suspect(), asked(&effects)), (Slot::LIMIT, vec![]));
    let effects = hear(&mut acceptor, 1, 1, learned(0, b"xyzs"));
    assert_eq!(effects.write.records, []);
    let effects = hear(&mut acceptor, 2, 2, heartbeat(ballot(4, 2), 3, 3));
    assert!(!replies_suspect(&effects), "this leader's start will do, once it is chosen");
}

#[test]
fn nothing_is_kept_beyond_the_leaders_word() {
    let mut acceptor = suspect();
    hear(&mut acceptor, 0, 2, heartbeat(ballot(4, 2), 3, 4));
    // A later leader's word reaches less far than its predecessor's, and only its own counts.
    hear(&mut acceptor, 1, 1, heartbeat(ballot(5, 1), 9, 1));
    let effects = hear(&mut acceptor, 2, 6, learned(0, b"xyzs"));
    assert_eq!(effects.write.records, [Record::Accepted(run(ballot(5, 1), 0, b"x"))]);
    assert_eq!(asked(&effects), [], "nothing more can be kept yet");
    let effects = hear(&mut acceptor, 3, 1, heartbeat(ballot(5, 1), 9, 4));
    assert_eq!(asked(&effects), [(1, 1)]);
}

#[test]
fn votes_that_are_later_than_the_loss_are_kept_as_they_are() {
    let mut acceptor = suspect();
    let b = ballot(4, 2);
    hear(&mut acceptor, 0, 2, Message::Accept { run: run(b, 1, b"y"), chosen: Slot(1) });
    hear(&mut acceptor, 1, 2, heartbeat(b, 2, 3));
    let effects = hear(&mut acceptor, 2, 1, learned(0, b"xyz"));
    let kept = [run(b, 0, b"x"), run(b, 2, b"z")].map(Record::Accepted);
    assert_eq!(effects.write.records[..2], kept);
    assert_eq!(effects.write.records[2..], [Record::Settled(Slot::FIRST)]);
}

#[test]
fn nothing_is_mended_without_room_and_all_of_it_once_there_is_some() {
    let mut acceptor = suspect();
    let b = ballot(4, 2);
    hear(&mut acceptor, 0, 2, heartbeat(b, 1, 2));
    acceptor.step(Instant(1), Input::Room(false), &mut Effects::default());
    let effects = hear(&mut acceptor, 2, 1, learned(0, b"xs"));
    assert_eq!(
        (effects.write.records, effects.events),
        (vec![], vec![Event::NoRoom { ballot: b }])
    );
    assert!(acceptor.mend.deadline().is_some(), "it asks again");
    acceptor.step(Instant(3), Input::Room(true), &mut Effects::default());
    let effects = hear(&mut acceptor, 4, 1, learned(0, b"xs"));
    let kept = [Record::Accepted(run(b, 0, b"xs")), Record::Settled(Slot::FIRST)];
    assert_eq!(effects.write.records, kept);
}

#[test]
fn a_promise_is_not_broken_to_mend() {
    let mut acceptor = suspect();
    hear(&mut acceptor, 0, 2, heartbeat(ballot(4, 2), 3, 4));
    hear(&mut acceptor, 1, 1, Message::Prepare { ballot: ballot(5, 1), from: Slot(4) });
    let effects = hear(&mut acceptor, 2, 1, learned(0, b"xyzs"));
    // A vote below a promise would be no bound for the promises before it in the journal.
    assert_eq!((effects.write.records, acceptor.mend.deadline()), (vec![], None));
    let effects = hear(&mut acceptor, 3, 1, heartbeat(ballot(5, 1), 4, 5));
    assert_eq!(asked(&effects), [(1, 0)]);
}

#[test]
fn questions_are_repeated_to_the_next_learner() {
    let mut acceptor = suspect();
    let effects = hear(&mut acceptor, 0, 2, heartbeat(ballot(4, 2), 3, 4));
    assert_eq!(asked(&effects), [(1, 0)]);
    let mut whom = Vec::new();
    for _ in 0..3 {
        let due = acceptor.deadline().expect("it waits for an answer");
        let mut effects = Effects::default();
        acceptor.step(due, Input::Tick, &mut effects);
        whom.extend(asked(&effects));
    }
    assert_eq!(whom, [(2, 0), (6, 0), (1, 0)]);
}

#[test]
fn a_learner_tells_an_acceptor_what_was_decided_and_no_votes() {
    let mut learner = recovered(6, &[]);
    hear(&mut learner, 0, 1, learned(0, b"xy"));
    let effects = hear(&mut learner, 1, 3, Message::Fetch { from: Slot(1) });
    assert_eq!(effects.send[0].message, {
        let values = run(Ballot::NONE, 1, b"y").values;
        let (first, chosen, truncated) = (Slot(1), Slot(2), Slot(0));
        Message::Learned { first, values, chosen, truncated }
    });
    let effects = hear(&mut learner, 2, 3, Message::Fetch { from: Slot(2) });
    assert_eq!(effects.send[0].message.kind(), Kind::Learned);
}

#[test]
fn a_leader_moves_above_the_ballot_at_which_votes_were_lost_if_it_can() {
    for clean in [2, 1] {
        let mut leader = recovered(1, &[]);
        let mut now = leader.election.deadline();
        leader.step(now, Input::Tick, &mut Effects::default());
        for from in [3, 4] {
            let (promised, progress_age) = (Ballot::NONE, None);
            hear(&mut leader, now.0, from, Message::ProbeReply { id: 1, promised, progress_age });
        }
        let own = leader.ballot().expect("it prepares");
        for from in [3, 4] {
            let (first, none) = (Slot(0), Slot(0));
            let page = crate::Page {
                from: first,
                votes: vec![],
                next: None,
                truncated: none,
                suspect: none,
            };
            hear(&mut leader, now.0, from, Message::Promise { ballot: own, page });
        }
        assert_eq!(leader.proposer.leading(), Some(own));
        for (from, is_suspect) in [(4, false), (5, false), (3, true)].into_iter().skip(2 - clean) {
            let sent = now;
            hear(
                &mut leader,
                now.0,
                from,
                Message::HeartbeatReply { ballot: own, sent, is_suspect },
            );
        }
        let end = now.plus(Timing::default().election_timeout);
        while now < end {
            now = leader.deadline().expect("a heartbeat is due").max(now);
            leader.step(now, Input::Tick, &mut Effects::default());
        }
        assert_eq!(leader.ballot() > Some(own), clean == 2, "{clean}");
    }
}

#[test]
fn what_snapshots_cover_is_missed_no_longer() {
    let mut replica = suspect();
    hear(&mut replica, 0, 2, heartbeat(ballot(4, 2), 9, 10));
    let mut kept = |below: u64| {
        let message = || Message::Kept { below: Slot(below) };
        let once = hear(&mut replica, 1, 1, message()).write.records;
        assert_eq!(once, [], "one disk is too few");
        hear(&mut replica, 1, 2, message()).write.records
    };
    // No learner need know a value below any more: what is kept for those a little behind is cut.
    let promised = Record::Promised(ballot(3, 1));
    assert_eq!(kept(7), [Record::Truncated(Slot(7)), promised.clone()]);
    // Nothing is left in doubt, and the journal may be cut.
    let whole = Record::Settled(Slot::FIRST);
    assert_eq!(kept(10), [Record::Truncated(Slot(10)), promised, whole]);
}

#[test]
fn what_snapshots_covered_before_is_missed_no_longer_either() {
    // Keepers said so before a leader told what is missing, and have nothing new to say since.
    let mut replica = suspect();
    for from in [1, 2, 1, 2] {
        let effects = hear(&mut replica, 0, from, Message::Kept { below: Slot(10) });
        let settled = |record: &Record| matches!(record, Record::Settled(_));
        assert!(!effects.write.records.iter().any(settled));
    }
    hear(&mut replica, 1, 2, heartbeat(ballot(4, 2), 19, 20));
    hear(&mut replica, 1, 1, Message::Kept { below: Slot(20) });
    hear(&mut replica, 1, 2, Message::Kept { below: Slot(20) });
    assert_eq!(replica.acceptor().map(Acceptor::suspect), Some(Slot::FIRST));
    let mut late = suspect();
    for from in [1, 2] {
        hear(&mut late, 0, from, Message::Kept { below: Slot(20) });
    }
    hear(&mut late, 1, 2, heartbeat(ballot(4, 2), 19, 20));
    hear(&mut late, 2, 1, Message::Kept { below: Slot(20) });
    assert_eq!(late.acceptor().map(Acceptor::suspect), Some(Slot::FIRST));
}
