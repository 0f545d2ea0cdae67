"""The main job over real Kafka, Cassandra, S3 and several processes, one of which is killed half way.

    distributed.py --binary target/release/clipflow --talk out/talk/talk.mp4

Needs the engines of infra/local and their addresses in the environment (`infra/setup/live.sh` does both). Prints one line
per step; a failure is an exception and a non-zero exit.
"""

import argparse
import collections
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from pathlib import Path

import boto3

sys.path.append(str(Path(__file__).resolve().parents[1] / "contract"))
import reader as contract
from client import Client
from journey import CLIPS_MIN, START_SECONDS, Server, an_interrupted_upload_resumes, every_clip_has_reasons_and_a_file, step

CLIPS_SECONDS = 1_200
JSON_SECONDS = 30
# More than one, so that everything that counts positions is seen to count them per partition.
PARTITIONS = os.environ.get("CLIPFLOW_JOURNEY_PARTITIONS", "3")


class Part:
    """A `clipflow serve` with some roles and a data directory of its own."""

    def __init__(self, binary: Path, folder: Path, name: str, roles: str) -> None:
        self.log = (folder / f"{name}.log").open("w")
        command = [binary, "serve", "--config", folder / "clipflow.toml", "--data", folder / name, "--roles", roles, "--log", "info"]
        command += ["--metrics", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, cwd=folder)

    def __enter__(self) -> "Part":
        return self

    def metrics(self) -> str:
        address = re.search(r"Metrics are at (http://\S+)", Path(self.log.name).read_text())[1]
        with urllib.request.urlopen(address, timeout=10) as answer:
            return answer.read().decode()

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self.log.close()


class Door(Server):
    """The gateway, started as in the other journey but with a configuration."""

    def _start(self) -> None:
        wanted, self.binary = self.binary, self.folder / "gateway.sh"
        script = f'#!/bin/sh\nexec {wanted} --config {self.folder}/clipflow.toml "$@" --roles gateway\n'
        self.binary.write_text(script)
        self.binary.chmod(0o700)
        super()._start()
        self.binary = wanted


