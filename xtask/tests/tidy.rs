//! House rules as ordinary tests: what a reviewer would otherwise have to say each time.

use std::fs;
use std::path::{Path, PathBuf};

const LINE_WIDTH_MAX: usize = 100;
const FILE_LINES_MAX: usize = 600;

/// Crates in which the compiler keeps I/O out.
const PURE: [&str; 3] = ["paxos", "journal", "node"];

/// Safety is decided here, without time.
const WITHOUT_TIME: [&str; 6] = ["acceptor", "proposer", "learner", "tally", "runs", "quorum"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory of the repository") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            files(&path, ending, found);
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut paths = Vec::new();
    files(&root(), ".rs", &mut paths);
    assert!(paths.len() > 30, "the sources were found");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        (path, text)
    };
    paths.into_iter().map(read).collect()
}

fn demand(broken: &[String]) {
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let broken: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//!"))
        .map(|(path, _)| format!("{} starts without a //! header", path.display()))
        .collect();
    demand(&broken);
}

#[test]
fn no_line_is_wider_than_the_page() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for (number, line) in (1..).zip(text.lines()) {
            if line.chars().count() > LINE_WIDTH_MAX {
                broken.push(format!("{}:{number} is too wide", path.display()));
            }
        }
    }
    demand(&broken);
}

#[test]
fn no_file_holds_two_ideas_by_its_length() {
    let broken: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| text.lines().count() > FILE_LINES_MAX)
        .map(|(path, _)| format!("{} has more than {FILE_LINES_MAX} lines", path.display()))
        .collect();
    demand(&broken);
}

#[test]
fn pure_crates_are_declared_pure() {
    for name in PURE {
        let path = root().join("crates").join(name).join("src/lib.rs");
        let text = fs::read_to_string(path).expect("a crate root");
        assert!(text.contains("#![no_std]"), "{name} must not use std");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{name} must forbid unsafe code");
    }
}

#[test]
fn safety_is_decided_without_time() {
    for name in WITHOUT_TIME {
        let path = root().join("crates/paxos/src").join(format!("{name}.rs"));
        let text = fs::read_to_string(path).expect("a file of the protocol");
        for word in ["Instant", "Duration", "now:"] {
            assert!(!text.contains(word), "{name}.rs must not know of {word}");
        }
    }
}

#[test]
fn nothing_is_left_undone_or_ignored() {
    // Written in pieces, so that this file passes its own test.
    let banned = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ign", "ore]")];
    let mut broken = Vec::new();
    for (path, text) in sources() {
        for word in banned {
            if text.contains(word) {
                broken.push(format!("{} contains {word}", path.display()));
            }
        }
    }
    demand(&broken);
}

#[test]
fn every_source_file_is_part_of_a_crate() {
    // A file that no `mod` names compiles nothing and rots.
    let all = sources();
    let mut broken = Vec::new();
    for (path, _) in &all {
        let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let parent = path.parent().and_then(Path::file_name).expect("a folder").to_string_lossy();
        let is_root = ["main", "lib", "build", "mod"].contains(&stem.as_str())
            || ["tests", "examples", "benches"].contains(&parent.as_ref());
        let declared = |text: &String| {
            text.contains(&format!("mod {stem};")) || text.contains(&format!("mod {stem} {{"))
        };
        if !is_root && !all.iter().any(|(_, text)| declared(text)) {
            broken.push(format!("{} is in no module", path.display()));
        }
    }
    demand(&broken);
}
