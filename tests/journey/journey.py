"""What a frontend does with ClipFlow, from an empty data directory to a played clip, over the wire only.

    journey.py --binary target/release/clipflow --talk out/talk/talk.mp4

Starts `clipflow serve`, uploads with an interruption, watches the progress, reads clips and reasons, accepts, rejects,
retrims, renders again, plays the result by ranges, and reads the history. Prints one line per step; a failure is an
exception and a non-zero exit.
"""

import argparse
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from client import Client, Refused, Upload

CHUNK_BYTES = 4 << 20
START_SECONDS, CLIPS_SECONDS, RENDER_SECONDS, LAKE_SECONDS = 60, 900, 300, 120
CLIPS_MIN = 4


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--binary", type=Path, required=True)
    arguments.add_argument("--talk", type=Path, required=True)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="clipflow-journey-") as folder:
        with Server(options.binary.resolve(), Path(folder)) as server:
            journey(server, options.talk.read_bytes())
        other_tools_read_the_lake(options.binary.resolve(), Path(folder) / "data")
    print("the journey is complete")


def journey(server: "Server", talk: bytes) -> None:
    client = Client(server.address, server.key)
    only_the_owner_comes_in(server)
    video = an_interrupted_upload_resumes(client, talk)
    progress_is_told_until_the_end(client, video)
    clips = every_clip_has_reasons_and_a_file(client, video)
    server.restart()
    after_a_restart_nothing_is_lost(client, video, clips)
    editors_decide(client, clips)
    clip = a_retrimmed_clip_is_rendered_again(client, clips[0])
    a_clip_plays_by_ranges(client, clip)
    history_tells_it_all(client, video, clips)
    analytics_answer_from_the_own_rows(client, video)


def other_tools_read_the_lake(binary: Path, data: Path) -> None:
    """When the server has gone: what it wrote, and what it had no time to."""
    tables = Path(__file__).resolve().parents[1] / "lake/tables.py"
    subprocess.run([sys.executable, tables, "--binary", binary, "--data", data], check=True)
    step("deltalake and duckdb read the lake")


def step(text: str) -> None:
    print(f"  {text}", flush=True)


