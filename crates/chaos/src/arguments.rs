//! What can be asked for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

/// Break a cluster of real processes in every way that one machine can, and judge what its clients
/// were told
///
/// As root each node lives in a network namespace and on a file system of its own, and all of that
/// is removed at the end. Without, the nodes share loopback, and faults of disks and links are left
/// out.
///
/// Exit codes: 0 every promise was kept, 1 the run failed, 10 a promise was broken.
#[derive(Debug, Parser)]
#[command(
    name = "chaos",
    after_help = "Examples:
  cargo xtask chaos -- --duration 30m --seed 1
  cargo xtask chaos -- judge /tmp/synod-chaos/4711"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    #[command(flatten)]
    pub(crate) run: RunArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Judge once more what a run left behind
    Judge {
        /// Where the run kept it
        directory: PathBuf,
    },
    /// Knock on every port with garbage: what a run starts in a namespace of its own
    #[command(hide = true)]
    Stranger(StrangerArguments),
}

/// What a run is made of.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that is given or not")]
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// How long faults come, such as 90s or 30m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_time)]
    pub(crate) duration: Duration,

    /// Decides which faults come, when and to whom [default: drawn]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// On average, from one fault to the next
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_time)]
    pub(crate) every: Duration,

    /// Values appended in a second, as long as the cluster keeps up
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) rate: u32,

    /// The size of each node's file system, where it has one. By default several times what is
    /// needed; a small one is full of votes after some minutes, and must not stay so
    #[arg(
        long,
        value_name = "N",
        default_value_t = 400,
        value_parser = clap::value_parser!(u64).range(32..=4096)
    )]
    pub(crate) disk_mib: u64,

    /// Only these kinds of faults, by their names, comma-separated
    #[arg(long, value_name = "KIND", value_delimiter = ',')]
    pub(crate) only: Vec<String>,

    /// Nothing is encrypted, and nobody asked who they are
    #[arg(long)]
    pub(crate) plaintext: bool,

    /// Neither namespaces nor file systems, even as root
    #[arg(long)]
    pub(crate) loopback: bool,

    /// Keep everything, whatever the verdict
    #[arg(long)]
    pub(crate) keep: bool,

    /// Where runs are kept, each in a directory of its own
    #[arg(long, value_name = "DIR", default_value = "/tmp/synod-chaos")]
    pub(crate) dir: PathBuf,

    /// The program under test [default: `synod` beside this one]
    #[arg(long, value_name = "FILE")]
    pub(crate) synod: Option<PathBuf>,

    /// Show that the judge can find something: three of five acceptors lose what they had
    /// acknowledged, as disks that lie about syncs do. Ends with exit code 10
    #[arg(long)]
    pub(crate) lying_disks: bool,
}

impl RunArguments {
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk_mib << 20
    }
}

#[derive(Debug, Args)]
pub(crate) struct StrangerArguments {
    /// Addresses to knock on, over TCP and UDP
    #[arg(required = true, value_name = "ADDRESS")]
    pub(crate) targets: Vec<SocketAddr>,

    /// For how long
    #[arg(long, value_parser = parse_time)]
    pub(crate) lasts: Duration,

    /// Which garbage
    #[arg(long)]
    pub(crate) seed: u64,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "a number and ms, s or m are needed")?;
    let time = match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return Err("the unit must be ms, s or m".into()),
    };
    // Longer than any run, and so short that sums do not overflow.
    let fits = (Duration::from_millis(1)..=Duration::from_secs(7 * 24 * 3600)).contains(&time);
    fits.then_some(time).ok_or_else(|| "must be from 1 ms to a week".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        assert_eq!(parse_time("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_time("30m"), Ok(Duration::from_secs(1800)));
        assert_eq!(parse_time("5ms"), Ok(Duration::from_millis(5)));
        for wrong in ["", "5", "s", "-1s", "1h", "0s", "99999999999m", "1 s"] {
            parse_time(wrong).unwrap_err();
        }
    }
}
