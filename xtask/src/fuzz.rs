//! `cargo xtask fuzz`: looks for inputs that reach new code of everything that reads bytes.
//!
//! The targets are the directories of `fuzz/corpus`. Coverage comes from flags that the stable
//! compiler knows, the search from libFuzzer; why, says `docs/decisions/0005`. What a run finds
//! worth keeping stays under `target/fuzz` until `--corpus` takes the least that covers as much
//! into the repository.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--seconds N | --replay FILE | --corpus]";

/// Per target.
const SECONDS: u64 = 60;
/// Longer than anybody waits for one target.
const SECONDS_MAX: u64 = 86_400;

/// What libFuzzer needs to see which code an input reaches, and what it compares.
const COVERAGE: &str = "-Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares \
    --cfg fuzzing";

/// Longer inputs show nothing that shorter ones do not; a slow or a hungry one is a bug.
const BOUNDS: [&str; 3] = ["-max_len=4096", "-timeout=10", "-rss_limit_mb=1024"];

/// Little talk.
const QUIET: [&str; 3] = ["-verbosity=0", "-print_funcs=0", "-print_final_stats=1"];

/// libFuzzer's own limit sees only memory that was touched; this one, in KiB, all that was asked
/// for. Where the shell cannot set it, the run goes on without.
const LIMITED: &str = "ulimit -v 4194304 2>/dev/null; exec \"$@\"";

/// What is wanted.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    /// All targets, if none is named.
    target: Option<String>,
    task: Task,
}

#[derive(Debug, PartialEq, Eq)]
enum Task {
    Search { seconds: u64 },
    Replay(PathBuf),
    Corpus,
}

/// Fuzzes; fails if an input breaks its target.
pub fn run(arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(wish) = wish(arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match fuzz(&wish) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzzing is not possible: {error}");
            ExitCode::FAILURE
        }
    }
}

fn wish(mut arguments: impl Iterator<Item = String>) -> Option<Wish> {
    let mut next = arguments.next();
    let target = next.take_if(|word| !word.starts_with('-'));
    if target.is_some() {
        next = arguments.next();
    }
    let task = match next.as_deref() {
        None => Task::Search { seconds: SECONDS },
        Some("--seconds") => {
            let seconds = arguments.next()?.parse().ok()?;
            (1..=SECONDS_MAX).contains(&seconds).then_some(Task::Search { seconds })?
        }
        // An input belongs to one target.
        Some("--replay") if target.is_some() => Task::Replay(arguments.next()?.into()),
        Some("--corpus") => Task::Corpus,
        Some(_) => return None,
    };
    arguments.next().is_none().then_some(Wish { target, task })
}

fn fuzz(wish: &Wish) -> io::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let mut names = directories(&root.join("fuzz").join("corpus"))?;
    if let Some(target) = &wish.target {
        names.retain(|name| name == target);
    }
    if names.is_empty() {
        return Err(io::Error::other("no target has that name; see fuzz/corpus"));
    }
    let fuzzer = Fuzzer { host: host()?, root };
    if !fuzzer.build()? {
        return Ok(false);
    }
    for name in &names {
        let is_well = match &wish.task {
            Task::Search { seconds } => fuzzer.search(name, *seconds)?,
            Task::Replay(input) => fuzzer.replay(name, input)?,
            Task::Corpus => fuzzer.reduce(name)?,
        };
        if !is_well {
            return Ok(false);
        }
    }
    Ok(true)
}

struct Fuzzer {
    root: PathBuf,
    /// The compiler's own platform. To name it keeps build scripts free of the flags.
    host: String,
}

impl Fuzzer {
    fn build(&self) -> io::Result<bool> {
        Ok(self.cargo("build", Command::new(cargo())).status()?.success())
    }

    fn search(&self, name: &str, seconds: u64) -> io::Result<bool> {
        println!("fuzz {name}, {seconds} s");
        let (grown, broken) = (self.grown(name)?, self.made("broken", name)?);
        let mut search = self.libfuzzer(name);
        search.arg(format!("-max_total_time={seconds}"));
        if env::var_os("CI").is_some() {
            // It asks what a change has broken, so it goes the same way each time; by hand each
            // run goes another.
            search.arg("-seed=1");
        }
        search.arg(format!("-artifact_prefix={}/", broken.display()));
        search.args([grown, self.corpus(name)]);
        if search.status()?.success() {
            return Ok(true);
        }
        let input = newest(&broken)?.ok_or_else(|| io::Error::other("libFuzzer failed"))?;
        println!("{name} does not survive {}", input.display());
        println!("again: cargo xtask fuzz {name} --replay {}", input.display());
        Ok(false)
    }

