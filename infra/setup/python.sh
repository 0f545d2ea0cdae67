#!/usr/bin/env bash
# Fills the private Python environment: the sample talk, and the peers that tests and benchmarks compare with.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

stamp="$venv/clipflow-requirements.txt"
cmp -s "$setup/requirements.txt" "$stamp" && exit
ensure_venv
if ! "$python" - "$setup/requirements.txt" <<'PYTHON'; then
import sys
from importlib.metadata import PackageNotFoundError, version
wanted = [line.split()[0].split("==") for line in open(sys.argv[1]) if "==" in line]
try:
    sys.exit(any(version(name) != pinned for name, pinned in wanted))
except PackageNotFoundError:
    sys.exit(1)
PYTHON
    say "installing Python tools into $venv (about 350 MB, once)"
    # Without dependencies: the list is complete, and scenedetect would bring a second OpenCV that needs a display.
    "$python" -m pip install --quiet --progress-bar on --only-binary=:all: --no-deps -r "$setup/requirements.txt" ||
        fail "the package index did not give all Python tools; the lines above name the one. Python 3.11 or newer is needed"
fi
cp "$setup/requirements.txt" "$stamp"
