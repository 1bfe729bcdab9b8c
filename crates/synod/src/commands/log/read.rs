//! `synod log read`: a range of the history, as new as it is asked for.

use std::time::Duration;

use clap::{Args, ValueEnum};
use client::Consistency;
use server::config::parse_duration;

use super::entries;
use crate::connection;
use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};
use crate::output::Output;
use crate::runtime;

/// Read a range of the history
///
/// Shows everything that was appended before, by whomever, unless less is asked for with
/// --consistency. Any node that leads or learns serves any kind of read. Slots without a client's
/// value are left out.
///
/// Exit codes: 0 read, 3 the range begins below what the node still holds, 4 nothing reachable, or
/// what was asked for was not had in time.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod log read --from 100 --limit 10 -o json -e 127.0.0.1:7201
  synod log read --consistency sequential --at-least 43 -e 127.0.0.1:7202")]
pub(crate) struct ReadArgs {
    /// The first slot
    #[arg(long, value_name = "SLOT", default_value_t = 0)]
    from: u64,

    /// The slot to stop before [default: all that there is]
    #[arg(long, value_name = "SLOT")]
    to: Option<u64>,

    /// At most so many values
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// How much must be shown
    #[arg(long, value_name = "KIND", value_enum, default_value_t = Kind::Linearizable)]
    consistency: Kind,

    /// For sequential reads: every slot below, so one past the slot that an append printed
    #[arg(long, value_name = "SLOT", required_if_eq("consistency", "sequential"))]
    at_least: Option<u64>,

    /// For stale reads: everything that was there so long ago, such as 500ms
    #[arg(
        long,
        value_name = "TIME",
        required_if_eq("consistency", "stale"),
        value_parser = parse_duration
    )]
    max_age: Option<Duration>,

    #[command(flatten)]
    endpoints: EndpointArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Everything appended before, by whomever; needs a quorum
    Linearizable,
    /// Every slot below --at-least
    Sequential,
    /// Everything appended until --max-age ago, by the node's clock
    Stale,
    /// What the node knows; answered in any outage
    Local,
}

pub(super) fn run(args: &ReadArgs, output: &Output) -> Result<Exit, CliError> {
    if args.to.is_some_and(|to| to <= args.from) {
        return Err(CliError::usage("--to must be above --from: it is the slot to stop before"));
    }
    let consistency = consistency(args)?;
    runtime::block_on(async {
        let client = connection::open(&args.endpoints, None)?.client;
        let limit = args.limit.unwrap_or(0);
        let stream = client.read(consistency, args.from, args.to, limit).await?;
        entries::print("synod.log.read/1", stream, output).await
    })
}

fn consistency(args: &ReadArgs) -> Result<Consistency, CliError> {
    let ReadArgs { consistency: kind, at_least, max_age, .. } = *args;
    if at_least.is_some() && kind != Kind::Sequential {
        return Err(CliError::usage("--at-least goes with --consistency sequential"));
    }
    if max_age.is_some() && kind != Kind::Stale {
        return Err(CliError::usage("--max-age goes with --consistency stale"));
    }
    Ok(match kind {
        Kind::Linearizable => Consistency::Linearizable,
        Kind::Sequential => Consistency::Sequential { at_least: at_least.unwrap_or_default() },
        Kind::Stale => Consistency::Stale { max_age: max_age.unwrap_or_default() },
        Kind::Local => Consistency::Local,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        args: ReadArgs,
    }

    fn read(words: &str) -> Option<Consistency> {
        let words = ["read"].into_iter().chain(words.split_whitespace());
        consistency(&Alone::try_parse_from(words).ok()?.args).ok()
    }

    #[test]
    fn who_does_not_ask_for_less_is_given_the_most() {
        assert_eq!(read(""), Some(Consistency::Linearizable));
        assert_eq!(read("--consistency local"), Some(Consistency::Local));
    }

    #[test]
    fn each_kind_needs_its_bound_and_no_other() {
        let at_least = 43;
        let sequential = Consistency::Sequential { at_least };
        assert_eq!(read("--consistency sequential --at-least 43"), Some(sequential));
        let max_age = Duration::from_millis(500);
        assert_eq!(
            read("--consistency stale --max-age 500ms"),
            Some(Consistency::Stale { max_age })
        );
        for wrong in [
            "--consistency sequential",
            "--consistency stale",
            "--consistency eventual",
            "--at-least 43",
            "--max-age 1s",
            "--consistency stale --max-age 1s --at-least 43",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
