//! The verdict over a directory of notes: by the simulator's checkers, during the run's end and as
//! often as anybody likes afterwards.

use std::path::Path;
use std::time::Instant;

use crate::Outcome;
use crate::figures;
use crate::notes;

/// What the notes say.
pub(crate) struct Verdict {
    /// The promise that is broken, if one is.
    pub(crate) wrong: Option<String>,
    /// For people to read.
    pub(crate) figures: String,
}

/// Reads and judges everything.
pub(crate) fn judge(directory: &Path) -> Outcome<Verdict> {
    let began = Instant::now();
    let (appends, reads) = (notes::appends(directory)?, notes::reads(directory)?);
    let faults = notes::faults(directory)?;
    let told = notes::told(directory)?;
    let wrong = match &told {
        Err(wrong) => Some(wrong.clone()),
        Ok(told) => told.whole(&appends, &reads).err(),
    };
    let mut text = figures::figures(&appends, &reads, &faults);
    if let Ok(told) = &told {
        text.push_str(&figures::seen(told));
    }
    text.push_str(&format!("judged in {:.1} s\n", began.elapsed().as_secs_f64()));
    let wrong = wrong.map(|wrong| format!("{}: {}", wrong.promise, wrong.what));
    Ok(Verdict { wrong, figures: text })
}

/// `chaos judge DIR`: true if every promise was kept.
pub(crate) fn again(directory: &Path) -> Outcome<bool> {
    let Verdict { wrong, figures } = judge(directory)?;
    print!("{figures}");
    match &wrong {
        None => println!("verdict: every promise was kept"),
        Some(wrong) => println!("verdict: VIOLATION: {wrong}"),
    }
    Ok(wrong.is_none())
}

#[cfg(test)]
mod tests;
