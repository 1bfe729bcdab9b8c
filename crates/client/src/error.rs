//! What went wrong, and, where a value was to be appended, what is known of it.
//!
//! Each variant of [`AppendError`] stands for one thing that a caller can do about it; the
//! [`Outcome`] says whether doing it again under a new number could apply the value twice.

use std::time::Duration;

use tonic::{Code, Status};

/// Beside `OUT_OF_RANGE`: the first slot that the node still holds.
pub const FIRST_HELD: &str = "synod-first-held";

/// Beside `DEADLINE_EXCEEDED`: where the node's best guess of who leads serves clients.
pub const LEADER: &str = "synod-leader";

/// What is known of a value whose append did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is not in the history, and this append will never put it there.
    NotApplied,
    /// It may be in the history, or not. Reading the history can tell; a time-out cannot.
    Unknown,
}

/// Why an append was not answered with a slot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A node may have proposed the value, and no answer came in time.
    #[error("outcome unknown after {after:?}: {reason}")]
    Unknown {
        /// The last trouble that was seen.
        reason: String,
        /// From the call to the moment of giving up.
        after: Duration,
    },
    /// A node decided that the value will never be applied under this number.
    #[error("refused: {reason}")]
    Refused {
        /// The node's words.
        reason: String,
    },
    /// The client's session is gone: nothing was heard of it for its lifetime, or it had to make
    /// room for others. Nothing of it is applied any more, and this client appends nothing more: a
    /// new one starts anew, and only the caller can know what of the old may be asked for again.
    #[error("the session has expired: {reason}")]
    SessionExpired {
        /// The node's words.
        reason: String,
        /// What is known of this value. Unknown: it may stand in the history from before.
        outcome: Outcome,
    },
    /// Until the time ran out, everyone who was asked declined before proposing the value, or
    /// this client's window stayed full so that nobody could be asked.
    #[error("not proposed within {after:?}: {reason}")]
    NotProposed {
        /// The last reason to decline.
        reason: String,
        /// From the call to the moment of giving up.
        after: Duration,
    },
    /// The value was never handed to any node.
    #[error("no node could be reached (tried {}): {last}", tried.join(", "))]
    Unreachable {
        /// The endpoints that were tried since a node last answered.
        tried: Vec<String>,
        /// The last one's error.
        last: String,
    },
    /// Every node that was asked said that this client may not append.
    #[error("denied: {reason}")]
    Denied {
        /// The last node's words.
        reason: String,
        /// What is known of this value. Unknown: a node may have proposed it, before.
        outcome: Outcome,
    },
    /// The value is larger than a node would take. Nothing was sent.
    #[error("a value of {bytes} bytes is larger than {bytes_max} bytes")]
    TooLarge {
        /// The value's size.
        bytes: usize,
        /// [`crate::VALUE_BYTES_MAX`].
        bytes_max: usize,
    },
    /// The runtime that carried the client has stopped, perhaps after the value was sent.
    #[error("the client has stopped")]
    Closed,
}

impl AppendError {
    /// What is known of the value.
    pub fn outcome(&self) -> Outcome {
        match self {
            AppendError::Unknown { .. } | AppendError::Closed => Outcome::Unknown,
            AppendError::SessionExpired { outcome, .. } | AppendError::Denied { outcome, .. } => {
                *outcome
            }
            AppendError::Refused { .. }
            | AppendError::NotProposed { .. }
            | AppendError::Unreachable { .. }
            | AppendError::TooLarge { .. } => Outcome::NotApplied,
        }
    }
}

