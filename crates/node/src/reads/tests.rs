//! What each kind of read waits for, with a replica that answers by hand.

use alloc::vec;

use paxos::{
    Announce, ClusterId, Configuration, DiskId, Incarnation, Limits, Member, Roles, Timing,
};

use super::*;
use crate::history::History;

const PATIENCE: Duration = Duration::from_millis(100);

/// Node 1 leads, node 2 remembers.
fn reads_at(node: u32) -> Reads {
    let member = |id: u32| {
        let roles = Roles { leader: id == 1, acceptor: id == 2, learner: false };
        (NodeId(id), Member { roles, disk: (id == 2).then(DiskId::default) })
    };
    let members = (1..=2).map(member).collect();
    Reads::new(&Config {
        node: NodeId(node),
        incarnation: Incarnation(1),
        configuration: Configuration::majority(ClusterId::default(), members).unwrap(),
        timing: Timing { read_patience: PATIENCE, ..Timing::default() },
        limits: Limits { reads_max: 3, ..Limits::default() },
        announce: Announce::default(),
    })
}

fn reads() -> Reads {
    reads_at(1)
}

const LINEARIZABLE: Consistency = Consistency::Linearizable;

fn sequential(at_least: u64) -> Consistency {
    Consistency::Sequential { at_least: Slot(at_least) }
}

fn stale(max_age_us: u64) -> Consistency {
    Consistency::Stale { max_age: Duration::from_micros(max_age_us) }
}

/// What a read is answered at once, and whether the replica is asked.
fn begin(
    reads: &mut Reads,
    now: u64,
    ticket: u64,
    consistency: Consistency,
) -> (Vec<ReadReply>, Vec<u64>) {
    let (mut replies, read) = (vec![], Read { ticket: Ticket(ticket), consistency });
    let ids = reads.begin(Instant(now), Slot(5), vec![read], &mut replies);
    let replies = replies.into_iter().map(|(answered, reply)| {
        assert_eq!(answered, Ticket(ticket));
        reply
    });
    (replies.collect(), ids.into_iter().map(|id| id.0).collect())
}

fn answer(
    reads: &mut Reads,
    now: u64,
    applied: u64,
    readable: &[u64],
    unreadable: &[(ReadId, ReadRefusal)],
) -> Vec<(u64, ReadReply)> {
    let mut effects = Effects::<History>::default();
    effects.replica.readable.extend(readable.iter().map(|id| (ReadId(*id), Slot(applied))));
    effects.replica.unreadable.extend(unreadable);
    reads.answer(Instant(now), Slot(applied), Some(NodeId(1)), &mut effects);
    assert!(effects.replica.readable.is_empty());
    assert!(effects.replica.unreadable.is_empty());
    effects.reads.into_iter().map(|(ticket, reply)| (ticket.0, reply)).collect()
}

fn ready(applied: u64) -> ReadReply {
    ReadReply::Ready { applied: Slot(applied) }
}

#[test]
fn linearizable_reads_that_begin_together_are_one() {
    let mut reads = reads();
    let both = [7, 8].map(|id| Read { ticket: Ticket(id), consistency: LINEARIZABLE });
    let mut replies = vec![];
    let ids = reads.begin(Instant(0), Slot(5), both.into(), &mut replies);
    assert_eq!((ids, replies), (vec![ReadId(1)], vec![]));
    assert_eq!(
        begin(&mut reads, 0, 9, LINEARIZABLE),
        (vec![], vec![2]),
        "not with what came first"
    );
    assert_eq!(answer(&mut reads, 1, 6, &[1], &[]), [(7, ready(6)), (8, ready(6))]);
    assert_eq!(answer(&mut reads, 1, 6, &[2], &[]), [(9, ready(6))]);
    assert_eq!(reads.len(), 0);
}

