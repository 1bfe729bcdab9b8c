//! Walks beyond what the protocol promises to survive: an acceptor whose disk is rotten, lost or
//! another's must refuse to start, and there are never two histories.

use sim::{Options, Statistics, walk};

#[test]
fn a_damaged_disk_is_refused_and_never_makes_two_histories() {
    let mut total = Statistics::default();
    for seed in 0..1_200 {
        let options = Options::drawn_beyond(seed);
        let outcome = walk(seed, &options);
        if let Some(violation) = outcome.violation {
            panic!("{violation}\n{options:?}");
        }
        total.add(&outcome.statistics);
    }
    println!("{} refused, {} unseen", total.damage_refused, total.damage_unseen);
    assert!(total.damage_refused > 100, "{}", total.damage_refused);
    assert!(total.damage_unseen > 0, "rot meets a last batch, too");
    assert!(total.slots > 400, "values are chosen all the same");
}

#[test]
fn walks_beyond_repeat_to_the_byte() {
    for seed in 0..20 {
        let options = Options::drawn_beyond(seed);
        assert_eq!(walk(seed, &options), walk(seed, &options), "seed {seed}");
    }
}
