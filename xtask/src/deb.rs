//! `cargo xtask deb`: the Debian package. Builds the program, lets it write its manual pages and
//! its completions, and hands all of it to cargo-deb, which must be installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Where cargo-deb looks for what the program writes; the assets in `crates/synod/Cargo.toml`.
const PLACE: &str = "target/package";

/// A shell, and what its script is called.
const COMPLETIONS: [(&str, &str); 3] =
    [("bash", "synod.bash"), ("zsh", "_synod"), ("fish", "synod.fish")];

pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let profile = match (arguments.next().as_deref(), arguments.next(), arguments.next()) {
        (None, ..) => "release".to_owned(),
        (Some("--profile"), Some(profile), None) => profile,
        _ => {
            eprintln!("usage: cargo xtask deb [--profile NAME]");
            return ExitCode::from(2);
        }
    };
    match make(&profile) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn make(profile: &str) -> Result<(), String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = ["build", "--locked", "--profile", profile, "-p", "synod"];
    done(Command::new(&cargo).args(built))?;
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let folder = if profile == "dev" { "debug" } else { profile };
    let program = target.join(folder).join("synod");

    let place = Path::new(PLACE);
    // Pages of commands that are gone must not be packed.
    fs::remove_dir_all(place).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(format!("cannot empty {PLACE}: {error}")),
    })?;
    done(Command::new(&program).arg("man").arg(place.join("man")).arg("--output=jsonl"))?;
    for (shell, name) in COMPLETIONS {
        let output = Command::new(&program).args(["completions", shell]).output();
        let output = output.map_err(|error| format!("{}: {error}", program.display()))?;
        fs::write(place.join(name), output.stdout).map_err(|error| format!("{name}: {error}"))?;
    }
    done(Command::new(&cargo).args(["deb", "--no-build", "--profile", profile, "-p", "synod"]))
}

fn done(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
