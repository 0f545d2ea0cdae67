#!/usr/bin/env bash
# Starts real engines, runs the tests that need them, and stops what it started. Engines that ran before are used and left running.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
target="${CARGO_TARGET_DIR:-$root/target}"
export CLIPFLOW_ENGINES_DIR="${CLIPFLOW_ENGINES_DIR:-$target/engines}"

# Whoever started engines before goes on using them.
compgen -G "$CLIPFLOW_ENGINES_DIR/run/*.pid" >/dev/null || trap 'infra/local/down' EXIT
infra/local/up
set -a
. "$CLIPFLOW_ENGINES_DIR/clients.env"
set +a
cargo test --release --locked --workspace --test live
