//! Mounts that nobody else sees: this program starts itself anew in a mount namespace of its own.
//!
//! Whoever makes a mount namespace meanwhile would otherwise hold on to the nodes' file systems:
//! one that was shut down would still be so when it is mounted again. And where this process is
//! killed, its mounts are gone with it.

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::Outcome;
use crate::arguments::RunArguments;

/// Says that we are there already.
const SECLUDED: &str = "SYNOD_CHAOS_SECLUDED";

/// Returns if there is nothing to be done, or if it cannot be.
pub(crate) fn enter(arguments: &RunArguments) -> Outcome<()> {
    let is_root = rustix::process::geteuid().is_root();
    if arguments.loopback || !is_root || env::var_os(SECLUDED).is_some() {
        return Ok(());
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--"]);
    command.arg(env::current_exe()?).args(env::args_os().skip(1)).env(SECLUDED, "1");
    // Only comes back if it fails.
    let error = command.exec();
    Err(format!("{command:?}: {error}; try --loopback").into())
}
