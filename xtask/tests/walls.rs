//! The table of rooms and walls in ARCHITECTURE.md, kept by the compiler's own metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// A crate, what it may import of ours, and what of others (`None`: anything).
type Wall = (&'static str, &'static [&'static str], Option<&'static [&'static str]>);

const WALLS: [Wall; 11] = [
    ("paxos", &[], Some(&["xxhash-rust"])),
    ("journal", &[], Some(&["crc"])),
    ("node", &["paxos"], Some(&[])),
    ("client", &[], None),
    ("server", &["client", "journal", "node", "paxos"], None),
    // Packs and names bytes; the header is JSON. It knows nothing of what it records.
    ("trace", &[], Some(&["flate2", "serde", "serde_json", "sha2"])),
    // Worlds are data.
    ("sim", &["journal", "node", "paxos", "trace"], Some(&["serde"])),
    ("synod", &["client", "journal", "node", "paxos", "server", "sim", "trace"], None),
    // Real processes from outside: nothing of the server, which it judges.
    ("chaos", &["client", "paxos", "sim"], None),
    ("fuzz", &["client", "journal", "node", "paxos", "server"], Some(&FUZZ)),
    ("xtask", &[], Some(&["toml"])),
];

const FUZZ: [&str; 3] = ["crc", "libfuzzer-sys", "prost"];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let needed = |package: &Value| {
        let all = package["dependencies"].as_array().expect("a list");
        // Tests and build scripts may use what they like.
        all.iter().filter(|one| one["kind"].is_null()).map(name).collect()
    };
    let packages = metadata["packages"].as_array().expect("a list");
    packages.iter().map(|package| (name(package), needed(package))).collect()
}

#[test]
fn every_crate_keeps_within_its_walls() {
    let actual = dependencies();
    let ours: BTreeSet<&str> = WALLS.iter().map(|(name, ..)| *name).collect();
    assert!(actual.keys().map(String::as_str).eq(ours.iter().copied()), "a room without a wall");
    for (name, allowed_ours, allowed_others) in WALLS {
        for dependency in &actual[name] {
            let dependency = dependency.as_str();
            let allowed = if ours.contains(dependency) {
                allowed_ours.contains(&dependency)
            } else {
                allowed_others.is_none_or(|others| others.contains(&dependency))
            };
            assert!(allowed, "{name} must not import {dependency}");
        }
    }
}

#[test]
fn embedders_get_no_command_line() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package=synod", "--no-default-features", "--edges=normal"])
        .args(["--prefix=none", "--format={p}", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    let tree = String::from_utf8(output.stdout).expect("cargo prints text");
    let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains("server") && names.contains("postcard"), "{tree}");
    for cli in ["clap", "clap_complete", "indicatif", "tracing-subscriber", "sim", "trace"] {
        assert!(!names.contains(cli), "the lean library imports {cli}");
    }
}
