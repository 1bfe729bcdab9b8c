//! The public face for embedders: the parts of Synod under one name.
//!
//! [`paxos`] is the protocol as a pure state machine, for people with a runtime of their own.
//! [`node`] adds a state machine, exactly-once requests and answers. [`server`] runs a node on real
//! sockets and disks, and [`client`] appends to a running cluster and reads from it.

#![forbid(unsafe_code)]

pub use {client, node, paxos, server};
