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
CLIPFLOW_CQL_NODES=$CLIPFLOW_CASSANDRA_NODES
CLIPFLOW_CQL_USERNAME=$CLIPFLOW_CASSANDRA_USERNAME
CLIPFLOW_CQL_PASSWORD=$CLIPFLOW_CASSANDRA_PASSWORD
CLIPFLOW_CQL_CA=$CLIPFLOW_CASSANDRA_CA
set +a
# One test at a time: those of the read models make and drop tables, and a node that drops some now and then forgets statements of others.
cargo test --release --locked --workspace --test live --test live_s3 -- --test-threads 1
cargo build --release --locked --quiet -p clipflow
"$python" infra/talk/generate.py --minutes 3 --out "$target/talk"
"$python" tests/journey/distributed.py --binary "$target/release/clipflow" --talk "$target/talk/talk.mp4"
# Brokers of its own, since it kills them. The seed has every kind of fault in so short a time; `just chaos` takes others.
tests/chaos/run 75 1
