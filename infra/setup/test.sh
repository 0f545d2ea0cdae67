#!/usr/bin/env bash
# Runs the named steps of the test, or all of them, with the time of each. A failing step does not hide the others.
set -uo pipefail
. "$(dirname "$0")/lib.sh"
cd "$root"
target="${CARGO_TARGET_DIR:-$root/target}"

format() { cargo fmt --all --check; }
clippy() { cargo clippy --release --locked --workspace --all-targets -- -D warnings; }
unit() { cargo test --release --locked --workspace; }
docs() { RUSTDOCFLAGS='-D warnings' cargo doc --release --locked --workspace --no-deps --quiet; }
licences() { "$python" "$setup/licences.py"; }
schema() {
    cargo run --release --locked --quiet -p clipflow -- schema --out schemas &&
        { [ -z "$(git status --porcelain -- schemas)" ] || { echo "schemas/ is not what the code says: run 'just schema' and commit"; return 1; }; } &&
        "$python" tests/contract/contract.py
}
journey() {
    "$python" infra/talk/generate.py --minutes 3 --out "$target/talk" &&
        cargo build --release --locked --quiet -p clipflow &&
        "$python" tests/journey/journey.py --binary "$target/release/clipflow" --talk "$target/talk/talk.mp4"
}

live() { bash "$setup/live.sh"; }

steps=(format licences clippy unit docs schema journey live)
[ $# -gt 0 ] && steps=("$@")
summary='' status=0
for step in "${steps[@]}"; do
    declare -F "$step" >/dev/null || fail "no step named $step; there are: format licences clippy unit docs schema journey live"
    echo "== $step"
    started=$SECONDS
    if "$step"; then verdict=ok; else verdict=FAILED status=1; fi
    summary+=$(printf '%-10s %-7s %5d s' "$step" "$verdict" "$((SECONDS - started))")$'\n'
done
printf '\n%s' "$summary"
exit "$status"
