//! `synod sim world`, and worlds as TOML text: who takes part, what clients want, what goes wrong.
//!
//! A seed draws a whole world. Files change it, each only in what it names, one after the other.

use std::path::{Path, PathBuf};

use clap::Args;
use sim::{Faults, Options};
use toml::{Table, Value as Toml};

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Print the world of a seed, as a file for --world
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim world --seed 7 > world.toml
  synod sim world --seed 7 --calm --world crates/sim/worlds/storms.toml")]
pub(super) struct WorldFileArgs {
    /// The seed
    #[arg(long, value_name = "N")]
    seed: u64,

    #[command(flatten)]
    world: WorldArgs,
}

/// Which world a seed is drawn in.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct WorldArgs {
    /// Damage disks beyond what the protocol promises to survive
    #[arg(long)]
    pub(super) beyond: bool,

    /// Begin with a world in which nothing goes wrong
    #[arg(long, conflicts_with = "beyond")]
    pub(super) calm: bool,

    /// Change the world by this file; see `synod sim world`. Later files win
    #[arg(long, value_name = "FILE")]
    pub(super) world: Vec<PathBuf>,
}

/// The same, read and ready for any seed.
#[derive(Clone, Debug)]
pub(super) struct World {
    beyond: bool,
    calm: bool,
    changes: Vec<(PathBuf, Table)>,
}

/// The largest number of a file: an hour, in microseconds.
const NUMBER_MAX: u64 = Faults::LASTS_US_MAX;

impl WorldArgs {
    /// Reads the files. Whether they make a world, only a seed can tell.
    pub(super) fn read(&self) -> Result<World, CliError> {
        let read = |path: &PathBuf| Ok((path.clone(), table(path)?));
        let changes = self.world.iter().map(read).collect::<Result<_, CliError>>()?;
        Ok(World { beyond: self.beyond, calm: self.calm, changes })
    }

    /// The command that walks one seed again.
    pub(super) fn replay_command(&self, seed: u64) -> String {
        let beyond = if self.beyond { " --beyond" } else { "" };
        let calm = if self.calm { " --calm" } else { "" };
        let files = self.world.iter().map(|path| format!(" --world {}", path.display()));
        let files: String = files.collect();
        format!("synod sim replay --seed {seed}{beyond}{calm}{files}")
    }
}

impl World {
    /// What the seed draws, changed by the files.
    pub(super) fn options(&self, seed: u64) -> Result<Options, CliError> {
        let mut options =
            if self.beyond { Options::drawn_beyond(seed) } else { Options::drawn(seed) };
        if self.calm {
            options.faults = Faults::NONE;
        }
        for (path, change) in &self.changes {
            options = changed(&options, change).map_err(|why| unusable(path, &why))?;
        }
        Ok(options)
    }
}

pub(super) fn run(args: &WorldFileArgs, output: &Output) -> Result<Exit, CliError> {
    let options = args.world.read()?.options(args.seed)?;
    let text = written(&options);
    let table: Table = text.parse().expect("what was written can be read");
    let mut rows = Vec::new();
    flatten("", &table, &mut rows);
    let report = Report::rows("synod.sim.world/1", "settings", &["name", "value"], rows);
    output.show(report.verbatim(text))
}

/// The world as a file.
pub(super) fn written(options: &Options) -> String {
    toml::to_string(options).expect("a world is a table")
}

fn table(path: &Path) -> Result<Table, CliError> {
    let text =
        std::fs::read_to_string(path).map_err(|error| CliError::file("read", path, &error))?;
    let table = text.parse().map_err(|error: toml::de::Error| error.to_string());
    table.map_err(|why| unusable(path, why.trim_end()))
}

fn unusable(path: &Path, why: &str) -> CliError {
    CliError::new("world", Exit::Usage, format!("{}: {why}", path.display()))
        .hint("synod sim world --seed 7 prints a file with every setting")
}

fn changed(options: &Options, change: &Table) -> Result<Options, String> {
    let mut table = Table::try_from(options).map_err(|error| error.to_string())?;
    merge(&mut table, change, "")?;
    let options: Options = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
    options.check()?;
    Ok(options)
}

fn merge(table: &mut Table, change: &Table, name: &str) -> Result<(), String> {
    for (key, value) in change {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        match (table.get_mut(key), value) {
            (Some(Toml::Table(inner)), Toml::Table(change)) => merge(inner, change, &name)?,
            (_, value) => {
                if let Some(number) = value.as_integer()
                    && !u64::try_from(number).is_ok_and(|number| number <= NUMBER_MAX)
                {
                    return Err(format!("{name} must be a whole number from 0 to {NUMBER_MAX}"));
                }
                table.insert(key.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn flatten(name: &str, table: &Table, rows: &mut Vec<Vec<Value>>) {
    for (key, value) in table {
        let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        match value {
            Toml::Table(inner) => flatten(&name, inner, rows),
            Toml::String(text) => rows.push(vec![Value::Text(name), Value::Text(text.clone())]),
            other => rows.push(vec![Value::Text(name), Value::Text(other.to_string())]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(text: &str) -> Result<Options, String> {
        changed(&Options::drawn(7), &text.parse().expect("a table"))
    }

    #[test]
    fn a_world_is_read_as_it_was_written() {
        for seed in 0..50 {
            let options = Options::drawn_beyond(seed);
            let spared = [3, 5].into();
            for options in [options.clone(), Options { spared, ..options }] {
                assert_eq!(change(&written(&options)), Ok(options));
            }
        }
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let drawn = Options::drawn(7);
        let options = change("requests = 3\n[faults.weather]\nloss_permille = 500").unwrap();
        assert_eq!((options.requests, options.faults.weather.loss_permille), (3, 500));
        assert_eq!(options.faults.crash, drawn.faults.crash);
        assert_eq!(options.shape, drawn.shape);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (text, why) in [
            ("[faults]\ncrahs = 3", "unknown field `crahs`"),
            ("[faults]\ncrash = -1", "faults.crash must be a whole number"),
            ("[faults]\ncrash = 3600000001", "faults.crash must be a whole number"),
            ("[faults]\ncrash = 'often'", "invalid type"),
            ("limits = 'narrow'", "limits is `wide` or `tight`, not `narrow`"),
            ("announce = 1", "invalid type"),
            ("clients = 0", "clients must be 1 to 255"),
            ("[shape]\nacceptors = 0\nall_in_one = 0", "no acceptor"),
            ("[shape]\nacceptors = 400", "too many"),
            ("[faults.weather]\nloss_permille = 1001", "loss_permille"),
        ] {
            let refused = change(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn the_worlds_of_the_repository_can_be_walked_over() {
        let worlds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/worlds");
        let mut count = 0;
        for entry in std::fs::read_dir(worlds).unwrap() {
            let args = WorldArgs { world: vec![entry.unwrap().path()], ..WorldArgs::default() };
            let calm = WorldArgs { calm: true, ..args.clone() };
            for args in [args, calm] {
                let options = args.read().unwrap().options(3).unwrap();
                assert_eq!(sim::walk(3, &options).violation, None, "{args:?}");
            }
            count += 1;
        }
        assert!(count >= 5, "one a kind of misfortune");
    }
}
