//! Traces through the real binary: written by a walk, told, exported, and refused when damaged.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn synod(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.env_remove("CLICOLOR_FORCE").args(arguments);
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Writes the trace of a walk, and gives the number of its happenings.
fn write(path: &Path) -> u64 {
    let path = path.to_str().expect("text");
    let output = synod(&["sim", "replay", "--seed", "7", "--trace", path, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    document["happenings"].as_str().expect("a string").parse().expect("a number")
}

#[test]
fn a_trace_tells_what_it_holds() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("seed-7.synodtrace");
    let happenings = write(&path);
    let file = path.to_str().unwrap();
    let output = synod(&["trace", "info", file, "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["seed"], "7");
    assert_eq!(document["command"], "synod sim replay --seed 7");
    assert_eq!(document["is_whole"], true);
    let number = |key: &str| document[key].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number("messages") > 100);
    // Arrivals are told by the fates of messages; records and words have rows of their own.
    assert!(number("messages") + number("events") < happenings);
    let sum = |key: &str| -> u64 {
        let counts = document[key].as_object().unwrap().values();
        counts.map(|count| count.as_str().unwrap().parse::<u64>().unwrap()).sum()
    };
    assert_eq!(sum("messages_by_kind"), number("messages"));
    assert_eq!(sum("messages_by_fate"), number("messages"));
    assert_eq!(sum("events_by_kind"), number("events"));

    let head = std::fs::read(&path).unwrap();
    let line = head.split(|byte| *byte == b'\n').next().unwrap();
    let header: Value = serde_json::from_slice(line).unwrap();
    assert_eq!((&header["format"], &header["seed"]), (&"synodtrace".into(), &"7".into()));
}

#[test]
fn every_row_can_be_exported() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("seed-7.synodtrace");
    write(&path);
    let file = path.to_str().unwrap();
    let export = |tool| {
        let output = synod(&["trace", "export", file, "--to", tool]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let rows: Vec<Value> =
        export("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let heard: usize = rows
        .iter()
        .filter(|row| row["fate"] == "once" || row["fate"] == "twice")
        .map(|row| row["latency_us"].as_array().unwrap().len())
        .sum();
    assert!(rows.iter().all(|row| row["schema"] == "synod.trace.row/1"));

    // Two lines an event: each row, and each copy heard, at a host whose clock counts up by one.
    let log = export("shiviz");
    let events: Vec<&str> = log.lines().skip(2).step_by(2).collect();
    assert_eq!(events.len(), rows.len() + heard);
    let mut counts = std::collections::BTreeMap::new();
    for event in events {
        let (host, clock) = event.split_once(' ').unwrap();
        let clock: Value = serde_json::from_str(clock).unwrap();
        let count = counts.entry(host).or_insert(0_u64);
        *count += 1;
        assert_eq!(clock[host], *count);
    }

    let document: Value = serde_json::from_str(&export("perfetto")).unwrap();
    let events = document["traceEvents"].as_array().unwrap();
    let of = |phase: &str| events.iter().filter(|event| event["ph"] == phase).count();
    assert_eq!((of("s"), of("f")), (heard, heard));
    assert_eq!(of("X") + of("i"), rows.len() + heard);
    assert!(of("b") > 0, "somebody leads");
}

#[test]
fn no_trace_is_written_over_another_file() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("precious");
    std::fs::write(&path, "precious").unwrap();
    let file = path.to_str().unwrap();
    let output = synod(&["sim", "replay", "--seed", "7", "--trace", file, "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    let document: Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(document["error"]["code"], "exists");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
}

#[test]
fn a_damaged_or_foreign_file_is_exit_code_7_and_a_torn_one_is_not() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("seed-7.synodtrace");
    write(&path);
    let whole = std::fs::read(&path).unwrap();
    let asked = |bytes: &[u8], words: &[&str]| {
        let path = root.path().join("asked");
        std::fs::write(&path, bytes).unwrap();
        let file = path.to_str().unwrap();
        synod(&[&["trace"], &words[..1], &[file], &words[1..], &["-o", "json"]].concat())
    };
    let code = |output: &Output| {
        let document: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert!(document["error"]["hint"].is_string());
        document["error"]["code"].as_str().unwrap().to_owned()
    };
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for words in [&["info"][..], &["export", "--to", "jsonl"], &["export", "--to", "perfetto"]] {
        let output = asked(&damaged, words);
        assert_eq!((output.status.code(), code(&output)), (Some(7), "trace_damaged".into()));
        let output = asked(b"hello\nworld\n", words);
        assert_eq!((output.status.code(), code(&output)), (Some(7), "not_a_trace".into()));
    }
    let torn = asked(&whole[..whole.len() - 1], &["info"]);
    assert_eq!(torn.status.code(), Some(0), "{}", text(&torn.stderr));
    let document: Value = serde_json::from_slice(&torn.stdout).unwrap();
    assert_eq!(document["is_whole"], false);

    let missing = synod(&["trace", "info", "/nowhere/at/all"]);
    assert_eq!(missing.status.code(), Some(1));
}
