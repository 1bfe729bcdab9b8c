//! Stand-in for the engine, which runs the cluster.

use super::DemoArgs;
use super::story::Story;
use crate::error::{CliError, Exit};
use crate::output::Output;

pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, CliError> {
    let mut story = Story::new(output, args, args.seed_or_drawn()?);
    story.end();
    Err(CliError::new("not_built", Exit::Failed, "the demo's engine is not part of this build"))
}
