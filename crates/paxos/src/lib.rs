//! Placeholder.
#![no_std]
#![forbid(unsafe_code)]
extern crate alloc;

mod ballot;

pub use ballot::{Ballot, Incarnation, NodeId, Slot};