def events(binary: Path, folder: Path) -> list[dict]:
    command = [binary, "events", "--config", folder / "clipflow.toml", "--data", folder / "reader"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout.splitlines()
    return [json.loads(line) for line in lines]


def wait_for(what: str, seconds: float, happened) -> None:
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"{what} did not happen within {seconds} s"
        time.sleep(1)


def configure(folder: Path) -> str:
    """Writes the configuration of every process; returns the prefix of its topics."""
    bucket, prefix = f"journey-{uuid.uuid4().hex[:12]}", f"journey.{uuid.uuid4().hex[:12]}"
    s3 = boto3.client(
        "s3",
        endpoint_url=os.environ["CLIPFLOW_S3_ENDPOINT"],
        region_name="us-east-1",
        aws_access_key_id=os.environ["CLIPFLOW_S3_ACCESS_KEY"],
        aws_secret_access_key=os.environ["CLIPFLOW_S3_SECRET_KEY"],
    )
    s3.create_bucket(Bucket=bucket)
    (folder / "clipflow.toml").write_text(
        f"""
[log]
brokers = "$CLIPFLOW_KAFKA_BROKERS"
prefix = "{prefix}"

[blobs.s3]
endpoint = "$CLIPFLOW_S3_ENDPOINT"
bucket = "{bucket}"
region = "us-east-1"
cache_folder = "{folder}/cache"
"""
    )
    return prefix


def every_event_is_there_once(happened: list[dict], clips: int) -> None:
    ids = collections.Counter(event["id"] for event in happened)
    assert max(ids.values()) == 1, "an event is on the log twice"
    assert [int(event["position"]) for event in happened] == list(range(len(happened))), "positions are not contiguous"
    rendered = collections.Counter(event["subject"] for event in happened if event["type"] == "clip.rendered")
    assert len(rendered) == clips and set(rendered.values()) == {1}, f"clips were rendered {rendered}"
    step(f"{len(happened)} events, each once; each of {clips} clips was rendered once")


def a_reader_with_nothing_of_ours_reads_the_same(happened: list[dict], prefix: str) -> None:
    ours = [{name: event[name] for name in ("id", "type", "subject", "position", "data")} for event in happened]
    read = contract.read(os.environ["CLIPFLOW_KAFKA_BROKERS"], f"{prefix}.events")
    assert read == ours, "other clients read other events"
    as_json = lambda: contract.read(os.environ["CLIPFLOW_KAFKA_BROKERS"], f"{prefix}.events.json")
    wait_for("the last event as JSON", JSON_SECONDS, lambda: len(as_json()) >= len(ours))
    assert as_json() == ours, "other clients read other events as JSON"
    step(f"{len(read)} events read with Confluent's client and the CloudEvents SDK, also as JSON, fit their schemas")


def a_worker_shows_what_it_did(worker: Part) -> None:
    shown = worker.metrics()
    done = re.search(r'^clipflow_jobs_total\{(?=[^}]*processor="render")(?=[^}]*outcome="done")[^}]*\} (\d+)', shown, re.MULTILINE)
    assert done and int(done[1]) >= 1, shown
    step(f"the other worker shows that it rendered {done[1]} times")


@contextlib.contextmanager
def platform(binary: Path, folder: Path, also: str = ""):
    """Sequencer (and another role in its process), two workers and gateway in processes of their own; yields a client, the workers and the prefix of the topics."""
    prefix = configure(folder)
    copies = min(3, len(os.environ["CLIPFLOW_KAFKA_BROKERS"].split(",")))
    layout = ["--partitions", PARTITIONS, "--replication", str(copies), "--min-insync", str(max(1, copies - 1))]
    # Every process takes it from the environment, beside the nodes and the password.
    os.environ["CLIPFLOW_CQL_KEYSPACE"] = f"journey_{uuid.uuid4().hex[:12]}"
    subprocess.run([binary, "migrate", "--replicas", "1"], check=True, cwd=folder)
    subprocess.run([binary, "log", "init", "--config", folder / "clipflow.toml", *layout], check=True, cwd=folder)
    with contextlib.ExitStack() as parts:
        parts.enter_context(Part(binary, folder, "sequencer", "sequencer" + also))
        workers = [parts.enter_context(Part(binary, folder, f"worker-{n}", "workers")) for n in (1, 2)]
        try:
            server = parts.enter_context(Door(binary, folder))
            yield Client(server.address, server.key), workers, prefix
        except BaseException:
            for part in sorted(folder.glob("*.log")):
                print(f"-- {part.name}\n{part.read_text()[-2000:]}")
            raise


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, required=True)
    arguments.add_argument("--talk", type=Path, required=True)
    options = arguments.parse_args()
    binary = options.binary.resolve()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="clipflow-distributed-")))
        client, workers, prefix = stack.enter_context(platform(binary, folder, also=",json"))
        video = an_interrupted_upload_resumes(client, options.talk.read_bytes())
        has = lambda kind: any(event["type"] == kind for event in events(binary, folder))
        wait_for("the first render", CLIPS_SECONDS, lambda: has("clip.render_requested"))
        workers[0].process.kill()
        workers[0].process.wait()
        step("one of two workers was killed while clips are rendered")
        wait_for("the end of the video", CLIPS_SECONDS, lambda: has("video.completed"))
        clips = every_clip_has_reasons_and_a_file(client, video)
        assert len(clips) >= CLIPS_MIN, clips
        a_worker_shows_what_it_did(workers[1])
        happened = events(binary, folder)
        every_event_is_there_once(happened, len(clips))
        a_reader_with_nothing_of_ours_reads_the_same(happened, prefix)
        subprocess.run([binary, "log", "check", "--config", folder / "clipflow.toml"], check=True, cwd=folder)
    print("the journey over Kafka, Cassandra and S3 is complete")


if __name__ == "__main__":
    main()
