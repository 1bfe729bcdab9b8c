//! The list of mutants: `museum/mutants.toml`, read and checked against the core as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::suite::Killer;

/// One wrong line.
#[derive(Debug)]
pub struct Mutant {
    /// What goes wrong, in snake case. Used once.
    pub name: String,
    /// Where the bug was seen.
    pub source: String,
    /// The file of the core that it is put into.
    pub file: PathBuf,
    /// What stands there, exactly once.
    pub from: String,
    /// What stands there instead.
    pub to: String,
    /// Who noticed it last time. Only a hint: tried first, and the others after it.
    pub noticed_by: Option<Hint>,
}

/// One test of one killer.
#[derive(Debug)]
pub struct Hint {
    /// Whose test it is.
    pub killer: &'static Killer,
    /// Its path within that crate.
    pub test: String,
}

/// Every mutant, in the order of the list.
pub fn mutants(root: &Path) -> io::Result<Vec<Mutant>> {
    let text = fs::read_to_string(root.join("museum").join("mutants.toml"))?;
    let table: toml::Table = text.parse().map_err(io::Error::other)?;
    let list = table.get("mutant").and_then(toml::Value::as_array);
    let list = list.ok_or_else(|| io::Error::other("mutants.toml lists no mutant"))?;
    list.iter().map(|entry| mutant(root, entry)).collect()
}

fn mutant(root: &Path, entry: &toml::Value) -> io::Result<Mutant> {
    let field = |name: &str| entry.get(name).and_then(toml::Value::as_str).map(String::from);
    let needed =
        |name: &str| field(name).ok_or_else(|| io::Error::other(format!("{entry} lacks {name}")));
    let (name, source, file) = (needed("name")?, needed("source")?, needed("file")?);
    let (from, to) = (needed("from")?, needed("to")?);
    // A mutant whose line was changed since is stale; it must not pass for a live one.
    let places = fs::read_to_string(root.join(&file))?.matches(&from).count();
    if places != 1 || from == to {
        return Err(io::Error::other(format!("{name}: `from` stands {places} times in {file}")));
    }
    let noticed_by = field("noticed_by").map(|hint| hint_of(&hint)).transpose()?;
    Ok(Mutant { name, source, file: file.into(), from, to, noticed_by })
}

/// `killer::path::of::the::test`, as the table prints it.
fn hint_of(hint: &str) -> io::Result<Hint> {
    let known = hint.split_once("::").and_then(|(killer, test)| {
        Some(Hint { killer: Killer::named(killer)?, test: test.into() })
    });
    known.ok_or_else(|| io::Error::other(format!("{hint}: no such killer")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::museum::root;

    #[test]
    fn every_mutant_changes_one_place_of_the_core_as_it_is() {
        let mutants = mutants(&root()).expect("no mutant is stale");
        let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
        assert_eq!(names.len(), mutants.len(), "each name is used once");
        assert!(mutants.len() >= 180, "mutants are given up only for a reason");
    }

    #[test]
    fn every_hint_names_a_test() {
        let mut tests = String::new();
        for crates in ["paxos", "node", "journal", "sim"] {
            read_all(&root().join("crates").join(crates), &mut tests);
        }
        for mutant in mutants(&root()).expect("no mutant is stale") {
            let Some(hint) = mutant.noticed_by else { continue };
            let name = hint.test.rsplit("::").next().expect("a path has a last part");
            assert!(tests.contains(&format!("fn {name}()")), "{}: {name}", mutant.name);
        }
    }

    fn read_all(place: &Path, text: &mut String) {
        for entry in fs::read_dir(place).expect("a directory of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read_all(&path, text);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                text.push_str(&fs::read_to_string(path).expect("a source file"));
            }
        }
    }
}
