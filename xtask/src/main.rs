//! Checks for developers.
fn main() {}
