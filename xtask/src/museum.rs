//! `cargo xtask museum`: each known bug, put into the core as one wrong line, must be noticed.
//!
//! Mutants are data (`museum/mutants.toml`). Each is applied to a copy of the sources under
//! `target/museum`, so the real core holds no trace of them. The copy is first tried without any:
//! a suite that fails by itself kills everything and proves nothing.
//!
//! The cheapest killer is looked for first: walks over drawn worlds, then the unit tests of the
//! pure crates, then the tests of the painted world.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// One wrong line.
#[derive(Debug)]
struct Mutant {
    name: String,
    source: String,
    file: PathBuf,
    from: String,
    to: String,
}

/// What a mutant came to.
enum Fate {
    Killed(String),
    Survived,
    /// It is no mutant: the wrong line does not compile.
    Stillborn,
}

/// Walks over each mutant, at most.
const WALKS: &str = "1000";
/// A program that takes longer hangs. The first build of all takes half a minute, tests seconds.
const PATIENCE: Duration = Duration::from_secs(300);
const HANGS: &str = "does not end";
const BUILD: &str = "build --package sim --example hunt";
/// Cheapest first. Left out are what the walks have shown already, and a test that knows which
/// seeds show a rare event: any change of the core upsets that.
const TESTS: [&str; 2] = [
    "test --package paxos --package node --lib --test liveness",
    "test --package sim --test walks --test lives -- \
     --skip a_thousand_walks --skip a_leader_is_overtaken",
];

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

fn visit(only: Option<&str>) -> io::Result<bool> {
    let root = root();
    let all = mutants(&root)?;
    let wanted = |mutant: &&Mutant| only.is_none_or(|part| mutant.name.contains(part));
    let chosen: Vec<&Mutant> = all.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no mutant has that name"));
    }
    let target = root.join("target").join("museum");
    let copy = target.join("sources");
    copy_sources(&root, &copy)?;
    let suite = Suite { copy, target: target.join("target") };
    match suite.judge()? {
        Fate::Survived => {}
        Fate::Killed(by) => {
            return Err(io::Error::other(format!("the sound core is killed by {by}")));
        }
        Fate::Stillborn => return Err(io::Error::other("the sound core does not compile")),
    }
    println!("{:<30} {:<68} noticed by", "mutant", "source");
    let mut noticed = 0;
    for mutant in &chosen {
        let began = Instant::now();
        let fate = suite.try_out(mutant)?;
        let by = match &fate {
            Fate::Killed(by) => by,
            Fate::Survived => "NOTHING",
            Fate::Stillborn => "NOT COMPILED",
        };
        noticed += usize::from(matches!(fate, Fate::Killed(_)));
        let seconds = began.elapsed().as_secs();
        println!("{:<30} {:<68} {by} ({seconds} s)", mutant.name, mutant.source);
    }
    println!("{noticed} of {} noticed", chosen.len());
    Ok(noticed == chosen.len())
}

/// What is run over a copy of the sources.
struct Suite {
    copy: PathBuf,
    target: PathBuf,
}

impl Suite {
    fn try_out(&self, mutant: &Mutant) -> io::Result<Fate> {
        let path = self.copy.join(&mutant.file);
        let sound = fs::read_to_string(&path)?;
        fs::write(&path, sound.replace(&mutant.from, &mutant.to))?;
        let fate = self.judge();
        fs::write(&path, sound)?;
        fate
    }

    fn judge(&self) -> io::Result<Fate> {
        if self.run(&mut self.cargo(BUILD))?.is_some() {
            return Ok(Fate::Stillborn);
        }
        let hunt = self.target.join("debug").join("examples").join("hunt");
        if let Some(said) = self.run(Command::new(hunt).arg(WALKS))? {
            return Ok(Fate::Killed(format!("walk, {}", said.trim())));
        }
        for tests in TESTS {
            let Some(said) = self.run(&mut self.cargo(tests))? else {
                continue;
            };
            let failed = said.lines().find_map(|line| {
                line.strip_prefix("test ")?.strip_suffix(" ... FAILED").map(str::trim)
            });
            return match failed {
                Some(test) => Ok(Fate::Killed(format!("test, {test}"))),
                None if said == HANGS || said.contains("running ") => {
                    Ok(Fate::Killed(format!("tests, {HANGS}")))
                }
                None => Ok(Fate::Stillborn),
            };
        }
        Ok(Fate::Survived)
    }

    fn cargo(&self, arguments: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(arguments.split_whitespace()).current_dir(&self.copy);
        cargo.env("CARGO_TARGET_DIR", &self.target);
        // A mutant may leave something unused.
        cargo.env("RUSTFLAGS", "-A warnings");
        cargo
    }

    /// What a program said if it failed; nothing if all is well.
    fn run(&self, command: &mut Command) -> io::Result<Option<String>> {
        let said = self.target.join("said.txt");
        fs::create_dir_all(&self.target)?;
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

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("this crate lies below the workspace").into()
}

fn mutants(root: &Path) -> io::Result<Vec<Mutant>> {
    let text = fs::read_to_string(root.join("museum").join("mutants.toml"))?;
    let table: toml::Table = text.parse().map_err(io::Error::other)?;
    let list = table.get("mutant").and_then(toml::Value::as_array);
    let list = list.ok_or_else(|| io::Error::other("mutants.toml lists no mutant"))?;
    list.iter().map(|entry| mutant(root, entry)).collect()
}

fn mutant(root: &Path, entry: &toml::Value) -> io::Result<Mutant> {
    let field = |name: &str| {
        let text = entry.get(name).and_then(toml::Value::as_str).map(String::from);
        text.ok_or_else(|| io::Error::other(format!("{entry} lacks {name}")))
    };
    let (name, source, file) = (field("name")?, field("source")?, PathBuf::from(field("file")?));
    let (from, to) = (field("from")?, field("to")?);
    // A mutant whose line was changed since is stale; it must not pass for a live one.
    let places = fs::read_to_string(root.join(&file))?.matches(&from).count();
    if places != 1 || from == to {
        let why = format!("{name}: `from` stands {places} times in {}", file.display());
        return Err(io::Error::other(why));
    }
    Ok(Mutant { name, source, file, from, to })
}

/// Copies what cargo needs. A file that is the same stays as it is, and so does its build.
fn copy_sources(root: &Path, copy: &Path) -> io::Result<()> {
    for top in ["Cargo.toml", "Cargo.lock", "crates", "fuzz", "xtask"] {
        copy_tree(&root.join(top), &copy.join(top))?;
    }
    Ok(())
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_mutant_changes_one_place_of_the_core_as_it_is() {
        let mutants = mutants(&root()).expect("no mutant is stale");
        let names: BTreeSet<&str> = mutants.iter().map(|mutant| mutant.name.as_str()).collect();
        assert_eq!(names.len(), mutants.len(), "each name is used once");
        assert!(mutants.len() >= 80, "mutants are given up only for a reason");
    }
}
