//! All states of small worlds: how many there are, and that a broken one is found out.

use paxos::Announce;
use sim::explore::{Flaw, Reduced, Scene, WORLDS, explore};

/// Larger worlds are for the example.
const STATES_MAX: usize = 100_000;

#[test]
fn small_worlds_have_so_many_states_and_all_are_fine() {
    let small = WORLDS.iter().filter(|world| world.states <= STATES_MAX);
    for world in small {
        let found = explore(&world.scene, Reduced::FULLY, world.depth_max.unwrap_or(usize::MAX));
        let name = world.scene.name;
        assert_eq!(found.counterexample, None, "{name}");
        assert_eq!(found.is_complete, world.depth_max.is_none(), "{name}");
        let counts = (found.states, found.states_by_name);
        assert_eq!(counts, (world.states, world.states_by_name), "{name}");
    }
}

#[test]
fn with_acceptors_told_apart_there_are_as_many_states_as_symmetry_says() {
    let named = Reduced { by_symmetry: false, ..Reduced::FULLY };
    for world in WORLDS.iter().filter(|world| world.states <= STATES_MAX / 10) {
        let found = explore(&world.scene, named, world.depth_max.unwrap_or(usize::MAX));
        let counts = (found.states as u64, found.states_by_name);
        assert_eq!(counts, (world.states_by_name, world.states_by_name), "{}", world.scene.name);
    }
}

/// The first leader leads and has proposed a value in slot 1; the second may campaign.
const SETTLED: Scene = Scene { settled: true, values: &[1, 0], rejects: false, ..Scene::DUEL };

/// Flawed worlds break what forgetting relies on, so nothing is forgotten in them.
const REMEMBERING: Reduced = Reduced { by_forgetting: false, ..Reduced::FULLY };

/// The search finds a shortest story that ends in this, after so many states.
fn found_out(flaw: Flaw, scene: Scene, what: &str, states: usize) {
    let found = explore(&Scene { flaw: Some(flaw), ..scene }, REMEMBERING, usize::MAX);
    let counterexample = found.counterexample.expect("a flaw is found out");
    println!("{flaw:?} after {} states: {}", found.states, counterexample.what);
    for sentence in &counterexample.story {
        println!("  {sentence}");
    }
    assert_eq!(counterexample.what, what);
    assert_eq!(found.states, states);
}

#[test]
fn an_acceptor_that_forgets_promises_is_found_out() {
    let what = "slot 1: A11 is chosen, and a leader's start at 2·2";
    found_out(Flaw::ForgetsPromise, SETTLED, what, 1_344);
}

#[test]
fn an_acceptor_that_comes_back_with_an_empty_disk_is_found_out() {
    let scene = Scene { acceptor_crashes: 1, ..SETTLED };
    let what = "slot 1: A11 is chosen, and a leader's start at 2·2";
    found_out(Flaw::ForgetsDisk, scene, what, 8_550);
}

#[test]
fn a_vote_that_leaves_before_it_is_on_disk_is_found_out() {
    let scene = Scene { acceptor_crashes: 1, ..SETTLED };
    let what = "leader 1 learned A11 in slot 1; nothing is chosen";
    found_out(Flaw::SendsBeforeSync, scene, what, 66);
}

#[test]
fn a_leader_that_uses_a_ballot_in_two_lives_is_found_out() {
    // An acceptor that has voted declines the second value; one that has not does not know.
    let scene = Scene { leader_crashes: 1, campaigns: &[2, 0], ..SETTLED };
    let what = "leader 1 learned a leader's start in slot 1; A11 is chosen";
    found_out(Flaw::RepeatsIncarnation, scene, what, 4_990);
}

#[test]
fn a_promise_that_hides_votes_is_found_out() {
    let what = "slot 1: A11 is chosen, and a leader's start at 2·2";
    found_out(Flaw::HidesVotes, SETTLED, what, 298);
}

#[test]
fn a_learner_that_believes_a_bare_watermark_is_found_out() {
    // It takes two ballots of one leader: the quorum of the second has not voted for the value of
    // the first, and has something else chosen.
    let following = Some(Announce::LeaderOnly);
    let scene = Scene { following, campaigns: &[2, 0], ..SETTLED };
    let what = "leader 2 learned A11 in slot 1; a leader's start is chosen";
    found_out(Flaw::BelievesWatermark, scene, what, 1_203);
}

#[test]
fn a_read_that_nobody_confirmed_is_found_out() {
    let scene = Scene { reads: &[1, 0], slots: 3, ..SETTLED };
    let what =
        "leader 1 shows a read what is below slot 2; before it began, all below 3 was chosen";
    found_out(Flaw::ReadsUnconfirmed, scene, what, 60_772);
}

#[test]
fn a_confirmation_from_before_the_read_is_found_out() {
    let scene = Scene { reads: &[2, 0], values: &[0, 0], ..SETTLED };
    let what =
        "leader 1 shows a read what is below slot 1; before it began, all below 2 was chosen";
    found_out(Flaw::CountsOldConfirmations, scene, what, 13_582);
}

#[test]
fn an_index_below_what_is_in_flight_is_found_out() {
    let scene = Scene { reads: &[1, 0], slots: 3, ..SETTLED };
    let what =
        "leader 1 shows a read what is below slot 1; before it began, all below 2 was chosen";
    found_out(Flaw::ReadsWhatIsKnown, scene, what, 5_759);
}

#[test]
fn lost_votes_of_which_nothing_is_said_are_found_out() {
    let what = "slot 1: A11 is chosen, and a leader's start at 2·2";
    found_out(Flaw::HidesLoss, Scene { losses: 1, ..SETTLED }, what, 20_155);
}

#[test]
fn lost_votes_that_are_settled_too_early_are_found_out() {
    // Leader 1 had counted the vote that is lost, and its word settles nothing.
    let what = "slot 1: A11 is chosen, and a leader's start at 2·2";
    found_out(Flaw::SettlesTooEarly, Scene { losses: 1, ..SETTLED }, what, 162_323);
}

#[test]
fn a_promise_that_hides_what_was_cut_is_found_out() {
    let what = "slot 1: A11 is chosen, and a leader's start at 2·2";
    found_out(Flaw::HidesCut, Scene { keeps: true, ..SETTLED }, what, 91_700);
}

#[test]
fn a_snapshot_of_what_is_not_chosen_is_found_out() {
    let what = "leader 2 does not know slot 1, or it is not chosen";
    found_out(Flaw::KeepsProposals, Scene { keeps: true, ..SETTLED }, what, 6);
}

#[test]
fn quorums_that_do_not_meet_are_found_out() {
    let what = "leader 2 learned a leader's start in slot 1; nothing is chosen";
    found_out(Flaw::QuorumsApart, SETTLED, what, 279);
}
