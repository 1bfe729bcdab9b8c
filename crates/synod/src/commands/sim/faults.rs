//! `synod sim faults`, and faults as TOML text: every number by its name, nothing else.

use std::fmt::Write as _;
use std::path::Path;

use clap::Args;
use paxos::Rng;
use sim::{Faults, Options};
use toml::{Table, Value as Toml};

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Print the faults of a seed, as a file for --faults
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim faults --seed 7 > faults.toml
  synod sim faults --seed 7 --beyond -o json")]
pub(super) struct FaultsArgs {
    /// The seed
    #[arg(long, value_name = "N")]
    seed: u64,

    /// With damage beyond what the protocol promises to survive
    #[arg(long)]
    beyond: bool,
}

pub(super) fn run(args: &FaultsArgs, output: &Output) -> Result<Exit, CliError> {
    let seed = args.seed;
    let options = if args.beyond { Options::drawn_beyond(seed) } else { Options::drawn(seed) };
    let mut faults = options.faults;
    let text = written(&mut faults);
    let row = |(name, number): (&str, &mut u64)| vec![Value::Text(name.into()), Value::Id(*number)];
    let rows = faults.numbers().into_iter().map(row).collect();
    let report = Report::rows("synod.sim.faults/1", "faults", &["name", "number"], rows);
    output.show(report.verbatim(text))
}

/// The faults of a file. What it leaves out is nothing: no fault of that kind.
pub(super) fn read(path: &Path) -> Result<Faults, CliError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))?;
    parsed(&text).map_err(|why| {
        CliError::new("faults", Exit::Usage, format!("{}: {why}", path.display()))
            .hint("synod sim faults --seed 7 prints a file with every number")
    })
}

fn written(faults: &mut Faults) -> String {
    let mut text = String::new();
    let mut table = "";
    for (name, number) in faults.numbers() {
        let (group, key) = name.split_once('.').unwrap_or(("", name));
        if group != table {
            writeln!(text, "\n[{group}]").expect("writing to a String cannot fail");
            table = group;
        }
        writeln!(text, "{key} = {number}").expect("writing to a String cannot fail");
    }
    text
}

fn parsed(text: &str) -> Result<Faults, String> {
    let root: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let mut given = Vec::new();
    for (name, value) in &root {
        match value {
            Toml::Table(table) => {
                given.extend(table.iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            _ => given.push((name.clone(), value)),
        }
    }
    let mut faults = Faults::drawn(&mut Rng::new(0));
    let mut numbers = faults.numbers();
    for (_, number) in &mut numbers {
        **number = 0;
    }
    for (name, value) in given {
        let number = value.as_integer().and_then(|number| u64::try_from(number).ok());
        let number = number.filter(|number| *number <= Faults::NUMBER_MAX);
        let number = number.ok_or_else(|| {
            format!("{name} must be a whole number from 0 to {}", Faults::NUMBER_MAX)
        })?;
        let Some((_, place)) = numbers.iter_mut().find(|(known, _)| *known == name) else {
            return Err(format!("{name} is no fault"));
        };
        **place = number;
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_as_they_were_written() {
        for seed in 0..50 {
            let mut faults = Options::drawn_beyond(seed).faults;
            assert_eq!(parsed(&written(&mut faults)), Ok(faults));
        }
    }

    #[test]
    fn what_is_left_out_is_no_fault() {
        let mut faults = parsed("crash = 3").unwrap();
        let sum: u64 = faults.numbers().into_iter().map(|(_, number)| *number).sum();
        assert_eq!((faults.crash, sum), (3, 3));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(parsed("crahs = 3"), Err("crahs is no fault".into()));
        for text in ["crash = -1", "crash = 'often'", "crash = 3600000001", "[crash]\nx = 1", "x"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_world_without_any_number_can_be_walked_over() {
        let faults = parsed("").unwrap();
        let outcome = sim::walk(1, &Options { faults, ..Options::drawn(1) });
        assert_eq!(outcome.violation, None);
    }
}
