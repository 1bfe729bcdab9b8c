//! `cargo xtask museum`: each known bug, put into the core as one wrong line, must be noticed.
//!
//! Mutants are data (`museum/mutants.toml`). Each is applied to a copy of the sources under
//! `target/museum`, so the real core holds no trace of them. The copy is first tried without any:
//! a suite that fails by itself kills everything and proves nothing. There is a copy a core, and
//! each works on a mutant of its own.

mod mutants;
mod suite;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use mutants::{Mutant, mutants};
use suite::{Fate, KILLERS, Killer, Suite, Verdict};

/// More copies would build the same for the first time once more, and share the same memory.
const COPIES_MAX: usize = 4;

/// Runs the museum; `only` names one mutant or a part of several names.
pub fn museum(only: Option<&str>) -> ExitCode {
    match visit(only) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the museum cannot open: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether each of them was noticed.
fn visit(only: Option<&str>) -> io::Result<bool> {
    let root = root();
    let all = mutants(&root)?;
    let wanted = |mutant: &&Mutant| only.is_none_or(|part| mutant.name.contains(part));
    let chosen: Vec<&Mutant> = all.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no mutant has that name"));
    }
    let copies = thread::available_parallelism()?.get().min(COPIES_MAX);
    let place = |copy: usize| root.join("target").join("museum").join(copy.to_string());
    let suites: Vec<Suite> =
        (0..copies).map(|copy| Suite::new(&root, &place(copy))).collect::<io::Result<_>>()?;
    share(&suites, &KILLERS.iter().collect::<Vec<_>>(), is_sound)?;
    println!("{:<30} {:<68} {:>5} {:>4}  noticed by", "mutant", "source", "walks", "s");
    let noticed = AtomicUsize::new(0);
    share(&suites, &chosen, |suite, mutant| {
        let began = Instant::now();
        let Verdict { fate, walks } = suite.try_out(mutant)?;
        let by = match &fate {
            Fate::Killed(by) => by,
            Fate::Survived => "NOTHING",
            Fate::Stillborn => "NOT COMPILED",
        };
        noticed.fetch_add(usize::from(matches!(fate, Fate::Killed(_))), Ordering::Relaxed);
        let (name, source, seconds) = (&mutant.name, &mutant.source, began.elapsed().as_secs());
        println!("{name:<30} {source:<68} {walks:>5} {seconds:>4}  {by}");
        Ok(())
    })?;
    let noticed = noticed.into_inner();
    println!("{noticed} of {} noticed", chosen.len());
    Ok(noticed == chosen.len())
}

fn is_sound(suite: &Suite, killer: &Killer) -> io::Result<()> {
    match suite.ask(killer, None)?.fate {
        Fate::Survived => Ok(()),
        Fate::Killed(by) => Err(io::Error::other(format!("the sound core is killed by {by}"))),
        Fate::Stillborn => Err(io::Error::other("the sound core does not compile")),
    }
}

/// Does the work of each item once, in order, in whichever copy is free.
fn share<T: Sync>(
    suites: &[Suite],
    items: &[&T],
    work: impl Fn(&Suite, &T) -> io::Result<()> + Sync,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let until_the_last = |suite: &Suite| {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(suite, item)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> =
            suites.iter().map(|suite| scope.spawn(|| until_the_last(suite))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this crate lies below the workspace").into()
}
