//! What users replicate.

use alloc::vec::Vec;
use core::fmt;

use paxos::Slot;

use crate::request::Request;

/// A deterministic state machine. Every node applies the same requests in the same order, so every
/// node's state is the same; whatever is not in the request (a clock, a random number, the address
/// of a thing in memory) must not influence it.
pub trait StateMachine: Sized {
    /// What applying a request gives. Errors of the application belong in here: to the protocol,
    /// applying succeeds.
    type Output: Output;

    /// The state as it was at one moment: a clone, or something cheaper. Snapshots are made of it
    /// while requests are applied on.
    type Frozen: Clone + fmt::Debug;

    /// Applies an append that was chosen. Called in slot order, at most once a request, and never
    /// for requests that only concern a session.
    fn apply(&mut self, slot: Slot, request: &Request) -> Self::Output;

    /// The state as it is. Should be quick: nothing else happens meanwhile.
    fn freeze(&self) -> Self::Frozen;

    /// Appends the bytes of a state; equal states have equal bytes. May take its time.
    fn encode(frozen: &Self::Frozen, out: &mut Vec<u8>);

    /// The machine that such bytes are the state of, with the settings of this one; none if they
    /// are no state. Must not panic.
    fn decode(&self, bytes: &[u8]) -> Option<Self>;
}

/// What a machine answers. It is kept in the session table for retries, and goes with the table
/// into snapshots, so it can be cloned and written as bytes, and is best small.
pub trait Output: Clone {
    /// Appends the bytes of this answer; equal answers have equal bytes.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes one answer off the front; none if the bytes begin with no answer. Must not panic.
    fn decode(bytes: &mut &[u8]) -> Option<Self>;
}

impl Output for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut &[u8]) -> Option<()> {
        Some(())
    }
}
