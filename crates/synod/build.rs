//! Tells `synod version` what it was built for and with, and collects the README's Rust, so that it
//! is tested as documentation is.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=SYNOD_TARGET={}", variable("TARGET"));
    let rustc = Command::new(variable("RUSTC")).arg("--version").output();
    let version = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!("cargo::rustc-env=SYNOD_RUSTC={}", version.unwrap_or_default());
    println!("cargo::rustc-env=SYNOD_FEATURES={}", features().join(","));

    println!("cargo::rerun-if-changed=../../README.md");
    let readme = std::fs::read_to_string("../../README.md").unwrap_or_default();
    let mut blocks = String::new();
    let mut is_inside = false;
    for line in readme.lines() {
        is_inside |= line.starts_with("```rust");
        if is_inside {
            blocks.push_str(line);
            blocks.push('\n');
        }
        is_inside &= line != "```";
    }
    let out = std::env::var("OUT_DIR").expect("cargo says where");
    let out = Path::new(&out);
    std::fs::write(out.join("readme.md"), &blocks).expect("cargo's own directory");
    // The first block is run as well, at addresses that a test has.
    let first = blocks.lines().skip(1).take_while(|line| *line != "```");
    let mut program: String = first.flat_map(|line| [line, "\n"]).collect();
    for (as_written, variable) in [
        ("\"10.0.0.1:7070\"", "NODE_1"),
        ("\"10.0.0.2:7070\"", "NODE_2"),
        ("\"10.0.0.3:7070\"", "NODE_3"),
        ("\"/var/lib/counters\"", "DIRECTORY"),
    ] {
        program = program.replace(as_written, &format!("std::env::var(\"{variable}\")?"));
    }
    std::fs::write(out.join("readme.rs"), program).expect("cargo's own directory");
}

/// Cargo tells of each feature by a variable.
fn features() -> Vec<String> {
    let variables = std::env::vars().filter_map(|(name, _)| {
        Some(name.strip_prefix("CARGO_FEATURE_")?.to_lowercase().replace('_', "-"))
    });
    let mut features: Vec<String> = variables.filter(|name| name != "default").collect();
    features.sort();
    features
}
