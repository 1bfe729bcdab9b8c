//! The real world around a node: sockets, threads, files and clocks.

pub mod config;
pub mod file_disk;
pub mod transport;
