//! The way from a command to the nodes: opens a client and words its errors.

use std::time::Duration;

use client::{AppendError, CallError, Client, Code, Options, OptionsError};

use crate::endpoints::EndpointArgs;
use crate::error::{CliError, Exit};

/// A client, and the nodes that it was given.
pub(crate) struct Connection {
    pub(crate) client: Client,
    pub(crate) endpoints: Vec<String>,
}

/// How long a command waits for the history to answer, unless told otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long a node may take to say how it is. It asks nobody else, so this is long.
const STATE_TIMEOUT: Duration = Duration::from_secs(1);

/// For the history. Nothing is connected yet: the first call does that.
pub(crate) fn open(args: &EndpointArgs, window: Option<usize>) -> Result<Connection, CliError> {
    connect(args, TIMEOUT, window)
}

/// For asking nodes about themselves: one that is gone must not hold up the others' answers.
pub(crate) fn open_for_states(args: &EndpointArgs) -> Result<Connection, CliError> {
    connect(args, STATE_TIMEOUT, None)
}

fn connect(
    args: &EndpointArgs,
    timeout: Duration,
    window: Option<usize>,
) -> Result<Connection, CliError> {
    let endpoints = args.resolve()?;
    let defaults = Options::new(endpoints.clone());
    let timeout = args.timeout.unwrap_or(timeout);
    let window = window.unwrap_or(defaults.window);
    let credentials = args.credentials()?;
    let client = Client::new(Options { timeout, window, credentials, ..defaults })?;
    Ok(Connection { client, endpoints })
}

impl From<OptionsError> for CliError {
    fn from(error: OptionsError) -> CliError {
        match error {
            OptionsError::NoRandomness { .. } => {
                CliError::new("no_randomness", Exit::Failed, error.to_string())
            }
            _ => CliError::usage(error.to_string()),
        }
    }
}

impl From<AppendError> for CliError {
    fn from(error: AppendError) -> CliError {
        let message = error.to_string();
        match error {
            AppendError::Unknown { .. } => CliError::new("timeout", Exit::TimedOut, message)
                .outcome_unknown()
                .hint("the value may be in the history or not: `synod log read` tells"),
            AppendError::NotProposed { .. } => {
                CliError::new("no_quorum", Exit::Unreachable, message)
                    .hint("`synod cluster health` says what is missing")
            }
            AppendError::Unreachable { .. } => unreachable(message),
            AppendError::Denied { outcome, .. } => {
                let error = CliError::new("denied", Exit::Denied, message).hint(DENIED);
                match outcome {
                    client::Outcome::NotApplied => error,
                    client::Outcome::Unknown => error.outcome_unknown(),
                }
            }
            AppendError::TooLarge { .. } => CliError::new("too_large", Exit::Usage, message),
            AppendError::Refused { .. } => CliError::new("refused", Exit::Failed, message),
            AppendError::SessionExpired { outcome: client::Outcome::NotApplied, .. } => {
                CliError::new("session_expired", Exit::Failed, message)
                    .hint("the value was not appended; a new run starts a new session")
            }
            AppendError::SessionExpired { .. } => {
                CliError::new("session_expired", Exit::TimedOut, message)
                    .outcome_unknown()
                    .hint("the value may be in the history or not: `synod log read` tells")
            }
            _ => CliError::new("stopped", Exit::TimedOut, message).outcome_unknown(),
        }
    }
}

