//! Where everything that is printed goes: reports to stdout, the rest to stderr.
//!
//! A command describes its answer as a [`Report`] or a stream of [`Rows`]; one renderer a format
//! prints it. So every command has every format. This file decides format, colour and glyphs once;
//! it does not know any command.

mod bytes;
mod json;
mod number;
mod plain;
mod report;
mod table;

use std::io::{self, IsTerminal as _, Write as _};

use clap::{Args, ValueEnum};

use crate::error::{CliError, Exit};

pub(crate) use number::{grouped, milliseconds, short_duration};
pub(crate) use report::{Column, Report, Shape, Value, Words};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned columns, for people
    Table,
    /// Tab-separated, no header, stable
    Plain,
    /// One document
    Json,
    /// One document a line
    Jsonl,
}

/// When colour is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set or TERM is dumb
    Auto,
    /// Also into pipes
    Always,
    /// Never
    Never,
}

/// The options that every command has.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// How to print the answer [default: table on a terminal, else plain]
    #[arg(short = 'o', long = "output", global = true, value_name = "FORMAT", value_enum)]
    pub(crate) format: Option<Format>,

    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(crate) color: Color,

    /// Print the answer only: no progress, no hints
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

/// The decided way of printing.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "facts about a place, not states")]
pub(crate) struct Output {
    format: Format,
    has_colour: bool,
    has_colour_on_stderr: bool,
    has_unicode: bool,
    is_quiet: bool,
    is_terminal: bool,
    is_live: bool,
}

