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
        let page = Page { from, votes: votes.to_vec(), next: None, truncated, suspect: Slot(0) };
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
    let page =
        |truncated| Page { from: Slot(3), votes: vec![], next: None, truncated, suspect: Slot(0) };
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

#[test]
fn a_vote_for_a_part_of_a_run_counts_for_nothing() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposer.propose(vec![vec![7].into(); 3], &Limits::default());
    let run = proposed(&mut proposer)[1].clone();
    let mut vote = |id, first, end| {
        proposer.accepted(&configuration(), NodeId(id), run.ballot, Slot(first), Slot(end)).len()
    };
    assert_eq!(run.end(), Slot(4));
    for id in [2, 3, 4] {
        assert_eq!((vote(id, 1, 3), vote(id, 2, 4), vote(id, 4, 4)), (0, 0, 0));
    }
    assert_eq!((vote(2, 1, 4), vote(3, 1, 4)), (0, 1), "the whole of it, by two of three");
    assert_eq!(vote(4, 1, 4), 0, "chosen once");
}

#[test]
fn a_vote_for_another_ballot_counts_for_nothing() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    let run = proposed(&mut proposer)[0].clone();
    let (first, end) = (run.first, run.end());
    for ballot in [
        Ballot { round: run.ballot.round - 1, ..run.ballot },
        Ballot { incarnation: Incarnation(9), ..run.ballot },
    ] {
        for id in [2, 3, 4] {
            let chosen = proposer.accepted(&configuration(), NodeId(id), ballot, first, end);
            assert!(chosen.is_empty());
        }
    }
}

#[test]
fn a_rejection_of_another_ballot_or_by_no_higher_one_changes_nothing() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    let ballot = proposer.leading().unwrap();
    let (lower, higher) = (Ballot { round: 0, ..ballot }, Ballot { round: 9, ..ballot });
    let before = proposer.clone();
    for (of, promised) in [(lower, higher), (ballot, ballot), (ballot, lower)] {
        for id in [2, 3, 4] {
            let rejected = proposer.rejected(&configuration(), NodeId(id), of, promised);
            assert_eq!(rejected, Rejected::Stale);
        }
    }
    assert_eq!(proposer, before);
}

#[test]
fn a_campaign_without_a_quorum_is_over_and_the_next_ballot_is_above_what_took_it() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let ballot = proposer.prepare(&configuration(), Slot(0), |_| None);
    let higher = Ballot { round: 9, ..ballot };
    let mut refuse = |id| proposer.rejected(&configuration(), NodeId(id), ballot, higher);
    assert_eq!((refuse(2), refuse(3)), (Rejected::Contested, Rejected::Deposed));
    assert_eq!(proposer.prepare(&configuration(), Slot(0), |_| None).round, 10);
}

#[test]
fn a_page_that_was_not_asked_for_counts_for_nothing() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let ballot = proposer.prepare(&configuration(), Slot(0), |_| None);
    let page = |from, next| {
        let (from, next) = (Slot(from), next);
        Page { from, votes: vec![], next, truncated: Slot(0), suspect: Slot(0) }
    };
    let mut answer = |id, page| proposer.promise(&configuration(), NodeId(id), ballot, page);
    assert_eq!(answer(2, page(0, Some(Slot(5)))), Promised::More(Slot(5)));
    assert_eq!(answer(2, page(0, None)), Promised::Stale, "that page was read");
    assert_eq!(answer(2, page(6, None)), Promised::Stale, "slot 5 is missing");
    assert_eq!(answer(2, page(5, Some(Slot(5)))), Promised::Counted, "nothing is left to ask for");
    assert_eq!(answer(2, page(5, None)), Promised::Stale, "it is complete");
    assert!(proposer.unpromised().eq([(NodeId(3), Slot(0)), (NodeId(4), Slot(0))]));
}

