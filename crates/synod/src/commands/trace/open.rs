//! A trace from a file, and what stops its reader in words for whoever asked.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::Path;

use trace::{ReadError, Reader};

use crate::error::{CliError, Exit};

pub(super) fn open(path: &Path) -> Result<Reader<BufReader<File>>, CliError> {
    let file = File::open(path).map_err(|error| CliError::file("open", path, &error))?;
    Reader::open(BufReader::new(file)).map_err(|error| explained(path, error))
}

pub(super) fn explained(path: &Path, error: ReadError) -> CliError {
    let path = path.display();
    let message = format!("{path}: {error}");
    match error {
        ReadError::Io(error) if error.kind() == ErrorKind::NotSeekable => {
            CliError::new("file", Exit::Failed, message).hint("write it to a file first")
        }
        ReadError::Io(_) => CliError::new("file", Exit::Failed, message),
        ReadError::Foreign => CliError::new("not_a_trace", Exit::Damaged, message)
            .hint("`synod sim replay --seed 7 --trace seed-7.synodtrace` writes a trace"),
        ReadError::Version(_) => CliError::new("trace_version", Exit::Damaged, message)
            .hint(format!("read it with the Synod that `head -1 {path}` names")),
        ReadError::Header(_) => CliError::new("trace_damaged", Exit::Damaged, message)
            .hint(format!("`head -1 {path}` shows what there is")),
        ReadError::Damaged { .. } => CliError::new("trace_damaged", Exit::Damaged, message)
            .hint("if a seed made it, the seed makes it again: see its first line"),
    }
}
