//! What is to be measured. Whatever makes no sense is refused before anything starts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use client::{Consistency, VALUE_BYTES_MAX};
use server::config::parse_duration;

use super::load::{Pace, Plan, UNDER_WAY_MAX};
use super::local;
use super::subject::Workload;
use crate::endpoints::EndpointArgs;
use crate::error::CliError;

/// Each has a session, a connection and memory.
const CLIENTS_MAX: i64 = 10_000;

/// Operations a client has under way at most, unless told otherwise.
const CLOSED_WINDOW: u32 = 1;
const OPEN_WINDOW: u32 = 1024;

/// Measure what a cluster bears, and how long it takes
///
/// Each client has a session and a connection of its own. Without --rate each waits for its answer
/// before it asks again. With --rate operations begin when they are due, whatever has been
/// answered, and their latencies count from then: a stall shows as what it would cost (no
/// coordinated omission). A rate that is too high for the operations under way is called
/// overloaded.
///
/// A durable answer takes at least one sync of a disk, so that is measured too, before the load, in
/// the directory that --sync-probe names: choose one on the nodes' disk. With --local it is the one
/// where the nodes are.
///
/// Ctrl-C ends it early and prints what was measured.
///
/// Exit codes: 0 measured, 1 nothing was done in the measured time, 3 overloaded, 4 nothing
/// reachable or no quorum, 5 outcome unknown before anything was measured.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod bench --local 3 --clients 64
  synod bench --rate 2000 --clients 16 --duration 30s -e 127.0.0.1:7201,127.0.0.1:7202 -o json")]
pub(crate) struct BenchArgs {
    /// Clients, each with a session and a connection
    #[arg(long, value_name = "N", default_value_t = 16,
        value_parser = clap::value_parser!(u32).range(1..=CLIENTS_MAX))]
    pub(super) clients: u32,

    /// Operations a client has under way, at most [default: 1; 1024 with --rate]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    window: Option<u32>,

    /// Begin so many operations a second, of all clients together
    #[arg(long, value_name = "PER_SECOND", value_parser = parse_rate)]
    pub(super) rate: Option<f64>,

    /// How long to measure
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_positive)]
    pub(super) duration: Duration,

    /// How long to load before that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    pub(super) warmup: Duration,

    /// How large a value is
    #[arg(long, value_name = "N", default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(0..=i64::try_from(VALUE_BYTES_MAX).unwrap()))]
    pub(super) bytes: u32,

    /// How much of the operations reads the newest value that its client knows of; the rest appends
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) reads: u8,

    /// How much a read must show
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Linearizable)]
    pub(super) consistency: Kind,

    /// For stale reads: everything that was there so long ago, such as 500ms
    #[arg(long, value_name = "TIME", required_if_eq("consistency", "stale"),
        value_parser = parse_duration)]
    max_age: Option<Duration>,

    /// Measure an append and fdatasync in this directory too
    #[arg(long, value_name = "DIR")]
    pub(super) sync_probe: Option<PathBuf>,

    /// Start so many nodes on this machine, each a process that leads and remembers, and remove
    /// them
    #[arg(long, value_name = "NODES", conflicts_with_all = ["endpoints", "config"],
        value_parser = clap::value_parser!(u32).range(1..=i64::from(local::NODES_MAX)))]
    pub(super) local: Option<u32>,

    /// Where those have their data, below a directory that is removed [default: .]
    #[arg(long, value_name = "DIR", requires = "local")]
    pub(super) data_dir: Option<PathBuf>,

    #[command(flatten)]
    pub(super) endpoints: EndpointArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Everything appended before, by whomever; needs a quorum
    Linearizable,
    /// The client's own appends, and no less than it has seen
    Sequential,
    /// Everything appended until --max-age ago, by the node's clock
    Stale,
    /// What the node knows
    Local,
}

