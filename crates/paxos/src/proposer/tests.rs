//! What a leader adopts, keeps and gives up.

use alloc::vec;

use super::*;
use crate::quorum::{ClusterId, DiskId, Member, Roles};

fn configuration() -> Configuration {
    let member = |id: u32| {
        let roles = Roles { leader: id == 1, acceptor: id > 1, learner: false };
        (NodeId(id), Member { roles, disk: (id > 1).then(DiskId::default) })
    };
    Configuration::majority(ClusterId::default(), (1..=4).map(member).collect()).unwrap()
}

fn value(byte: u8) -> Value {
    Value::Command(vec![byte].into())
}

/// A leader of a new ballot, after promises that report `votes`.
fn elect(proposer: &mut Proposer, votes: &[Run]) {
    let ballot = proposer.prepare(&configuration(), Slot(0), |_| None);
    for id in [2, 3] {
        let (from, truncated) = (Slot(0), Slot(0));
        let page = Page { from, votes: votes.to_vec(), next: None, truncated };
        proposer.promise(&configuration(), NodeId(id), ballot, page);
    }
    assert!(proposer.leading().is_some());
}

fn proposed(proposer: &mut Proposer) -> Vec<Run> {
    core::iter::from_fn(|| proposer.next_run(&Limits::default())).collect()
}

#[test]
fn another_value_chosen_where_we_proposed_ends_the_ballot() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    assert_eq!(proposed(&mut proposer).len(), 1);
    let (start, other) = (Value::LeaderStart, value(7));
    assert_eq!(proposer.clone().settled(Slot(1), |_| Some(&start)), None);
    assert_eq!(proposer.settled(Slot(1), |_| Some(&other)), Some(Slot(0)));
}

#[test]
fn what_is_chosen_already_is_not_proposed_again() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let old = Ballot { round: 1, leader: NodeId(1), incarnation: Incarnation(9) };
    let votes = Run { ballot: old, first: Slot(0), values: vec![value(7); 5].into() };
    proposer.saw(old);
    elect(&mut proposer, &[votes]);
    let seven = value(7);
    assert_eq!(proposer.settled(Slot(3), |_| Some(&seven)), None);
    let slots: Vec<Slot> = proposed(&mut proposer).iter().map(|run| run.first).collect();
    assert_eq!(slots, [Slot(3), Slot(5)]);
    let mut beyond = proposer.clone();
    assert_eq!(beyond.settled(Slot(9), |_| Some(&seven)), Some(Slot(5)), "the start differs");
}

#[test]
fn an_own_value_adopted_again_is_still_ours() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposed(&mut proposer);
    proposer.propose(vec![vec![7].into()], &Limits::default());
    let runs = proposed(&mut proposer);
    assert_eq!(runs[0].first, Slot(1));
    elect(&mut proposer, &runs);
    proposed(&mut proposer);
    assert_eq!(proposer.hand_back(), [vec![7].into()]);
}

#[test]
fn an_adopted_value_is_not_ours_to_hand_back() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let old = Ballot { round: 1, leader: NodeId(9), incarnation: Incarnation(9) };
    proposer.saw(old);
    elect(&mut proposer, &[Run { ballot: old, first: Slot(0), values: vec![value(7)].into() }]);
    assert_eq!(proposed(&mut proposer)[0].values, vec![value(7)].into());
    assert!(proposer.hand_back().is_empty(), "whoever introduced it asks for it, once");
}

#[test]
fn slots_that_were_cut_are_not_free() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let ballot = proposer.prepare(&configuration(), Slot(3), |_| None);
    let page = |truncated| Page { from: Slot(3), votes: vec![], next: None, truncated };
    let mut answer = |id, cut| proposer.promise(&configuration(), NodeId(id), ballot, page(cut));
    assert_eq!(answer(2, Slot(3)), Promised::Counted, "what is cut is known here");
    assert_eq!(answer(3, Slot(4)), Promised::Behind(Slot(4)));
    assert_eq!(proposer.ballot(), None);
}

#[test]
fn bytes_in_flight_are_bounded() {
    let limits = Limits { bytes_in_flight_max: 5, run_slots_max: 1, ..Limits::default() };
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposer.propose(vec![vec![7; 3].into(); 4], &limits);
    let runs: Vec<Run> = core::iter::from_fn(|| proposer.next_run(&limits)).collect();
    assert_eq!(runs.len(), 3, "the start, and values until the bound is reached");
    let (ballot, first) = (runs[1].ballot, runs[1].first);
    for id in [2, 3, 4] {
        proposer.accepted(&configuration(), NodeId(id), ballot, first, runs[1].end());
    }
    assert!(proposer.next_run(&limits).is_some(), "what is chosen makes room");
}

#[test]
fn an_own_value_moves_on_where_another_was_chosen() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposer.propose(vec![vec![7].into()], &Limits::default());
    assert_eq!(proposed(&mut proposer)[1].first, Slot(1));
    let after = |chosen: Value| {
        let mut proposer = proposer.clone();
        proposer.prepare(&configuration(), Slot(2), |_| Some(&chosen));
        proposer.hand_back()
    };
    assert_eq!(after(value(8)), [vec![7].into()]);
    assert_eq!(after(value(7)), [], "ours was chosen");
}

#[test]
fn a_leader_without_a_quorum_steps_down() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    let ballot = proposer.leading().unwrap();
    let higher = Ballot { round: ballot.round + 1, ..ballot };
    let mut refuse = |id| proposer.rejected(&configuration(), NodeId(id), ballot, higher);
    assert_eq!(refuse(2), Rejected::Contested, "two of three acceptors are left");
    assert_eq!(refuse(2), Rejected::Contested, "one acceptor twice is one acceptor");
    assert_eq!(refuse(3), Rejected::Deposed);
    assert_eq!(proposer.ballot(), None);
}
