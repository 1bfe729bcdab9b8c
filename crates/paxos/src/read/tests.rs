//! Both halves by themselves: what confirms an index, and which reads it is for.

use alloc::vec;

use super::*;
use crate::quorum::{ClusterId, DiskId, Member, Roles};

/// Two leaders and five acceptors, from node 3 on.
fn configuration(phase1: usize, phase2: usize) -> Configuration {
    let member = |id: u32| {
        let roles = Roles { leader: id <= 2, acceptor: id > 2, learner: false };
        (NodeId(id), Member { roles, disk: (id > 2).then(DiskId::default) })
    };
    let members = (1..=7).map(member).collect();
    Configuration::flexible(ClusterId::default(), members, phase1, phase2).unwrap()
}

fn ballot(round: u64) -> Ballot {
    Ballot { round, leader: NodeId(1), incarnation: Incarnation(1) }
}

/// A leader of ballot 1 in its first round, for a question of node 2.
fn asked(index: u64) -> Indexer {
    let mut indexer = Indexer::default();
    indexer.ask(NodeId(2), 70);
    assert_eq!(indexer.begin(ballot(1), Slot(index)), Some(1));
    indexer
}

fn confirm(indexer: &mut Indexer, acceptor: u32, at: u64, round: u64) -> Option<(Slot, Questions)> {
    indexer.confirmed(&configuration(3, 3), NodeId(acceptor), ballot(at), round)
}

fn confirm_all(indexer: &mut Indexer, acceptors: &[u32], round: u64) {
    for acceptor in acceptors {
        confirm(indexer, *acceptor, 1, round);
    }
}

#[test]
fn a_phase_2_quorum_confirms() {
    for (phase1, phase2) in [(3, 3), (4, 2), (2, 4)] {
        let configuration = configuration(phase1, phase2);
        let mut indexer = asked(9);
        for count in 1..phase2 {
            let acceptor = NodeId(2 + u32::try_from(count).unwrap());
            let mut confirm = || indexer.confirmed(&configuration, acceptor, ballot(1), 1);
            assert_eq!([confirm(), confirm()], [None, None], "{count} of {phase2}");
        }
        let last = indexer.confirmed(&configuration, NodeId(7), ballot(1), 1);
        assert_eq!(last, Some((Slot(9), Questions::from([(NodeId(2), 70)]))));
    }
}

#[test]
fn an_answer_to_another_round_or_ballot_counts_for_nothing() {
    let mut indexer = asked(9);
    for acceptor in 3..=7 {
        assert_eq!(confirm(&mut indexer, acceptor, 1, 0), None);
        assert_eq!(confirm(&mut indexer, acceptor, 1, 2), None);
        assert_eq!(confirm(&mut indexer, acceptor, 2, 1), None);
    }
    assert_eq!([3, 4].map(|acceptor| confirm(&mut indexer, acceptor, 1, 1)), [None, None]);
    assert!(confirm(&mut indexer, 5, 1, 1).is_some());
    assert_eq!(confirm(&mut indexer, 6, 1, 1), None, "it is over");
}

#[test]
fn a_question_that_comes_during_a_round_waits_for_the_next() {
    let mut indexer = asked(9);
    indexer.ask(NodeId(1), 80);
    indexer.ask(NodeId(2), 71);
    assert_eq!(indexer.begin(ballot(1), Slot(10)), None, "one at a time");
    confirm_all(&mut indexer, &[3, 4], 1);
    let first = Some((Slot(9), Questions::from([(NodeId(2), 70)])));
    assert_eq!(confirm(&mut indexer, 5, 1, 1), first);
    assert_eq!(indexer.begin(ballot(1), Slot(11)), Some(2));
    confirm_all(&mut indexer, &[3, 4], 2);
    let second = Some((Slot(11), Questions::from([(NodeId(1), 80), (NodeId(2), 71)])));
    assert_eq!(confirm(&mut indexer, 5, 1, 2), second);
    assert_eq!(indexer.begin(ballot(1), Slot(12)), None, "nobody asks");
}

