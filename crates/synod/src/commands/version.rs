//! `synod version`: what this program is, for a person or a bug report.

use crate::output::{Report, Value};

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Set by whoever builds a release; a working copy need not be any commit.
pub(super) const COMMIT: Option<&str> = option_env!("SYNOD_COMMIT");
/// The package of `synod.proto`: the API between clients and nodes.
const CLIENT_PROTOCOL: &str = "synod.v1";
/// Cargo features that this program was built with, comma-separated.
const FEATURES: &str = env!("SYNOD_FEATURES");

pub(super) fn report() -> Report {
    let text = |text: &str| Value::Text(text.to_owned());
    let (target, rustc) = (env!("SYNOD_TARGET"), env!("SYNOD_RUSTC"));
    Report::record(
        "synod.version/1",
        vec![
            ("version", text(VERSION)),
            ("client_protocol", text(CLIENT_PROTOCOL)),
            ("peer_protocol", Value::Count(paxos::wire::VERSION.into())),
            ("commit", Value::maybe(COMMIT, text)),
            ("features", Value::List(features())),
            ("target", text(target)),
            ("rustc", text(rustc)),
            ("debug_build", Value::Flag(cfg!(debug_assertions))),
        ],
    )
    .prose(format!("synod {VERSION} ({target}, {rustc}), client protocol {CLIENT_PROTOCOL}\n"))
}

fn features() -> Vec<String> {
    FEATURES.split(',').filter(|feature| !feature.is_empty()).map(str::to_owned).collect()
}
