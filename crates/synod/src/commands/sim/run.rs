//! `synod sim run`: many walks, until all are done or one breaks a promise.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use sim::{Statistics, Violation, walk};

use super::progress::bar;
use super::trace_file;
use super::world::{World, WorldArgs};
use crate::commands::version;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value, grouped};

/// Threads, at most.
const JOBS_MAX: i64 = 256;
/// Walks whose results wait to be counted, at most.
const RESULTS_WAITING_MAX: usize = 1024;

/// Walk many seeds and stop at the first that breaks a promise
///
/// Exit codes: 0 no promise is broken, 10 one is: the report names the seed, what was broken and
/// when, the last lines of the trace, the file that holds all of it, and the command that shows it
/// again.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod sim run --seeds 2000 --twice --world crates/sim/worlds/storms.toml
  synod sim run --seeds 10000 --jobs 2 --beyond -o json")]
pub(super) struct RunArgs {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// The first of them
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    first: u64,

    /// Walks at a time [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=JOBS_MAX))]
    jobs: Option<u16>,

    /// Walk every seed twice, and compare to the byte
    #[arg(long)]
    twice: bool,

    /// Where the trace of a violation goes, as `seed-<SEED>.synodtrace`
    #[arg(long, value_name = "DIR", default_value = ".")]
    trace_dir: PathBuf,

    #[command(flatten)]
    world: WorldArgs,
}

/// What a walk came to: its counts or what it broke; an error if its seed draws no such world.
type Walked = Result<Result<Statistics, Violation>, CliError>;

/// What all came to.
#[derive(Debug, Default)]
struct Total {
    walks: u64,
    counts: Statistics,
    violation: Option<Violation>,
    took: Duration,
}

pub(super) fn run(args: &RunArgs, output: &Output) -> Result<Exit, CliError> {
    let Some(end) = args.first.checked_add(args.seeds) else {
        return Err(CliError::usage("there are no seeds beyond 18446744073709551615"));
    };
    let world = args.world.read()?;
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let jobs = args.jobs.map_or_else(cores, usize::from);
    let walked = |seed| walked(&world, seed, args.twice);
    let total = all(&walked, args.first..end, jobs, &bar(args.seeds, output))?;
    let trace = total.violation.as_ref().and_then(|it| traced(args, &world, it.seed, output));
    output.show(report(&total, &args.world, trace))
}

/// The file with the whole walk; none if it could not be written, which is told and no more: the
/// violation is what counts.
fn traced(args: &RunArgs, world: &World, seed: u64, output: &Output) -> Option<String> {
    let command = args.world.replay_command(seed);
    let options = world.options(seed).ok()?;
    let written = trace_file::of_violation(&args.trace_dir, seed, &options, &command);
    written.map_err(|error| output.fail(&error)).ok().map(|path| path.display().to_string())
}

fn all(
    walked: &(impl Fn(u64) -> Walked + Sync),
    seeds: std::ops::Range<u64>,
    jobs: usize,
    bar: &ProgressBar,
) -> Result<Total, CliError> {
    let start = Instant::now();
    let (next, is_over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let (sender, receiver) = mpsc::sync_channel(RESULTS_WAITING_MAX);
    let (mut total, mut refused) = (Total::default(), None);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, is_over) = (sender.clone(), &next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let taken = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |seed| {
                        (seed < seeds.end).then(|| seed + 1)
                    });
                    let Ok(seed) = taken else { return };
                    if sender.send(walked(seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for result in receiver {
            total.walks += 1;
            bar.inc(1);
            match result {
                Ok(Ok(counts)) => total.counts.add(&counts),
                Err(error) => {
                    is_over.store(true, Ordering::Relaxed);
                    refused = Some(error);
                }
                Ok(Err(violation)) => {
                    is_over.store(true, Ordering::Relaxed);
                    // Walks that were under way end; the lowest seed is the one to look at.
                    if total.violation.as_ref().is_none_or(|it| violation.seed < it.seed) {
                        total.violation = Some(violation);
                    }
                }
            }
        }
    });
    bar.finish_and_clear();
    total.took = start.elapsed();
    refused.map_or(Ok(total), Err)
}

fn walked(world: &World, seed: u64, twice: bool) -> Walked {
    let options = world.options(seed)?;
    let outcome = walk(seed, &options);
    if twice && walk(seed, &options) != outcome {
        return Ok(Err(Violation {
            seed,
            at: paxos::Instant(0),
            promise: "determinism",
            what: "the same seed has walked two ways".to_owned(),
            trace: Vec::new(),
        }));
    }
    Ok(outcome.violation.map_or(Ok(outcome.statistics), Err))
}

