//! `cargo xtask soak --hours N`: `synod sim run` over fresh seeds, until the time is over or
//! something is found.
//!
//! Fresh means that they begin where the clock says, so that no two soaks walk the same. Every
//! other round is beyond what the protocol promises to survive.

use std::env;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Walks in one round: a few minutes.
const ROUND_SEEDS: u64 = 50_000;
/// Longer than any soak.
const HOURS_MAX: f64 = 1_000.0;

/// Soaks; fails if something was found.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(hours) = hours(arguments) else {
        eprintln!("usage: cargo xtask soak --hours N, above 0 and at most {HOURS_MAX}");
        return ExitCode::from(2);
    };
    let end = Instant::now() + Duration::from_secs_f64(hours * 3600.0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // A million seeds for every second: no two soaks meet.
    let mut first = since.as_secs() * 1_000_000;
    let mut is_beyond = false;
    while Instant::now() < end {
        let (seeds, from) = (ROUND_SEEDS.to_string(), first.to_string());
        let walk = ["run", "--release", "--quiet", "-p", "synod", "--", "sim", "run"];
        let mut round = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        round.args(walk).args(["--seeds", &seeds, "--first", &from, "-o", "table"]);
        if is_beyond {
            round.arg("--beyond");
        }
        println!("seeds from {first}{}", if is_beyond { ", beyond" } else { "" });
        match round.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("the soak ends: {status}");
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("cargo could not be started: {error}");
                return ExitCode::FAILURE;
            }
        }
        first += ROUND_SEEDS;
        is_beyond = !is_beyond;
    }
    ExitCode::SUCCESS
}

fn hours(mut arguments: impl Iterator<Item = String>) -> Option<f64> {
    let (flag, value, rest) = (arguments.next()?, arguments.next()?, arguments.next());
    let hours: f64 = value.parse().ok()?;
    (flag == "--hours" && rest.is_none() && hours > 0.0 && hours <= HOURS_MAX).then_some(hours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_a_number_above_zero() {
        let hours = |line: &str| hours(line.split_whitespace().map(str::to_owned));
        assert_eq!(hours("--hours 0.5"), Some(0.5));
        for line in ["", "--hours", "--hours 0", "--hours NaN", "--hours 1e9", "--hours 1 2"] {
            assert_eq!(hours(line), None, "{line}");
        }
    }
}
