//! Records where LibTorch lies in the binaries of this crate, so that they run without `LD_LIBRARY_PATH`.
#![allow(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]

fn main() {
    let libtorch = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys is a direct dependency and names its library folder");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}");
}
