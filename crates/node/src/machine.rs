//! What users replicate.

use paxos::Slot;

use crate::request::Request;

/// A deterministic state machine. Every node applies the same requests in the same order, so every
/// node's state is the same; whatever is not in the request (a clock, a random number, the address
/// of a thing in memory) must not influence it.
pub trait StateMachine {
    /// What applying a request gives. Kept in the session table for retries, so it is `Clone` and
    /// best small. Errors of the application belong in here: to the protocol, applying succeeds.
    type Output: Clone;

    /// Applies a request that was chosen. Called in slot order, at most once a request.
    fn apply(&mut self, slot: Slot, request: &Request) -> Self::Output;
}
