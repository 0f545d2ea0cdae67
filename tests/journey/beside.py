"""The main job embedded and over real engines, in turn on one machine: the same clips to the byte, and how long each took.

    beside.py --binary target/release/clipflow --talk out/talk/talk.mp4 [--runs 5]

Needs the engines of infra/local, as distributed.py does. Prints a row per run and the medians; different clips are an error.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from pathlib import Path

from client import Client
from distributed import platform
from journey import CLIPS_SECONDS, Server, an_interrupted_upload_resumes

# What a clip is: from where to where, by which decisions, to which bytes.
CLIPS = """query($id: ID!) { video(id: $id) { clips(first: 20) { edges { node {
    span { startSeconds endSeconds } title renditions { ratio file { sha256 } decisions { sha256 } srt { sha256 } }
} } } } }"""
STAGES = "subscription($id: ID!) { videoProgress(videoId: $id) { failure { code } isFinal } }"


@contextlib.contextmanager
def embedded(binary: Path, folder: Path):
    """Without the cluster that the environment names for the others."""
    cluster = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("CLIPFLOW_CQL_")}
    try:
        with Server(binary, folder) as server:
            yield Client(server.address, server.key)
    finally:
        os.environ.update(cluster)


@contextlib.contextmanager
def distributed(binary: Path, folder: Path):
    with platform(binary, folder) as (client, _, _):
        yield client


def job(client: Client, talk: bytes) -> tuple[float, list]:
    """Seconds from the accepted import to the last clip, and the clips."""
    video = an_interrupted_upload_resumes(client, talk)
    started = time.monotonic()
    for message in client.subscribe(STAGES, id=video):
        now = message["videoProgress"]
        assert not now["failure"] and time.monotonic() - started < CLIPS_SECONDS, now
        if now["isFinal"]:
            break
    seconds = time.monotonic() - started
    return seconds, [edge["node"] for edge in client.graphql(CLIPS, id=video)["video"]["clips"]["edges"]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, required=True)
    arguments.add_argument("--talk", type=Path, required=True)
    arguments.add_argument("--runs", type=int, default=1)
    options = arguments.parse_args()
    talk, seconds, seen = options.talk.read_bytes(), {"embedded": [], "distributed": []}, []
    for run in range(options.runs):
        for name, setup in (("embedded", embedded), ("distributed", distributed)):
            with tempfile.TemporaryDirectory(prefix=f"clipflow-{name}-") as folder, setup(options.binary.resolve(), Path(folder)) as client:
                took, clips = job(client, talk)
            seconds[name].append(took)
            seen.append(clips)
            assert clips and clips == seen[0], f"run {run + 1}, {name}: other clips than before"
            print(f"  run {run + 1}, {name}: {took:.1f} s, {len(clips)} clips, the same as always", flush=True)
    here, there = (statistics.median(seconds[name]) for name in ("embedded", "distributed"))
    print(f"embedded {here:.1f} s, distributed {there:.1f} s: {there / here:.2f} times as long; median of {options.runs}")


if __name__ == "__main__":
    main()