impl BenchArgs {
    /// What clap cannot check: relations between options.
    pub(super) fn check(&self) -> Result<(), CliError> {
        let places = self.clients as usize * self.window() as usize;
        if self.window.is_some() && places > UNDER_WAY_MAX {
            return Err(CliError::usage(format!(
                "{places} operations under way are more than {UNDER_WAY_MAX}"
            ))
            .hint("lower --clients or --window"));
        }
        if self.max_age.is_some() && self.consistency != Kind::Stale {
            return Err(CliError::usage("--max-age goes with --consistency stale"));
        }
        if self.consistency != Kind::Linearizable && self.reads == 0 {
            return Err(CliError::usage("--consistency goes with --reads PERCENT"));
        }
        Ok(())
    }

    pub(super) fn window(&self) -> u32 {
        let default = if self.rate.is_some() { OPEN_WINDOW } else { CLOSED_WINDOW };
        self.window.unwrap_or(default)
    }

    /// What the client library is told. An open loop has one bound for all clients, so that one of
    /// them may have more under way than others for a while.
    pub(super) fn window_of_a_client(&self) -> usize {
        if self.rate.is_some() { UNDER_WAY_MAX } else { self.window() as usize }
    }

    pub(super) fn plan(&self) -> Plan {
        Plan {
            clients: self.clients as usize,
            window: self.window() as usize,
            pace: self.rate.map_or(Pace::Closed, Pace::Rate),
            warmup: self.warmup,
            duration: self.duration,
        }
    }

    pub(super) fn workload(&self) -> Workload {
        let consistency = match self.consistency {
            Kind::Linearizable => Consistency::Linearizable,
            // The client's position comes with each read.
            Kind::Sequential => Consistency::Sequential { at_least: 0 },
            Kind::Stale => Consistency::Stale { max_age: self.max_age.unwrap_or_default() },
            Kind::Local => Consistency::Local,
        };
        Workload { bytes: self.bytes as usize, reads_percent: self.reads, consistency }
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    let is_rate = (0.001..=10_000_000.0).contains(&rate);
    if is_rate { Ok(rate) } else { Err("not within 0.001 to 10000000 a second".to_owned()) }
}

fn parse_positive(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text).map_err(|error| error.to_string())?;
    if time.is_zero() { Err("nothing is measured in no time".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        args: BenchArgs,
    }

    pub(in crate::commands::bench) fn args(options: &str) -> BenchArgs {
        let words = ["bench"].into_iter().chain(options.split_whitespace());
        Whole::try_parse_from(words).map_or_else(|error| panic!("{error}"), |whole| whole.args)
    }

    fn is_refused(options: &str) -> bool {
        let words = ["bench"].into_iter().chain(options.split_whitespace());
        Whole::try_parse_from(words).map_or(true, |whole| whole.args.check().is_err())
    }

    #[test]
    fn an_open_loop_has_room_for_a_stall_and_a_closed_one_waits() {
        assert_eq!((args("").window(), args("--rate 10").window()), (1, 1024));
        assert_eq!(args("--window 7 --rate 10").window(), 7);
        assert_eq!(args("--window 7").window_of_a_client(), 7);
        assert_eq!(args("").plan().pace, Pace::Closed);
        assert_eq!(args("--rate 0.5").plan().pace, Pace::Rate(0.5));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            "--rate 0",
            "--rate nan",
            "--rate -1",
            "--duration 0s",
            "--clients 0",
            "--clients 10000 --window 7",
            "--reads 101",
            "--consistency local",
            "--reads 5 --consistency stale",
            "--reads 5 --max-age 1s",
            "--local 3 -e 127.0.0.1:1",
            "--local 10",
            "--data-dir x",
        ] {
            assert!(is_refused(wrong), "{wrong}");
        }
        assert!(!is_refused("--clients 10000 --rate 10"));
        assert!(!is_refused("--reads 5 --consistency stale --max-age 1s"));
    }
}
