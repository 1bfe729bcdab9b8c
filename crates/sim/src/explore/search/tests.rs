//! The reductions against the definition: a search without one of them comes to the same worlds.

use std::collections::HashSet;

use paxos::Announce;

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
        assert_eq!(forms.len(), few.met.len());
    }
}

#[test]
fn without_silence_others_see_nothing_more() {
    let named = Reduced { by_symmetry: false, by_silence: true, by_forgetting: false };
    for (scene, depth) in scenes() {
        let few = views(&searched(&scene, named, depth.min(7)));
        let all = views(&searched(&scene, Reduced { by_silence: false, ..named }, depth.min(7)));
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
