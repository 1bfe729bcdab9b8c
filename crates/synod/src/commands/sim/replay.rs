//! `synod sim replay`: one walk again, line by line.

use std::path::{Path, PathBuf};

use clap::Args;
use sim::Happened;

use super::trace_file::{self, Recorded, Show};
use super::world::WorldArgs;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value, grouped};

/// Walk one seed again and print everything that happened
///
/// With --trace it goes to a file instead, for `synod trace` and other tools.
///
/// Exit codes: 0 no promise is broken, 10 one is.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim replay --seed 7 --trace seed-7.synodtrace
  synod sim replay --seed 7 -o jsonl | head")]
pub(super) struct ReplayArgs {
    /// The seed
    #[arg(long, value_name = "N")]
    seed: u64,

    /// Write it to this file instead, which must not exist
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// What the trace shows of clients' values
    #[arg(long, value_name = "WHAT", value_enum, default_value = "preview", requires = "trace")]
    values: Show,

    #[command(flatten)]
    world: WorldArgs,
}

pub(super) fn run(args: &ReplayArgs, output: &Output) -> Result<Exit, CliError> {
    let options = args.world.read()?.options(args.seed)?;
    let (outcome, lines) = sim::replay(args.seed, &options);
    let report = match &args.trace {
        None => printed(&lines),
        Some(path) => {
            let command = args.world.replay_command(args.seed);
            let walk = Recorded {
                seed: args.seed,
                options: &options,
                command: &command,
                happened: &lines,
                violation: outcome.violation.as_ref(),
            };
            trace_file::write(path, args.values, walk)?;
            written(path, args.seed, lines.len())
        }
    };
    output.show(report)?;
    match outcome.violation {
        None => Ok(Exit::Done),
        Some(violation) => {
            let message = format!(
                "seed {} breaks {} after {} us: {}",
                violation.seed, violation.promise, violation.at.0, violation.what
            );
            Err(CliError::new("violation", Exit::Violation, message))
        }
    }
}

fn printed(lines: &[Happened]) -> Report {
    let row = |line: &Happened| vec![Value::Micros(line.at.0), Value::Text(line.what.to_string())];
    let rows = lines.iter().map(row).collect();
    Report::rows("synod.sim.replay/1", "lines", &["at", "what"], rows)
}

fn written(path: &Path, seed: u64, happenings: usize) -> Report {
    let happenings = u64::try_from(happenings).expect("a length in memory fits in 64 bits");
    let file = path.display();
    let fields = vec![
        ("trace", Value::Text(file.to_string())),
        ("seed", Value::Id(seed)),
        ("happenings", Value::Id(happenings)),
    ];
    Report::record("synod.sim.replay.trace/1", fields)
        .prose(format!("{file}: seed {seed}, {} happenings\n", grouped(happenings)))
        .next(format!("Look at it:  synod trace info {file}"))
}
