"""Makes the tables of docs/performance.md: bench.py [NAME…], all but `build` by default; RUNS=5 sets the number of runs.

Every table is measured on this machine, ours and the named peer in turn, and written between its marks in the page.
"""

import difflib
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path

import logs
import stores
from measure import RUNS, Cost, median, run, side_by_side, table

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
CLIPFLOW = TARGET / "release" / "clipflow"
PEERS = Path(__file__).with_name("peers.py")
MODELS = Path(os.environ.get("CLIPFLOW_MODELS") or Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share") / "clipflow/models")
TALK = ROOT / "out/talk12"
DEMO = ROOT / "out/talk"
PAGE = ROOT / "docs/performance.md"
CLIP_SECONDS, CLIPS, PRESET, CRF = 30, 6, "veryfast", 21


def peer(*arguments) -> Cost:
    return run([sys.executable, PEERS, *arguments])


def transcribe() -> str:
    model, talk = str(MODELS / "tiny.en"), TALK / "talk.mp4"
    results = side_by_side({
        "ClipFlow": lambda: run([CLIPFLOW, "bench", "transcribe", talk, "--model", "tiny.en", "--json"]),
        "faster-whisper int8, sequential": lambda: peer("whisper", talk, "--model", model),
        "faster-whisper int8, batch 8": lambda: peer("whisper", talk, "--model", model, "--batch", "8"),
    })
    truth = json.loads((TALK / "truth.json").read_text())["words"]
    seconds = {name: statistics.median(c.json()["seconds"] for c in costs) for name, costs in results.items()}
    rows = []
    for name, costs in results.items():
        found, off = word_errors(truth, costs[0].json()["words"])
        faster = seconds[name] / seconds["ClipFlow"]
        rows.append([name, f"{seconds[name]:.1f} s", f"{720 / seconds[name]:.0f}×", f"{faster:.2f}×", f"{found:.1%}", f"{off * 1000:.0f} ms", megabytes(costs)])
    return table(["12 min, tiny.en, word times", "wall", "speed", "ours is faster by", "words right", "word start off", "peak memory"], rows)


def word_errors(truth: list, heard: list) -> tuple[float, float]:
    """Share of true words that were heard, and how far their starts are off (median)."""
    plain = lambda words: [re.sub(r"[^a-z0-9]", "", w["text"].lower()) for w in words]
    matcher = difflib.SequenceMatcher(None, plain(truth), plain(heard), autojunk=False)
    pairs = [(a + i, b + i) for a, b, n in matcher.get_matching_blocks() for i in range(n)]
    return len(pairs) / len(truth), statistics.median(abs(truth[a]["start"] - heard[b]["start"]) for a, b in pairs)


def analyze() -> str:
    talk = TALK / "talk.mp4"
    results = side_by_side({
        "ClipFlow: shots, faces, loudness, prosody": lambda: run([CLIPFLOW, "bench", "analyze", talk, "--json"]),
        "PySceneDetect: shots only": lambda: peer("shots", talk),
    })
    truth = [cut["frame"] for cut in json.loads((TALK / "truth.json").read_text())["cuts"]]
    rows = []
    for name, costs in results.items():
        seconds = statistics.median(c.json()["seconds"] for c in costs)
        rows.append([name, f"{seconds:.1f} s", f"{median(costs, 'cpu'):.1f} s", f"{f1(truth, costs[0].json()['cuts']):.3f}", megabytes(costs)])
    return table(["12 min, 1080p30", "wall", "CPU", "F1 of cuts", "peak memory"], rows)


def f1(truth: list[int], found: list[int], tolerance: int = 1) -> float:
    hits = sum(any(abs(t - f) <= tolerance for f in found) for t in truth)
    return 2 * hits / max(1, len(truth) + len(found))


def render() -> str:
    """Once beside a crop that stands still, once beside one that shows the same as ours: x264 spends half as much again on a moving picture."""
    talk, words = TALK / "talk.mp4", json.loads((TALK / "truth.json").read_text())["words"]
    ours = lambda: run([CLIPFLOW, "bench", "render", talk, "--json"])
    with tempfile.TemporaryDirectory() as folder:
        captions = Path(folder) / "captions.ass"
        captions.write_text(ass([w for w in words if w["end"] <= CLIP_SECONDS + 1]))

        def peer(picture: str) -> Cost:
            graph = f"{picture},ass={captions}[out]"
            command = ["ffmpeg", "-y", "-v", "error", "-t", CLIP_SECONDS, "-i", talk, "-filter_complex", graph, "-map", "[out]", "-map", "0:a"]
            encode = ["-c:v", "libx264", "-preset", PRESET, "-crf", CRF, "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "160k"]
            return run(command + encode + ["-movflags", "+faststart", Path(folder) / "peer.mp4"])

        same = same_picture(ours().json()["layout"], Path(folder))
        results = side_by_side({
            "ClipFlow: faces, camera, captions, loudness": ours,
            "ffmpeg: the same picture, libass, x264": lambda: peer(same),
            "ffmpeg: fixed crop, libass, x264": lambda: peer("[0:v]crop=trunc(ih*9/16/2)*2:ih,scale=1080:1920:flags=bilinear"),
        })
    cpu = median(results["ClipFlow: faces, camera, captions, loudness"], "cpu")
    rows = [[name, f"{median(c, 'cpu'):.1f} s", f"{cpu / median(c, 'cpu'):.2f}×", f"{median(c):.1f} s", megabytes(c)] for name, c in results.items()]
    return table([f"30 s to 1080×1920, {PRESET}, CRF {CRF}", "CPU", "ours is of it", "wall", "peak memory"], rows)


def same_picture(layout: list[dict], folder: Path) -> str:
    """A filter graph that shows what ours shows: segment by segment a crop that moves, or the whole picture on a blurred copy of its middle."""
    graph = [f"[0:v]split={len(layout)}" + "".join(f"[in{n}]" for n in range(len(layout)))]
    for n, segment in enumerate(layout):
        first, end = segment["first_frame"], segment["first_frame"] + segment["frames"]
        cut = f"[in{n}]trim=start_frame={first}:end_frame={end},setpts=PTS-STARTPTS"
        if keys := segment["layout"].get("camera"):
            moves = folder / f"moves{n}.txt"
            moves.write_text("".join(f"{at:.4f} crop@{n} x {x};\n" for at, x in crop_path(keys, segment["frames"])))
            crop = f"crop@{n}=trunc(ih*9/16/2)*2:ih"
            graph.append(f"{cut},sendcmd=f={moves},{crop},scale=1080:1920:flags=bilinear,setsar=1[out{n}]")
        else:
            graph.append(f"{cut},split[back{n}][front{n}]")
            blurred = "scale=68:120:flags=area,boxblur=3:3,lutyuv=y=(val+16)/2"
            graph.append(f"[back{n}]crop=trunc(ih*9/16/2)*2:ih,{blurred},scale=1080:1920:flags=bilinear,setsar=1[behind{n}]")
            graph.append(f"[front{n}]scale=1080:608:flags=bilinear,setsar=1[whole{n}]")
            graph.append(f"[behind{n}][whole{n}]overlay=0:656[out{n}]")
    return ";".join(graph) + ";" + "".join(f"[out{n}]" for n in range(len(layout))) + f"concat=n={len(layout)}:v=1:a=0"


def crop_path(keys: list[dict], frames: int, width=1920, height=1080, rate=30):
    """Where our crop's left edge is at each frame of a segment."""
    crop = height * 9 // 16 // 2 * 2
    for frame in range(frames):
        after = next((n for n, key in enumerate(keys) if key["frame"] > frame), len(keys))
        a, b = keys[max(0, after - 1)], keys[min(after, len(keys) - 1)]
        part = (frame - a["frame"]) / max(1, b["frame"] - a["frame"])
        x = (a["x"] + (b["x"] - a["x"]) * part) * width - crop / 2
        yield frame / rate, round(min(max(x, 0), width - crop))


def ass(words: list[dict]) -> str:
    """Three words at a time with karaoke marks, as the usual scripts write them."""
    stamp = lambda t: f"{int(t // 3600)}:{int(t % 3600 // 60):02d}:{t % 60:05.2f}"
    head = "[Script Info]\nScriptType: v4.00+\nPlayResX: 1080\nPlayResY: 1920\n\n[V4+ Styles]\nFormat: Name,Fontname,Fontsize,PrimaryColour,SecondaryColour,OutlineColour,BackColour,Bold,BorderStyle,Outline,Shadow,Alignment,MarginL,MarginR,MarginV,Encoding\nStyle: K,Inter,92,&H000DDBFF,&H00FFFFFF,&H00000000,&H80000000,-1,1,7,4,2,60,60,380,1\n\n[Events]\nFormat: Layer,Start,End,Style,Name,MarginL,MarginR,MarginV,Effect,Text\n"
    lines = []
    for index in range(0, len(words), 3):
        group = words[index : index + 3]
        text = "".join(f"{{\\k{max(1, int((w['end'] - w['start']) * 100))}}}{w['text']} " for w in group)
        lines.append(f"Dialogue: 0,{stamp(group[0]['start'])},{stamp(group[-1]['end'])},K,,0,0,0,,{text}")
    return head + "\n".join(lines) + "\n"


def job() -> str:
    rows = []
    for title, talk, extra in (
        (f"12 min to {CLIPS} clips of about {CLIP_SECONDS} s", TALK, ["--count", CLIPS, "--lengths", "25-35"]),
        ("3 min, as `just demo`", DEMO, []),
    ):
        walls, firsts, peaks, clips = [], [], [], 0
        for number in range(RUNS):
            print(f"  run {number + 1} of {RUNS}: {title}", file=sys.stderr)
            with tempfile.TemporaryDirectory() as folder:
                data = ["--data", f"{folder}/data"]
                cost = run([CLIPFLOW, *data, "clip", talk / "talk.mp4", "--out", f"{folder}/out", "--json", *extra])
                events = [json.loads(line) for line in run([CLIPFLOW, *data, "events"]).output.splitlines()]
                clips = len(cost.json()["clips"])
            walls.append(cost.wall)
            peaks.append(cost.peak_bytes)
            firsts.append(first_clip(events))
        rows.append([title, clips, f"{statistics.median(walls):.0f} s", f"{statistics.median(firsts):.0f} s", f"{max(peaks) / 2**30:.2f} GiB"])
    return table(["whole job", "clips", "wall", "first clip ready after", "peak memory"], rows)


def first_clip(events: list[dict]) -> float:
    """Seconds from the submission to the first finished rendition, by the log's own clock."""
    from datetime import datetime

    at = lambda kind: min(datetime.fromisoformat(e["time"].replace("Z", "+00:00")) for e in events if e["type"].lower().endswith(kind))
    return (at("clip.rendered") - at("video.submitted")).total_seconds()


def build() -> str:
    """Cold once, because it takes long; the rest as often as the others. A wrapper would hide what a change costs."""
    with tempfile.TemporaryDirectory(dir=TARGET.parent) as folder:
        cargo = lambda *words: run(["cargo", *words, "--locked", "--quiet"], CARGO_TARGET_DIR=folder)
        rows = [["`cargo check -p domain`, cold", f"{cargo('check', '-p', 'domain').wall:.0f} s"]]
        rows.append(["`cargo build --release -p clipflow`, cold", f"{cargo('build', '--release', '-p', 'clipflow').wall:.0f} s"])
        for title, file, words in (
            ("`cargo check -p domain`, one file changed", "domain/src/clip.rs", ["check", "-p", "domain"]),
            ("release binary, one file of `app` changed", "app/src/main.rs", ["build", "--release", "-p", "clipflow"]),
            ("release binary, one file of `domain` changed", "domain/src/lib.rs", ["build", "--release", "-p", "clipflow"]),
        ):
            walls, before = [], (ROOT / file).read_text()
            try:
                for number in range(RUNS):
                    # A function more: a file that is only touched compiles to what it did, which the compiler notices.
                    with (ROOT / file).open("a") as changed:
                        changed.write(f"\n/// Added by a benchmark.\n#[allow(dead_code)]\npub fn benchmark_{number}() -> u32 {{\n    {number}\n}}\n")
                    walls.append(cargo(*words).wall)
            finally:
                (ROOT / file).write_text(before)
            rows.append([title, f"{statistics.median(walls):.1f} s"])
    return table(["build", "wall"], rows)


def megabytes(costs: list[Cost]) -> str:
    return f"{max(c.peak_bytes for c in costs) / 2**20:,.0f} MiB"


def paste(name: str, text: str) -> None:
    """Writes a table between its marks in the page."""
    page = PAGE.read_text()
    pattern = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- end -->)", re.S)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE.name} has no place for {name!r}")
    PAGE.write_text(pattern.sub(lambda m: f"{m[1]}{text}\n{m[2]}", page))


BENCHES = {f.__name__.replace("_", "-"): f for f in (transcribe, analyze, render, job, logs.log, logs.log_kafka, logs.log_reading, stores.stores, build)}


def main() -> None:
    names = sys.argv[1:] or [name for name in BENCHES if name != "build"]
    for name in names:
        if name not in BENCHES:
            raise SystemExit(f"no benchmark {name!r}; there are: {', '.join(BENCHES)}")
        print(f"{name}:", file=sys.stderr)
        text = BENCHES[name]()
        print(text, flush=True)
        paste(name, text)


if __name__ == "__main__":
    main()
