//! Every input that was ever worth keeping, without a fuzzer: `cargo test` sees what `cargo xtask
//! fuzz` once found.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fuzz::{TARGETS, Target};

/// What the repository can afford.
const BYTES_MAX: u64 = 1 << 20;

fn ours(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(directory).expect("a directory of the corpus");
    let mut paths: Vec<PathBuf> = all.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn every_input_of_the_corpus_is_survived() {
    for target in TARGETS {
        let inputs = entries(&ours("corpus").join(target.name));
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        replay(target, &inputs);
    }
}

#[test]
fn what_once_broke_a_target_breaks_it_no_more() {
    for directory in entries(&ours("found")) {
        let target = TARGETS.into_iter().find(|target| directory.ends_with(target.name));
        replay(target.expect("a directory is named after a target"), &entries(&directory));
    }
}

fn replay(target: Target, inputs: &[PathBuf]) {
    for path in inputs {
        // Seen only if the test fails: which input it was.
        println!("{}", path.display());
        (target.run)(&fs::read(path).expect("an input"));
    }
}

#[test]
fn each_target_has_a_directory_and_none_is_left_over() {
    let found: BTreeSet<String> = entries(&ours("corpus"))
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let expected: BTreeSet<String> = TARGETS.iter().map(|target| target.name.into()).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_corpus_stays_small() {
    let all = entries(&ours("corpus")).into_iter().flat_map(|directory| entries(&directory));
    let bytes: u64 = all.map(|path| fs::metadata(path).expect("a file").len()).sum();
    assert!(bytes <= BYTES_MAX, "{bytes} bytes; cargo xtask fuzz --corpus makes them fewer");
}