#[test]
fn an_adopted_own_value_that_is_chosen_is_no_longer_ours() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposed(&mut proposer);
    proposer.propose(vec![vec![7].into(), vec![8].into()], &Limits::default());
    let limits = Limits { run_slots_max: 1, ..Limits::default() };
    let runs: Vec<Run> = core::iter::from_fn(|| proposer.next_run(&limits)).collect();
    elect(&mut proposer, &runs);
    let again: Vec<Run> = core::iter::from_fn(|| proposer.next_run(&limits)).collect();
    for (at, mine) in [(1, 8), (2, 7)] {
        let mut proposer = proposer.clone();
        assert_eq!(again[at].values, runs[at - 1].values, "after a no-op in slot 0");
        for id in [2, 3] {
            let (ballot, first, end) = (again[at].ballot, again[at].first, again[at].end());
            proposer.accepted(&configuration(), NodeId(id), ballot, first, end);
        }
        assert_eq!(proposer.hand_back(), [vec![mine].into()]);
    }
}

#[test]
fn values_come_back_in_their_order() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    let commands: Vec<Command> = (1..=5).map(|byte| vec![byte].into()).collect();
    proposer.propose(commands[..3].to_vec(), &Limits::default());
    proposed(&mut proposer);
    proposer.propose(commands[3..].to_vec(), &Limits::default());
    let other = value(9);
    proposer.prepare(&configuration(), Slot(4), |_| Some(&other));
    assert_eq!(proposer.hand_back(), commands);
}

#[test]
fn what_was_never_proposed_is_told_apart() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    let commands: Vec<Command> = (1..=3).map(|byte| vec![byte].into()).collect();
    proposer.propose(commands[..1].to_vec(), &Limits::default());
    proposed(&mut proposer);
    proposer.propose(commands[1..2].to_vec(), &Limits::default());
    let other = value(9);
    proposer.prepare(&configuration(), Slot(2), |_| Some(&other));
    proposer.propose(commands[2..].to_vec(), &Limits::default());
    let mut again = proposer.clone();
    assert_eq!(proposer.hand_back_unproposed(), commands[1..]);
    assert_eq!(proposer.hand_back(), commands[..1], "it lost its slot to another");
    let limits = Limits { queue_bytes_max: 3, ..Limits::default() };
    assert!(proposer.propose(commands.clone(), &limits).is_empty(), "no bytes are left behind");
    assert_eq!(proposer.hand_back_unproposed(), commands);
    // Once it has a slot again, those behind it are the first that never had one.
    elect(&mut again, &[]);
    proposed(&mut again);
    again.propose(commands[1..2].to_vec(), &Limits::default());
    assert_eq!(again.hand_back_unproposed(), commands[1..2]);
}

#[test]
fn a_value_that_does_not_fit_holds_back_those_behind_it() {
    let limits = Limits { queue_bytes_max: 4, ..Limits::default() };
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let commands: Vec<Command> = [3, 2, 1].map(|length| vec![7; length].into()).to_vec();
    assert_eq!(proposer.propose(commands.clone(), &limits), commands[1..]);
    assert_eq!(proposer.propose(vec![vec![7].into()], &limits), [], "it fits to the byte");
    let limits = Limits { queue_values_max: 3, ..Limits::default() };
    assert_eq!(proposer.propose(commands.clone(), &limits), commands[1..]);
    proposer.hand_back();
    let limits = Limits { queue_bytes_max: 4, ..Limits::default() };
    assert_eq!(proposer.propose(vec![vec![7; 4].into()], &limits), [], "there is room again");
}

#[test]
fn a_run_keeps_its_bounds() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposed(&mut proposer);
    let lengths = |limits: Limits, proposer: &mut Proposer| -> Vec<usize> {
        proposer.propose([1, 1, 1, 30, 1].map(|length| vec![7; length].into()).to_vec(), &limits);
        core::iter::from_fn(|| proposer.next_run(&limits)).map(|run| run.values.len()).collect()
    };
    let limits = Limits { run_slots_max: 2, ..Limits::default() };
    assert_eq!(lengths(limits, &mut proposer), [2, 2, 1]);
    // A value costs its bytes and five more.
    let limits = Limits { run_bytes_max: 18, ..Limits::default() };
    assert_eq!(lengths(limits, &mut proposer), [3, 1, 1], "a large one goes alone");
    let limits = Limits { run_bytes_max: 17, ..Limits::default() };
    assert_eq!(lengths(limits, &mut proposer), [2, 1, 1, 1]);
}

