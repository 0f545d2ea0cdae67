#!/usr/bin/env bash
# Provides LibTorch for the `tch` crate: the user's own (LIBTORCH), or the CPU part of the PyPI wheel, once, in the cache folder.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=2.13.0
wheel_sha256=60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7
target="$cache/libtorch-$version"

if [ -n "${LIBTORCH:-}" ] && [ "$LIBTORCH" != "$target" ]; then
    [ -e "$LIBTORCH/lib/libtorch_cpu.so" ] || fail "LIBTORCH is $LIBTORCH, but there is no lib/libtorch_cpu.so in it. Point it at a LibTorch $version, or unset it"
    exit
fi
[ "$(cat "$target/build-version" 2>/dev/null)" = "$version" ] && exit
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
    fail "there is no ready LibTorch for $(uname -s) on $(uname -m): get LibTorch $version from pytorch.org and set LIBTORCH to its folder"

ensure_venv
# What an earlier run left behind when it was killed.
rm -rf "$cache"/libtorch.??????
work=$(mktemp -d "$cache/libtorch.XXXXXX")
trap 'rm -rf "$work"' EXIT
free_kb=$(df -Pk "$work" | awk 'NR == 2 {print $4}')
[ "$free_kb" -gt 1500000 ] || fail "LibTorch needs 1.5 GB of free space in $cache for a moment (0.5 GB stay); there are $((free_kb / 1024)) MB"
say "fetching LibTorch $version: 527 MB once, of which 480 MB stay in $target"
fetch_wheel "$work" "torch==$version" "$wheel_sha256" --python-version 3.11 --platform manylinux_2_28_x86_64 ||
    fail "the package index did not give LibTorch (torch $version). Check the network, or set LIBTORCH to your own copy"

say "unpacking LibTorch"
"$python" - "$work" <<'PYTHON'
import glob, shutil, sys, zipfile
work = sys.argv[1]
libraries = {f"torch/lib/{name}" for name in ("libtorch_cpu.so", "libc10.so", "libgomp.so.1")}
[wheel] = glob.glob(f"{work}/torch-*.whl")
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if name in libraries or name.startswith("torch/include/"):
            archive.extract(name, work)
shutil.move(f"{work}/torch", f"{work}/made")
PYTHON
rm "$work"/torch-*.whl
lib="$work/made/lib"

# libtorch_cpu.so of this wheel asks for two CUDA libraries, only for its profiler. Empty stand-ins with the same
# symbols and symbol versions let it load on a machine without CUDA.
for name in cudart cupti; do
    soname=lib$name.so.13
    objdump -T "$lib/libtorch_cpu.so" | awk -v wanted="($soname)" '/UND/ && index($0, wanted) {print "int " $NF "(void) { return 100; }"}' | sort -u >"$work/$name.c"
    printf '%s {\n global: *;\n};\n' "$soname" >"$work/$name.map"
    gcc -shared -fPIC -O1 -o "$lib/$soname" "$work/$name.c" -Wl,-soname,"$soname" -Wl,--version-script="$work/$name.map"
done
# The wheel's libtorch.so asks for CUDA; all that torch-sys wants of it is the name.
gcc -shared -o "$lib/libtorch.so" -x c /dev/null -Wl,-soname,libtorch.so -Wl,--no-as-needed -L"$lib" -l:libtorch_cpu.so \
    -Wl,--allow-shlib-undefined -Wl,-rpath,'$ORIGIN'

# The version file goes last and the folder moves whole: a half-made LibTorch is never taken for one.
echo "$version" >"$work/made/build-version"
rm -rf "$target"
mv "$work/made" "$target"