class Server:
    """`clipflow serve` in a data directory of its own."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.binary, self.folder, self.key = binary, folder, None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> "Server":
        self._start()
        return self

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(30) == 0, "the server did not stop cleanly"
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def restart(self) -> None:
        """Without a word of warning, as the power does."""
        self.process.kill()
        self.process.wait()
        self._start()

    def _start(self) -> None:
        command = [self.binary, "--data", self.folder / "data", "serve", "--listen", self.address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder)
        self.said: list[str] = []
        threading.Thread(target=self._listen, daemon=True).start()
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if self.process.poll() is not None:
                time.sleep(0.2)
                raise AssertionError(f"the server ended at once with {self.process.returncode}:\n" + "".join(self.said))
            try:
                if Client(self.address, None).request("GET", "/readyz")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.1)
        else:
            raise AssertionError("the server was not ready in time:\n" + "".join(self.said))
        # What was printed before it was ready may still be in the pipe.
        time.sleep(0.5)
        found = re.search(r"\bcf_[\w-]+", "".join(self.said))
        if self.key is None:
            assert found, "the first start did not print the owner's key:\n" + "".join(self.said)
            self.key = found[0]
        else:
            assert not found, "the key was printed a second time"

    def _listen(self) -> None:
        for line in self.process.stdout:
            self.said.append(line)


def only_the_owner_comes_in(server: Server) -> None:
    for key in (None, "cf_wrong"):
        status, _, body = Client(server.address, key).request("POST", "/graphql", b'{"query": "{ viewer { actor } }"}', {"Content-Type": "application/json"})
        assert status == 401 and b"UNAUTHENTICATED" in body, (status, body)
    assert Client(server.address, server.key).graphql("{ viewer { actor } }")["viewer"]["actor"] == "owner"
    step("the owner's key opens the door, and nothing else does")


def an_interrupted_upload_resumes(client: Client, talk: bytes) -> str:
    ticket = client.graphql("mutation($name: String!, $bytes: Int!) { createUpload(fileName: $name, bytes: $bytes) { uploadId url expiresAt } }", name="talk.mp4", bytes=len(talk))
    upload = Upload(client, ticket["createUpload"]["url"])
    half = len(talk) // 2
    for at in range(0, half, CHUNK_BYTES):
        status, headers, body = upload.send(at, talk[at : min(at + CHUNK_BYTES, half)])
        assert status == 204, f"a chunk answered {status}: {body!r}"
    assert int(headers["upload-offset"]) == half
    upload.break_off(half, talk[half:], len(talk) // 4)
    time.sleep(0.5)
    offset = upload.offset()
    assert half <= offset < len(talk), f"after the break the server has {offset} bytes"
    status, _, _ = upload.send(0, talk[:1000])
    assert status == 409, f"a chunk at a wrong place answered {status}"
    while offset < len(talk):
        status, headers, body = upload.send(offset, talk[offset : offset + CHUNK_BYTES])
        assert status == 204, f"a chunk answered {status}: {body!r}"
        offset = int(headers["upload-offset"])
    step(f"{len(talk) / 2**20:.1f} MiB uploaded in pieces, broken off once and resumed")
    return imported(client, ticket["createUpload"]["uploadId"])


def imported(client: Client, upload: str) -> str:
    mutation = "mutation($input: ImportVideoInput!) { importVideo(input: $input, idempotencyKey: \"journey\") { id token video { id title } } }"
    wanted = {"uploadId": upload, "title": "A talk", "wish": {"ratios": ["PORTRAIT"]}}
    first = client.graphql(mutation, input=wanted)["importVideo"]
    again = client.graphql(mutation, input=wanted)["importVideo"]
    assert first["id"] == again["id"], "the same key imported twice"
    assert first["video"] == {"id": first["id"], "title": "A talk"}, first
    step(f"imported as {first['id']}; the same request again changed nothing")
    return first["id"]


def progress_is_told_until_the_end(client: Client, video: str) -> None:
    told: dict[str, list] = {}
    started = time.monotonic()
    query = "subscription($id: ID!) { videoProgress(videoId: $id) { stage state fraction etaMs realtimeFactor detail failure { code reason } token isFinal } }"
    for message in client.subscribe(query, id=video):
        now = message["videoProgress"]
        assert not now["failure"], now
        assert time.monotonic() - started < CLIPS_SECONDS, f"no end in sight: {list(told)}"
        if now["isFinal"]:
            break
        told.setdefault(now["stage"], []).append(now)
    assert {"TRANSCRIBE", "ANALYZE", "SCORE", "RENDER"} <= set(told), f"only these stages told of themselves: {list(told)}"
    percentages = [n for n in told["TRANSCRIBE"] + told["RENDER"] if n["state"] == "RUNNING" and n["fraction"] is not None]
    assert percentages, "no percentage was told"
    assert all(0 <= n["fraction"] <= 1 for n in percentages), percentages
    after = client.graphql("query($id: ID!, $after: Token!) { video(id: $id, after: $after) { state } }", id=video, after=now["token"])
    assert after["video"]["state"] == "COMPLETED", after
    step(f"{', '.join(told).lower()} watched for {time.monotonic() - started:.0f} s, with {len(percentages)} percentages, until the last render")


CLIP = """
    id rank score title keywords verdict rejection span { startSeconds endSeconds }
    reasons { text feature atSeconds } contributions { feature group effect percentile }
    renditions { ratio state isCurrent durationSeconds file { url mediaType bytes sha256 expiresAt } poster { url } srt { url } vtt { url } }
