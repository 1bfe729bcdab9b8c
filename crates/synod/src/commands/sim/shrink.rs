//! `synod sim shrink`: from a walk that breaks a promise to a small one that breaks the same.

use std::path::PathBuf;

use clap::Args;
use sim::{Options, Shrunk};

use super::progress::bar;
use super::world::{WorldArgs, written};
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value, grouped};

/// Make a walk that breaks a promise smaller
///
/// Leaves out misfortunes, clients, values and nodes as long as the same promise is broken, and
/// writes what is left as a world for --world.
///
/// Exit codes: 0 it breaks no promise, 10 it does: the report says how much of it is left.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim shrink --seed 7
  synod sim shrink --seed 7 --beyond --out small.toml --walks 5000")]
pub(super) struct ShrinkArgs {
    /// The seed
    #[arg(long, value_name = "N")]
    seed: u64,

    /// Where to write the smaller world [default: seed-N.toml]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Walks to try, at most
    #[arg(long, value_name = "N", default_value_t = 2000,
        value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    walks: u64,

    #[command(flatten)]
    world: WorldArgs,
}

pub(super) fn run(args: &ShrinkArgs, output: &Output) -> Result<Exit, CliError> {
    let options = args.world.read()?.options(args.seed)?;
    let bar = bar(args.walks, output);
    let shrunk =
        sim::shrink(args.seed, &options, args.walks, &mut |walks, _| bar.set_position(walks));
    bar.finish_and_clear();
    let Some(shrunk) = shrunk else {
        let fields = vec![("walks", Value::Id(1)), ("violation_promise", Value::Absent)];
        let report = Report::record("synod.sim.shrink/1", fields);
        let prose = format!("Seed {} breaks no promise: there is nothing to shrink.\n", args.seed);
        return output.show(report.prose(prose));
    };
    let path = args.out.clone().unwrap_or_else(|| format!("seed-{}.toml", args.seed).into());
    write_new(&path, &written(&shrunk.options))?;
    output.show(report(args, &options, &shrunk, &path))
}

/// Never over something that is there already.
fn write_new(path: &std::path::Path, text: &str) -> Result<(), CliError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .map_err(|error| CliError::file("write", path, &error).hint("--out names another file"))
}

fn report(args: &ShrinkArgs, before: &Options, shrunk: &Shrunk, path: &std::path::Path) -> Report {
    let Shrunk { options, outcome, walks } = shrunk;
    let violation = outcome.violation.as_ref().expect("a shrunk walk breaks a promise");
    let due = outcome.statistics.due;
    let left = due.saturating_sub(options.spared.len() as u64);
    // The file has every setting, so it needs no other flag.
    let replay = format!("synod sim replay --seed {} --world {}", args.seed, path.display());
    let nodes = |options: &Options| options.shape.nodes();
    let fields = vec![
        ("walks", Value::Id(*walks)),
        ("misfortunes", Value::Id(left)),
        ("messages", Value::Id(outcome.statistics.delivered)),
        ("nodes", Value::Id(nodes(options).into())),
        ("clients", Value::Count(options.clients.into())),
        ("requests", Value::Id(options.requests)),
        ("violation_at", Value::Micros(violation.at.0)),
        ("violation_promise", Value::Text(violation.promise.into())),
        ("violation_what", Value::Text(violation.what.clone())),
        ("violation_trace", Value::List(violation.trace.clone())),
        ("world", Value::Text(path.display().to_string())),
        ("replay", Value::Text(replay.clone())),
    ];
    let prose = format!(
        "{violation}\n\nAfter {} walks: {left} misfortunes, {} messages, {} of {} nodes, \
         {} values of {} a client.\nThe world is in {}.\n\nShow it again:  {replay}\n",
        grouped(*walks),
        grouped(outcome.statistics.delivered),
        nodes(options),
        nodes(before),
        options.requests,
        before.requests,
        path.display(),
    );
    Report::record("synod.sim.shrink/1", fields).prose(prose).exit(Exit::Violation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_how_much_is_left_and_how_to_see_it() {
        let broken = Some(sim::Broken::SendsBeforeSync);
        let options = |seed| Options { broken, ..Options::drawn(seed) };
        let shrunk =
            |seed| sim::shrink(seed, &options(seed), 60, &mut |_, _| {}).map(|it| (seed, it));
        let (seed, shrunk) = (0..100).find_map(shrunk).expect("a broken world is noticed");
        let world = WorldArgs::default();
        let args = ShrinkArgs { seed, out: None, walks: 60, world };
        let report = report(&args, &options(seed), &shrunk, std::path::Path::new("small.toml"));
        assert_eq!(report.exit, Exit::Violation);
        let crate::output::Words::Prose(prose) = report.words else { panic!("no prose") };
        let replay = format!("synod sim replay --seed {seed} --world small.toml\n");
        assert!(prose.ends_with(&replay), "{prose}");
    }
}
