//! `synod log read`: a range of the history, as one node knows it.

use clap::Args;
use client::Consistency;

use super::entries;
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::runtime;

/// Read a range of the history
///
/// The first node that answers serves it, so the end may lag behind the leader. Slots without a
/// client's value are left out.
///
/// Exit codes: 0 read, 3 the range begins below what the node still holds, 4 nothing reachable.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod log read -e 127.0.0.1:7201
  synod log read --from 100 --limit 10 -o json -e 127.0.0.1:7201")]
pub(crate) struct ReadArgs {
    /// The first slot
    #[arg(long, value_name = "SLOT", default_value_t = 0)]
    from: u64,

    /// The slot to stop before [default: all that the node knows]
    #[arg(long, value_name = "SLOT")]
    to: Option<u64>,

    /// At most so many values
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

pub(super) fn run(args: &ReadArgs, output: &Output) -> Result<Exit, CliError> {
    if args.to.is_some_and(|to| to <= args.from) {
        return Err(CliError::usage("--to must be above --from: it is the slot to stop before"));
    }
    runtime::block_on(async {
        let client = connection::open(&args.endpoints, None)?.client;
        let limit = args.limit.unwrap_or(0);
        let stream = client.read(Consistency::Local, args.from, args.to, limit).await?;
        entries::print("synod.log.read/1", stream, output).await
    })
}