    fn replay(&self, name: &str, input: &Path) -> io::Result<bool> {
        // cargo runs programs from where the user is, so the path means the same to both.
        Ok(self.libfuzzer(name).arg(input).status()?.success())
    }

    /// Replaces the corpus by the fewest inputs, of it and of those found since, that reach as
    /// much code.
    fn reduce(&self, name: &str) -> io::Result<bool> {
        let (corpus, grown) = (self.corpus(name), self.grown(name)?);
        let fewest = self.made("fewest", name)?;
        fs::remove_dir_all(&fewest)?;
        fs::create_dir(&fewest)?;
        let mut merge = self.libfuzzer(name);
        merge.args(["-set_cover_merge=1", "-use_counters=0"]);
        if !merge.args([&fewest, &grown, &corpus]).status()?.success() {
            return Ok(false);
        }
        fs::remove_dir_all(&corpus)?;
        fs::create_dir(&corpus)?;
        let mut bytes = 0;
        let inputs = files(&fewest)?;
        for input in &inputs {
            let file_name = input.file_name().expect("an input has a name");
            bytes += fs::copy(input, corpus.join(file_name))?;
        }
        println!("{name}: {} inputs, {bytes} bytes", inputs.len());
        Ok(true)
    }

    /// The fuzzer with its bounds, around one target.
    fn libfuzzer(&self, name: &str) -> Command {
        let mut limited = Command::new("sh");
        limited.args(["-c", LIMITED, "sh"]).arg(cargo());
        let mut libfuzzer = self.cargo("run", limited);
        libfuzzer.arg("--").args(BOUNDS).args(QUIET).env("SYNOD_FUZZ", name);
        libfuzzer
    }

    fn cargo(&self, task: &str, mut command: Command) -> Command {
        command.args([task, "--quiet", "--locked", "--package", "fuzz", "--features", "libfuzzer"]);
        command.args(["--target", &self.host]).arg("--manifest-path");
        command.arg(self.root.join("Cargo.toml"));
        command.env("RUSTFLAGS", COVERAGE).env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    fn corpus(&self, name: &str) -> PathBuf {
        self.root.join("fuzz").join("corpus").join(name)
    }

    fn grown(&self, name: &str) -> io::Result<PathBuf> {
        self.made("grown", name)
    }

    /// A directory of the fuzzer's own.
    fn made(&self, kind: &str, name: &str) -> io::Result<PathBuf> {
        let path = self.root.join("target").join("fuzz").join(kind).join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }
}

fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn host() -> io::Result<String> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("-vV").output()?.stdout;
    let said = String::from_utf8_lossy(&said);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(String::from).ok_or_else(|| io::Error::other("rustc does not name its platform"))
}

fn directories(parent: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

fn newest(directory: &Path) -> io::Result<Option<PathBuf>> {
    let mut dated = Vec::new();
    for path in files(directory)? {
        dated.push((fs::metadata(&path)?.modified()?, path));
    }
    Ok(dated.into_iter().max().map(|(_, path)| path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(line: &str) -> Option<Wish> {
        super::wish(line.split_whitespace().map(String::from))
    }

    #[test]
    fn a_wish_is_a_target_and_a_task() {
        let all = |task| Some(Wish { target: None, task });
        let node = |task| Some(Wish { target: Some("node".into()), task });
        assert_eq!(wish(""), all(Task::Search { seconds: SECONDS }));
        assert_eq!(wish("node"), node(Task::Search { seconds: SECONDS }));
        assert_eq!(wish("node --seconds 5"), node(Task::Search { seconds: 5 }));
        assert_eq!(wish("node --replay a/b"), node(Task::Replay("a/b".into())));
        assert_eq!(wish("--corpus"), all(Task::Corpus));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let lines = ["--seconds", "--seconds 0", "--seconds x", "--replay a", "--what", "a b"];
        for line in lines.into_iter().chain(["node --corpus 1", "node --seconds 1 2"]) {
            assert_eq!(wish(line), None, "{line}");
        }
    }
}
