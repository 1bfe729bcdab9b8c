//! libFuzzer around one target, which the environment names. `cargo xtask fuzz` builds and runs it.

#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("SYNOD_FUZZ").expect("cargo xtask fuzz names a target");
    let target = fuzz::TARGETS.into_iter().find(|target| target.name == name);
    target.expect("the target is one of fuzz::TARGETS").run
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));
