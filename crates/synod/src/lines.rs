//! Values from the arguments, or a line each from a file or standard input.
//!
//! Lines are read by a thread of their own, as reading a terminal waits for a person, and handed
//! over through a short queue, so that a huge file takes no memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use client::VALUE_BYTES_MAX;
use tokio::sync::mpsc;

use crate::error::{CliError, Exit};

/// Lines that may wait to be appended.
const LINES_WAITING_MAX: usize = 64;

pub(crate) type Values = mpsc::Receiver<Result<Vec<u8>, CliError>>;

pub(crate) fn of_arguments(values: Vec<String>) -> Values {
    let (sender, receiver) = mpsc::channel(values.len().max(1));
    for value in values {
        sender.try_send(Ok(value.into_bytes())).expect("the queue has room for every value");
    }
    receiver
}

/// The lines of `path`, without their ends; `-` is standard input.
pub(crate) fn of_file(path: PathBuf) -> Values {
    let (sender, receiver) = mpsc::channel(LINES_WAITING_MAX);
    std::thread::spawn(move || {
        let mut input = match open(&path) {
            Ok(input) => input,
            Err(error) => {
                // A closed queue means that nobody wants to know.
                drop(sender.blocking_send(Err(CliError::file("open", &path, &error))));
                return;
            }
        };
        while let Some(line) = next_line(&mut input, &path).transpose() {
            let is_last = line.is_err();
            if sender.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// All lines of `path` at once, of which there must be at least one and at most `lines_max`.
pub(crate) fn all_of_file(path: &Path, lines_max: usize) -> Result<Vec<Vec<u8>>, CliError> {
    let mut input = open(path).map_err(|error| CliError::file("open", path, &error))?;
    let mut lines = Vec::new();
    while let Some(line) = next_line(&mut input, path)? {
        if lines.len() == lines_max {
            let message = format!("{} has more than {lines_max} lines", path.display());
            return Err(CliError::usage(message));
        }
        lines.push(line);
    }
    if lines.is_empty() {
        return Err(CliError::usage(format!("{} has no lines", path.display())));
    }
    Ok(lines)
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(BufReader::new(File::open(path)?)))
}

fn next_line(input: &mut impl BufRead, path: &Path) -> Result<Option<Vec<u8>>, CliError> {
    let mut line = Vec::new();
    // Room for the longest value and its line end, and one more to see that it is too long.
    let read = input.take(VALUE_BYTES_MAX as u64 + 3).read_until(b'\n', &mut line);
    if read.map_err(|error| CliError::file("read", path, &error))? == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    if line.len() > VALUE_BYTES_MAX {
        let message =
            format!("a line of {} is longer than {VALUE_BYTES_MAX} bytes", path.display());
        return Err(CliError::new("too_large", Exit::Usage, message));
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(mut input: &[u8]) -> Result<Vec<Vec<u8>>, CliError> {
        std::iter::from_fn(|| next_line(&mut input, Path::new("f")).transpose()).collect()
    }

    #[test]
    fn line_ends_are_not_part_of_values() {
        assert_eq!(lines(b"a\nb\r\n\nc").unwrap(), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(lines(b"").unwrap(), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_file_that_is_read_at_once_has_a_bound() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(all_of_file(file.path(), 2).unwrap_err().exit, Exit::Usage);
        std::fs::write(file.path(), "a\nb\n").unwrap();
        assert_eq!(all_of_file(file.path(), 2).unwrap(), [b"a", b"b"]);
        assert_eq!(all_of_file(file.path(), 1).unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn a_line_beyond_the_limit_is_refused_before_it_is_read_whole() {
        let mut longest = vec![b'x'; VALUE_BYTES_MAX];
        longest.extend(b"\r\ny");
        assert_eq!(lines(&longest).unwrap().len(), 2);
        longest[VALUE_BYTES_MAX] = b'x';
        assert_eq!(lines(&longest).unwrap_err().code, "too_large");
    }
}
