//! The README's thirty-three lines and its cluster, run as they are written.

#[expect(dead_code, reason = "other tests use the rest")]
mod machines;
#[path = "cluster/ports.rs"]
mod ports;

use std::net::UdpSocket;
use std::process::Command;

use machines::Counters;
use ports::free_ports;
use synod::Node;

fn first_block(text: &str) -> String {
    let (_, rest) = text.split_once("no_run\n").expect("a block of Rust");
    rest.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_readme_and_the_first_page_show_the_same_thirty_three_lines() {
    let readme = first_block(include_str!("../../../README.md"));
    let page: String = include_str!("../src/lib.rs")
        .lines()
        .map_while(|line| line.strip_prefix("//!"))
        .flat_map(|line| [line.strip_prefix(' ').unwrap_or(line), "\n"])
        .collect();
    assert_eq!(first_block(&page), readme);
    assert_eq!(readme.lines().filter(|line| !line.trim().is_empty()).count(), 33);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_program_runs_as_written() {
    // Ports that are free now.
    let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let peers: Vec<(u32, String)> = (1..=3).map(|id| (id, free())).collect();
    let directory = tempfile::tempdir().unwrap();
    // The other two are the same machine, and stay.
    let mut others = Vec::new();
    for id in 2..=3 {
        let other = Node::builder(Counters::default()).id(id).peers(peers.clone()).in_memory();
        others.push(tokio::spawn(other.start()));
    }
    let test = std::env::current_exe().unwrap();
    let example = test.ancestors().nth(2).unwrap().join("examples/readme");
    let mut program = Command::new(example);
    for (id, address) in &peers {
        program.env(format!("NODE_{id}"), address);
    }
    program.env("DIRECTORY", directory.path());
    let ran = tokio::task::spawn_blocking(move || program.output()).await.unwrap().unwrap();
    let said = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.starts_with("slot ") && said.ends_with(", visits = 1\n1 counters\n"), "{said}");
    for other in others {
        other.await.unwrap().expect("all three were there");
    }
}

#[test]
fn the_readmes_cluster_runs_as_it_is_pasted() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("## Run it").expect("the section");
    let block = section.split("```").nth(1).expect("its block").trim_start_matches("sh\n");
    let binary = env!("CARGO_BIN_EXE_synod");
    // Built already, and on ports of its own.
    let base = free_ports();
    let pasted = block
        .replace("cargo build --release\n", "")
        .replace("$PWD/target/release/synod", binary)
        .replace("init cluster", &format!("init cluster --base-port {base}"))
        .replace(":7201", &format!(":{}", base + 101))
        .replace(":7202", &format!(":{}", base + 102));
    assert!(!pasted.contains("cargo") && !pasted.contains("72"), "{pasted}");
    let directory = tempfile::tempdir().unwrap();
    // Each command must succeed, as who pastes them expects; the nodes go with the shell.
    let script = format!("set -e\ntrap 'kill $(jobs -p); wait' EXIT\n{pasted}");
    let mut shell = Command::new("bash");
    shell.args(["-O", "expand_aliases", "-c", &script]).current_dir(directory.path());
    shell.env_remove("SYNOD_CONFIG");
    let ran = shell.output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
    assert!(said.contains("hello") && said.contains("world"), "{said}");
}
