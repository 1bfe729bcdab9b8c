//! The `synod` command: parse, run, exit.
//!
//! Each command is a file in `commands`; what they print goes through `output`, what stops them
//! through `error`.

mod cli;
mod commands;
mod connection;
mod endpoints;
mod error;
mod exits;
mod faults;
mod lines;
mod node_args;
mod output;
mod runtime;
mod usage;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let exit = match usage::parse(&arguments) {
        Ok(cli) => {
            let output = output::Output::new(&cli.output);
            commands::run(cli.command, &output).unwrap_or_else(|error| output.fail(&error))
        }
        Err(exit) => exit,
    };
    exit.into()
}
