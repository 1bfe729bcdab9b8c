//! One file a command.

pub(crate) mod bench;
pub(crate) mod chaos;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod man;
pub(crate) mod serve;
pub(crate) mod sim;
pub(crate) mod snapshot;
pub(crate) mod trace;
mod version;

use crate::cli::Command;
use crate::error::{CliError, Exit};
use crate::output::Output;

/// Runs a command to its end.
pub(crate) fn run(command: Command, output: &Output) -> Result<Exit, CliError> {
    match command {
        Command::Demo(args) => demo::run(&args, output),
        Command::Init(args) => init::run(&args, output),
        Command::Serve(args) => serve::run(&args),
        Command::Log(args) => log::run(args, output),
        Command::Bench(args) => bench::run(&args, output),
        Command::Cluster(args) => cluster::run(&args, output),
        Command::Snapshot(args) => snapshot::run(&args, output),
        Command::Inspect(args) => inspect::run(&args, output),
        Command::Chaos(args) => chaos::run(&args, output),
        Command::Completions(args) => completions::run(&args, output),
        Command::Config(args) => config::run(&args, output),
        Command::Man(args) => man::run(&args, output),
        Command::Sim(args) => sim::run(args, output),
        Command::Trace(args) => trace::run(args, output),
        Command::Version => output.show(version::report()),
    }
}
