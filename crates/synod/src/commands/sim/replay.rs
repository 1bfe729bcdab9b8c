//! `synod sim replay`: one walk again, line by line.

use clap::Args;

use super::world::WorldArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Walk one seed again and print everything that happened
///
/// Exit codes: 0 no promise is broken, 10 one is.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim replay --seed 7
  synod sim replay --seed 7 -o jsonl | head")]
pub(super) struct ReplayArgs {
    /// The seed
    #[arg(long, value_name = "N")]
    seed: u64,

    #[command(flatten)]
    world: WorldArgs,
}

pub(super) fn run(args: &ReplayArgs, output: &Output) -> Result<Exit, CliError> {
    let options = args.world.read()?.options(args.seed)?;
    let (outcome, lines) = sim::replay(args.seed, &options);
    let row =
        |line: &sim::Happened| vec![Value::Micros(line.at.0), Value::Text(line.what.to_string())];
    let rows = lines.iter().map(row).collect();
    let report = Report::rows("synod.sim.replay/1", "lines", &["at", "what"], rows);
    match outcome.violation {
        None => output.show(report),
        Some(violation) => {
            output.show(report)?;
            let message = format!(
                "seed {} breaks {} after {} us: {}",
                violation.seed, violation.promise, violation.at.0, violation.what
            );
            Err(CliError::new("violation", Exit::Violation, message))
        }
    }
}
