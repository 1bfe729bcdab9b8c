//! `synod log tail`: the history as it grows, without an end.

use clap::Args;
use client::Consistency;

use super::entries;
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::runtime;

/// Follow the history as it grows
///
/// Each value is printed once, in order, across broken connections, until you stop it.
///
/// Exit codes: 3 the first slot is below what the node still holds, 4 nothing reachable.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod log tail -e 127.0.0.1:7201
  synod log tail --from 1000 -o jsonl -e 127.0.0.1:7201 | head")]
pub(crate) struct TailArgs {
    /// The first slot
    #[arg(long, value_name = "SLOT", default_value_t = 0)]
    from: u64,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

pub(super) fn run(args: &TailArgs, output: &Output) -> Result<Exit, CliError> {
    runtime::block_on(async {
        let client = connection::open(&args.endpoints, None)?.client;
        // To follow waits for better times; that there was never anybody is said at once.
        drop(client.read(Consistency::Local, args.from, None, 1).await?);
        entries::print("synod.log.tail/1", client.tail(args.from), output).await
    })
}