"""


def every_clip_has_reasons_and_a_file(client: Client, video: str) -> list[dict]:
    query = f"query($id: ID!) {{ video(id: $id) {{ state facts {{ durationSeconds }} clips(first: 20) {{ edges {{ node {{ {CLIP} }} }} }} }} }}"
    found = client.graphql(query, id=video)["video"]
    clips = [edge["node"] for edge in found["clips"]["edges"]]
    assert len(clips) >= CLIPS_MIN, f"only {len(clips)} clips"
    assert [clip["rank"] for clip in clips] == list(range(1, len(clips) + 1)), "clips are not in order"
    for clip in clips:
        span, duration = clip["span"], found["facts"]["durationSeconds"]
        assert 0 <= span["startSeconds"] < span["endSeconds"] <= duration + 0.1, span
        assert clip["title"] and clip["contributions"], clip
        assert clip["reasons"], f"{clip['id']} has no reason"
        for reason in clip["reasons"]:
            assert 0 <= reason["atSeconds"] <= duration, reason
        assert [r["state"] for r in clip["renditions"]] == ["RENDERED"], clip["renditions"]
    overlaps = [(a, b) for a in clips for b in clips if a["rank"] < b["rank"] and shared(a["span"], b["span"]) > 0.5]
    assert not overlaps, "two clips show the same"
    step(f"{len(clips)} clips; the best: {clips[0]['title']!r}, because {clips[0]['reasons'][0]['text']}")
    return clips


def shared(a: dict, b: dict) -> float:
    """The part of the shorter span that both have."""
    both = min(a["endSeconds"], b["endSeconds"]) - max(a["startSeconds"], b["startSeconds"])
    return max(0.0, both) / min(a["endSeconds"] - a["startSeconds"], b["endSeconds"] - b["startSeconds"])


def after_a_restart_nothing_is_lost(client: Client, video: str, clips: list[dict]) -> None:
    query = "query($id: ID!) { video(id: $id) { state clips(first: 20) { edges { node { id } } } } }"
    found = client.graphql(query, id=video)["video"]
    assert found["state"] == "COMPLETED"
    assert [edge["node"]["id"] for edge in found["clips"]["edges"]] == [clip["id"] for clip in clips]
    step("killed and started again: the video, its clips and the key are still there")


def editors_decide(client: Client, clips: list[dict]) -> None:
    accept = "mutation($id: ID!) { acceptClip(id: $id) { token clip { verdict judgedBy } } }"
    reject = "mutation($id: ID!, $reason: String!) { rejectClip(id: $id, reason: $reason) { token } }"
    assert client.graphql(accept, id=clips[0]["id"])["acceptClip"]["clip"] == {"verdict": "ACCEPTED", "judgedBy": "owner"}
    token = client.graphql(reject, id=clips[1]["id"], reason="starts too late")["rejectClip"]["token"]
    read = client.graphql("query($id: ID!, $after: Token!) { clip(id: $id, after: $after) { verdict rejection } }", id=clips[1]["id"], after=token)
    assert read["clip"] == {"verdict": "REJECTED", "rejection": "starts too late"}, "the write is not read"
    try:
        client.graphql(reject, id=clips[2]["id"], reason="")
        raise AssertionError("an empty reason was taken")
    except Refused as refused:
        assert refused.code == "BAD_REASON", refused.code
    step("one clip accepted, one rejected with a reason, an empty reason refused")


def a_retrimmed_clip_is_rendered_again(client: Client, clip: dict) -> dict:
    start, end = clip["span"]["startSeconds"] + 1.0, clip["span"]["endSeconds"] - 1.0
    retrim = "mutation($id: ID!, $start: Float!, $end: Float!) { retrimClip(id: $id, startSeconds: $start, endSeconds: $end) { clip { renditions { isCurrent } } } }"
    stale = client.graphql(retrim, id=clip["id"], start=start, end=end)["retrimClip"]["clip"]["renditions"]
    assert stale == [{"isCurrent": False}], "the old file passes for the new edit"
    ratio = clip["renditions"][0]["ratio"]
    client.graphql("mutation($id: ID!, $ratio: Ratio!) { renderClip(id: $id, ratio: $ratio) { token } }", id=clip["id"], ratio=ratio)
    until = time.monotonic() + RENDER_SECONDS
    while time.monotonic() < until:
        found = client.graphql(f"query($id: ID!) {{ clip(id: $id) {{ {CLIP} }} }}", id=clip["id"])["clip"]
        rendition = found["renditions"][0]
        assert rendition["state"] != "FAILED", "the second render failed"
        if rendition["state"] == "RENDERED" and rendition["isCurrent"]:
            assert abs(rendition["durationSeconds"] - (end - start)) < 0.1, rendition
            assert rendition["file"]["sha256"] != clip["renditions"][0]["file"]["sha256"]
            step(f"retrimmed to {end - start:.1f} s and rendered again from the original")
            return found
        time.sleep(0.5)
    raise AssertionError("the second render did not end")


def a_clip_plays_by_ranges(client: Client, clip: dict) -> None:
    rendition = clip["renditions"][0]
    link = rendition["file"]
    status, headers, whole = client.request("GET", link["url"], signed=False)
    assert (status, len(whole), headers["content-type"]) == (200, link["bytes"], "video/mp4"), (status, headers)
    status, headers, part = client.request("GET", link["url"], headers={"Range": "bytes=1000-1999"}, signed=False)
    assert (status, part) == (206, whole[1000:2000]), status
    assert headers["content-range"] == f"bytes 1000-1999/{len(whole)}", headers
    status, _, _ = client.request("GET", link["url"], headers={"Range": f"bytes={len(whole)}-"}, signed=False)
    assert status == 416, f"a range past the end answered {status}"
    forged = link["url"][:-2] + ("AA" if not link["url"].endswith("AA") else "BB")
    status, _, _ = client.request("GET", forged, signed=False)
    assert status in (401, 403), f"a forged address answered {status}"
    for name in ("poster", "srt", "vtt"):
        status, _, data = client.request("GET", rendition[name]["url"], signed=False)
        assert status == 200 and data, f"{name} answered {status}"
    facts = probe(whole)
    streams = {s["codec_type"]: s for s in facts["streams"]}
    video, audio = streams["video"], streams["audio"]
    assert (video["codec_name"], video["profile"], video["pix_fmt"], video["width"], video["height"]) == ("h264", "High", "yuv420p", 1080, 1920), video
    assert (audio["codec_name"], audio["sample_rate"]) == ("aac", "48000"), audio
    assert abs(float(facts["format"]["duration"]) - rendition["durationSeconds"]) < 0.08, facts["format"]
    assert abs(float(video["start_time"]) - float(audio["start_time"])) < 0.02, "picture and sound start apart"
    assert whole.find(b"moov") < whole.find(b"mdat"), "a player must read the whole file before it can start"
    step("the clip plays: whole, by ranges, with poster and subtitles; forged addresses do not")


def probe(data: bytes) -> dict:
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(data)
        file.flush()
        command = ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-of", "json", file.name]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def history_tells_it_all(client: Client, video: str, clips: list[dict]) -> None:
    query = "query($id: ID!) { history(id: $id, first: 100) { edges { node { type actor version cause { type } cloudEvent } } } }"
    events = [edge["node"] for edge in client.graphql(query, id=video)["history"]["edges"]]
    kinds = [event["type"] for event in events]
    for kind in ("video.submitted", "video.ingested", "video.analyzed", "video.clips_proposed", "video.completed"):
        assert kind in kinds, f"{kind} is not among {kinds}"
    assert [event["version"] for event in events] == list(range(len(events))), "versions have gaps"
    edits = [edge["node"] for edge in client.graphql(query, id=clips[0]["id"])["history"]["edges"]]
    kinds = [event["type"] for event in edits]
    assert kinds.index("clip.proposed") < kinds.index("clip.accepted") < kinds.index("clip.retrimmed") < len(kinds) - 1 - kinds[::-1].index("clip.rendered"), kinds
    assert all(event["cloudEvent"]["specversion"] == "1.0" for event in events + edits)
    rendered = edits[-1]
    assert rendered["cause"]["type"] == "clip.render_requested", rendered
    step(f"{len(events)} events of the video and {len(edits)} of the clip say who did what, and why")


def analytics_answer_from_the_own_rows(client: Client, video: str) -> None:
    query = "query($sql: String!, $asOf: String) { analytics(sql: $sql, asOf: $asOf) { columns { name type } rows versions { table version } } }"
    ask = lambda sql, as_of=None: client.graphql(query, sql=sql, asOf=as_of)["analytics"]
    deadline = time.monotonic() + LAKE_SECONDS
    accepted = f"select count(*) as n from decisions where video = '{video}' and decision = 'accepted'"
    while True:
        try:
            answer = ask(accepted)
            if answer["rows"][0][0] > 0:
                break
        except Refused as refused:
            assert refused.code == "LAKE_EMPTY", refused.code
        assert time.monotonic() < deadline, "the lake has no decisions"
        time.sleep(1)
    assert answer["columns"] == [{"name": "n", "type": "Int64"}], answer
    assert ask("select count(*) from decisions", "0")["rows"] == [[0]], "the first version of a table is empty"
    for sql, code in (("drop table events", "LAKE_NOT_A_QUERY"), ("select 1; select 2", "LAKE_NOT_A_QUERY"), ("select * from '/etc/passwd'", "LAKE_BAD_SQL")):
        try:
            raise AssertionError(f"{sql} was answered: {ask(sql)}")
        except Refused as refused:
            assert refused.code == code, f"{sql}: {refused.code}"
    step("SQL over the lake answers what was decided, and nothing but one query")


if __name__ == "__main__":
    main()
