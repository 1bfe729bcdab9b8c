//! The ancestor, where its Python program is given. It is not part of this repository.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::Outcome;

/// Drives the classes of the program: its own test at its end prints and sleeps too much.
const DRIVER: &str = include_str!("ancestor.py");

/// How many of so many values were decided with so many acceptors, and after how long; all in
/// memory. It has stopped for good when nothing was decided for five seconds, and after a
/// minute nobody waits for it any more.
pub fn at_once(program: &Path, acceptors: usize, values: usize) -> Outcome<(usize, Duration)> {
    let output = Command::new("python3")
        .arg("-c")
        .arg(DRIVER)
        .arg(program)
        .args([acceptors.to_string(), values.to_string()])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let decided = said["decided"].as_u64().ok_or("it says how many were decided")?;
    let took = said["took"].as_f64().ok_or("it says how long it took")?;
    Ok((usize::try_from(decided)?, Duration::from_secs_f64(took)))
}