#[test]
fn a_sequential_read_waits_for_its_slot_and_no_longer() {
    let mut reads = reads();
    assert_eq!(begin(&mut reads, 0, 1, sequential(5)), (vec![ready(5)], vec![]));
    assert_eq!(begin(&mut reads, 0, 2, sequential(6)), (vec![], vec![]));
    assert_eq!(begin(&mut reads, 1, 3, sequential(7)), (vec![], vec![]));
    assert_eq!(answer(&mut reads, 2, 5, &[], &[]), []);
    assert_eq!(answer(&mut reads, 3, 6, &[], &[]), [(2, ready(6))]);
    assert_eq!(reads.deadline(), Some(Instant(1).plus(PATIENCE)));
    assert_eq!(answer(&mut reads, 100_000, 6, &[], &[]), []);
    let leader = Some(NodeId(1));
    assert_eq!(answer(&mut reads, 100_001, 6, &[], &[]), [(3, ReadReply::TimedOut { leader })]);
    assert_eq!((reads.len(), reads.deadline()), (0, None));
}

#[test]
fn a_stale_read_is_as_old_as_the_beginning_of_what_serves_it() {
    let mut reads = reads();
    assert_eq!(begin(&mut reads, 1_000, 1, LINEARIZABLE), (vec![], vec![1]));
    // It shares what is under way, and that began 200 us ago.
    assert_eq!(begin(&mut reads, 1_200, 2, stale(200)), (vec![], vec![]));
    assert_eq!(begin(&mut reads, 1_200, 3, stale(199)), (vec![], vec![2]));
    assert_eq!(answer(&mut reads, 1_500, 5, &[1], &[]), [(1, ready(5)), (2, ready(5))]);
    assert_eq!(begin(&mut reads, 1_600, 4, stale(600)), (vec![ready(5)], vec![]));
    assert_eq!(begin(&mut reads, 1_600, 5, stale(399)), (vec![], vec![3]));
    assert_eq!(answer(&mut reads, 1_700, 5, &[3], &[]), [(5, ready(5))]);
    assert_eq!(answer(&mut reads, 1_800, 5, &[2], &[]), [(3, ready(5))]);
    assert_eq!(
        begin(&mut reads, 1_900, 6, stale(300)),
        (vec![ready(5)], vec![]),
        "it grows no older"
    );
}

#[test]
fn too_many_are_told_so_and_what_need_not_wait_does_not() {
    let mut reads = reads();
    begin(&mut reads, 0, 1, LINEARIZABLE);
    begin(&mut reads, 0, 2, sequential(9));
    begin(&mut reads, 0, 3, stale(0));
    for consistency in [LINEARIZABLE, sequential(9), stale(0)] {
        assert_eq!(begin(&mut reads, 1, 4, consistency), (vec![ReadReply::Busy], vec![]));
    }
    assert_eq!(begin(&mut reads, 1, 5, sequential(5)), (vec![ready(5)], vec![]));
    assert_eq!(answer(&mut reads, 1, 9, &[], &[]), [(2, ready(9))]);
    assert_eq!(begin(&mut reads, 1, 6, LINEARIZABLE), (vec![], vec![2]));
}

#[test]
fn what_the_replica_refuses_is_refused_with_its_reason() {
    let mut reads = reads();
    begin(&mut reads, 0, 1, LINEARIZABLE);
    begin(&mut reads, 0, 2, LINEARIZABLE);
    let leader = None;
    let refused =
        [(ReadId(1), ReadRefusal::TooMany), (ReadId(2), ReadRefusal::TimedOut { leader })];
    let replies = answer(&mut reads, 1, 5, &[], &refused);
    assert_eq!(replies, [(1, ReadReply::Busy), (2, ReadReply::TimedOut { leader })]);
    assert_eq!(reads.len(), 0);
    assert_eq!(begin(&mut reads, 2, 3, stale(10)), (vec![], vec![3]), "that confirmed nothing");
}

#[test]
fn only_a_learner_is_read_at() {
    for consistency in [LINEARIZABLE, sequential(0), stale(9)] {
        let answer = begin(&mut reads_at(2), 0, 1, consistency);
        assert_eq!(answer, (vec![ReadReply::NotLearning], vec![]));
    }
}
