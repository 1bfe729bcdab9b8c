//! The tree of commands: names, groups, and the page that `synod` alone prints.

use clap::builder::Styles;
use clap::builder::styling::{AnsiColor, Style};
use clap::{Parser, Subcommand};

use crate::commands::{
    bench, chaos, cluster, completions, config, demo, init, inspect, log, man, serve, sim,
    snapshot, trace,
};
use crate::output::OutputArgs;

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(Style::new().dimmed());

/// Clap has no groups of commands; a test keeps this page complete.
const PAGE: &str = "\
{about-with-newline}
{usage-heading} {usage}

\x1b[1mSee it:\x1b[0m
  demo         Watch leaders and acceptors agree while some of them fail
  sim          Walk through a painted world, where one seed decides every fault
  trace        Look into the record of a run

\x1b[1mRun it:\x1b[0m
  init         Write the files that nodes start from
  serve        Run a node
  config       See what a node would start from, and what it means

\x1b[1mUse it:\x1b[0m
  log          Append to the history, read it, follow it
  bench        Measure what a cluster bears, and how long it takes

\x1b[1mLook after it:\x1b[0m
  cluster      See what the nodes see; ask whether all is well
  snapshot     Keep the whole state in a file; begin a new cluster from one
  inspect      Look into a data directory while no node runs there
  chaos        Break nodes and networks on purpose

\x1b[1mYour shell:\x1b[0m
  completions  Print a completion script
  version      Print what this program is

{all-args}{after-help}";

/// One ordered history of values that a group of machines agrees on, although they fail.
#[derive(Debug, Parser)]
#[command(
    name = "synod",
    bin_name = "synod",
    version,
    styles = STYLES,
    help_template = PAGE,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    subcommand_value_name = "COMMAND",
    max_term_width = 100,
    after_help = "Examples:\n  synod demo\n  synod init cluster --dir cluster"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(hide = true)]
    Demo(demo::DemoArgs),
    #[command(hide = true)]
    Init(init::InitArgs),
    #[command(hide = true)]
    Serve(serve::ServeArgs),
    #[command(hide = true)]
    Log(log::LogArgs),
    #[command(hide = true)]
    Bench(bench::BenchArgs),
    #[command(hide = true)]
    Cluster(cluster::ClusterArgs),
    #[command(hide = true)]
    Snapshot(snapshot::SnapshotArgs),
    #[command(hide = true)]
    Inspect(inspect::InspectArgs),
    #[command(hide = true)]
    Chaos(chaos::ChaosArgs),
    #[command(hide = true)]
    Sim(sim::SimArgs),
    #[command(hide = true)]
    Trace(trace::TraceArgs),
    #[command(hide = true)]
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Config(config::ConfigArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
    /// Print what this program is
    #[command(hide = true, after_help = "Examples:\n  synod version\n  synod version -o json")]
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    /// Every command with the words that lead to it, groups included.
    fn all(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for child in command.get_subcommands() {
            let path = format!("{path} {}", child.get_name());
            all(child, &path, found);
            found.push((path, child.clone()));
        }
    }

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_front_page_names_every_command() {
        // Packages are built with `man`; nobody else needs it.
        let is_for_people = |it: &&clap::Command| it.get_name() != "man";
        for command in Cli::command().get_subcommands().filter(is_for_people) {
            let line = format!("\n  {:11}", command.get_name());
            assert!(PAGE.contains(&line), "{} is missing", command.get_name());
        }
    }

    #[test]
    fn every_help_ends_with_two_examples_that_parse() {
        let mut commands = Vec::new();
        all(&Cli::command(), "synod", &mut commands);
        for (path, command) in commands {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) = help.rsplit_once("Examples:\n").unwrap_or_else(|| panic!("{path}"));
            assert_eq!(examples.lines().count(), 2, "{path}");
            for example in examples.lines() {
                assert!(example.trim_start().starts_with(&path), "{example}");
                let words = example.split(['|', '>']).next().unwrap().split_whitespace();
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }
}
