//! Where a node's log goes, how it looks, and how much of it there is.

use std::io::{self, IsTerminal as _};

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::error::CliError;

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

pub(super) fn start(args: &LoggingArgs) -> Result<(), CliError> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let filter = filter(args.log_level.as_deref(), variable)?;
    let is_terminal = io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match args.log_format {
        LogFormat::Json => logs.json().flatten_event(true).init(),
        LogFormat::Auto if !is_terminal => logs.json().flatten_event(true).init(),
        LogFormat::Auto | LogFormat::Text => logs.with_ansi(is_terminal).init(),
    }
    Ok(())
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
