//! How a measurement goes, for whoever watches: a line that is drawn again on a terminal, else a
//! line every ten seconds.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::load::{Plan, Run};
use crate::output::{Output, grouped};

/// Drawn at most so often a second.
const DRAWS_HZ: u8 = 10;

/// Between two lines where nothing can be drawn again.
const MILESTONE: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    task: Option<JoinHandle<()>>,
    bar: ProgressBar,
}

pub(super) fn begin(run: &Run, plan: Plan, output: &Output) -> Progress {
    if !output.tells_progress() {
        return Progress { task: None, bar: ProgressBar::hidden() };
    }
    let total = plan.warmup + plan.duration;
    let (run, begin, is_live) = (run.clone(), Instant::now(), output.is_live());
    let bar = if is_live { bar(total, output) } else { ProgressBar::hidden() };
    let drawn = bar.clone();
    if !is_live {
        Output::note(&format!("measures for {} s", total.as_secs_f64()));
    }
    let period = if is_live { Duration::from_secs(1) / u32::from(DRAWS_HZ) } else { MILESTONE };
    let task = tokio::spawn(async move {
        loop {
            tokio::time::sleep(period).await;
            let over = begin.elapsed().min(total);
            let done = grouped(run.done());
            if is_live {
                drawn.set_position(millis(over));
                drawn.set_message(format!("{done} done"));
            } else {
                Output::note(&format!(
                    "{} s of {} s, {done} done",
                    over.as_secs(),
                    total.as_secs()
                ));
            }
        }
    });
    Progress { task: Some(task), bar }
}

impl Progress {
    pub(super) fn end(self) {
        if let Some(task) = self.task {
            task.abort();
        }
        self.bar.finish_and_clear();
    }
}

fn bar(total: Duration, output: &Output) -> ProgressBar {
    let target = ProgressDrawTarget::stderr_with_hz(DRAWS_HZ);
    let bar = ProgressBar::with_draw_target(Some(millis(total)), target);
    let bars = if output.has_unicode() { "█░" } else { "#-" };
    let template = "  {bar:40} {msg}, {eta} left";
    let style = ProgressStyle::with_template(template).expect("a constant template that a run has");
    bar.with_style(style.progress_chars(bars)).with_message("warming up")
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
