//! Leaders own no disk: nothing but its incarnation tells one life's ballots from another's.

use sim::{Faults, Options, Shape, walk};

#[test]
fn a_leader_that_dies_unheard_never_uses_its_ballot_again() {
    // A ballot comes back only if its leader dies while nobody has heard of it: leaders that live
    // for less than a message takes, as many of them as can be.
    for seed in 0..60 {
        let mut options = Options::drawn(seed);
        options.shape = Shape { leaders: 3, acceptors: 3, failed: 0, ..options.shape };
        (options.shape.all_in_one, options.shape.quorums) = (0, None);
        let (crash, pause_us_max, misfortune_us_max) = (50, 40_000, 3_000);
        options.faults = Faults { crash, pause_us_max, misfortune_us_max, ..options.faults };
        options.faults.weather.delay_us_max = 60_000;
        if let Some(violation) = walk(seed, &options).violation {
            panic!("{violation}");
        }
    }
}
