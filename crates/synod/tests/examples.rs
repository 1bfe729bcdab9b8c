//! Every numbered example runs, and says what it should.

use std::path::{Path, PathBuf};
use std::process::Command;

fn binary(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let profile = test.parent().and_then(Path::parent).expect("target/profile/deps");
    let path = profile.join("examples").join(example);
    assert!(path.exists(), "cargo test builds examples, too, unless one test is named alone");
    path
}

fn run(example: &str, arguments: &[&str]) -> String {
    let output = Command::new(binary(example)).args(arguments).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {errors}");
    String::from_utf8(output.stdout).expect("it prints text")
}

#[test]
fn each_example_is_headed_by_its_command_line_and_is_run_here() {
    let mut numbered = 0;
    let tests = include_str!("examples.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/examples")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name.starts_with(|first: char| first.is_ascii_digit()) {
            numbered += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let command = format!("//! cargo run -p synod --example {name}");
            assert!(text.contains(&command), "{name} does not say how it is run");
            assert!(tests.contains(&format!("run(\"{name}\"")), "nothing runs {name}");
        }
    }
    assert!(numbered >= 6);
}

#[test]
fn a_counter_goes_on_counting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("counter");
    let path = path.to_str().unwrap();
    for visits in 1..=3 {
        let said = run("01_counter", &[path]);
        assert!(said.contains(&format!("visits = {visits}\n1 counter\n")), "{said}");
    }
}

#[test]
fn a_store_swaps_once() {
    let said = run("02_kv", &[]);
    assert!(said.contains("Err(Mismatch { found: Some(\"red\") })"), "{said}");
    assert!(said.contains("swapped once: true\ncolour = blue\n"), "{said}");
    assert_eq!(said.matches("Swap {").count(), 2, "a repeat is no entry of the log: {said}");
}

#[test]
fn three_nodes_go_on_without_their_leader() {
    let said = run("03_three_nodes", &[]);
    assert!(said.contains("the leader has stopped\nsum = 10\nthe other one reads 10\n"), "{said}");
}

#[test]
fn a_disk_of_ones_own_is_used() {
    assert_eq!(run("04_custom_storage", &[]), "1000 commands, fewer syncs: true\n");
}

#[test]
fn a_careless_machine_is_found_out() {
    let said = run("05_simulate_your_app", &[]);
    assert!(said.contains("50 seeds, 3000 commands: nothing found\nfound: seed"), "{said}");
}

#[test]
fn the_protocol_is_driven_by_hand() {
    assert_eq!(run("06_sans_io_loop", &[]), "slot 1: one\nslot 2: two\n");
}
