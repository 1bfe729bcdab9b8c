//! Placeholder.

pub mod file_disk;
