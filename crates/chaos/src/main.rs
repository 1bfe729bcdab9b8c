//! The program; everything is in the library, which Linux alone can compile.

use std::process::ExitCode;

#[cfg(target_os = "linux")]
fn main() -> ExitCode {
    chaos::main()
}

#[cfg(not(target_os = "linux"))]
fn main() -> ExitCode {
    eprintln!("error: chaos needs Linux: signals, namespaces and file systems of its own");
    ExitCode::FAILURE
}
