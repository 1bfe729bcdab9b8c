//! What the demo is asked to show. Whatever makes no sense is refused before anything starts.

use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedI64ValueParser;
use server::config::NODES_MAX;

use crate::error::{CliError, Exit};
use crate::faults::NetworkArgs;
use crate::lines;

/// More values than this are a benchmark, not a demo; all of them are held in memory.
const PROPOSALS_MAX: u32 = 1_000_000;

/// Watch leaders and acceptors agree while some of them fail
///
/// Runs a whole cluster in this process: real sockets, real journals on disk. Some acceptors are
/// killed, values are proposed all at once, and the history of every learner is compared.
///
/// Exit codes: 0 every value is chosen once and all histories are equal, 1 a value is lost or
/// repeated, 10 two histories differ.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  synod demo
  synod demo --kill-leader --loss 10% --duplicate 10% --delay 1ms..5ms --reorder")]
pub(crate) struct DemoArgs {
    /// Values to propose
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(PROPOSALS_MAX))
    )]
    pub(crate) proposals: u32,

    /// Propose the lines of a file instead; `-` is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "proposals")]
    pub(crate) input: Option<PathBuf>,

    /// Nodes that lead and own no disk
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = count(1))]
    pub(crate) leaders: u32,

    /// Nodes that remember
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = count(1))]
    pub(crate) acceptors: u32,

    /// Acceptors to kill; a majority must be left
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = count(0))]
    pub(crate) fail: u32,

    /// Kill the leader as well, in the midst of it
    #[arg(long)]
    pub(crate) kill_leader: bool,

    /// Decides every fault of the network [default: drawn]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// Keep the journals here [default: a directory that is removed]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,

    /// No pauses for reading along
    #[arg(long)]
    pub(crate) fast: bool,

    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

fn count(least: i64) -> RangedI64ValueParser<u32> {
    let most = i64::try_from(NODES_MAX).expect("a small constant");
    RangedI64ValueParser::new().range(least..=most)
}

impl DemoArgs {
    /// What clap cannot check: relations between options.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let DemoArgs { leaders, acceptors, fail, .. } = *self;
        let nodes = leaders + acceptors;
        if nodes as usize > NODES_MAX {
            return Err(CliError::usage(format!("{nodes} nodes are more than {NODES_MAX}")));
        }
        let (needed, fail_max) = (self.needed(), acceptors - self.needed());
        if fail > fail_max {
            let message = format!(
                "of {acceptors} acceptors at most {fail_max} may fail: {needed} are needed to \
                 choose a value"
            );
            return Err(CliError::usage(message)
                .hint(format!("--fail {fail} works with --acceptors {}", 2 * fail + 1)));
        }
        if self.kill_leader && leaders < 2 {
            return Err(CliError::usage("with --kill-leader there must be another leader left")
                .hint("--leaders 2"));
        }
        Ok(())
    }

    /// Acceptors that make a quorum.
    pub(crate) fn needed(&self) -> u32 {
        self.acceptors / 2 + 1
    }

    /// The seed that was given, or one that can be typed again with ease.
    pub(crate) fn seed_or_drawn(&self) -> Result<u64, CliError> {
        let drawn = || getrandom::u32().map(|seed| u64::from(seed % 10_000_000));
        self.seed.map_or_else(drawn, Ok).map_err(|error| {
            let message = format!("the system gave no random seed: {error}");
            CliError::new("no_randomness", Exit::Failed, message)
        })
    }

    /// What is proposed, in order: the lines of the input, or `value-1` and so on.
    pub(crate) fn values(&self) -> Result<Vec<Vec<u8>>, CliError> {
        match &self.input {
            Some(path) => lines::all_of_file(path, PROPOSALS_MAX as usize),
            None => Ok((1..=self.proposals).map(|it| format!("value-{it}").into_bytes()).collect()),
        }
    }

    /// The command that asks for the same again: same cluster, same faults.
    pub(crate) fn rerun(&self, seed: u64) -> String {
        let counts = [
            ("proposals", self.proposals, 1000),
            ("leaders", self.leaders, 2),
            ("acceptors", self.acceptors, 5),
            ("fail", self.fail, 2),
        ];
        let changed = counts.into_iter().filter(|(_, count, default)| count != default);
        let counts: String = changed.map(|(name, count, _)| format!(" --{name} {count}")).collect();
        let input = self.input.as_ref().map(|path| format!(" --input {}", path.display()));
        let kill_leader = if self.kill_leader { " --kill-leader" } else { "" };
        let (input, network) = (input.unwrap_or_default(), self.network.to_options());
        format!("synod demo --seed {seed}{counts}{input}{kill_leader}{network}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Whole {
        #[command(flatten)]
        args: DemoArgs,
    }

    pub(in crate::commands::demo) fn args(options: &str) -> DemoArgs {
        let words = ["demo"].into_iter().chain(options.split_whitespace());
        Whole::try_parse_from(words).map_or_else(|error| panic!("{error}"), |whole| whole.args)
    }

    #[test]
    fn a_majority_must_be_left() {
        assert!(args("").check().is_ok());
        assert!(args("--acceptors 1 --fail 0").check().is_ok());
        let error = args("--fail 3").check().unwrap_err();
        assert_eq!(
            error.message,
            "of 5 acceptors at most 2 may fail: 3 are needed to choose a value"
        );
        assert_eq!(error.hint.as_deref(), Some("--fail 3 works with --acceptors 7"));
        assert!(args("--acceptors 4 --fail 2").check().is_err());
    }

    #[test]
    fn somebody_must_be_left_to_take_over() {
        assert!(args("--kill-leader --leaders 1").check().is_err());
        assert!(args("--kill-leader").check().is_ok());
    }

    #[test]
    fn a_cluster_has_a_largest_size() {
        assert!(args("--leaders 60 --acceptors 5").check().is_err());
    }

    #[test]
    fn the_command_to_run_again_leaves_out_defaults_only() {
        assert_eq!(args("").rerun(7), "synod demo --seed 7");
        let options = "--proposals 50 --leaders 3 --acceptors 7 --fail 3 --kill-leader --loss 10% \
                       --delay 1ms..5ms --reorder";
        assert_eq!(args(options).rerun(7), format!("synod demo --seed 7 {options}"));
    }

    #[test]
    fn values_are_as_many_as_asked_for() {
        let values = args("-n 3").values().unwrap();
        assert_eq!(values, [&b"value-1"[..], b"value-2", b"value-3"]);
    }
}
