//! `synod config explain`: what a key decides.

use clap::Args;
use server::config::{KEYS, Key, find_key, nearest_key};

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Say what a key decides, in what unit, and what is accepted
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod config explain timing.heartbeat
  synod config explain -o json")]
pub(super) struct ExplainArgs {
    /// The key, with its table [default: all of them]
    #[arg(value_name = "KEY")]
    key: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, output: &Output) -> Result<Exit, CliError> {
    output.show(match &args.key {
        None => all(),
        Some(name) => one(find_key(name).ok_or_else(|| unknown(name))?),
    })
}

fn unknown(name: &str) -> CliError {
    let hint = nearest_key(name).map_or_else(
        || "`synod config explain` lists all keys".to_owned(),
        |nearest| format!("did you mean `{nearest}`?"),
    );
    CliError::usage(format!("unknown key `{name}`")).hint(hint)
}

fn facts(key: &Key) -> Vec<(&'static str, Value)> {
    let text = |text: &str| Value::Text(text.to_owned());
    vec![
        ("key", text(key.name)),
        ("unit", text(key.unit)),
        ("default", text(key.default)),
        ("range", text(key.range)),
        ("variable", Value::maybe(key.variable, text)),
        ("reloads", Value::Flag(key.reloads)),
        ("meaning", text(key.meaning)),
    ]
}

fn one(key: &Key) -> Report {
    Report::record("synod.config.explain/1", facts(key))
}

fn all() -> Report {
    let columns: Vec<&str> = facts(&KEYS[0]).into_iter().map(|(name, _)| name).collect();
    let row = |key: &Key| facts(key).into_iter().map(|(_, value)| value).collect();
    Report::rows("synod.config.keys/1", "keys", &columns, KEYS.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Format, rendered};

    #[test]
    fn a_key_is_explained_and_a_misspelt_one_is_guessed() {
        let key = find_key("timing.heartbeat").unwrap();
        let text = rendered(Format::Plain, &one(key));
        assert!(text.contains("range\t1ms to 10s\nvariable\tSYNOD_TIMING_HEARTBEAT\n"), "{text}");
        assert_eq!(unknown("timing.hartbeat").hint.unwrap(), "did you mean `timing.heartbeat`?");
        assert_eq!(unknown("colour").exit, Exit::Usage);
        assert_eq!(rendered(Format::Jsonl, &all()).lines().count(), KEYS.len());
    }
}
