//! Compiles the client API. `protox` parses it in Rust, so that a build needs no `protoc`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/synod.proto");
    let descriptors = protox::compile(["synod.proto"], ["proto"])?;
    tonic_prost_build::configure()
        // A value is shared with the request that is sent and sent again, never copied.
        .bytes(".")
        // Names sorted, so that two nodes print their counters alike.
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}
