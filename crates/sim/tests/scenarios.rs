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

#[test]
fn every_story_goes_as_it_was_read_and_agreed() {
    let is_rewriting = std::env::var_os("SYNOD_REWRITE").is_some();
    let mut changed = Vec::new();
    for name in names() {
        let path = directory().join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).expect("a scenario");
        match play(&text) {
            Err(error) => changed.push(format!("scenarios/{name}.txt:{error}")),
            Ok(played) if is_rewriting => fs::write(&path, played.text).expect("it is written"),
            Ok(played) => {
                let differs = played.differs.map(|it| format!("scenarios/{name}.txt, {it}"));
                changed.extend(differs);
            }
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn the_shelf_holds_every_story() {
    let shelf: BTreeSet<String> = scenarios().iter().map(|it| it.name.to_owned()).collect();
    assert_eq!(shelf, names());
    assert!(scenarios().is_sorted_by_key(|it| it.name));
}
