//! `synod demo`: a cluster in this process, broken on purpose while it agrees.
//!
//! `args` says what is to happen, `engine` makes it happen, `story` tells it, `compare` judges it,
//! and `summary` says what came of it.

mod args;
mod compare;
mod engine;
mod story;
mod summary;

use crate::error::{CliError, Exit};
use crate::output::Output;

pub(crate) use args::DemoArgs;

pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, CliError> {
    args.check()?;
    engine::run(args, output)
}
