//! `synod demo`: a cluster in this process, broken on purpose while it agrees.
//!
//! `args` says what is to happen, `engine` makes it happen, `story` tells it, `compare` judges it,
//! and `summary` says what came of it.

#[cfg_attr(not(test), expect(dead_code, reason = "the engine asks for the rest"))]
mod args;
mod compare;
mod engine;
#[expect(dead_code, reason = "the engine tells the story")]
mod story;
#[cfg_attr(not(test), expect(dead_code, reason = "the engine sums up"))]
mod summary;

use crate::error::{CliError, Exit};
use crate::output::Output;

pub(crate) use args::DemoArgs;

pub(super) fn run(args: &DemoArgs, output: &Output) -> Result<Exit, CliError> {
    args.check()?;
    engine::run(args, output)
}
