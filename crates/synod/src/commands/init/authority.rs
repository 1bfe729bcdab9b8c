//! `synod init authority`: a new authority for a cluster that has one.

use std::path::PathBuf;

use clap::Args;
use server::config::Config;

use super::issue::{AUTHORITY_DAYS, Desk, days};
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Make a new authority for the certificates of a cluster
///
/// For a cluster whose authority is to be replaced, or that had none: `synod init cluster` makes
/// the first one. Its private key issues everything else; keep it off the nodes' machines.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod init authority --config cluster/n1/synod.toml --dir authority-2
  synod init authority --config cluster/n1/synod.toml --dir authority-2 --days 730")]
pub(super) struct InitAuthorityArgs {
    /// A node's file, for the cluster's id
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Where to make `ca.key` and `ca.crt`
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// How long the authority counts, in days
    #[arg(
        long,
        value_name = "N",
        default_value_t = AUTHORITY_DAYS,
        value_parser = clap::value_parser!(u32).range(1..=36_500)
    )]
    days: u32,
}

pub(super) fn run(args: &InitAuthorityArgs, output: &Output) -> Result<Exit, CliError> {
    let config = Config::load(&args.config)?;
    Desk::make(&args.dir, config.cluster, days(args.days))?;
    let path = |name: &str| Value::Text(args.dir.join(name).display().to_string());
    let fields = vec![("certificate", path("ca.crt")), ("key", path("ca.key"))];
    let dir = args.dir.display();
    output.show(Report::record("synod.init.authority/1", fields).next(format!(
        "\nNext, for each node: let it trust both, then give it a certificate of the new one:\n  \
         cat {dir}/ca.crt >> NODE/ca.crt\n  \
         synod init certificate --authority {dir} --config NODE/synod.toml\n\
         When all nodes and clients have one, take the old authority out of every ca.crt."
    )))
}
