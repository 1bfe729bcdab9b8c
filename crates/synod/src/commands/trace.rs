//! `synod trace`: the record of a run, from a file.

mod export;
mod info;
mod open;
mod words;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

/// Look into the record of a run
///
/// `synod sim replay --trace` writes one, and `synod sim run` writes one of each violation.
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod trace info seed-7.synodtrace
  synod trace export seed-7.synodtrace --to shiviz > seed-7.log")]
pub(crate) struct TraceArgs {
    #[command(subcommand)]
    command: TraceCommand,
}

#[derive(Debug, Subcommand)]
enum TraceCommand {
    Info(info::InfoArgs),
    Export(export::ExportArgs),
}

pub(super) fn run(args: TraceArgs, output: &Output) -> Result<Exit, CliError> {
    match args.command {
        TraceCommand::Info(args) => info::run(&args, output),
        TraceCommand::Export(args) => export::run(&args, output),
    }
}