#[test]
fn a_question_repeated_is_not_a_new_one() {
    let mut indexer = asked(9);
    indexer.ask(NodeId(2), 70);
    confirm_all(&mut indexer, &[3, 4, 5], 1);
    assert_eq!(indexer.begin(ballot(1), Slot(10)), None);
    indexer.ask(NodeId(2), 70);
    assert_eq!(indexer.begin(ballot(1), Slot(10)), Some(2), "the answer was lost");
}

#[test]
fn a_round_asks_again_whoever_has_not_answered() {
    let configuration = configuration(3, 3);
    assert!(Indexer::default().unconfirmed(&configuration).is_none());
    let mut indexer = asked(9);
    confirm(&mut indexer, 4, 1, 1);
    let (at, round, missing) = indexer.unconfirmed(&configuration).unwrap();
    assert_eq!((at, round), (ballot(1), 1));
    assert!(missing.eq([3, 5, 6, 7].map(NodeId)));
}

#[test]
fn questions_are_lost_with_the_ballot_that_was_asked_about() {
    let mut indexer = asked(9);
    indexer.ask(NodeId(1), 80);
    assert_eq!(indexer.leads(Some(ballot(1))), Questions::new());
    let mut next = indexer.clone();
    assert_eq!(next.leads(Some(ballot(2))), Questions::from([(NodeId(2), 70)]));
    assert_eq!(next.begin(ballot(2), Slot(9)), Some(2), "the others it can answer");
    let all = Questions::from([(NodeId(1), 80), (NodeId(2), 70)]);
    assert_eq!(indexer.leads(None), all);
    assert_eq!(indexer, Indexer { rounds: 1, ..Indexer::default() });
}

const LEADER: Option<NodeId> = Some(NodeId(1));

fn reader() -> Reader {
    let limits = Limits { reads_max: 4, ..Limits::default() };
    Reader::new(&Timing::default(), &limits, Incarnation(100))
}

fn read(reader: &mut Reader, now_ms: u64, ids: &[u64]) -> Vec<u64> {
    let too_many = reader.read(Instant(now_ms * 1000), ids.iter().copied().map(ReadId).collect());
    too_many.into_iter().map(|id| id.0).collect()
}

fn ask(reader: &mut Reader, now_ms: u64, leader: Option<NodeId>) -> Option<(u32, u64)> {
    let asked = reader.ask(Instant(now_ms * 1000), leader);
    asked.map(|(whom, id)| (whom.0, id))
}

fn reached(reader: &mut Reader, prefix: u64) -> Vec<(u64, u64)> {
    let mut readable = vec![];
    reader.reached(Slot(prefix), &mut readable);
    readable.into_iter().map(|(id, index)| (id.0, index.0)).collect()
}

#[test]
fn reads_that_come_after_the_question_wait_for_the_next() {
    let mut reader = reader();
    read(&mut reader, 0, &[1, 2]);
    assert_eq!(ask(&mut reader, 0, LEADER), Some((1, 101)));
    read(&mut reader, 1, &[3]);
    assert_eq!(ask(&mut reader, 1, LEADER), None);
    reader.indexed(Instant(2_000), 101, Slot(5));
    assert_eq!(ask(&mut reader, 2, LEADER), Some((1, 102)));
    assert_eq!(reached(&mut reader, 4), []);
    assert_eq!(reached(&mut reader, 7), [(1, 5), (2, 5)]);
    reader.indexed(Instant(3_000), 102, Slot(6));
    assert_eq!(reached(&mut reader, 7), [(3, 6)]);
    assert_eq!((reader.waiting(), reader.deadline()), (0, None));
}

#[test]
fn an_answer_to_another_question_counts_for_nothing() {
    let mut reader = reader();
    read(&mut reader, 0, &[1]);
    ask(&mut reader, 0, LEADER);
    // Of an earlier life, which counted from other bits.
    reader.indexed(Instant(1_000), 1, Slot(0));
    assert_eq!(reached(&mut reader, 9), []);
    reader.indexed(Instant(1_000), 101, Slot(3));
    reader.indexed(Instant(1_000), 101, Slot(0));
    assert_eq!(reached(&mut reader, 2), [], "answered once");
}

