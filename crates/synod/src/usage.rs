//! From arguments to a command, or to a usage error in the format that was asked for.
//!
//! When parsing fails there is no parsed `-o` or `--color` to obey, so both are looked for in the
//! raw arguments: a script that asked for JSON gets JSON, also about its own mistakes.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory as _, FromArgMatches as _, ValueEnum};

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::{Color, Output, OutputArgs, print};

/// The command that `arguments` ask for. On `Err` everything has been printed.
pub(crate) fn parse(arguments: &[OsString]) -> Result<Cli, Exit> {
    let output = Output::new(&OutputArgs {
        format: find(arguments, "-o", "--output"),
        color: find(arguments, "--color", "--color").unwrap_or(Color::Auto),
        quiet: false,
    });
    let parsed = Cli::command()
        .color(output.clap_colour())
        .try_get_matches_from(arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|error| report(&error, &output, arguments.len() <= 1))
}

/// The value of an option in arguments that could not be parsed.
fn find<T: ValueEnum>(arguments: &[OsString], short: &str, long: &str) -> Option<T> {
    let mut found = None;
    let mut rest = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        let value = if argument == "--" {
            break;
        } else if argument == short || argument == long {
            rest.next().map(std::borrow::Cow::into_owned)
        } else if let Some(value) = argument.strip_prefix(long) {
            value.strip_prefix('=').map(str::to_owned)
        } else {
            argument.strip_prefix(short).map(|value| value.trim_start_matches('=').to_owned())
        };
        found = value.and_then(|value| T::from_str(&value, false).ok()).or(found);
    }
    found
}

fn report(error: &clap::Error, output: &Output, is_bare: bool) -> Exit {
    let styled = error.render();
    let has_colour =
        if error.use_stderr() { output.has_colour_on_stderr() } else { output.has_colour() };
    let text = if has_colour { styled.ansi().to_string() } else { styled.to_string() };
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => show(&text, output),
        // `synod` alone is a question, not a mistake.
        _ if is_help && is_bare => show(&text, output),
        _ if output.is_json() => output.fail(&envelope(error, is_help)),
        _ => {
            Output::note(text.trim_end());
            Exit::Usage
        }
    }
}

fn show(text: &str, output: &Output) -> Exit {
    print(text).map_or_else(|error| output.fail(&error), |()| Exit::Done)
}

fn envelope(error: &clap::Error, is_help: bool) -> CliError {
    if is_help {
        return CliError::usage("a command is missing").hint("see --help");
    }
    let text = error.render().to_string();
    let message = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = message.trim_start_matches("error: ").split_whitespace().collect();
    let suggestion =
        [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue]
            .into_iter()
            .find_map(|kind| match error.get(kind)? {
                ContextValue::String(word) => Some(word.clone()),
                ContextValue::Strings(words) => words.first().cloned(),
                _ => None,
            });
    let hint = suggestion
        .map_or_else(|| "see --help".to_owned(), |word| format!("did you mean `{word}`?"));
    CliError::usage(words.join(" ")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Format;

    fn format(arguments: &str) -> Option<Format> {
        let arguments: Vec<OsString> = arguments.split(' ').map(OsString::from).collect();
        find(&arguments, "-o", "--output")
    }

    #[test]
    fn the_format_is_found_in_arguments_that_cannot_be_parsed() {
        for arguments in [
            "synod demo -o json --wrong",
            "synod -ojson demo",
            "synod -o=json",
            "synod --output json",
            "synod --output=json",
            "synod -o table -o json",
            "synod --output=json --output=xml",
        ] {
            assert_eq!(format(arguments), Some(Format::Json), "{arguments}");
        }
        for arguments in ["synod", "synod -o", "synod -o xml", "synod log append -- -o json"] {
            assert_eq!(format(arguments), None, "{arguments}");
        }
    }
}
