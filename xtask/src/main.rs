//! `cargo xtask ci`: exactly what CI runs, step by step, the museum last. `cargo xtask fix`: what
//! can be mended by a machine. `cargo xtask museum`: whether every known bug is noticed. `cargo
//! xtask soak`: walks over fresh seeds, for hours. `cargo xtask fuzz`: inputs that nobody thought
//! of. `cargo xtask deb`: the Debian package. Checks never edit files.

mod chaos;
mod deb;
mod fuzz;
mod museum;
mod soak;

use std::env;
use std::process::{Command, ExitCode};

const CI: [&[&str]; 7] = [
    &["fmt", "--all", "--check"],
    &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
    &["test", "--workspace", "--locked", "--no-fail-fast"],
    // What embedders compile.
    &["check", "-p", "synod", "--lib", "--no-default-features", "--locked"],
    &[
        "run", "--quiet", "--locked", "-p", "synod", "--", "sim", "run", "--seeds", "2000",
        "--twice", "-o", "table",
    ],
    &["xtask", "fuzz", "--seconds", "6"],
    &["doc", "--workspace", "--no-deps", "--locked"],
];

const FIX: [&[&str]; 2] =
    [&["clippy", "--workspace", "--all-targets", "--fix", "--allow-dirty"], &["fmt", "--all"]];

fn main() -> ExitCode {
    let task = env::args().nth(1);
    let steps: &[&[&str]] = match task.as_deref() {
        Some("ci") => &CI,
        Some("fix") => &FIX,
        Some("chaos") => return chaos::run(env::args().skip(2)),
        Some("deb") => return deb::run(env::args().skip(2)),
        Some("fuzz") => return fuzz::run(env::args().skip(2)),
        Some("museum") => return open_museum(),
        Some("soak") => return soak::run(env::args().skip(2)),
        _ => {
            eprintln!(
                "usage: cargo xtask ci|chaos [-- OPTIONS]|deb|fix|fuzz|museum [--only NAME]|\
                 soak --hours N"
            );
            return ExitCode::from(2);
        }
    };
    for step in steps {
        println!("cargo {}", step.join(" "));
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let status = Command::new(cargo).args(*step).env("RUSTDOCFLAGS", "-D warnings").status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                eprintln!("cargo {} failed: {status}", step[0]);
                return ExitCode::FAILURE;
            }
            Err(error) => {
                eprintln!("cargo could not be started: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    match task.as_deref() {
        Some("ci") => museum::museum(None),
        _ => ExitCode::SUCCESS,
    }
}

fn open_museum() -> ExitCode {
    let rest: Vec<String> = env::args().skip(2).collect();
    match rest.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => museum::museum(None),
        ["--only", name] => museum::museum(Some(name)),
        _ => {
            eprintln!("usage: cargo xtask museum [--only NAME]");
            ExitCode::from(2)
        }
    }
}
