//! Where a node's log goes, how it looks, and how much of it there is.

mod lines;
mod repeats;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal as _};
use std::panic;

use clap::{Args, ValueEnum};
use server::config::{Layers, Log};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

use crate::error::CliError;
use lines::Lines;

#[derive(Debug, Args)]
#[command(next_help_heading = "Logging")]
pub(super) struct LoggingArgs {
    /// How to write logs, to stderr [default: auto; also SYNOD_LOG_FORMAT and `log.format`]
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<LogFormat>,

    /// What to log: a level, or levels by target, such as info,server=debug
    /// [default: info; also SYNOD_LOG, `log.level` and, where nobody else speaks, RUST_LOG]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Text on a terminal, else JSON
    Auto,
    /// A line a message, for people
    Text,
    /// An object a line
    Json,
}

/// The log of this process, whose level can be changed.
pub(super) struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
}

impl LoggingArgs {
    /// Lays these options over what a configuration says.
    pub(super) fn lay_over(&self, layers: &mut Layers) {
        if let Some(level) = &self.log_level {
            layers.option("--log-level", "log.level", level.clone());
        }
        let format = self.log_format.and_then(|format| format.to_possible_value());
        if let Some(format) = format {
            layers.option("--log-format", "log.format", format.get_name().to_owned());
        }
    }
}

impl Logging {
    /// Logs at another level from now on.
    pub(super) fn change(&self, log: &Log) -> Result<(), CliError> {
        // The handle is gone only with the log itself.
        let gone = |error: reload::Error| CliError::usage(error.to_string());
        self.filter.reload(filter(log, variable)?).map_err(gone)
    }
}

/// Logs of this node from here on.
pub(super) fn start(log: &Log, node: u32) -> Result<Logging, CliError> {
    let (layer, handle) = reload::Layer::new(filter(log, variable)?);
    let is_terminal = io::stderr().is_terminal();
    let is_json = match format(log)? {
        LogFormat::Json => true,
        LogFormat::Auto => !is_terminal,
        LogFormat::Text => false,
    };
    let logs = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(is_terminal && !is_json)
        .event_format(Lines::new(node, is_json));
    tracing_subscriber::registry().with(layer).with(logs).init();
    log_panics();
    Ok(Logging { filter: handle })
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

/// Whether [`start`] would understand it.
pub(in crate::commands) fn check(log: &Log) -> Result<(), CliError> {
    filter(log, variable)?;
    format(log).map(|_| ())
}

fn variable(name: &'static str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// What the configuration says, which includes our own options and variables; then the variable
/// that is common to many programs.
fn filter(
    log: &Log,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<EnvFilter, CliError> {
    let chosen = log.level.clone().map(|value| ("log.level", value));
    let chosen = chosen.or_else(|| variable("RUST_LOG").map(|value| ("RUST_LOG", value)));
    let (source, text) = chosen.unwrap_or(("the default", "info".to_owned()));
    EnvFilter::try_new(text).map_err(|error| {
        CliError::usage(format!("{source} cannot be read: {error}"))
            .hint("write a level, such as `debug`, or `info,server=debug`")
    })
}

fn format(log: &Log) -> Result<LogFormat, CliError> {
    let text = log.format.as_deref().unwrap_or("auto");
    LogFormat::from_str(text, false).map_err(|_| {
        CliError::usage(format!("log.format is `{text}`")).hint("write auto, text or json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_configured_wins_over_what_is_common() {
        let common = |_| Some("error".to_owned());
        let log = Log { level: Some("debug".into()), format: None };
        assert_eq!(filter(&log, common).unwrap().to_string(), "debug");
        assert_eq!(filter(&Log::default(), common).unwrap().to_string(), "error");
        assert_eq!(filter(&Log::default(), |_| None).unwrap().to_string(), "info");
    }

    #[test]
    fn nonsense_is_a_usage_error_that_names_its_source() {
        let log = Log { level: Some("server=loud".into()), format: Some("xml".into()) };
        let error = filter(&log, |_| None).unwrap_err();
        assert!(error.message.starts_with("log.level cannot be read"), "{}", error.message);
        assert_eq!(format(&log).unwrap_err().message, "log.format is `xml`");
        assert!(check(&Log::default()).is_ok());
    }
}