#[test]
fn the_leader_is_asked_again_with_growing_pauses_and_a_new_one_at_once() {
    let mut reader = reader();
    read(&mut reader, 0, &[1]);
    assert_eq!(ask(&mut reader, 0, None), None);
    let patience = Instant(0).plus(Timing::default().read_patience);
    assert_eq!(reader.deadline(), Some(patience), "there is nobody to ask again");
    for at in [10, 30, 70, 150] {
        assert_eq!(ask(&mut reader, at, LEADER), Some((1, 101)), "at {at}");
        assert_eq!(ask(&mut reader, at, LEADER), None);
        let again = reader.deadline().map(|at| at.0 / 1000);
        assert_eq!(again, Some(2 * at + 10), "20, 40, 80, 160 ms");
        assert_eq!(ask(&mut reader, 2 * at + 9, LEADER), None);
    }
    assert_eq!(ask(&mut reader, 151, Some(NodeId(2))), Some((2, 101)));
    assert_eq!(reader.deadline(), Some(Instant(171_000)), "and pauses are short again");
    assert_eq!(ask(&mut reader, 160, None), None);
    assert_eq!(ask(&mut reader, 161, Some(NodeId(2))), Some((2, 101)));
}

#[test]
fn an_index_that_is_not_reached_is_asked_for_anew_and_may_fall() {
    // Its leader had proposed up to slot 9, and died before anybody heard; the next begins at 6.
    let mut reader = reader();
    read(&mut reader, 0, &[1]);
    ask(&mut reader, 0, LEADER);
    reader.indexed(Instant(0), 101, Slot(9));
    read(&mut reader, 1, &[2]);
    ask(&mut reader, 1, LEADER);
    reader.indexed(Instant(1_000), 102, Slot(5));
    assert_eq!(reached(&mut reader, 4), []);
    let anew = Instant(1_000).plus(Timing::default().resend_max);
    assert_eq!(reader.deadline(), Some(anew));
    assert_eq!(reached(&mut reader.clone(), 5), [(1, 5), (2, 5)], "what 2 may show, 1 may");
    assert_eq!(ask(&mut reader, 501, LEADER), Some((1, 103)));
    assert_eq!(ask(&mut reader, 501, LEADER), None);
    reader.indexed(Instant(502_000), 103, Slot(7));
    assert_eq!(reached(&mut reader, 7), [(1, 5), (2, 5)], "it never rises");
    assert_eq!(reader.deadline(), None);
}

#[test]
fn a_read_gives_up_in_its_time_wherever_it_is() {
    let mut reader = reader();
    read(&mut reader, 0, &[1]);
    ask(&mut reader, 0, LEADER);
    reader.indexed(Instant(0), 101, Slot(9));
    read(&mut reader, 1, &[2]);
    ask(&mut reader, 1, LEADER);
    read(&mut reader, 2, &[3]);
    let late = |reader: &mut Reader, at_us| -> Vec<u64> {
        reader.late(Instant(at_us)).into_iter().map(|id| id.0).collect()
    };
    assert_eq!(late(&mut reader, 1_999_999), []);
    assert_eq!(late(&mut reader, 2_000_000), [1]);
    assert_eq!(late(&mut reader, 2_001_000), [2]);
    assert_eq!(reader.waiting(), 1);
    assert_eq!(late(&mut reader, 2_002_000), [3]);
    assert_eq!((reader.waiting(), reader.deadline()), (0, None));
    reader.indexed(Instant(3_000_000), 102, Slot(0));
    assert_eq!(reached(&mut reader, 9), []);
}

#[test]
fn no_more_reads_wait_than_may() {
    let mut reader = reader();
    assert_eq!(read(&mut reader, 0, &[1]), []);
    ask(&mut reader, 0, LEADER);
    reader.indexed(Instant(0), 101, Slot(9));
    assert_eq!(read(&mut reader, 0, &[2]), []);
    ask(&mut reader, 0, LEADER);
    assert_eq!(read(&mut reader, 0, &[3, 4, 5, 6]), [5, 6]);
    assert_eq!(read(&mut reader, 0, &[7]), [7]);
    assert_eq!(reached(&mut reader, 9), [(1, 9)]);
    assert_eq!(read(&mut reader, 0, &[8, 9]), [9]);
}
