//! `synod sim`: the painted world, where one seed decides everything.

mod ancestor;
mod faults;
mod replay;
mod run;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sim::Options;

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
  synod sim replay --seed 7")]
pub(crate) struct SimArgs {
    #[command(subcommand)]
    command: SimCommand,
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    Run(run::RunArgs),
    Replay(replay::ReplayArgs),
    Faults(faults::FaultsArgs),
    Ancestor(ancestor::AncestorArgs),
}

/// Which world a seed is drawn in.
#[derive(Clone, Debug, Args)]
struct WorldArgs {
    /// Damage disks beyond what the protocol promises to survive
    #[arg(long)]
    beyond: bool,

    /// Take the faults from here instead of drawing them; see `synod sim faults`
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

/// The same, read and ready for any seed.
#[derive(Clone, Debug)]
struct World {
    beyond: bool,
    faults: Option<sim::Faults>,
}

impl WorldArgs {
    fn read(&self) -> Result<World, CliError> {
        let faults = self.faults.as_deref().map(faults::read).transpose()?;
        Ok(World { beyond: self.beyond, faults })
    }

    /// The command that walks one seed again.
    fn replay_command(&self, seed: u64) -> String {
        let beyond = if self.beyond { " --beyond" } else { "" };
        let faults = self.faults.as_ref().map(|path| format!(" --faults {}", path.display()));
        format!("synod sim replay --seed {seed}{beyond}{}", faults.unwrap_or_default())
    }
}

impl World {
    fn options(&self, seed: u64) -> Options {
        let options = if self.beyond { Options::drawn_beyond(seed) } else { Options::drawn(seed) };
        match &self.faults {
            Some(faults) => Options { faults: faults.clone(), ..options },
            None => options,
        }
    }
}

pub(super) fn run(args: SimArgs, output: &Output) -> Result<Exit, CliError> {
    match args.command {
        SimCommand::Run(args) => run::run(&args, output),
        SimCommand::Replay(args) => replay::run(&args, output),
        SimCommand::Faults(args) => faults::run(&args, output),
        SimCommand::Ancestor(args) => ancestor::run(&args, output),
    }
}
