//! `synod log`: the history, from outside.

mod append;
mod entries;
mod read;
mod tail;

use clap::{Args, Subcommand};

use crate::error::{CliError, Exit};
use crate::output::Output;

/// Append to the history, read it, follow it
#[derive(Debug, Args)]
#[command(
    subcommand_value_name = "COMMAND",
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
#[command(after_help = "Examples:
  synod log append hello -e 127.0.0.1:7201
  synod log tail -e 127.0.0.1:7201 | head")]
pub(crate) struct LogArgs {
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    Append(append::AppendArgs),
    Read(read::ReadArgs),
    Tail(tail::TailArgs),
}

pub(super) fn run(args: LogArgs, output: &Output) -> Result<Exit, CliError> {
    match args.command {
        LogCommand::Append(args) => append::run(args, output),
        LogCommand::Read(args) => read::run(&args, output),
        LogCommand::Tail(args) => tail::run(&args, output),
    }
}
