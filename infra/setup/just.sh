#!/bin/sh
# Installs `just` into the cache folder: the pinned PyPI wheel, checked by hash; from source where there is no wheel.
set -eu
. "$(dirname "$0")/lib.sh"

version=1.59.0
case "$(uname -s)-$(uname -m)" in
    Linux-x86_64) hash=3ee47f26e3aff917107602d57a08ede20df447f78dc4f9ceb08e57a883c56eb9 ;;
    Linux-aarch64) hash=a305aa91fc425c44e3bcc7d5faae7b8c1503091d8e79aae1f6801dbdca478e20 ;;
    *) hash='' ;;
esac

if [ -n "$hash" ]; then
    ensure_venv
    say "fetching just $version (2.4 MB) into $cache/bin"
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    if fetch_wheel "$work" "rust-just==$version" "$hash"; then
        "$python" -m zipfile -e "$work"/rust_just-*.whl "$work/wheel"
        mkdir -p "$cache/bin"
        install -m 755 "$work/wheel/rust_just-$version.data/scripts/just" "$cache/bin/just.partial"
        mv "$cache/bin/just.partial" "$cache/bin/just"
        exit
    fi
    say "the package index did not give the wheel of just"
fi
say "building just from source instead; this takes a few minutes"
bash "$setup/rust.sh"
cargo install just --version "$version" --locked --root "$cache"
