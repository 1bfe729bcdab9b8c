//! The help page of each command against a golden file in `tests/help`.
//!
//! After a change on purpose, `SYNOD_REWRITE=1 cargo test -p synod --test help` writes them anew.

use std::path::Path;
use std::process::Command;

/// Every command. A test of the tree of commands keeps this complete.
const COMMANDS: [&str; 51] = [
    "",
    "demo",
    "init",
    "init cluster",
    "init replacement",
    "init certificate",
    "init authority",
    "init journal",
    "init systemd",
    "init compose",
    "serve",
    "config",
    "config show",
    "config check",
    "config explain",
    "log",
    "log append",
    "log read",
    "log tail",
    "bench",
    "cluster",
    "cluster status",
    "cluster health",
    "cluster transfer-leader",
    "snapshot",
    "snapshot save",
    "snapshot verify",
    "snapshot restore",
    "inspect",
    "inspect wal",
    "inspect slot",
    "inspect promises",
    "inspect verify",
    "inspect snapshots",
    "chaos",
    "chaos fail",
    "chaos recover",
    "chaos network",
    "sim",
    "sim run",
    "sim replay",
    "sim shrink",
    "sim world",
    "sim ancestor",
    "sim scenarios",
    "trace",
    "trace info",
    "trace export",
    "completions",
    "version",
    "-h",
];

/// A screen: what `-h` must fit on.
const SCREEN_LINES: usize = 50;

fn help(command: &str, flag: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_synod"))
        .args(command.split_whitespace())
        .arg(flag)
        .env_remove("CLICOLOR_FORCE")
        .env_remove("SYNOD_CONFIG")
        .env("COLUMNS", "100")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{command} {flag}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_help_page_is_as_it_was_read_and_agreed() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help");
    let is_rewriting = std::env::var_os("SYNOD_REWRITE").is_some();
    let mut changed = Vec::new();
    for command in COMMANDS {
        let (path, flag) = match command {
            "-h" => ("synod-short".to_owned(), "-h"),
            "" => ("synod".to_owned(), "--help"),
            _ => (format!("synod-{}", command.replace(' ', "-")), "--help"),
        };
        let page = help(command.trim_start_matches("-h"), flag);
        let golden = directory.join(path).with_extension("txt");
        if is_rewriting {
            std::fs::write(&golden, &page).unwrap();
        }
        if std::fs::read_to_string(&golden).ok().as_ref() != Some(&page) {
            changed.push(format!("{}:\n{page}", golden.display()));
        }
    }
    assert!(changed.is_empty(), "{}", changed.join("\n"));
}

#[test]
fn short_help_fits_on_a_screen() {
    for command in COMMANDS.into_iter().filter(|command| *command != "-h") {
        let lines = help(command, "-h").lines().count();
        assert!(lines <= SCREEN_LINES, "{command}: {lines} lines");
    }
}

#[test]
fn the_list_of_pages_is_complete() {
    for command in COMMANDS.into_iter().filter(|command| *command != "-h") {
        let page = help(command, "-h");
        let listed = page.lines().filter_map(|line| {
            let (name, about) = line.strip_prefix("  ")?.split_once("  ")?;
            let is_name = name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-');
            (is_name && !name.is_empty() && !about.trim().is_empty()).then_some(name)
        });
        for name in listed {
            let path = format!("{command} {name}");
            assert!(COMMANDS.contains(&path.trim()), "{path} has no golden page");
        }
    }
}
