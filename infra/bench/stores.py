"""The table about what is made of the log: read models in a file and on a cluster, and the lake."""

import os
import statistics
import sys
import uuid
from pathlib import Path

from measure import RUNS, run, table

ROOT = Path(__file__).resolve().parents[2]
CLIPFLOW = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "clipflow"
EVENTS = 20_000
LAKE_EVENTS = 100_000


def stores() -> str:
    """Each in turn from empty; the cluster only where the environment names one (infra/setup/live.sh says how)."""
    nodes = os.environ.pop("CLIPFLOW_CQL_NODES", None)
    contestants = {"read models in SQLite": lambda: run([CLIPFLOW, "bench", "rows", "--events", EVENTS])}
    if nodes:
        contestants["read models on Cassandra"] = lambda: on_cluster(nodes)
    contestants["the lake, in a folder"] = lambda: run([CLIPFLOW, "bench", "lake", "--events", LAKE_EVENTS])
    results = {name: [] for name in contestants}
    for number in range(RUNS):
        for name, contestant in contestants.items():
            print(f"  run {number + 1} of {RUNS}: {name}", file=sys.stderr)
            results[name].append(contestant().json())
    rows = []
    for name, found in results.items():
        per_second = lambda what: f"{statistics.median(each[what] / each['seconds'] for each in found):,.0f}/s"
        rows.append([name, f"{found[0]['events']:,}", per_second("events"), f"{found[0]['rows']:,}", per_second("rows")])
    return table(["catching up from empty", "events", "events per second", "rows", "rows per second"], rows)


def on_cluster(nodes: str):
    cluster = ["--cql-nodes", nodes, "--cql-keyspace", f"bench_{uuid.uuid4().hex[:12]}"]
    run([CLIPFLOW, "migrate", "--replicas", "1", *cluster])
    return run([CLIPFLOW, "bench", "rows", "--events", EVENTS, *cluster])
