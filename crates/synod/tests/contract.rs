//! Every command in every format: what goes to stdout, what to stderr, and how it ends.

#[expect(dead_code, reason = "other tests use the rest")]
mod cluster;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use cluster::{Cluster, Layout};
use serde_json::Value;

const FORMATS: [&str; 4] = ["table", "plain", "json", "jsonl"];

const ONE: Layout =
    Layout { options: &["--nodes", "1", "--plaintext"], leaders: &["n1"], others: &[] };

/// Print what other tools read, whatever `--output` says, and say so in their help.
const OF_OTHER_TOOLS: [&str; 1] = ["trace export"];

/// A command to be run, where `CONFIG` is a file of a running node, `WRONG` one that is refused,
/// `NEW` something that does not exist and `TRACE` the record of a walk; and how it ends.
const CASES: [(&str, &str, i32); 46] = [
    ("demo", "--fast -n 10", 0),
    ("init cluster", "--nodes 1 --dir NEW", 0),
    ("init replacement", "--node 7 --running 0 CONFIG", 2),
    ("init journal", "--config WRONG", 2),
    ("init certificate", "--authority NEW --config CONFIG", 1),
    ("init authority", "--config WRONG --dir NEW", 2),
    ("init systemd", "", 0),
    ("init compose", "", 0),
    ("serve", "--config WRONG", 2),
    ("config show", "--config CONFIG", 0),
    ("config show", "--config WRONG", 2),
    ("config check", "--config CONFIG", 0),
    ("config check", "--config WRONG", 2),
    ("config explain", "", 0),
    ("config explain", "log.level", 0),
    ("config explain", "log.levle", 2),
    ("log append", "a b --config CONFIG", 0),
    ("log append", "a -e NOBODY --timeout 1s", 4),
    ("log read", "--config CONFIG", 0),
    ("log read", "--config CONFIG --from x", 2),
    ("log tail", "--config CONFIG --from x", 2),
    ("cluster status", "--config CONFIG", 0),
    ("cluster health", "--config CONFIG", 0),
    ("cluster health", "-e NOBODY --timeout 1s", 4),
    ("cluster transfer-leader", "-e NOBODY --timeout 1s", 4),
    ("bench", "-e NOBODY --timeout 0s", 2),
    ("snapshot save", "NEW -e NOBODY --timeout 1s", 4),
    ("snapshot verify", "WRONG", 7),
    ("snapshot restore", "WRONG --dir NEW", 7),
    ("inspect wal", "--data-dir NEW", 2),
    ("inspect slot", "--data-dir NEW 0", 2),
    ("inspect promises", "--data-dir NEW", 2),
    ("inspect verify", "--data-dir NEW", 2),
    ("inspect snapshots", "--data-dir NEW", 2),
    ("chaos fail", "--config CONFIG", 6),
    ("chaos recover", "--config CONFIG", 6),
    ("chaos network", "--config CONFIG --loss 10%", 6),
    ("sim run", "--seeds 1", 0),
    ("sim replay", "--seed 1 --calm", 0),
    ("sim shrink", "--seed 1", 0),
    ("sim world", "--seed 1", 0),
    ("sim ancestor", "--seeds 5", 0),
    ("sim scenarios", "", 0),
    ("trace info", "TRACE", 0),
    ("completions", "fish", 0),
    ("version", "", 0),
];

fn synod(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SYNOD_")) {
        command.env_remove(name);
    }
    for name in ["RUST_LOG", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(words).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// Demands what the contract says of an answer, or of an error.
fn judge(command: &str, format: &str, exit: i32, output: &Output) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    let told = format!("{command} -o {format}\n{stdout}\n{stderr}");
    assert_eq!(output.status.code(), Some(exit), "{told}");
    assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "colour into a pipe: {told}");
    let is_json = format.starts_with("json");
    let has_answer = exit == 0 || !stdout.is_empty();
    if is_json && has_answer {
        let documents: Vec<Value> = match format {
            "json" => vec![serde_json::from_str(stdout).unwrap_or_else(|_| panic!("{told}"))],
            _ => stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(),
        };
        let schema = format!("synod.{}", command.replace(' ', "."));
        for document in documents {
            let given = document["schema"].as_str().unwrap_or_else(|| panic!("{told}"));
            assert!(given.starts_with("synod.") && given.contains('/'), "{given}");
            // A command with two answers has two names that begin alike.
            let stem = schema.rsplit_once('.').map_or(&*schema, |(stem, _)| stem);
            assert!(given.starts_with(stem), "{given} of {command}");
        }
    }
    if has_answer {
        assert!(!stdout.is_empty(), "an answer: {told}");
        // What was done before an error is a whole answer, too.
        let is_silent = stderr.is_empty() || exit > 0;
        assert!(!is_json || is_silent, "only errors are on stderr in JSON: {told}");
    } else if is_json {
        let envelope: Value = serde_json::from_str(stderr).unwrap_or_else(|_| panic!("{told}"));
        let error = envelope["error"].as_object().unwrap_or_else(|| panic!("{told}"));
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "exit", "hint", "message", "outcome"], "{told}");
        assert_eq!(error["exit"], exit, "{told}");
    } else {
        assert!(stderr.starts_with("error: "), "{told}");
    }
}

#[test]
fn every_command_keeps_the_contract_in_every_format() {
    let root = tempfile::tempdir().unwrap();
    let node = Cluster::start(Path::new(env!("CARGO_BIN_EXE_synod")), root.path(), ONE);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(node.primary());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().to_string();
    drop(listener);
    let config = node.file("n1").display().to_string();
    let wrong = root.path().join("wrong.toml").display().to_string();
    std::fs::write(&wrong, "clutter = 1\n").unwrap();
    let trace = root.path().join("walk.synodtrace").display().to_string();
    let walked = synod(&["sim", "replay", "--seed", "1", "--calm", "--trace", &trace]);
    assert!(walked.status.success(), "{}", text(&walked.stderr));

    for (command, rest, exit) in CASES {
        for format in FORMATS {
            let new = root.path().join(format!("new-{format}")).display().to_string();
            let words: Vec<&str> = command
                .split(' ')
                .chain(rest.split_whitespace())
                .map(|word| match word {
                    "CONFIG" => config.as_str(),
                    "WRONG" => wrong.as_str(),
                    "NEW" => new.as_str(),
                    "TRACE" => trace.as_str(),
                    "NOBODY" => nobody.as_str(),
                    word => word,
                })
                .chain(["-o", format])
                .collect();
            judge(command, format, exit, &synod(&words));
        }
    }
}

/// The commands below one, by what its help lists.
fn leaves(path: &str, found: &mut BTreeSet<String>) {
    let words: Vec<&str> = path.split_whitespace().chain(["-h"]).collect();
    let page = synod(&words);
    let children: Vec<String> = text(&page.stdout)
        .lines()
        .filter_map(|line| {
            let (name, about) = line.strip_prefix("  ")?.split_once("  ")?;
            let is_name = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
            (is_name && !name.is_empty() && !about.trim().is_empty()).then(|| name.to_owned())
        })
        .collect();
    if children.is_empty() {
        found.insert(path.trim().to_owned());
    }
    for child in children {
        leaves(&format!("{path} {child}"), found);
    }
}

#[test]
fn no_command_is_left_out() {
    let mut found = BTreeSet::new();
    leaves("", &mut found);
    let tried = CASES.iter().map(|(command, ..)| *command).chain(OF_OTHER_TOOLS);
    assert_eq!(found, tried.map(str::to_owned).collect());
}