fn report(total: &Total, world: &WorldArgs, trace: Option<String>) -> Report {
    let seconds = total.took.as_secs_f64().max(f64::MIN_POSITIVE);
    let Total { walks, counts, .. } = total;
    let violation = total.violation.as_ref();
    let text = |text: &str| Value::Text(text.to_owned());
    let replay = violation.map(|it| world.replay_command(it.seed));
    let took_us = u64::try_from(total.took.as_micros()).unwrap_or(u64::MAX);
    let fields = vec![
        ("walks", Value::Id(*walks)),
        ("took", Value::Micros(took_us)),
        ("walks_per_second", Value::Ratio(rate(*walks, seconds))),
        ("messages", Value::Id(counts.delivered)),
        ("messages_per_second", Value::Ratio(rate(counts.delivered, seconds))),
        ("slots", Value::Id(counts.slots)),
        ("crashes", Value::Id(counts.crashes)),
        ("disk_failures", Value::Id(counts.disk_failures)),
        ("damage_refused", Value::Id(counts.damage_refused)),
        ("misfortunes", Value::Id(counts.misfortunes)),
        ("converged_at_worst", Value::Micros(counts.converged_us)),
        ("violation_seed", Value::maybe(violation, |it| Value::Id(it.seed))),
        ("violation_at", Value::maybe(violation, |it| Value::Micros(it.at.0))),
        ("violation_promise", Value::maybe(violation, |it| text(it.promise))),
        ("violation_what", Value::maybe(violation, |it| text(&it.what))),
        ("violation_trace", Value::maybe(violation, |it| Value::List(it.trace.clone()))),
        ("trace", Value::maybe(trace.clone(), Value::Text)),
        ("replay", Value::maybe(replay.clone(), Value::Text)),
        ("version", text(version::VERSION)),
        ("commit", Value::maybe(version::COMMIT, text)),
    ];
    let mut prose = format!(
        "{} walks in {seconds:.1} s, {:.0} a second: {} messages, {} slots, {} crashes\n",
        grouped(*walks),
        rate(*walks, seconds),
        grouped(counts.delivered),
        grouped(counts.slots),
        grouped(counts.crashes),
    );
    match (violation, replay) {
        (Some(violation), Some(replay)) => {
            let commit = version::COMMIT.map(|commit| format!(" ({commit})")).unwrap_or_default();
            let look = trace.map(|file| format!("\nLook at it:     synod trace info {file}"));
            prose = format!(
                "{violation}\n\n{prose}\nSynod {}{commit}, seed {}{}\nShow it again:  {replay}\n",
                version::VERSION,
                violation.seed,
                look.unwrap_or_default(),
            );
        }
        _ => prose.push_str("No promise is broken.\n"),
    }
    let exit = if violation.is_some() { Exit::Violation } else { Exit::Done };
    Report::record("synod.sim.run/1", fields).prose(prose).exit(exit)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for a reader")]
fn rate(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_jobs_walks_every_seed_once() {
        let world = WorldArgs::default().read().unwrap();
        let walked = |seed| walked(&world, seed, true);
        let one = all(&walked, 0..12, 1, &ProgressBar::hidden()).unwrap();
        let three = all(&walked, 0..12, 3, &ProgressBar::hidden()).unwrap();
        assert_eq!((one.walks, one.counts), (12, three.counts));
        assert!(one.violation.is_none());
    }

    #[test]
    fn a_seed_that_draws_no_such_world_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "[shape]\nquorums = [5, 5]\n").unwrap();
        let args = WorldArgs { world: vec![file.path().into()], ..WorldArgs::default() };
        // Not every cluster that is drawn has five acceptors.
        let world = args.read().unwrap();
        let walked = |seed| walked(&world, seed, false);
        all(&walked, 0..50, 2, &ProgressBar::hidden()).unwrap_err();
    }

    #[test]
    fn a_violation_names_its_seed_and_the_command_that_shows_it() {
        let violation = Violation {
            seed: 7,
            at: paxos::Instant(1_500),
            promise: "agreement",
            what: "two values".into(),
            trace: vec!["a line".into()],
        };
        let total = Total { violation: Some(violation), ..Total::default() };
        let args = WorldArgs { beyond: true, ..WorldArgs::default() };
        let report = report(&total, &args, Some("seed-7.synodtrace".into()));
        assert_eq!(report.exit, Exit::Violation);
        let crate::output::Words::Prose(prose) = report.words else { panic!("no prose") };
        assert!(prose.starts_with("a line\nseed 7 at 1500 us breaks agreement: two values\n"));
        assert!(prose.ends_with(concat!(
            ", seed 7\nLook at it:     synod trace info seed-7.synodtrace\n",
            "Show it again:  synod sim replay --seed 7 --beyond\n"
        )));
    }
}
