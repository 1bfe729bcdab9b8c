//! Each broken world is noticed, and by a checker whose promise it breaks.

use std::collections::BTreeSet;

use sim::{Broken, Faults, Options, Shape, walk};

/// What notices within so many walks: the names of the promises, or the core's own assertions.
fn check(broken: Broken, seeds: u64) -> BTreeSet<&'static str> {
    let mut noticed = BTreeSet::new();
    for seed in 0..seeds {
        let mut options = Options { broken: Some(broken), ..Options::drawn(seed) };
        if broken == Broken::QuorumsApart {
            options.shape = Shape::all().swap_remove(0);
        }
        if broken == Broken::SameIncarnation {
            // A ballot comes back only if the leader dies while nobody has heard of it: leaders
            // that live for less than a message takes, as many as can be.
            options.shape = Shape { leaders: 3, acceptors: 3, failed: 0, ..options.shape };
            (options.shape.all_in_one, options.shape.quorums) = (0, None);
            let (crash, pause_us_max, misfortune_us_max) = (50, 40_000, 3_000);
            let faults = options.faults;
            options.faults = Faults { crash, pause_us_max, misfortune_us_max, ..faults };
            options.faults.weather.delay_us_max = 60_000;
        }
        if matches!(broken, Broken::UnconfirmedIndex | Broken::OldConfirmation) {
            // Somebody must read at a leader that is cut off, has nothing in flight and does not
            // know yet that another one leads: few values, many readers, many cuts.
            (options.requests, options.reads_permille) = (5, 1000);
            let (isolate, pause_us_max, misfortune_us_max) = (50, 200_000, 800_000);
            let faults = options.faults;
            options.faults = Faults { isolate, pause_us_max, misfortune_us_max, ..faults };
        }
        if [Broken::TrustedSuspect, Broken::EarlyLoss].contains(&broken) {
            options.faults.rot_permille = 900;
            options.faults.crash += 4;
        }
        if broken == Broken::ForgottenLoss {
            options.faults.lost_disk = 4;
        }
        noticed.extend(walk(seed, &options).violation.map(|violation| violation.promise));
    }
    noticed
}

fn noticed(broken: Broken, by: &str) {
    let noticed = check(broken, 150);
    println!("{broken:?} is noticed by {noticed:?}");
    assert!(noticed.contains(by), "{broken:?}: {noticed:?}");
}

#[test]
fn a_message_that_leaves_before_the_disk_has_it_is_noticed() {
    noticed(Broken::SendsBeforeSync, "wire");
}

#[test]
fn a_ballot_of_two_lives_is_noticed() {
    noticed(Broken::SameIncarnation, "wire");
}

#[test]
fn an_acceptor_that_forgets_a_part_is_noticed() {
    noticed(Broken::Amnesia, "wire");
}

#[test]
fn an_acceptor_that_forgets_everything_is_noticed() {
    noticed(Broken::EmptyDisk, "wire");
}

#[test]
fn a_twisted_value_is_noticed() {
    noticed(Broken::TwistedAccept, "agreement");
}

#[test]
fn a_vote_counted_for_another_acceptor_is_noticed() {
    noticed(Broken::BorrowedVote, "agreement");
}

#[test]
fn promises_that_hide_votes_are_noticed() {
    noticed(Broken::HiddenVotes, "agreement");
}

#[test]
fn quorums_that_do_not_meet_are_noticed() {
    noticed(Broken::QuorumsApart, "agreement");
}

#[test]
fn a_watermark_that_lies_is_noticed() {
    noticed(Broken::LyingWatermark, "agreement");
}

#[test]
fn a_false_teacher_is_noticed() {
    noticed(Broken::FalseTeacher, "agreement");
}

#[test]
fn an_index_that_nobody_confirmed_is_noticed() {
    noticed(Broken::UnconfirmedIndex, "linearizable");
}

#[test]
fn a_confirmation_from_before_the_read_is_noticed() {
    noticed(Broken::OldConfirmation, "linearizable");
}

#[test]
fn an_index_below_what_is_in_flight_is_noticed() {
    noticed(Broken::LowIndex, "linearizable");
}

#[test]
fn lost_votes_that_are_taken_for_no_votes_are_noticed() {
    noticed(Broken::TrustedSuspect, "agreement");
}

#[test]
fn a_replaced_disk_that_does_not_say_so_is_noticed() {
    noticed(Broken::ForgottenLoss, "wire");
}

#[test]
fn a_loss_that_is_settled_by_whom_it_may_have_counted_for_is_noticed() {
    noticed(Broken::EarlyLoss, "wire");
}