#[test]
fn a_promise_of_another_ballot_counts_for_nothing() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let old = proposer.prepare(&configuration(), Slot(0), |_| None);
    let ballot = proposer.prepare(&configuration(), Slot(0), |_| None);
    let page =
        || Page { from: Slot(0), votes: vec![], next: None, truncated: Slot(0), suspect: Slot(0) };
    let mut answer = |id, ballot| proposer.promise(&configuration(), NodeId(id), ballot, page());
    assert_eq!([2, 3, 4].map(|id| answer(id, old)), [const { Promised::Stale }; 3]);
    assert_eq!(answer(2, ballot), Promised::Counted);
    assert_eq!(answer(3, ballot), Promised::Elected { adopted: 0, noops: 0 });
    assert_eq!(answer(4, ballot), Promised::Stale, "it leads already");
}

#[test]
fn holes_below_adopted_values_are_filled_with_noops() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let old = Ballot { round: 1, leader: NodeId(9), incarnation: Incarnation(9) };
    let ballot = proposer.prepare(&configuration(), Slot(1), |_| None);
    let vote = |first, count| Run {
        ballot: old,
        first: Slot(first),
        values: vec![value(7); count].into(),
    };
    let votes = vec![vote(3, 2), vote(6, 1)];
    let page = Page { from: Slot(1), votes, next: None, truncated: Slot(0), suspect: Slot(0) };
    let mut answer = |id| proposer.promise(&configuration(), NodeId(id), ballot, page.clone());
    assert_eq!(answer(2), Promised::Counted);
    assert_eq!(answer(3), Promised::Elected { adopted: 3, noops: 3 });
    let values: Vec<(Slot, Values)> =
        proposed(&mut proposer).into_iter().map(|run| (run.first, run.values)).collect();
    let expected = [
        (1, vec![Value::Noop; 2]),
        (3, vec![value(7); 2]),
        (5, vec![Value::Noop]),
        (6, vec![value(7)]),
        (7, vec![Value::LeaderStart]),
    ];
    assert_eq!(values, expected.map(|(first, values)| (Slot(first), values.into())));
    let own = values.iter().all(|(first, _)| proposer.window() > Some((Slot(0), *first)));
    assert!(own, "all of them in flight");
}

#[test]
fn what_is_in_flight_is_counted_from_the_first_open_slot() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let open = |proposer: &Proposer| (proposer.slots_in_flight(), proposer.window());
    assert_eq!(open(&proposer), (0, None));
    elect(&mut proposer, &[]);
    assert_eq!(open(&proposer), (0, Some((Slot(0), Slot(0)))));
    let limits = Limits { run_slots_max: 2, slots_in_flight_max: 4, ..Limits::default() };
    proposer.propose(vec![vec![7].into(); 6], &limits);
    let runs: Vec<Run> = core::iter::from_fn(|| proposer.next_run(&limits)).collect();
    assert_eq!(open(&proposer), (4, Some((Slot(0), Slot(4)))));
    // The second run is chosen before the first: the window waits for the lowest.
    for (at, after) in [(1, (4, Some((Slot(0), Slot(4))))), (0, (1, Some((Slot(3), Slot(4)))))] {
        let run: &Run = &runs[at];
        for id in [2, 3] {
            let (ballot, first) = (run.ballot, run.first);
            proposer.accepted(&configuration(), NodeId(id), ballot, first, run.end());
        }
        assert_eq!(open(&proposer), after);
    }
}

#[test]
fn what_is_learned_elsewhere_is_no_longer_in_flight() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    proposer.propose(vec![vec![7].into(); 2], &Limits::default());
    assert_eq!(proposed(&mut proposer).len(), 2);
    let (start, seven) = (Value::LeaderStart, value(7));
    let chosen = |slot| Some(if slot == Slot(0) { &start } else { &seven });
    assert_eq!(proposer.settled(Slot(2), chosen), None);
    assert_eq!(proposer.window(), Some((Slot(2), Slot(3))), "half of a run stands alone");
    let rest: Vec<Slot> = proposer.unaccepted(&configuration()).map(|(run, _)| run.first).collect();
    assert_eq!(rest, [Slot(2)]);
    assert_eq!(proposer.settled(Slot(3), chosen), None);
    assert_eq!(proposer.window(), Some((Slot(3), Slot(3))));
}

