//! Programs of the system, each run to its end, with what it said if it failed.

use std::ffi::OsStr;
use std::process::Command;

use crate::Outcome;

/// Runs a program, and gives back what it printed.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Outcome<String> {
    finish(Command::new(program).args(arguments))
}

/// The same for a command that is made already.
pub(crate) fn finish(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{command:?}: {}: {}", output.status, said.trim()).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `ip` with words.
pub(crate) fn ip(words: &str) -> Outcome<String> {
    run("ip", &words.split(' ').collect::<Vec<_>>())
}
