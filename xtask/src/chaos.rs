//! `cargo xtask chaos -- --duration 30m --seed N`: builds the product and the program that breaks
//! it, both as they are released, and runs the latter with what stands behind `--`.

use std::env;
use std::process::{Command, ExitCode};

/// Runs it, and ends as it does.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let cargo = || Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let build = ["build", "--release", "--locked", "-p", "synod", "-p", "chaos"];
    match cargo().args(build).status() {
        Ok(status) if status.success() => {}
        Ok(_) => return ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo could not be started: {error}");
            return ExitCode::FAILURE;
        }
    }
    let run = ["run", "--quiet", "--release", "--locked", "-p", "chaos", "--"];
    let arguments = arguments.skip_while(|argument| argument == "--");
    match cargo().args(run).args(arguments).status() {
        // No code: a signal ended it.
        Ok(status) => {
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            code.map_or(ExitCode::FAILURE, ExitCode::from)
        }
        Err(error) => {
            eprintln!("cargo could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}
