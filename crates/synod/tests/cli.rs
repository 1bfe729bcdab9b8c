//! The contract with scripts, through the real binary: exit codes, and what goes to which stream.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    for name in ["SYNOD_ENDPOINTS", "SYNOD_CONFIG", "SYNOD_LOG", "RUST_LOG", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

fn synod(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

/// The one JSON object on stderr; stdout must be empty.
fn envelope(output: &Output) -> Value {
    assert_eq!(text(&output.stdout), "");
    let document: Value = serde_json::from_slice(&output.stderr).expect("one JSON document");
    document["error"].clone()
}

/// An address of this machine at which nothing listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").to_string()
}

#[test]
fn an_unknown_format_is_a_usage_error() {
    let output = synod(&["version", "-o", "xml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("invalid value 'xml'"));
}

#[test]
fn a_misspelt_command_gets_a_suggestion() {
    let output = synod(&["verison"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("'version'"), "{}", text(&output.stderr));
}

#[test]
fn wrong_arguments_are_one_json_object_where_json_is_asked_for() {
    for arguments in [
        &["log", "append", "x", "--windw", "1", "-o", "json"][..],
        &["--output=jsonl", "demo", "--fail", "many"],
        &["cluster", "-ojson"],
        &["demo", "--fail", "3", "-o", "json"],
        &["log", "read", "-o", "json"],
    ] {
        let output = synod(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = envelope(&output);
        assert_eq!((&error["code"], &error["exit"]), (&"usage".into(), &2.into()), "{arguments:?}");
        assert_eq!(error["outcome"], "not_done");
    }
}

#[test]
fn nothing_reachable_is_exit_code_4() {
    let address = nobody();
    for words in [&["cluster", "health"][..], &["log", "read"], &["log", "append", "x"]] {
        let options = ["-e", &address, "--timeout", "300ms"];
        let output = synod(&[words, &options].concat());
        assert_eq!(output.status.code(), Some(4), "{words:?}: {}", text(&output.stderr));
        assert!(text(&output.stderr).starts_with("error: "), "{words:?}");
    }
}

#[test]
fn a_node_that_is_gone_is_a_row_of_the_status() {
    let address = nobody();
    let output = synod(&["cluster", "status", "-e", &address, "-o", "json"]);
    assert_eq!(output.status.code(), Some(4));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], "synod.cluster.status/1");
    assert_eq!(document["nodes"][0]["reachable"], false);
}

#[test]
fn options_win_over_an_endpoint_of_the_environment() {
    let (address, other) = (nobody(), nobody());
    let output = command(&["cluster", "status", "-e", &address, "-o", "plain"])
        .env("SYNOD_ENDPOINTS", &other)
        .output()
        .unwrap();
    assert!(text(&output.stdout).starts_with(&address));
}

#[test]
fn a_cluster_is_never_made_over_another() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("cluster");
    let arguments = ["init", "cluster", "--nodes", "3", "--dir", dir.to_str().unwrap()];
    let made = synod(&arguments);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert_eq!(text(&made.stdout).lines().count(), 3);
    assert!(text(&made.stderr).contains("synod serve --config"));
    assert!(dir.join("n1/synod.toml").is_file());

    let again = synod(&[&arguments[..], &["-o", "json"]].concat());
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(envelope(&again)["code"], "not_empty");
}

/// Makes a cluster of so many nodes; gives back their files.
fn cluster(root: &std::path::Path, nodes: usize) -> Vec<String> {
    let dir = root.join("cluster");
    let (dir, count) = (dir.to_str().expect("text"), nodes.to_string());
    let made = synod(&["init", "cluster", "--nodes", &count, "--dir", dir]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    (1..=nodes).map(|node| format!("{dir}/n{node}/synod.toml")).collect()
}

#[test]
fn a_lost_disk_is_replaced_machine_by_machine() {
    let root = tempfile::tempdir().unwrap();
    let files = cluster(root.path(), 3);
    let data = root.path().join("cluster/n2/data");
    std::fs::remove_dir_all(&data).unwrap();
    let first = synod(&["init", "replacement", "--node", "2", "--running", "0", &files[1]]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    let row: Vec<&str> = text(&first.stdout).trim_end().split('\t').collect();
    assert_eq!((row[0], row[1], row[3], row[4]), ("2", "1", "true", data.to_str().unwrap()));

    // What it prints for the others is what they need.
    let words = text(&first.stderr);
    assert!(words.contains("for the files of other members (node 1, 3):"), "{words}");
    let line = words.lines().find(|line| line.contains("--epoch")).expect("a command");
    let line: Vec<&str> = line.split_whitespace().skip(1).filter(|it| *it != "FILE...").collect();
    assert_eq!(line[..6], ["init", "replacement", "--node", "2", "--epoch", "1"]);
    for changed in ["true", "false"] {
        let next = synod(&[&line[..], &[&files[0], &files[2]]].concat());
        assert_eq!(next.status.code(), Some(0), "{}", text(&next.stderr));
        assert!(!text(&next.stderr).contains("other members"), "that was all");
        for row in text(&next.stdout).lines() {
            assert_eq!(row.split('\t').nth(3), Some(changed), "{row}");
        }
    }
    for file in &files {
        let file = std::fs::read_to_string(file).unwrap();
        assert!(file.contains("epoch = 1 ") && file.contains(row[2]), "{file}");
    }
}

#[test]
fn a_replacement_that_would_be_wrong_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let files = cluster(root.path(), 3);
    let disk = "00112233445566778899aabbccddeeff";
    let error = |arguments: &[&str], code: &str, exit: i32| {
        let output = synod(&[&["init", "replacement", "-o", "json"], arguments].concat());
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {}", text(&output.stderr));
        let error = envelope(&output);
        assert_eq!(error["code"], code, "{error}");
        error["hint"].as_str().unwrap_or_default().to_owned()
    };
    let hint = error(&["--node", "2", &files[1]], "not_empty", 1);
    assert!(hint.contains("n2/data.lost"), "{hint}");
    let hint = error(&["--node", "2", &files[0]], "usage", 2);
    assert!(hint.contains("with node 2's file, where its new disk is"), "{hint}");
    error(&["--node", "7", &files[0]], "usage", 2);
    error(&["--node", "2"], "usage", 2);
    error(&["--node", "2", "--epoch", "1", &files[0]], "usage", 2);
    error(&["--node", "2", "--disk", disk, &files[0]], "usage", 2);
    error(&["--node", "2", "--epoch", "0", "--disk", disk, &files[0]], "usage", 2);
    error(&["--node", "2", "--epoch", "1", "--disk", &disk[1..], &files[0]], "usage", 2);
    error(&["--node", "2", "--epoch", "1", "--disk", disk, &files[1]], "not_made", 1);
    error(&["--node", "2", "/nowhere/synod.toml"], "config", 2);

    let alone = tempfile::tempdir().unwrap();
    let file = &cluster(alone.path(), 1)[0];
    std::fs::remove_dir_all(alone.path().join("cluster/n1/data")).unwrap();
    let hint = error(&["--node", "1", file], "too_few_acceptors", 1);
    assert!(hint.contains("restore the disk itself"), "{hint}");
}

#[test]
fn an_acceptor_without_its_journal_does_not_run() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("c");
    // Below the range from which the system draws ports for others.
    let port = (9000 + std::process::id() % 900).to_string();
    let dir_text = dir.to_str().unwrap();
    let made = synod(&["init", "cluster", "--nodes", "1", "--dir", dir_text, "--base-port", &port]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let data = dir.join("n1/data");
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::create_dir(&data).unwrap();

    let config = dir.join("n1/synod.toml");
    let output = synod(&["serve", "--config", config.to_str().unwrap(), "-o", "json"]);
    assert_eq!(output.status.code(), Some(7), "{}", text(&output.stderr));
    let last = text(&output.stderr).lines().last().unwrap();
    let document: Value = serde_json::from_str(last).unwrap();
    assert_eq!(document["error"]["code"], "data_dir");
    assert!(document["error"]["hint"].as_str().unwrap().contains("must not vote"));
}

#[test]
fn a_missing_configuration_is_exit_code_2() {
    let output = synod(&["serve", "--config", "/nowhere/synod.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("hint: `synod init cluster"));
}

#[test]
fn every_format_answers_the_same_question() {
    let of = |format| {
        let output = synod(&["version", "-o", format]);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = env!("CARGO_PKG_VERSION");
    assert!(of("table").starts_with(&format!("synod {version} ")));
    assert!(of("plain").starts_with(&format!("version\t{version}\n")));
    for format in ["json", "jsonl"] {
        let document: Value = serde_json::from_str(&of(format)).unwrap();
        assert_eq!(document["version"], version);
    }
    assert_eq!(of("jsonl").lines().count(), 1);
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let mut child = command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
