#!/usr/bin/env bash
# Makes the Rust toolchain of rust-toolchain.toml available: rustup if there is no cargo, then the pinned version.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$root/rust-toolchain.toml")
cd "$root"
RUSTUP_AUTO_INSTALL=0 cargo --version 2>/dev/null | grep -q "^cargo ${version%.*}\." && RUSTUP_AUTO_INSTALL=0 cargo clippy --version >/dev/null 2>&1 &&
    RUSTUP_AUTO_INSTALL=0 rustfmt --version >/dev/null 2>&1 && exit

if ! command -v rustup >/dev/null; then
    ! command -v cargo >/dev/null ||
        fail "cargo is $(cargo --version), and this needs Rust $version with clippy and rustfmt. Install rustup, or that version, then run this again"
    say "installing rustup into $HOME/.cargo (no root needed)"
    installer=$(mktemp)
    trap 'rm -f "$installer"' EXIT
    curl --proto '=https' --tlsv1.2 -sSf --retry 3 --max-time 120 "${RUSTUP_UPDATE_ROOT:-https://static.rust-lang.org/rustup}/rustup-init.sh" -o "$installer" ||
        fail "rustup's site cannot be reached from here. Install Rust $version another way (a company mirror, a package, a copied ~/.cargo and ~/.rustup) so that 'cargo --version' works, then run this again"
    sh "$installer" -y --no-modify-path --profile minimal --default-toolchain none
fi
say "installing Rust $version"
rustup toolchain install "$version" --profile minimal --component rustfmt --component clippy ||
    fail "Rust $version could not be fetched: check the network, or set RUSTUP_DIST_SERVER to a mirror that has it"
