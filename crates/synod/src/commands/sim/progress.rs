//! A bar of walks, for whoever watches.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// Drawn at most so often a second.
const DRAWS_HZ: u8 = 10;

/// A bar for so many walks; hidden unless somebody looks at a terminal.
pub(super) fn bar(walks: u64, output: &Output) -> ProgressBar {
    if !output.is_live() || !output.tells_progress() {
        return ProgressBar::hidden();
    }
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_HZ);
    let bar = ProgressBar::with_draw_target(Some(walks), target);
    let bars = if output.has_unicode() { "█░" } else { "#-" };
    let template = "  {bar:40} {human_pos} of {human_len} walks, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a constant template that a run has");
    bar.with_style(style.progress_chars(bars))
}
