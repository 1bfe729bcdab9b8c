//! `synod serve`: runs the node that a configuration file describes, until it is told to stop.

mod logging;
mod run_server;

use std::path::PathBuf;

use clap::Args;
use server::config::Config;

use crate::error::{CliError, Exit};
use crate::runtime;

/// Run a node
///
/// The configuration is checked whole before anything is opened. SIGINT and SIGTERM stop the node
/// in order, within its `shutdown_timeout`: another node leads first, and what is under way is
/// answered. A second one stops it at once, which is as safe as a crash.
///
/// Exit codes: 0 stopped, 1 failed, 2 bad configuration, 7 the data directory is damaged, empty or
/// another node's, 10 agreement is broken.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod serve --config cluster/a1/synod.toml
  synod serve --config cluster/l1/synod.toml --dev --log-format json")]
pub(crate) struct ServeArgs {
    /// The node's file, as `synod init cluster` writes it
    #[arg(long, value_name = "FILE", env = "SYNOD_CONFIG", hide_env_values = true)]
    config: PathBuf,

    /// Obey `synod chaos`: let clients break this node on purpose
    #[arg(long)]
    dev: bool,

    #[command(flatten)]
    logging: logging::LoggingArgs,
}

pub(super) fn run(args: &ServeArgs) -> Result<Exit, CliError> {
    let config = Config::load(&args.config)?;
    logging::start(&args.logging)?;
    let runtime = runtime::for_a_server()?;
    // Not `block_on`: here the first signal begins the end, and only the second one is it.
    let result = runtime.block_on(async {
        tokio::select! {
            result = run_server::run_server(config, args.dev, first_signal()) => result,
            exit = second_signal() => exit,
        }
    });
    runtime.shutdown_background();
    result
}

async fn first_signal() {
    // If signals cannot be heard, the other listener ends the process with that error.
    if runtime::stop_signal().await.is_ok() {
        tracing::info!("stopping; a second signal stops at once");
    }
}

async fn second_signal() -> Result<Exit, CliError> {
    let mut signals = runtime::StopSignals::listen()?;
    signals.next().await;
    Ok(signals.next().await)
}
