//! The README's thirty-three lines, run as they are written.

#[expect(dead_code, reason = "other tests use the rest")]
mod machines;

use std::net::UdpSocket;
use std::process::Command;

use machines::Counters;
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
