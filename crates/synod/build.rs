//! Tells `synod version` what it was built for and with.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let variable = |name| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=SYNOD_TARGET={}", variable("TARGET"));
    let rustc = Command::new(variable("RUSTC")).arg("--version").output();
    let version = rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    println!("cargo::rustc-env=SYNOD_RUSTC={}", version.unwrap_or_default());
    println!("cargo::rustc-env=SYNOD_FEATURES={}", features().join(","));
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
