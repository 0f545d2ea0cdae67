//! Compiles the `.proto` files without `protoc`, and keeps their descriptors for CloudEvents JSON and the schemas.
#![allow(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]

use std::path::PathBuf;

const FILES: [&str; 7] = ["workspace", "video", "transcript", "clip", "publication", "model", "job"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=clipflow");
    let mut files = FILES.map(|name| format!("clipflow/events/v1/{name}.proto")).to_vec();
    files.push("clipflow/log/v1/log.proto".to_owned());
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
