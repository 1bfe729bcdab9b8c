//! A copy of the sources, and everything that may notice a mutant in it.
//!
//! Cheapest first: walks over drawn worlds, then the tests of the pure crates, then those of the
//! painted world. Who last noticed a mutant is asked before all others; if that one is silent, all
//! are asked. A killer whose crate does not depend on the changed one is not even built.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::mutants::Mutant;

/// Somebody who may notice.
#[derive(Debug)]
pub struct Killer {
    /// As the table prints it, before `::` and the test.
    pub name: &'static str,
    /// What cargo is asked to build, and for tests to run.
    cargo: &'static str,
    /// Tests that are left out.
    skip: &'static [&'static str],
    /// The crates that it is built from.
    over: &'static [&'static str],
}

/// Walks; not a test, for it says which seed noticed.
const HUNT: &str = "hunt";
/// Walks over each mutant, at most.
const WALKS: u64 = 1000;

const PURE: &[&str] = &["paxos", "node", "journal"];

/// Cheapest first.
pub const KILLERS: [Killer; 10] = [
    Killer { name: HUNT, cargo: "build --package sim --example hunt", skip: &[], over: PURE },
    Killer::new("paxos", "test --package paxos --lib", &["paxos"]),
    Killer::new("node", "test --package node --lib", &["paxos", "node"]),
    Killer::new("journal", "test --package journal --lib", &["journal"]),
    Killer::new("liveness", "test --package paxos --test liveness", &["paxos"]),
    Killer::new("rot", "test --package journal --test rot", &["journal"]),
    Killer::new("crashes", "test --package journal --test crashes", &["journal"]),
    Killer::new("lost", "test --package journal --test lost", &["journal"]),
    Killer::new("lives", "test --package sim --test lives", PURE),
    // What the hunt has shown already, and a test that knows which seeds show a rare event: any
    // change of the core upsets that.
    Killer {
        skip: &["a_thousand_walks", "a_leader_is_overtaken"],
        ..Killer::new("walks", "test --package sim --test walks", PURE)
    },
];

/// What somebody, or everybody, says of a copy.
#[derive(Debug)]
pub struct Verdict {
    /// What it came to.
    pub fate: Fate,
    /// How many walks it took.
    pub walks: u64,
}

/// What a mutant came to.
#[derive(Debug)]
pub enum Fate {
    /// Somebody noticed.
    Killed(String),
    /// Nobody did.
    Survived,
    /// It is no mutant: the wrong line does not compile.
    Stillborn,
}

/// A program that takes longer hangs. The first build of all takes a minute, tests seconds; cores
/// that others use, too, make them many times slower.
const PATIENCE: Duration = Duration::from_secs(300);
const HANGS: &str = "does not end";

impl Killer {
    const fn new(name: &'static str, cargo: &'static str, over: &'static [&'static str]) -> Killer {
        Killer { name, cargo, skip: &[], over }
    }

    /// The killer of that name.
    pub fn named(name: &str) -> Option<&'static Killer> {
        KILLERS.iter().find(|killer| killer.name == name)
    }

    /// Whether it can notice a change of this file.
    fn concerns(&self, file: &Path) -> bool {
        self.over.iter().any(|name| file.starts_with(Path::new("crates").join(name)))
    }
}

/// A copy of the sources, with a build of its own.
#[derive(Debug)]
pub struct Suite {
    copy: PathBuf,
    target: PathBuf,
}

impl Suite {
    /// Copies what cargo needs. A file that is the same stays as it is, and so does its build.
    pub fn new(root: &Path, place: &Path) -> io::Result<Suite> {
        let suite = Suite { copy: place.join("sources"), target: place.join("target") };
        fs::create_dir_all(&suite.target)?;
        for top in ["Cargo.toml", "Cargo.lock", "crates", "fuzz", "xtask"] {
            copy_tree(&root.join(top), &suite.copy.join(top))?;
        }
        Ok(suite)
    }

    /// Puts the mutant in and asks everybody; the copy is sound again afterwards.
    pub fn try_out(&self, mutant: &Mutant) -> io::Result<Verdict> {
        let path = self.copy.join(&mutant.file);
        let sound = fs::read_to_string(&path)?;
        fs::write(&path, sound.replace(&mutant.from, &mutant.to))?;
        let verdict = self.judge(mutant);
        fs::write(&path, sound)?;
        verdict
    }

