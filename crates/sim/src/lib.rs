//! The painted world: the production node under one seed.
//!
//! A walk runs a whole cluster, its disks, its network, its clients and everything that goes wrong
//! with them, in virtual time. One `u64` decides all of it, so a failure is a number that anybody
//! can run again. Checkers look on from outside and know what no node can know; what they find is
//! a value, [`Violation`], with the seed and the last lines of the trace.
//!
//! What is real: `node::Node` with every role, its messages as bytes, its journal with every frame.
//! What is painted: the clock, the network, and the disk under the journal.
//!
//! The modules are declared in reading order.

#![forbid(unsafe_code)]

mod walk;
mod world;
mod luck;
mod host;
mod clock;
mod disk;
mod network;
mod faults;
mod shape;
mod names;
mod workload;
mod broken;
mod check;
mod fingerprint;
mod readers;
mod recording;
mod shelf;
mod shrink;
mod traced;
mod ancestor;
mod script;
mod replicas;
pub mod links;
pub mod explore;

pub use ancestor::{AncestorRow, ancestor_table};
pub use broken::Broken;
pub use check::Wrong;
pub use check::linearizable::{Operation, check as linearizable};
pub use check::told;
pub use faults::{DiskSpeed, Faults, Weather};
pub use recording::{Happened, What};
pub use replicas::{Replicated, replicate};
pub use script::{Difference, Played, Scenario, ScriptError, play, scenarios};
pub use shape::Shape;
pub use shrink::{Shrunk, shrink};
pub use traced::{Origin, trace_header, write_trace};
pub use walk::{Options, Outcome, Statistics, Violation, replay, walk};