impl Output {
    pub(crate) fn new(args: &OutputArgs) -> Output {
        let (is_terminal, is_live) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let default = if is_terminal { Format::Table } else { Format::Plain };
        let variable = |name| std::env::var(name).ok();
        Output {
            format: args.format.unwrap_or(default),
            has_colour: wants_colour(args.color, is_terminal, variable),
            has_colour_on_stderr: wants_colour(args.color, is_live, variable),
            has_unicode: speaks_unicode(variable),
            is_quiet: args.quiet,
            is_terminal,
            is_live,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether stdout is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    pub(crate) fn has_colour(&self) -> bool {
        self.has_colour
    }

    /// Errors go to stderr, which may be a file while stdout is a terminal.
    pub(crate) fn has_colour_on_stderr(&self) -> bool {
        self.has_colour_on_stderr
    }

    pub(crate) fn has_unicode(&self) -> bool {
        self.has_unicode
    }

    /// Whether stderr is a terminal, so that a line may be drawn again in place.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Whether a command may tell how it goes. Not in JSON, where stderr holds errors only.
    pub(crate) fn tells_progress(&self) -> bool {
        !self.is_quiet && !self.is_json()
    }

    pub(crate) fn clap_colour(&self) -> clap::ColorChoice {
        if self.has_colour { clap::ColorChoice::Always } else { clap::ColorChoice::Never }
    }

    /// Prints a whole answer.
    pub(crate) fn show(&self, report: Report) -> Result<Exit, CliError> {
        match (self.format, &report.words) {
            (Format::Table, Words::Prose(text))
            | (Format::Table | Format::Plain, Words::Verbatim(text)) => {
                print(text)?;
                return Ok(report.exit);
            }
            _ => {}
        }
        let widths = table::widths(&report.shape, &report.rows);
        let mut rows = Rows::begin(self.format, report.shape, widths)?;
        report.rows.iter().try_for_each(|row| rows.push(row))?;
        rows.end()?;
        if let Some(next) = report.next {
            self.hint(&next);
        }
        Ok(report.exit)
    }

    /// Prints rows as they come.
    pub(crate) fn stream(&self, shape: Shape) -> Result<Rows, CliError> {
        let widths = table::widths(&shape, &[]);
        Rows::begin(self.format, shape, widths)
    }

    /// Prints an error to stderr, and says how the process ends.
    pub(crate) fn fail(&self, error: &CliError) -> Exit {
        if error.exit == Exit::Done {
            return Exit::Done;
        }
        if self.is_json() {
            Output::note(&error.to_json().to_string());
            return error.exit;
        }
        let (red, reset) =
            if self.has_colour_on_stderr { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        Output::note(&format!("{red}error:{reset} {}", error.message));
        if let Some(hint) = &error.hint {
            Output::note(&format!("  hint: {hint}"));
        }
        error.exit
    }

    /// A line on stderr. If nobody listens, nothing is lost that an exit code would not say.
    pub(crate) fn note(text: &str) {
        drop(writeln!(io::stderr(), "{text}"));
    }

    /// What to do next. Not in `--quiet`, not in JSON.
    pub(crate) fn hint(&self, text: &str) {
        if self.tells_progress() {
            Output::note(text);
        }
    }
}

/// An answer that is being printed row by row.
pub(crate) struct Rows {
    renderer: Box<dyn Renderer>,
    shape: Shape,
}

impl Rows {
    fn begin(format: Format, shape: Shape, widths: Vec<usize>) -> Result<Rows, CliError> {
        let mut renderer: Box<dyn Renderer> = match format {
            Format::Table => Box::new(table::Table::new(widths)),
            Format::Plain => Box::new(plain::Plain),
            Format::Json => Box::new(json::Json::default()),
            Format::Jsonl => Box::new(json::Jsonl),
        };
        write(|out| renderer.begin(out, &shape))?;
        Ok(Rows { renderer, shape })
    }

    pub(crate) fn push(&mut self, row: &[Value]) -> Result<(), CliError> {
        assert_eq!(row.len(), self.shape.columns.len(), "a value for each column");
        write(|out| self.renderer.row(out, &self.shape, row))
    }

    pub(crate) fn end(mut self) -> Result<(), CliError> {
        write(|out| self.renderer.end(out, &self.shape))
    }
}

/// One format. Every method writes whole lines' worth of an answer.
trait Renderer {
    fn begin(&mut self, out: &mut dyn io::Write, shape: &Shape) -> io::Result<()>;
    fn row(&mut self, out: &mut dyn io::Write, shape: &Shape, row: &[Value]) -> io::Result<()>;
    fn end(&mut self, out: &mut dyn io::Write, shape: &Shape) -> io::Result<()>;
}

/// Text to stdout as it is.
pub(crate) fn print(text: &str) -> Result<(), CliError> {
    write(|out| out.write_all(text.as_bytes()))
}

/// The one place that writes to stdout. A closed pipe is an error here, never a panic.
fn write(body: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    body(&mut out).and_then(|()| out.flush()).map_err(|error| CliError::stdout(&error))
}

fn wants_colour(
    choice: Color,
    is_terminal: bool,
    variable: impl Fn(&'static str) -> Option<String>,
) -> bool {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        // no-color.org: any value but the empty one means no.
        Color::Auto if is_set("NO_COLOR") => false,
        Color::Auto if variable("CLICOLOR_FORCE").is_some_and(|it| !it.is_empty() && it != "0") => {
            true
        }
        Color::Auto => is_terminal && variable("TERM").is_none_or(|term| term != "dumb"),
    }
}

/// Whether the locale can show more than ASCII. The first of the three that is set decides.
fn speaks_unicode(variable: impl Fn(&'static str) -> Option<String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()))
        .is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        })
}

/// What `format` makes of a report, for the tests of renderers and of commands.
#[cfg(test)]
pub(crate) fn rendered(format: Format, report: &Report) -> String {
    let mut renderer: Box<dyn Renderer> = match format {
        Format::Table => Box::new(table::Table::new(table::widths(&report.shape, &report.rows))),
        Format::Plain => Box::new(plain::Plain),
        Format::Json => Box::new(json::Json::default()),
        Format::Jsonl => Box::new(json::Jsonl),
    };
    let mut out = Vec::new();
    renderer.begin(&mut out, &report.shape).unwrap();
    for row in &report.rows {
        renderer.row(&mut out, &report.shape, row).unwrap();
    }
    renderer.end(&mut out, &report.shape).unwrap();
    String::from_utf8(out).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_obeys_the_option_then_the_environment() {
        let colour = |choice, is_terminal, set: &'static [(&str, &str)]| {
            wants_colour(choice, is_terminal, |name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(colour(Color::Auto, true, &[]));
        assert!(!colour(Color::Auto, false, &[]));
        assert!(!colour(Color::Auto, true, &[("TERM", "dumb")]));
        assert!(!colour(Color::Auto, true, &[("NO_COLOR", "1")]));
        assert!(colour(Color::Auto, true, &[("NO_COLOR", "")]));
        assert!(colour(Color::Auto, false, &[("CLICOLOR_FORCE", "1")]));
        assert!(!colour(Color::Auto, false, &[("CLICOLOR_FORCE", "0")]));
        assert!(colour(Color::Always, false, &[("NO_COLOR", "1")]));
        assert!(!colour(Color::Never, true, &[("CLICOLOR_FORCE", "1")]));
    }

    #[test]
    fn glyphs_need_a_utf8_locale() {
        let unicode = |set: &'static [(&str, &str)]| {
            speaks_unicode(|name| {
                set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(unicode(&[("LANG", "en_GB.UTF-8")]));
        assert!(unicode(&[("LANG", "C"), ("LC_ALL", "C.utf8")]));
        assert!(!unicode(&[("LANG", "en_GB.UTF-8"), ("LC_ALL", "C")]));
        assert!(!unicode(&[]));
    }
}