impl From<CallError> for CliError {
    fn from(error: CallError) -> CliError {
        let message = error.to_string();
        match error {
            CallError::Unreachable { .. } => unreachable(message),
            CallError::Gone { first_held, .. } => CliError::new("gone", Exit::No, message)
                .hint(format!("what it still holds starts there: --from {first_held}")),
            CallError::TimedOut { .. } => CliError::new("timeout", Exit::Unreachable, message)
                .hint(
                    "`synod cluster health` says what is missing; --consistency local shows \
                       what a node knows",
                ),
            CallError::Busy { .. } => CliError::new("busy", Exit::Unreachable, message),
            CallError::NotLearning { .. } => {
                CliError::new("keeps_no_history", Exit::Usage, message)
                    .hint("ask a node that leads or learns: `synod cluster status` shows the roles")
            }
            CallError::Failed { code, .. } => match code {
                Code::PermissionDenied | Code::Unauthenticated => {
                    CliError::new("denied", Exit::Denied, message).hint(DENIED)
                }
                Code::DataLoss => CliError::new("damaged", Exit::Damaged, message),
                Code::DeadlineExceeded => {
                    CliError::new("timeout", Exit::TimedOut, message).outcome_unknown()
                }
                _ => CliError::new("failed", Exit::Failed, message),
            },
            _ => CliError::new("failed", Exit::Failed, message),
        }
    }
}

const DENIED: &str = "show who you are with --credentials DIR; [[client]] in the nodes' files says \
                      who may do what";

fn unreachable(message: String) -> CliError {
    CliError::new("unreachable", Exit::Unreachable, message).hint(
        "is the node running, and does it want to know who asks (--credentials DIR)? \
         `synod cluster status` asks each of them",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Outcome;

    #[test]
    fn a_timeout_is_unknown_and_never_failed() {
        let error: CliError =
            AppendError::Unknown { reason: "silence".into(), after: Duration::from_secs(5) }.into();
        assert_eq!((error.code, error.exit), ("timeout", Exit::TimedOut));
        assert_eq!(error.outcome, Outcome::Unknown);
    }

    #[test]
    fn an_expired_session_leaves_unknown_what_was_lost_from_sight() {
        let expired = |outcome| {
            let error: CliError =
                AppendError::SessionExpired { reason: "old".into(), outcome }.into();
            (error.code, error.exit, error.outcome)
        };
        let not_applied = expired(client::Outcome::NotApplied);
        assert_eq!(not_applied, ("session_expired", Exit::Failed, Outcome::NotDone));
        let unknown = expired(client::Outcome::Unknown);
        assert_eq!(unknown, ("session_expired", Exit::TimedOut, Outcome::Unknown));
    }

    #[test]
    fn each_cause_has_its_exit_code() {
        let reason = String::new;
        let after = Duration::ZERO;
        let append = |error: AppendError| CliError::from(error).exit;
        assert_eq!(append(AppendError::Refused { reason: reason() }), Exit::Failed);
        assert_eq!(append(AppendError::NotProposed { reason: reason(), after }), Exit::Unreachable);
        assert_eq!(append(AppendError::TooLarge { bytes: 2, bytes_max: 1 }), Exit::Usage);
        assert_eq!(
            append(AppendError::Unreachable { tried: Vec::new(), last: reason() }),
            Exit::Unreachable
        );
        let call = |code| {
            CliError::from(CallError::Failed { endpoint: "a:1".into(), code, reason: reason() })
                .exit
        };
        let gone = CallError::Gone { endpoint: "a:1".into(), first_held: 7 };
        assert_eq!(CliError::from(gone).exit, Exit::No);
        let late = CallError::TimedOut { endpoint: "a:1".into(), leader: None };
        let error = CliError::from(late);
        assert_eq!((error.exit, error.outcome), (Exit::Unreachable, Outcome::NotDone));
        assert_eq!(call(Code::PermissionDenied), Exit::Denied);
        assert_eq!(call(Code::DataLoss), Exit::Damaged);
        assert_eq!(call(Code::DeadlineExceeded), Exit::TimedOut);
        assert_eq!(call(Code::Internal), Exit::Failed);
    }

    #[test]
    fn a_bad_endpoint_is_a_usage_error() {
        let error = CliError::from(OptionsError::BadEndpoint { endpoint: "x".into() });
        assert_eq!(error.exit, Exit::Usage);
    }
}
