//! `synod serve`: runs the node that a configuration file describes, until it is told to stop.

mod logging;
mod notify;
mod reload;
mod run_server;
mod signals;

use clap::Args;

use crate::error::{CliError, Exit};
use crate::node_args::NodeArgs;
use crate::runtime;
pub(super) use logging::check as check_log;

/// Run a node
///
/// The configuration is checked whole before anything is opened. SIGINT and SIGTERM stop the node
/// in order, within its `shutdown_timeout`: another node leads first, and what is under way is
/// answered. A second one stops it at once, which is as safe as a crash. SIGHUP reads the
/// configuration again and changes what can be changed while the node runs; SIGQUIT writes what the
/// node sees of itself to stderr.
///
/// Exit codes: 0 stopped, 1 failed, 2 bad configuration, 7 the data directory is damaged, empty or
/// another node's, 10 agreement is broken.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod serve --config cluster/a1/synod.toml
  synod serve --config cluster/l1/synod.toml --dev --log-format json")]
pub(crate) struct ServeArgs {
    /// Obey `synod chaos`: let clients break this node on purpose
    #[arg(long)]
    dev: bool,

    #[command(flatten)]
    node: NodeArgs,

    #[command(flatten)]
    logging: logging::LoggingArgs,
}

pub(super) fn run(args: &ServeArgs) -> Result<Exit, CliError> {
    let mut layers = args.node.layers()?;
    args.logging.lay_over(&mut layers);
    let resolved = layers.resolve()?;
    let config = resolved.config.clone();
    let logging = logging::start(&config.log, config.id.0)?;
    let reloader = reload::Reloader::new(layers, resolved, logging);
    let runtime = runtime::for_a_server()?;
    // Not `block_on`: here the first signal begins the end, and only the second one is it.
    let result = runtime.block_on(async {
        tokio::select! {
            result = run_server::run_server(config, args.dev, reloader) => result,
            exit = signals::second() => exit,
        }
    });
    runtime.shutdown_background();
    result
}
