//! Every scenario of `scenarios/` against its golden output.
//!
//! After a change on purpose, `SYNOD_REWRITE=1 cargo test -p sim --test scenarios` writes the
//! outputs anew. Commit a changed output only if you can explain every line of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sim::{play, scenarios};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn names() -> BTreeSet<String> {
    let files = fs::read_dir(directory()).expect("the directory of scenarios");
    let names = files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned());
    names.filter_map(|name| name.strip_suffix(".txt").map(str::to_owned)).collect()
}

/// What is wrong with a story, with its file and line.
fn complaint(name: &str, text: &str) -> Option<String> {
    match play(text) {
        Err(error) => Some(format!("scenarios/{name}.txt:{error}")),
        Ok(played) => played.differs.map(|differs| format!("scenarios/{name}.txt:{differs}")),
    }
}

#[test]
fn every_story_goes_as_it_was_read_and_agreed() {
    let is_rewriting = std::env::var_os("SYNOD_REWRITE").is_some();
    let mut changed = Vec::new();
    for name in names() {
        let path = directory().join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).expect("a scenario");
        if is_rewriting && let Ok(played) = play(&text) {
            fs::write(&path, played.text).expect("it is written");
        } else {
            changed.extend(complaint(&name, &text));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn a_changed_output_and_an_unknown_command_are_refused_with_file_and_line() {
    let story = scenarios().iter().find(|it| it.name == "one-value").expect("it is on the shelf");
    assert_eq!(complaint("one-value", story.text), None);
    let (line, _) = (1..).zip(story.text.lines()).find(|(_, it)| *it == "> settle").expect("one");
    let changed = story.text.replacen("accepted 1·L1", "accepted 2·L1", 1);
    let said = complaint("one-value", &changed).expect("it differs");
    assert!(said.starts_with(&format!("scenarios/one-value.txt:{line}: > settle\n")), "{said}");
    let unknown = story.text.replacen("> settle", "> settel", 1);
    let expected = format!("scenarios/one-value.txt:{line}: `settel` is no command");
    assert_eq!(complaint("one-value", &unknown), Some(expected));
}

#[test]
fn the_shelf_holds_every_story() {
    let shelf: BTreeSet<String> = scenarios().iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(shelf, names());
    assert!(scenarios().is_sorted_by_key(|it| it.name));
}

#[test]
fn every_known_fault_has_a_story_or_a_reason() {
    let readme = fs::read_to_string(directory().join("README.md")).expect("the table");
    let mut faults = BTreeSet::new();
    let mut told = BTreeSet::new();
    let rows = readme.lines().filter_map(|line| line.strip_prefix("| "));
    for row in rows.filter(|row| row.starts_with(['P', 'T'])) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [fault, _, story] = cells[..] else { panic!("three cells: {row}") };
        faults.insert(fault.to_owned());
        let links: Vec<&str> = story.split(['(', ')']).skip(1).step_by(2).collect();
        let has_reason = story.starts_with("Does not apply") && links.is_empty();
        assert!(has_reason || !links.is_empty(), "neither story nor reason: {row}");
        told.extend(links.iter().filter_map(|link| link.strip_suffix(".txt")).map(str::to_owned));
    }
    let known = (1..=60).map(|number| format!("P{number}"));
    let known = known.chain((1..=47).map(|number| format!("T{number}")));
    let known: BTreeSet<String> = known.chain(["P25b".into()]).collect();
    assert_eq!(faults, known);
    assert_eq!(told, names(), "the table names exactly the files");
}

#[test]
fn every_story_says_first_what_it_is_about() {
    for scenario in scenarios() {
        let about = scenario.about();
        assert!(about.ends_with('.') && about.len() > 10, "{}: {about}", scenario.name);
    }
}
