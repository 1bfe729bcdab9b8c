//! The reductions against the definition: a search without one of them comes to the same worlds.

use std::collections::HashSet;

use paxos::{Announce, Part, Slot};

use super::super::local::Local;
use super::*;

/// Small scenes, and how deep they are searched without a reduction.
fn scenes() -> Vec<(Scene, usize)> {
    let settled = Scene { settled: true, values: &[1, 0], rejects: false, ..Scene::DUEL };
    vec![
        (settled, usize::MAX),
        (Scene { settled: false, values: &[0, 0], slots: 9, ..settled }, 14),
        (Scene { rejects: true, ..settled }, 11),
        (Scene { campaigns: &[2, 1], leader_crashes: 1, ..settled }, 8),
        (Scene { acceptor_crashes: 1, ..settled }, 8),
        (Scene { following: Some(Announce::LeaderOnly), ..settled }, 10),
        (Scene { following: Some(Announce::EveryLearner), ..settled }, 9),
        (Scene { fetches: true, ..settled }, 6),
        (Scene { reads: &[1, 0], slots: 3, ..settled }, 8),
        (Scene { reads: &[2, 1], campaigns: &[2, 1], values: &[0, 0], ..settled }, 7),
        (Scene { losses: 1, ..settled }, 9),
        (Scene { losses: 2, campaigns: &[2, 2], ..settled }, 6),
        (Scene { keeps: true, ..settled }, 8),
    ]
}

fn searched(scene: &Scene, reduced: Reduced, depth_max: usize) -> Search {
    let mut search = Search::new(scene, reduced);
    let found = search.run(depth_max);
    assert_eq!(found.counterexample, None);
    search
}

fn states(search: &Search) -> Vec<State> {
    search.met.iter().map(|packed| search.unpack(*packed)).collect()
}

#[test]
fn without_forgetting_there_are_as_many_states_that_differ_by_more() {
    for (scene, depth) in scenes() {
        let few = searched(&scene, Reduced::FULLY, depth);
        let mut all = searched(&scene, Reduced { by_forgetting: false, ..Reduced::FULLY }, depth);
        let forms: HashSet<State> = states(&all).iter().map(|state| all.forgotten(state)).collect();
        assert_eq!(forms.len(), few.met.len(), "{scene:?}");
    }
}

/// Worlds in which nothing of the kind ever comes about would be fine, and prove nothing.
#[test]
fn what_these_worlds_are_about_comes_about() {
    let (scenes, full) = (scenes(), Reduced::FULLY);
    let any = |scene: &Scene, is_so: &dyn Fn(&Local) -> bool| {
        let search = searched(scene, full, usize::MAX);
        let nodes = (0..).map_while(|node| search.atlas.known(node));
        nodes.into_iter().any(is_so)
    };
    let lost = scenes.iter().find(|(scene, _)| scene.losses == 1).expect("there is one").0;
    let is_clean = |local: &Local| local.losses == 1 && local.disk.doubt().is_none();
    assert!(any(&lost, &|local| is_clean(local) && local.disk.votes().slots() == 2), "it mends");
    let kept = scenes.iter().find(|(scene, _)| scene.keeps).expect("there is one").0;
    let has_led = |local: &Local| local.replica.part() == Part::Leading;
    let second = |local: &Local| local.replica.config().node == Scene::node(1);
    assert!(any(&kept, &|local| local.disk.truncated() == Slot(2)), "it cuts");
    let knows_by_snapshot =
        |local: &Local| second(local) && has_led(local) && local.replica.forgotten() == Slot(2);
    assert!(any(&kept, &knows_by_snapshot), "the second leader goes on from a snapshot");
}

#[test]
fn without_silence_others_see_nothing_more() {
    let named = Reduced { by_symmetry: false, by_silence: true, by_forgetting: false };
    for (scene, depth) in scenes() {
        let is_wide = scene.losses > 0 || scene.keeps;
        let depth = depth.min(if is_wide { 5 } else { 7 });
        let few = views(&searched(&scene, named, depth));
        let all = views(&searched(&scene, Reduced { by_silence: false, ..named }, depth));
        assert!(all.is_subset(&few));
    }
}

/// What others can see of a state.
fn views(search: &Search) -> HashSet<Vec<String>> {
    let view = |state: &State| {
        let nodes = state[..search.scene.places()].iter().map(|node| search.atlas.view(*node));
        nodes.chain([search.judge.view(state[PLACES_MAX])]).collect()
    };
    states(search).iter().map(view).collect()
}
