//! A node's configuration file, and the durations in it.

use std::path::Path;

use server::config::{Config, HEARTBEATS_PER_TIMEOUT_MIN, Role, format_duration, parse_duration};

pub(crate) fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(duration) = parse_duration(&text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
    match Config::parse(&text, Path::new("synod.toml")) {
        Ok(config) => {
            check(&config);
            let again = Config::parse(&config.to_toml(), Path::new("synod.toml"));
            assert_eq!(again.expect("what is written can be read"), config);
            replace_disks(&text, &config);
        }
        Err(error) => {
            let line_max = text.split('\n').count();
            assert!(error.line.is_none_or(|line| (1..=line_max).contains(&line)));
            assert!(!error.to_string().is_empty());
            assert!(error.hint().is_none_or(|hint| !hint.is_empty()));
        }
    }
}

/// Every acceptor's disk can be replaced in the file as it is.
fn replace_disks(text: &str, config: &Config) {
    let epoch = config.epoch.saturating_add(1);
    let is_free = |disk: &[u8; 16]| config.nodes.iter().all(|node| node.disk != Some(*disk));
    let disk = (0..=255).map(|byte| [byte; 16]).find(is_free).expect("at most 64 are taken");
    for node in config.nodes.iter().filter(|node| node.roles.contains(&Role::Acceptor)) {
        let edited = Config::edit(text, epoch, node.id, disk).expect("it has a disk");
        let edited = Config::parse(&edited, Path::new("synod.toml")).expect("it was compared");
        assert_eq!((edited.epoch, edited.disk(node.id)), (epoch, Some(disk)));
    }
}

/// The relations that `server::config` promises.
fn check(config: &Config) {
    let (phase1, phase2) = (config.quorums.phase1, config.quorums.phase2);
    let acceptors = config.acceptors();
    assert!((1..=acceptors).contains(&phase1));
    assert!((1..=acceptors).contains(&phase2));
    assert!(acceptors < phase1 + phase2);
    let timing = config.timing;
    assert!(timing.heartbeat * HEARTBEATS_PER_TIMEOUT_MIN <= timing.election_timeout);
    assert!(config.nodes.is_sorted_by(|a, b| a.id < b.id));
    assert_eq!(config.own().id, config.id);
}
