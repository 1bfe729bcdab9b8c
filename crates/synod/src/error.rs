//! What stopped a command: for a person, for a script, and as an exit code.
//!
//! Exit codes are a contract: documented, tested, never renumbered.

use std::io;
use std::process::ExitCode;

use journal::OpenError;
use serde_json::{Value, json};
use server::StartError;
use server::data_dir::DataDirError;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Done; the answer is yes.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Bad arguments or configuration.
    Usage = 2,
    /// The answer is no.
    No = 3,
    /// No quorum, or nothing reachable.
    Unreachable = 4,
    /// A timeout: whether it was done is unknown.
    TimedOut = 5,
    /// Not authenticated or not allowed.
    Denied = 6,
    /// Data is damaged.
    Damaged = 7,
    /// Two values were chosen for one slot, or histories differ.
    Violation = 10,
    /// Stopped by SIGINT before finishing.
    Interrupted = 130,
    /// Stopped by SIGTERM before finishing.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Whether what was asked for has happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing has been done.
    NotDone,
    /// Done or not: ask again, or look.
    Unknown,
}

/// An error as the user meets it: what, why, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CliError {
    /// For scripts: `snake_case`, never renamed.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) outcome: Outcome,
    pub(crate) hint: Option<String>,
    pub(crate) exit: Exit,
}

impl CliError {
    /// An error that changed nothing.
    pub(crate) fn new(code: &'static str, exit: Exit, message: impl Into<String>) -> CliError {
        CliError { code, message: message.into(), outcome: Outcome::NotDone, hint: None, exit }
    }

    /// An argument that clap let through and that makes no sense all the same.
    pub(crate) fn usage(message: impl Into<String>) -> CliError {
        CliError::new("usage", Exit::Usage, message)
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> CliError {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn outcome_unknown(mut self) -> CliError {
        self.outcome = Outcome::Unknown;
        self
    }

    /// A file that could not be read or written.
    pub(crate) fn file(action: &str, path: &std::path::Path, error: &io::Error) -> CliError {
        CliError::new("file", Exit::Failed, format!("cannot {action} {}: {error}", path.display()))
    }

    /// Standard output refused our bytes. A closed pipe means that the reader has seen enough,
    /// which is no failure: `synod log tail | head` ends quietly.
    pub(crate) fn stdout(error: &io::Error) -> CliError {
        let exit = match error.kind() {
            io::ErrorKind::BrokenPipe => Exit::Done,
            _ => Exit::Failed,
        };
        CliError::new("stdout", exit, format!("cannot write to standard output: {error}"))
    }

    /// The envelope of `-o json` and `-o jsonl`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "error": {
                "code": self.code,
                "message": self.message,
                "outcome": match self.outcome {
                    Outcome::NotDone => "not_done",
                    Outcome::Unknown => "unknown",
                },
                "hint": self.hint,
                "exit": self.exit as u8,
            }
        })
    }
}

impl From<server::config::ConfigError> for CliError {
    fn from(error: server::config::ConfigError) -> CliError {
        let hint = error.hint();
        CliError { hint, ..CliError::new("config", Exit::Usage, error.to_string()) }
    }
}

impl From<DataDirError> for CliError {
    fn from(error: DataDirError) -> CliError {
        let (code, exit) = match &error {
            // The disk may be as it should be: it could not be reached.
            DataDirError::Disk { .. } | DataDirError::Open { why: OpenError::Disk(_), .. } => {
                ("disk", Exit::Failed)
            }
            DataDirError::NotEmpty { .. } => ("not_empty", Exit::Failed),
            DataDirError::Open { .. } | DataDirError::Content { .. } => ("data_dir", Exit::Damaged),
        };
        CliError::new(code, exit, error.to_string()).hint(error.hint())
    }
}

impl From<StartError> for CliError {
    fn from(error: StartError) -> CliError {
        let message = error.to_string();
        match error {
            StartError::Configuration(_) => CliError::new("config", Exit::Usage, message),
            StartError::Listen { .. } => CliError::new("listen", Exit::Failed, message)
                .hint("is this node running already? each address serves one node"),
            StartError::Tls(error) => {
                CliError::new("certificate", Exit::Usage, message).hint(error.hint())
            }
            StartError::DataDir(error) => CliError { message, ..error.into() },
            StartError::System(_) => CliError::new("system", Exit::Failed, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_every_key() {
        let error = CliError::new("no_quorum", Exit::Unreachable, "no quorum").outcome_unknown();
        assert_eq!(
            error.to_json().to_string(),
            concat!(
                r#"{"error":{"code":"no_quorum","exit":4,"hint":null,"#,
                r#""message":"no quorum","outcome":"unknown"}}"#
            )
        );
        assert_eq!(error.hint("look").to_json()["error"]["hint"], "look");
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        assert_eq!(CliError::stdout(&io::ErrorKind::BrokenPipe.into()).exit, Exit::Done);
        assert_eq!(CliError::stdout(&io::ErrorKind::StorageFull.into()).exit, Exit::Failed);
    }

    #[test]
    fn exit_codes_are_never_renumbered() {
        let codes = [
            (Exit::Done, 0),
            (Exit::Failed, 1),
            (Exit::Usage, 2),
            (Exit::No, 3),
            (Exit::Unreachable, 4),
            (Exit::TimedOut, 5),
            (Exit::Denied, 6),
            (Exit::Damaged, 7),
            (Exit::Violation, 10),
            (Exit::Interrupted, 130),
            (Exit::Terminated, 143),
        ];
        for (exit, code) in codes {
            assert_eq!(exit as u8, code);
        }
    }
}
