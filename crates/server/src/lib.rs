//! The real world around a node: sockets, threads, files and clocks.

pub mod file_disk;
pub mod transport;