    fn judge(&self, mutant: &Mutant) -> io::Result<Verdict> {
        let hint = mutant.noticed_by.iter().map(|hint| (hint.killer, Some(hint.test.as_str())));
        let all = KILLERS.iter().filter(|killer| killer.concerns(&mutant.file));
        let mut walks = 0;
        for (killer, test) in hint.chain(all.map(|killer| (killer, None))) {
            let verdict = self.ask(killer, test)?;
            walks += verdict.walks;
            if !matches!(verdict.fate, Fate::Survived) {
                return Ok(Verdict { walks, ..verdict });
            }
        }
        Ok(Verdict { fate: Fate::Survived, walks })
    }

    /// What the killer says of the copy as it is; of tests, all or only this one.
    pub fn ask(&self, killer: &Killer, test: Option<&str>) -> io::Result<Verdict> {
        let mut build = self.cargo(killer.cargo);
        if killer.name != HUNT {
            build.arg("--no-run");
        }
        match self.run(&mut build)? {
            None if killer.name == HUNT => self.hunt(),
            None => Ok(Verdict { fate: self.test(killer, test)?, walks: 0 }),
            // No fault of the mutant's: a compiler ends.
            Some(said) if said == HANGS => Err(io::Error::other("a build takes too long")),
            Some(_) => Ok(Verdict { fate: Fate::Stillborn, walks: 0 }),
        }
    }

    fn hunt(&self) -> io::Result<Verdict> {
        let hunt = self.target.join("debug").join("examples").join(HUNT);
        let Some(said) = self.run(Command::new(hunt).arg(WALKS.to_string()))? else {
            return Ok(Verdict { fate: Fate::Survived, walks: WALKS });
        };
        // Seeds are walked from zero on.
        let seed = said.strip_prefix("seed ").and_then(|rest| rest.split_once(':'));
        let walks =
            seed.and_then(|(seed, _)| seed.parse().ok()).map_or(WALKS, |seed: u64| seed + 1);
        Ok(Verdict { fate: Fate::Killed(format!("{HUNT}, {}", said.trim())), walks })
    }

    fn test(&self, killer: &Killer, test: Option<&str>) -> io::Result<Fate> {
        let mut cargo = self.cargo(killer.cargo);
        cargo.arg("--");
        cargo.args(killer.skip.iter().flat_map(|part| ["--skip", part]));
        cargo.args(test.iter().flat_map(|test| ["--exact", test]));
        let Some(said) = self.run(&mut cargo)? else {
            return Ok(Fate::Survived);
        };
        let failed = said.lines().find_map(|line| {
            line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::trim)
        });
        Ok(Fate::Killed(match failed {
            Some(test) => format!("{}::{test}", killer.name),
            None if said == HANGS => format!("{}, {HANGS}", killer.name),
            None => format!("{}, aborted", killer.name),
        }))
    }

    fn cargo(&self, arguments: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments.split_whitespace()).current_dir(&self.copy);
        cargo.env("CARGO_TARGET_DIR", &self.target);
        // A mutant may leave something unused, or overflow where the compiler sees it.
        cargo.env("RUSTFLAGS", "--cap-lints allow");
        // Hundreds of builds that differ in a line.
        cargo.env("CARGO_INCREMENTAL", "1");
        // Nobody reads a backtrace here.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
        cargo
    }

    /// What a program said if it failed; nothing if all is well.
    fn run(&self, command: &mut Command) -> io::Result<Option<String>> {
        let said = self.target.join("said.txt");
        command.stdout(fs::File::create(&said)?).stderr(Stdio::null());
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        let mut child = command.spawn()?;
        let began = Instant::now();
        loop {
            match child.try_wait()? {
                Some(status) if status.success() => return Ok(None),
                Some(_) => return fs::read_to_string(&said).map(Some),
                None if began.elapsed() > PATIENCE => {
                    end(&mut child)?;
                    child.wait()?;
                    return Ok(Some(HANGS.into()));
                }
                None => sleep(Duration::from_millis(20)),
            }
        }
    }
}

/// Ends a program that hangs, and the tests that it has started.
fn end(child: &mut Child) -> io::Result<()> {
    if cfg!(unix) {
        let group = format!("-{}", child.id());
        Command::new("kill").args(["-KILL", "--", &group]).status().map(drop)
    } else {
        child.kill()
    }
}

fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        let bytes = fs::read(from)?;
        if fs::read(to).ok().as_ref() != Some(&bytes) {
            fs::create_dir_all(to.parent().expect("a copied file lies in a directory"))?;
            fs::write(to, bytes)?;
        }
        return Ok(());
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_tree(&entry.path(), &to.join(entry.file_name()))?;
    }
    // What is gone here must not go on being built there.
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            _ if from.join(entry.file_name()).exists() => {}
            true => fs::remove_dir_all(entry.path())?,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}
