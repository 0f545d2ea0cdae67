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
cargo test --release --locked --workspace --test live --test live_s3
cargo build --release --locked --quiet -p clipflow
"$python" infra/talk/generate.py --minutes 3 --out "$target/talk"
"$python" tests/journey/distributed.py --binary "$target/release/clipflow" --talk "$target/talk/talk.mp4"
