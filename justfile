# Recipes of one or two lines; the work is in infra/. Without `just`: ./justw RECIPE

set shell := ["bash", "-euo", "pipefail", "-c"]
export PATH := env("HOME") / ".cargo/bin:" + env("PATH")

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
python := env("XDG_CACHE_HOME", env("HOME") / ".cache") / "clipflow/venv/bin/python"

# list the recipes
default:
    @just --list --unsorted

# install what is missing (idempotent; root or sudo only for distribution packages)
setup:
    @bash infra/setup/all.sh

# build the binary that users run
build: setup
    cargo build --release --locked -p clipflow

# make a sample talk and clip it into out/demo
demo: build (talk "3")
    {{ target }}/release/clipflow clip out/talk/talk.mp4 --out out/demo

# run clipflow: just run clip talk.mp4
run *ARGS: build
    {{ target }}/release/clipflow {{ ARGS }}

# everything CI runs
test: setup
    @bash infra/setup/test.sh

# what needs real engines: starts Kafka, Cassandra and S3, runs their tests, stops them
test-live: setup
    @bash infra/setup/live.sh

# faults on real brokers and processes for so many seconds, then a check of every answer: just chaos 600 SEED does it again
chaos SECONDS="600" SEED="": setup
    @tests/chaos/run {{ SECONDS }} {{ SEED }}

# one step of it: format clippy unit docs licences schema journey live
check STEP: setup
    @bash infra/setup/test.sh {{ STEP }}

# the inner loop: crates without LibTorch and GStreamer
quick:
    cargo test

# the numbers of docs/performance.md: just bench transcribe (all by default)
bench *NAMES: build (talk "12" "out/talk12")
    @{{ python }} infra/bench/bench.py {{ NAMES }}

# make a sample talk of so many minutes
talk MINUTES="3" OUT="out/talk": setup
    @{{ python }} infra/talk/generate.py --minutes {{ MINUTES }} --out {{ OUT }}

# write schemas/ again from the code
schema: build
    {{ target }}/release/clipflow schema --out schemas

# upload, watch, review and play a clip over the wire, like a frontend
journey: build (talk "3")
    @{{ python }} tests/journey/journey.py --binary {{ target }}/release/clipflow --talk out/talk/talk.mp4

# format everything
fmt:
    cargo fmt --all

# real engines for tests, without containers: Kafka (1 or 3 brokers), Cassandra, S3
engines-up *WHAT:
    @infra/local/up {{ WHAT }}

# stop them and keep their data
engines-down *WHAT:
    @infra/local/down {{ WHAT }}

# which of them run, where, with how much memory
engines-status:
    @infra/local/status

# ask each of them with a real client
engines-check *WHAT:
    @infra/local/check {{ WHAT }}