/// Why a call other than an append failed. None of them changes the history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No connection: nothing listens there, the address is wrong, or time ran out.
    #[error("cannot reach {endpoint}: {reason}")]
    Unreachable {
        /// The last endpoint that was tried.
        endpoint: String,
        /// Its error.
        reason: String,
    },
    /// A node answered with an error, or its answer broke off.
    #[error("{endpoint} answered {code:?}: {reason}")]
    Failed {
        /// Who answered.
        endpoint: String,
        /// The kind of error.
        code: Code,
        /// The node's words.
        reason: String,
    },
    /// What was asked for is older than what the node still holds.
    #[error("{endpoint} has let go of the history below slot {first_held}")]
    Gone {
        /// Who answered.
        endpoint: String,
        /// The first slot that it holds.
        first_held: u64,
    },
    /// The node neither leads nor learns, so it has nothing to be read. Others may.
    #[error("{endpoint} keeps no history")]
    NotLearning {
        /// Who answered.
        endpoint: String,
    },
    /// Too much waits at the node. The same call may be tried again.
    #[error("{endpoint} is busy: {reason}")]
    Busy {
        /// Who answered.
        endpoint: String,
        /// The node's words.
        reason: String,
    },
    /// What the read must show was not had in time, by the node's patience or by the client's: no
    /// leader that reaches a quorum was found, or the slot was not reached.
    #[error("{endpoint} could not show what was asked for in time")]
    TimedOut {
        /// Who was asked.
        endpoint: String,
        /// Whom it takes for the leader, if anybody.
        leader: Option<String>,
    },
}

impl CallError {
    pub(crate) fn failed(endpoint: &str, status: &Status) -> CallError {
        let held = status.metadata().get(FIRST_HELD).and_then(|held| held.to_str().ok());
        let held = held.filter(|_| status.code() == Code::OutOfRange);
        if let Some(first_held) = held.and_then(|held| held.parse().ok()) {
            return CallError::Gone { endpoint: endpoint.to_owned(), first_held };
        }
        CallError::Failed {
            endpoint: endpoint.to_owned(),
            code: status.code(),
            reason: status.message().to_owned(),
        }
    }

    /// The same where history is asked for, whose refusals have codes of their own.
    pub(crate) fn unreadable(endpoint: &str, status: &Status) -> CallError {
        let owned = endpoint.to_owned();
        match status.code() {
            Code::FailedPrecondition => CallError::NotLearning { endpoint: owned },
            Code::ResourceExhausted => {
                let reason = status.message().to_owned();
                CallError::Busy { endpoint: owned, reason }
            }
            Code::DeadlineExceeded => {
                let leader = status.metadata().get(LEADER).and_then(|it| it.to_str().ok());
                CallError::TimedOut { endpoint: owned, leader: leader.map(str::to_owned) }
            }
            _ => CallError::failed(endpoint, status),
        }
    }

    /// How much it says of the cluster. Of several troubles the one that says most is told.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            CallError::NotLearning { .. } => 0,
            CallError::Unreachable { .. } => 1,
            _ => 2,
        }
    }

    /// Whether every node would say the same at any time, so that asking again is in vain.
    pub(crate) fn is_final(&self) -> bool {
        matches!(
            self,
            CallError::Gone { .. }
                | CallError::Failed {
                    code: Code::InvalidArgument
                        | Code::OutOfRange
                        | Code::Unimplemented
                        | Code::PermissionDenied
                        | Code::Unauthenticated,
                    ..
                }
        )
    }
}

/// Why a client cannot be made of these options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// There is nobody to ask.
    #[error("no endpoint is given")]
    NoEndpoint,
    /// An endpoint is not `host:port`.
    #[error("endpoint {endpoint:?} is not \"host:port\"")]
    BadEndpoint {
        /// As it was given.
        endpoint: String,
    },
    /// The window must be from 1 to [`crate::Options::WINDOW_MAX`].
    #[error("a window of {window} is not within 1 to {max}")]
    BadWindow {
        /// As it was given.
        window: usize,
        /// [`crate::Options::WINDOW_MAX`].
        max: usize,
    },
    /// A session's lifetime must be from [`crate::Options::LIFETIME_MIN`] to
    /// [`crate::Options::LIFETIME_MAX`].
    #[error("a lifetime of {lifetime:?} is not within {min:?} to {max:?}")]
    BadLifetime {
        /// As it was given.
        lifetime: Duration,
        /// [`crate::Options::LIFETIME_MIN`].
        min: Duration,
        /// [`crate::Options::LIFETIME_MAX`].
        max: Duration,
    },
    /// A certificate, a key or a token is none. No word of theirs is repeated here.
    #[error("the credentials cannot be used: {reason}")]
    BadCredentials {
        /// What is wrong with them.
        reason: String,
    },
    /// The system gave no random bytes for the session's nonce.
    #[error("no randomness for a session: {reason}")]
    NoRandomness {
        /// The system's words.
        reason: String,
    },
}
