//! `cargo xtask chaos`: a cluster of real processes on one machine, everything that one machine can
//! do to them, clients that append and read meanwhile, and the simulator's checkers over what the
//! clients were told.
//!
//! One seed decides which faults come when and with which dice; what the machine makes of them
//! differs from run to run. So a seed is no proof: what proves something are the histories, which
//! are kept when a promise is broken, and can be judged again.
//!
//! Everything is done from outside, as an operator or an accident would: signals, `ip`, `mount`,
//! bytes in files, the client API. Nothing here is known to a node.
//!
//! The modules are declared in reading order.

#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]

mod arguments;
mod seclusion;
mod run;
mod plan;
mod director;
mod world;
mod faults;
mod cluster;
mod configuration;
mod network;
mod disks;
mod leftovers;
mod load;
mod readers;
mod followers;
mod stranger;
mod clients;
mod notes;
mod judge;
mod figures;
mod shell;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

/// What stops a run, for a person to read.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A promise was broken: the same code with which a node ends that sees it.
const VIOLATION: u8 = 10;

/// Does what the process's arguments say.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => seclusion::enter(&arguments.run).and_then(|()| run::run(&arguments.run)),
        Some(Command::Judge { directory }) => judge::again(&directory),
        Some(Command::Stranger(stranger)) => stranger::run(&stranger).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(VIOLATION),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
