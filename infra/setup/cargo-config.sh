#!/usr/bin/env bash
# Tells cargo where LibTorch and the Python tools are, and that LibTorch's idle threads sleep: .cargo/config.toml, which git ignores, written only when it differs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

wanted="# Written by infra/setup/cargo-config.sh. An environment variable of the same name wins.
[env]
LIBTORCH = \"${LIBTORCH:-$cache/libtorch-2.13.0}\"
RUST_MIN_STACK = \"8388608\"
OMP_WAIT_POLICY = \"passive\"
CLIPFLOW_PYTHON = \"$python\""
config="$root/.cargo/config.toml"
[ "$(cat "$config" 2>/dev/null)" = "$wanted" ] && exit
mkdir -p "$root/.cargo"
say "writing .cargo/config.toml"
echo "$wanted" >"$config.partial"
mv "$config.partial" "$config"
