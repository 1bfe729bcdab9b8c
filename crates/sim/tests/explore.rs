//! All states of small worlds: how many there are, and that a broken one is found out.

use sim::explore::{Flaw, Reduced, Scene, explore};

const STATES_MAX: usize = 2_000_000;

/// Two leaders' starts, nothing else; rejections are lost.
const STARTS: Scene = Scene { name: "starts", values: &[0, 0], rejects: false, ..Scene::DUEL };

#[test]
fn two_starts_have_so_many_states_and_all_are_fine() {
    let found = explore(&STARTS, Reduced::FULLY, STATES_MAX);
    assert_eq!(found.counterexample, None);
    assert!(found.is_complete);
    assert_eq!((found.states, found.states_by_name), (89_452, 525_505));
}

#[test]
fn with_acceptors_told_apart_there_are_as_many_states_as_symmetry_says() {
    let named = Reduced { by_symmetry: false, by_silence: true };
    let found = explore(&STARTS, named, STATES_MAX);
    assert_eq!(found.counterexample, None);
    assert_eq!((found.states, found.states_by_name), (525_505, 525_505));
}

fn flawed(flaw: Flaw) -> Scene {
    Scene { flaw: Some(flaw), rejects: false, ..Scene::DUEL }
}

fn found_out(scene: Scene) {
    let found = explore(&scene, Reduced::FULLY, STATES_MAX);
    let counterexample = found.counterexample.expect("a flaw is found out");
    println!("{:?} after {} states: {}", scene.flaw, found.states, counterexample.what);
    for sentence in &counterexample.story {
        println!("  {sentence}");
    }
    assert!(counterexample.story.len() > 8, "it takes two leaders and two quorums");
}

#[test]
fn an_acceptor_that_forgets_promises_is_found_out() {
    found_out(flawed(Flaw::ForgetsPromise));
}

#[test]
fn a_promise_that_hides_votes_is_found_out() {
    found_out(flawed(Flaw::HidesVotes));
}

#[test]
fn quorums_that_do_not_meet_are_found_out() {
    found_out(flawed(Flaw::QuorumsApart));
}
