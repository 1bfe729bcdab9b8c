//! Walks as traces in files. None is ever written over another.

use std::fs::File;
use std::io::{BufWriter, ErrorKind};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use sim::{Happened, Options, Origin, Violation};
use trace::{Values, WriteError};

use crate::commands::version;
use crate::error::{CliError, Exit};

/// What a trace shows of clients' values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Show {
    /// Their lengths
    None,
    /// Lengths and hashes
    Hash,
    /// Lengths, hashes, and whose value it is
    Preview,
}

/// A walk that was recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Recorded<'a> {
    pub(super) seed: u64,
    pub(super) options: &'a Options,
    /// The command that walks it again.
    pub(super) command: &'a str,
    pub(super) happened: &'a [Happened],
    pub(super) violation: Option<&'a Violation>,
}

/// Writes a walk to a file that does not exist.
pub(super) fn write(path: &Path, show: Show, walk: Recorded<'_>) -> Result<(), CliError> {
    let file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            let message = format!("{} exists, and is left as it is", path.display());
            CliError::new("exists", Exit::Failed, message).hint("remove it, or name another")
        }
        _ => CliError::file("create", path, &error),
    })?;
    let origin = Origin { synod: version::VERSION, commit: version::COMMIT, command: walk.command };
    let values = match show {
        Show::None => Values::None,
        Show::Hash => Values::Hash,
        Show::Preview => Values::Preview,
    };
    let header = sim::trace_header(walk.seed, walk.options, origin, values);
    let written = sim::write_trace(BufWriter::new(file), &header, walk.happened, walk.violation);
    written.map(drop).map_err(|error| match error {
        WriteError::Io(error) => CliError::file("write", path, &error),
        WriteError::Refused(why) => {
            let message = format!("{} cannot hold this walk: {why}", path.display());
            CliError::new("trace", Exit::Failed, message)
        }
    })
}

/// Walks a seed that breaks a promise once more, and writes it to `seed-<seed>.synodtrace` in a
/// directory that is made if it is missing.
pub(super) fn of_violation(
    directory: &Path,
    seed: u64,
    options: &Options,
    command: &str,
) -> Result<PathBuf, CliError> {
    std::fs::create_dir_all(directory)
        .map_err(|error| CliError::file("create", directory, &error))?;
    let path = directory.join(format!("seed-{seed}.synodtrace"));
    let (outcome, happened) = sim::replay(seed, options);
    let violation = outcome.violation.as_ref();
    let walk = Recorded { seed, options, command, happened: &happened, violation };
    write(&path, Show::Preview, walk)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use trace::{EventKind, Reader, What};

    use super::*;

    #[test]
    fn a_violation_is_written_once_and_never_over_another_file() {
        let broken = Some(sim::Broken::TwistedAccept);
        let options = |seed| Options { broken, ..Options::drawn(seed) };
        let breaks = |seed: &u64| sim::walk(*seed, &options(*seed)).violation.is_some();
        let seed = (0..100).find(breaks).expect("a walk that breaks a promise");

        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("traces");
        let path = of_violation(&directory, seed, &options(seed), "synod sim").unwrap();
        assert_eq!(path, directory.join(format!("seed-{seed}.synodtrace")));
        let bytes = std::fs::read(&path).unwrap();
        let mut reader = Reader::open(std::io::Cursor::new(&bytes)).unwrap();
        assert_eq!(
            (reader.header().seed, reader.header().command.as_str()),
            (Some(seed), "synod sim")
        );
        let last = reader.rows().last().unwrap().unwrap().1;
        assert!(matches!(last.what, What::Event { kind: EventKind::Violation, .. }));

        let again = of_violation(&directory, seed, &options(seed), "another").unwrap_err();
        assert_eq!(again.code, "exists");
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
