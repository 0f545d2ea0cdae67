"""Checks every dependency's licence against the allow list in deny.toml; `cargo deny check licenses` reads the same list."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    rules = tomllib.loads((ROOT / "deny.toml").read_text())["licenses"]
    allowed = set(rules["allow"])
    exceptions = {e["crate"]: set(e["allow"]) for e in rules.get("exceptions", [])}
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", "x86_64-unknown-linux-gnu"]
    packages = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)["packages"]
    refused = []
    for package in packages:
        ours = package["source"] is None
        expression = package["license"] or ""
        if not ours and not satisfied(expression, allowed | exceptions.get(package["name"], set())):
            refused.append(f"{package['name']} {package['version']}: {expression or 'names no licence'}")
    for line in refused:
        print(f"licence not allowed: {line}")
    print(f"{len(packages)} packages checked")
    sys.exit(bool(refused))


def satisfied(expression: str, allowed: set[str]) -> bool:
    """Whether an SPDX expression can be met; `A/B` is the old spelling of `A OR B`."""
    tokens = re.findall(r"\(|\)|[^\s()/]+|/", re.sub(r"\s+WITH\s+", "-WITH-", expression))
    tokens = ["OR" if t == "/" else t for t in tokens]

    def either() -> bool:
        value = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            value = both() or value
        return value

    def both() -> bool:
        value = one()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            value = one() and value
        return value

    def one() -> bool:
        token = tokens.pop(0)
        if token == "(":
            value = either()
            tokens.pop(0)
            return value
        return token in allowed or token.split("-WITH-")[0] in allowed

    return bool(tokens) and either()


if __name__ == "__main__":
    main()