#[test]
fn a_prefix_that_reaches_past_what_could_be_adopted_ends_the_ballot() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let old = Ballot { round: 1, leader: NodeId(9), incarnation: Incarnation(9) };
    let seven = value(7);
    elect(&mut proposer, &[Run { ballot: old, first: Slot(0), values: vec![value(7); 5].into() }]);
    assert_eq!(proposer.clone().settled(Slot(9), |_| Some(&seven)), Some(Slot(5)));
    assert_eq!(proposer.settled(Slot(5), |_| Some(&seven)), None, "all of it was adopted");
    let runs = proposed(&mut proposer);
    assert_eq!((runs.len(), runs[0].first), (1, Slot(5)));
}

#[test]
fn values_are_held_until_their_fate_is_known() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    assert!(!proposer.holds_values());
    elect(&mut proposer, &[]);
    assert!(proposer.holds_values(), "whoever leads may get some at any time");
    proposed(&mut proposer);
    proposer.give_up();
    assert!(!proposer.holds_values(), "its own start is nobody's value");
    proposer.prepare(&configuration(), Slot(0), |_| None);
    assert!(proposer.is_preparing());
    assert!(!proposer.holds_values());
    proposer.propose(vec![vec![7].into()], &Limits::default());
    assert!(proposer.holds_values(), "it waits");
    elect(&mut proposer, &[]);
    assert!(!proposer.is_preparing());
    proposed(&mut proposer);
    proposer.prepare(&configuration(), Slot(0), |_| None);
    assert!(proposer.holds_values(), "it may be chosen");
    proposer.give_up();
    assert!(proposer.holds_values());
    assert_eq!(proposer.hand_back().len(), 1);
    assert!(!proposer.holds_values());
}

#[test]
fn the_queue_counts_bytes_in_and_out() {
    let limits = Limits { queue_bytes_max: 4, ..Limits::default() };
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    elect(&mut proposer, &[]);
    let fits = |proposer: &mut Proposer, length| {
        proposer.propose(vec![vec![7; length].into()], &limits).is_empty()
    };
    assert!(fits(&mut proposer, 4));
    assert!(!fits(&mut proposer, 1));
    proposed(&mut proposer);
    assert!(fits(&mut proposer, 4), "what is proposed waits no more");
    proposed(&mut proposer);
    // Both slots were chosen to hold something else, so both values wait again.
    let other = value(9);
    proposer.prepare(&configuration(), Slot(3), |_| Some(&other));
    assert!(!fits(&mut proposer, 0), "eight bytes of four");
    assert_eq!(proposer.hand_back().len(), 2);
    assert!(fits(&mut proposer, 4));
}

#[test]
fn a_promise_with_lost_votes_does_not_count_and_what_it_shows_is_adopted() {
    let mut proposer = Proposer::new(NodeId(1), Incarnation(1));
    let old = Ballot { round: 1, leader: NodeId(9), incarnation: Incarnation(9) };
    proposer.saw(old);
    let ballot = proposer.prepare(&configuration(), Slot(3), |_| None);
    let vote = Run { ballot: old, first: Slot(3), values: vec![value(7)].into() };
    let page = |votes, suspect| {
        let (from, truncated) = (Slot(3), Slot(0));
        Page { from, votes, next: None, truncated, suspect }
    };
    let mut answer = |id, page| proposer.promise(&configuration(), NodeId(id), ballot, page);
    assert_eq!(answer(2, page(vec![vote.clone()], Slot(4))), Promised::Suspect);
    assert_eq!(answer(2, page(vec![vote], Slot::LIMIT)), Promised::Suspect, "as often as it likes");
    let counted = answer(3, page(vec![], Slot(3)));
    assert_eq!(counted, Promised::Counted, "below what it is asked for it may lack anything");
    assert_eq!(answer(4, page(vec![], Slot(0))), Promised::Elected { adopted: 1, noops: 0 });
    assert_eq!(proposer.start(), Some(Slot(4)));
}
