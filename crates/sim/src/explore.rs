//! All reachable states of small worlds, over the production replica.
//!
//! A walk samples; this looks at everything, in worlds small enough for that. A few nodes run the
//! real `paxos::Replica`; what patience would decide is a move that may come at any moment, so
//! every order of deliveries, campaigns, crashes and syncs is seen. Messages, once sent, can be
//! delivered for ever, so loss, delay, repetition and reordering need no moves of their own.
//!
//! What it does not know: time. Probes are left out, and heartbeats where no vote was lost, so
//! nothing here speaks of progress. Worlds are small: what needs a third slot to go wrong is
//! for the walks.
//!
//! A node's state, with the letters on their way to it, is interned, and a state of the world is
//! one number a node and one for what an observer knows of votes: the real code runs once for each
//! node state and letter, and the search itself only looks up numbers. States are kept exactly, not
//! as fingerprints, so none can be mistaken for another. Letters that can never again make a
//! difference are forgotten (`forget.rs`).
//!
//! Source: the idea of checking the code that runs, with the count of states pinned in a test, is
//! that of model checkers for actors; the search itself is plain breadth first.

mod scene;
mod local;
mod start;
mod forget;
mod atlas;
mod judge;
mod search;
mod story;
mod worlds;

pub use scene::{Flaw, Scene};
pub use search::{Counterexample, Found, Reduced, explore};
pub use worlds::{WORLDS, World};
