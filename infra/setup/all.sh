#!/usr/bin/env bash
# Everything a build, a test or the demo needs. Safe to run again at any time; says nothing when nothing is missing.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

mkdir -p "$cache"
for step in packages rust libtorch python models cargo-config; do
    bash "$setup/$step.sh"
done
