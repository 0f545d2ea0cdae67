"""The main job embedded and over real engines, in turn on one machine: the same clips to the byte, and how long each took.

    beside.py --binary target/release/clipflow --talk out/talk/talk.mp4 [--runs 5]

Needs the engines of infra/local, as distributed.py does. Prints a row per run and the medians; different clips are an error.
Then an editor moves the end of a clip, again and again: each answer shows the read model with the change in it.
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
FIRST = "query($id: ID!) { video(id: $id) { clips(first: 1) { edges { node { id span { startSeconds endSeconds } } } } } }"
RETRIM = """mutation($id: ID!, $start: Float!, $end: Float!) { retrimClip(id: $id, startSeconds: $start, endSeconds: $end) {
    clip { span { endSeconds } }
} }"""
EDITS = 500
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


def job(client: Client, talk: bytes) -> tuple[str, float, list]:
    """The video, seconds from the accepted import to the last clip, and the clips."""
    video = an_interrupted_upload_resumes(client, talk)
    started = time.monotonic()
    for message in client.subscribe(STAGES, id=video):
        now = message["videoProgress"]
        assert not now["failure"] and time.monotonic() - started < CLIPS_SECONDS, now
        if now["isFinal"]:
            break
    seconds = time.monotonic() - started
    return video, seconds, [edge["node"] for edge in client.graphql(CLIPS, id=video)["video"]["clips"]["edges"]]


def edits(client: Client, video: str) -> list[float]:
    """Milliseconds from the request to the answer with the changed clip, one after another, on one connection each."""
    clip = client.graphql(FIRST, id=video)["video"]["clips"]["edges"][0]["node"]
    start, end = clip["span"]["startSeconds"], clip["span"]["endSeconds"]
    took = []
    for number in range(EDITS):
        wanted = end - 0.5 if number % 2 == 0 else end
        started = time.perf_counter()
        answer = client.graphql(RETRIM, id=clip["id"], start=start, end=wanted)
        took.append((time.perf_counter() - started) * 1_000)
        seen = answer["retrimClip"]["clip"]["span"]["endSeconds"]
        assert abs(seen - wanted) < 0.01, f"the answer shows {seen}, {wanted} was asked for"
    return took


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, required=True)
    arguments.add_argument("--talk", type=Path, required=True)
    arguments.add_argument("--runs", type=int, default=1)
    options = arguments.parse_args()
    talk, seconds, seen = options.talk.read_bytes(), {"embedded": [], "distributed": []}, []
    visible = {name: [] for name in seconds}
    for run in range(options.runs):
        for name, setup in (("embedded", embedded), ("distributed", distributed)):
            with tempfile.TemporaryDirectory(prefix=f"clipflow-{name}-") as folder, setup(options.binary.resolve(), Path(folder)) as client:
                video, took, clips = job(client, talk)
                visible[name] += edits(client, video)
            seconds[name].append(took)
            seen.append(clips)
            assert clips and clips == seen[0], f"run {run + 1}, {name}: other clips than before"
            print(f"  run {run + 1}, {name}: {took:.1f} s, {len(clips)} clips, the same as always", flush=True)
    here, there = (statistics.median(seconds[name]) for name in ("embedded", "distributed"))
    for name, took in visible.items():
        cuts = statistics.quantiles(took, n=100)
        print(f"{name}, from an edit to the answer that shows it: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms; {len(took)} edits")
    print(f"embedded {here:.1f} s, distributed {there:.1f} s: {there / here:.2f} times as long; median of {options.runs}")


if __name__ == "__main__":
    main()
