"""The written contracts, judged by tools of others: buf lints the messages and compares them with every release, the
AsyncAPI document fits AsyncAPI's own schema and refers to nothing that is missing.

    contract.py          from the root of the repository
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas"
BUF = Path(sys.executable).with_name("buf")


def buf(*arguments: object) -> subprocess.CompletedProcess:
    return subprocess.run([BUF, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


def breaks(messages: Path, release: Path) -> str:
    """What buf says against `messages` after `release`: nothing when every old record still reads."""
    return buf("breaking", messages, "--against", release).stdout


def the_messages_keep_to_the_rules() -> None:
    linted = buf("lint", "proto")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def no_release_is_broken() -> None:
    releases = sorted((SCHEMAS / "protobuf/released").glob("*.binpb"))
    assert releases, "no release to compare with"
    for release in releases:
        complaint = breaks(ROOT / "proto", release)
        assert not complaint, f"records of {release.stem} would be read wrongly:\n{complaint}"


def a_field_that_changes_its_type_is_noticed() -> None:
    release = max((SCHEMAS / "protobuf/released").glob("*.binpb"))
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(ROOT / "proto", Path(folder) / "proto"))
        changed = copy / "clipflow/events/v1/clip.proto"
        before = changed.read_text()
        after = before.replace("message ClipRejected {\n  string reason = 1;", "message ClipRejected {\n  uint64 reason = 1;")
        assert after != before, "the message that this test changes has another form now"
        changed.write_text(after)
        assert "reason" in breaks(copy, release), "buf let a changed type pass"


def the_asyncapi_document_is_valid() -> None:
    document = yaml.safe_load((SCHEMAS / "asyncapi.yaml").read_text())
    rules = json.loads(Path(__file__).with_name("asyncapi-3.0.0.json").read_text())
    problems = [f"{'/'.join(map(str, error.path))}: {error.message}" for error in Draft7Validator(rules).iter_errors(document)]
    assert not problems, "\n".join(problems)
    assert not Draft7Validator(rules).is_valid({**document, "channels": []}), "the rules refuse nothing"
    for reference in references(document):
        assert resolves(document, reference), f"{reference} leads nowhere"


def references(node: object) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if "$ref" in node else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for value in node for found in references(value)] if isinstance(node, list) else []


def resolves(document: dict, reference: str) -> bool:
    if not reference.startswith("#/"):
        return (SCHEMAS / reference).is_file()
    node = document
    for part in reference[2:].split("/"):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def main() -> None:
    for claim in (
        the_messages_keep_to_the_rules,
        no_release_is_broken,
        a_field_that_changes_its_type_is_noticed,
        the_asyncapi_document_is_valid,
    ):
        claim()
        print(f"ok  {claim.__name__.replace('_', ' ')}")


if __name__ == "__main__":
    main()
