//! What a run left behind that was killed before it could tidy up: found by its names, which hold
//! the id of a process that is no more. Nothing else is touched.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::disks;
use crate::network::PREFIX;
use crate::shell::{ip, run};

/// Removes them. Best effort: what does not go is said, and does not stop the next run.
pub(crate) fn remove(runs: &Path) {
    let spaces = ip("netns list").unwrap_or_default();
    let names = spaces.lines().filter_map(|line| line.split(' ').next());
    for space in names.filter(|name| name.strip_prefix(PREFIX).is_some_and(is_orphaned)) {
        let processes = ip(&format!("netns pids {space}")).unwrap_or_default();
        for process in processes.lines().filter_map(parse) {
            say(kill_process(process, Signal::KILL).map_err(Into::into), space);
        }
        say(ip(&format!("netns del {space}")).map(drop), space);
    }
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(PathBuf::from);
    for mount in mounts.filter(|mount| is_of_orphan(mount, runs)) {
        // It may be frozen, and then nothing else works.
        drop(run("fsfreeze", &["-u".as_ref(), mount.as_os_str()]));
        say(disks::unmount(&mount), &mount.display().to_string());
    }
    // What is kept on purpose has another name.
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(is_orphaned) {
            let removed = fs::remove_dir_all(entry.path());
            say(removed.map_err(Into::into), &entry.path().display().to_string());
        }
    }
}

/// Below `runs`, in the directory of a run that is over.
fn is_of_orphan(mount: &Path, runs: &Path) -> bool {
    let below = mount.strip_prefix(runs).ok().and_then(|rest| rest.iter().next());
    below.and_then(|name| name.to_str()).is_some_and(is_orphaned)
}

/// `name` begins with the id of a process, and there is no such process.
fn is_orphaned(name: &str) -> bool {
    let digits = name.split('-').next().unwrap_or_default();
    parse(digits).is_some_and(|process| test_kill_process(process).is_err())
}

fn parse(digits: &str) -> Option<Pid> {
    Pid::from_raw(digits.trim().parse().ok()?)
}

fn say(done: crate::Outcome<()>, what: &str) {
    match done {
        Ok(()) => println!("removed {what}, left behind by an earlier run"),
        Err(error) => eprintln!("{what} was left behind by an earlier run, and stays: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_runs_that_are_over_leave_anything_behind() {
        let own = std::process::id();
        assert!(!is_orphaned(&format!("{own}-l1")));
        assert!(!is_orphaned("l1") && !is_orphaned("") && !is_orphaned("0-x"));
        assert!(!is_orphaned("seed-9999999-9999999"), "that is kept");
        // The largest that Linux knows is 2^22.
        assert!(is_orphaned("9999999-l1"));
        let runs = Path::new("/tmp/runs");
        assert!(is_of_orphan(Path::new("/tmp/runs/9999999/a1/disk"), runs));
        assert!(!is_of_orphan(Path::new("/tmp/9999999/a1/disk"), runs));
        assert!(!is_of_orphan(&runs.join(own.to_string()).join("disk"), runs));
    }
}
