//! Where a node's log goes, how it looks, and how much of it there is.

mod lines;
mod repeats;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};
use std::panic;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::error::CliError;
use lines::Lines;

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct LoggingArgs {
    /// How to write logs, to stderr
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "auto")]
    log_format: LogFormat,

    /// What to log: a level, or levels by target, such as info,server=debug
    /// [default: info; also SYNOD_LOG and RUST_LOG]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// Text on a terminal, else JSON
    Auto,
    /// A line a message, for people
    Text,
    /// An object a line
    Json,
}

/// Logs of this node from here on.
pub(super) fn start(args: &LoggingArgs, node: u32) -> Result<(), CliError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let filter = filter(args.log_level.as_deref(), variable)?;
    let is_terminal = io::stderr().is_terminal();
    let is_json = match args.log_format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !is_terminal,
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(is_terminal && !is_json)
        .event_format(Lines::new(node, is_json))
        .init();
    log_panics();
    Ok(())
}

/// A failed assertion is a line of the log like any other, with its time and its node. If nobody
/// wants to see errors, it is said all the same.
fn log_panics() {
    let otherwise = panic::take_hook();
    panic::set_hook(Box::new(move |panicked| {
        if !tracing::enabled!(tracing::Level::ERROR) {
            return otherwise(panicked);
        }
        let said = panicked.payload();
        let why = said.downcast_ref::<&str>().copied();
        let why = why.or_else(|| said.downcast_ref::<String>().map(String::as_str));
        let at = panicked.location().map(ToString::to_string);
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        let backtrace = backtrace.map(|it| it.to_string());
        tracing::error!(why, at, backtrace, "an assertion failed: this is a bug");
    }));
}

/// The option first, then the environment, the project's own variable before the common one.
fn filter(
    option: Option<&str>,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<EnvFilter, CliError> {
    let from = |name| variable(name).map(|value| (name, value));
    let chosen = option.map(|value| ("--log-level", value.to_owned()));
    let chosen = chosen.or_else(|| from("SYNOD_LOG")).or_else(|| from("RUST_LOG"));
    let (source, text) = chosen.unwrap_or(("the default", "info".to_owned()));
    EnvFilter::try_new(text).map_err(|error| {
        CliError::usage(format!("{source} cannot be read: {error}"))
            .hint("write a level, such as `debug`, or `info,server=debug`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_wins_over_the_environment() {
        let both = |name| Some(if name == "SYNOD_LOG" { "warn" } else { "error" }.to_owned());
        assert_eq!(filter(Some("debug"), both).unwrap().to_string(), "debug");
        assert_eq!(filter(None, both).unwrap().to_string(), "warn");
        assert_eq!(filter(None, |_| None).unwrap().to_string(), "info");
    }

    #[test]
    fn nonsense_is_a_usage_error_that_names_its_source() {
        let error = filter(None, |_| Some("server=loud".into())).unwrap_err();
        assert!(error.message.starts_with("SYNOD_LOG cannot be read"), "{}", error.message);
    }
}
