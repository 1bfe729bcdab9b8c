//! One flipped byte anywhere in a node's directory: it starts, or says why it does not.
//!
//! `cargo run --release -p synod --example byte_flips -- --positions 10000` does it for more.

mod flips;

use flips::Outcome;

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_borne_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let made = flips::make(directory.path()).await;
    let outcomes = made.flip(300, 1, directory.path());
    let is_bad = |outcome| matches!(outcome, Outcome::Wrong | Outcome::Panicked);
    assert!(!outcomes.keys().any(|(_, outcome, _)| is_bad(*outcome)), "{outcomes:#?}");
    let any = |wanted| outcomes.keys().any(|(_, outcome, _)| *outcome == wanted);
    assert!(any(Outcome::Suspect) && any(Outcome::OlderSnapshot), "{outcomes:#?}");
}
