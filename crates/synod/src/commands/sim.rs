//! `synod sim`: the painted world, where one seed decides everything.

mod ancestor;
mod progress;
mod replay;
mod run;
mod scenarios;
mod shrink;
mod trace_file;
mod world;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

/// Walk through a painted world, where one seed decides every fault
///
/// The nodes, their messages and their journals are the real ones. The clock, the network and the
/// disks are painted, so a failure is a number that anybody can run again.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod sim run --seeds 10000
  synod sim scenarios ghost-entry")]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    command: SimCommand,
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    Run(run::RunArgs),
    Replay(replay::ReplayArgs),
    Shrink(shrink::ShrinkArgs),
    World(world::WorldFileArgs),
    Ancestor(ancestor::AncestorArgs),
    Scenarios(scenarios::ScenariosArgs),
}

pub(super) fn run(args: SimArgs, output: &Output) -> Result<Exit, CliError> {
    match args.command {
        SimCommand::Run(args) => run::run(&args, output),
        SimCommand::Replay(args) => replay::run(&args, output),
        SimCommand::Shrink(args) => shrink::run(&args, output),
        SimCommand::World(args) => world::run(&args, output),
        SimCommand::Ancestor(args) => ancestor::run(&args, output),
        SimCommand::Scenarios(args) => scenarios::run(&args, output),
    }
}
