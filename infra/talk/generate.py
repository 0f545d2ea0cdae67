"""Makes the sample talk: talk.mp4, truth.json with everything that is known about it, and talk.srt.

    generate.py --minutes 3 --seed 2 --out DIR

The same minutes and seed give the same talk; a talk made before is taken from the cache folder. The talk exists so
that everything downstream can be measured against the truth: cuts, face boxes, word times, planted highlights.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

import script
import timeline
from picture import HEIGHT, WIDTH
from scenes import Scenes
from speech import RATE_HZ

HERE = Path(__file__).parent
FPS = timeline.FPS
# The largest that Linux grants without privileges; the default of 64 KiB costs 48 turns per frame.
PIPE_BYTES = 1 << 20
OUTPUTS = ("talk.mp4", "truth.json", "talk.srt")
ENCODER = (
    "-c:v libx264 -preset ultrafast -profile:v high -crf 20 -bf 2 -g 250 -threads 1 -pix_fmt yuv420p "
    "-color_range tv -colorspace bt709 -color_primaries bt709 -color_trc bt709 "
    # What ultrafast leaves out and any camera has; adaptive quantisation would spend nine tenths of the bits on the grain.
    "-x264-params open-gop=0:cabac=1:8x8dct=1:deblock=0,0"
).split()


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--minutes", type=float, default=3.0)
    arguments.add_argument("--seed", type=int, default=2)
    arguments.add_argument("--out", type=Path, required=True)
    options = arguments.parse_args()
    if not 0.5 <= options.minutes <= 360:
        raise SystemExit("--minutes must be between 0.5 and 360")
    options.out.mkdir(parents=True, exist_ok=True)
    kept = cache_folder(options.minutes, options.seed)
    if not all((kept / name).exists() for name in OUTPUTS):
        started = time.monotonic()
        make(options.minutes, options.seed, kept)
        print(f"made a talk of {options.minutes:g} minutes in {time.monotonic() - started:.1f} s")
    for name in OUTPUTS:
        place(kept / name, options.out / name)
    print(f"{options.out / 'talk.mp4'}")


def cache_folder(minutes: float, seed: int) -> Path:
    """A talk is named by what makes it: its parameters and the generator's own text."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256()
    for source in sorted([*HERE.glob("*.py"), HERE / "script.txt"]):
        digest.update(source.read_bytes())
    return root / "clipflow" / "talks" / f"{minutes:g}min-seed{seed}-{digest.hexdigest()[:12]}"


def place(source: Path, target: Path) -> None:
    """A hard link where the file system allows it, a copy otherwise."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def make(minutes: float, seed: int, folder: Path) -> None:
    cv2.setNumThreads(1)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as temporary:
        work = Path(temporary)
        plan = timeline.plan(script.read(HERE / "script.txt"), minutes, seed)
        plan.samples.astype("<f4").tofile(work / "speech.f32")
        faces = film(plan, seed, work)
        join(plan, work)
        (work / "truth.json").write_text(json.dumps(truth(plan, minutes, seed, faces)))
        (work / "talk.srt").write_text(subtitles(plan))
        made = work / "made"
        made.mkdir()
        for name in OUTPUTS:
            (work / name).rename(made / name)
        shutil.rmtree(folder, ignore_errors=True)
        made.rename(folder)


def film(plan: timeline.Plan, seed: int, work: Path) -> list:
    """Encodes every shot on its own, two at a time; returns the face boxes of every frame."""
    scenes = Scenes(plan, seed)
    workers = max(2, os.cpu_count() or 2)
    done = 0
    faces: list = []
    with ThreadPoolExecutor(workers) as pool:
        for boxes in pool.map(lambda shot: encode(scenes, shot, work), plan.shots):
            faces += boxes
            done += 1
            if sys.stderr.isatty():
                print(f"\rdrawing shot {done} of {len(plan.shots)}", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return faces


def encode(scenes: Scenes, shot: timeline.Shot, work: Path) -> list:
    command = ["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS)]
    command += ["-i", "-", *ENCODER, "-video_track_timescale", "15360", str(work / f"{shot.start:07d}.mp4")]
    boxes = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, pipesize=PIPE_BYTES) as encoder:
        for pixels, faces in scenes.frames(shot):
            encoder.stdin.write(pixels)
            boxes.append(faces)
        encoder.stdin.close()
    if encoder.returncode:
        raise SystemExit(f"ffmpeg could not encode the shot at frame {shot.start}")
    return boxes


def join(plan: timeline.Plan, work: Path) -> None:
    listing = "".join(f"file '{shot.start:07d}.mp4'\nduration {shot.frames / FPS:.6f}\n" for shot in plan.shots)
    (work / "shots.txt").write_text("ffconcat version 1.0\n" + listing)
    command = ["ffmpeg", "-y", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(work / "shots.txt")]
    command += ["-f", "f32le", "-ar", str(RATE_HZ), "-ac", "1", "-i", str(work / "speech.f32"), "-map", "0:v", "-map", "1:a", "-c:v", "copy"]
    command += ["-c:a", "aac", "-b:a", "128k", "-ar", "48000", "-ac", "2", "-movflags", "+faststart", str(work / "talk.mp4")]
    subprocess.run(command, check=True)


def truth(plan: timeline.Plan, minutes: float, seed: int, faces: list) -> dict:
    cuts = [shot.start for shot in plan.shots[1:]]
    return {
        "version": 1,
        "minutes": minutes,
        "seed": seed,
        "width": WIDTH,
        "height": HEIGHT,
        "fps": FPS,
        "frames": plan.frames,
        "duration_seconds": plan.frames / FPS,
        "cuts": [{"frame": frame, "seconds": round(frame / FPS, 4)} for frame in cuts],
        "topics": [{"title": t.title, "round": r} for t, r in zip(plan.topics, plan.rounds)],
        "shots": [shot.facts() for shot in plan.shots],
        "sentences": [sentence.facts() for sentence in plan.sentences],
        "words": [word for sentence in plan.sentences for word in sentence.words],
        "highlights": plan.highlights,
        "dull": plan.dull,
        "text": " ".join(sentence.text for sentence in plan.sentences),
        "faces": faces,
    }


def subtitles(plan: timeline.Plan) -> str:
    def stamp(seconds: float) -> str:
        ms = round(seconds * 1000)
        return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d},{ms % 1000:03d}"

    blocks = [f"{n}\n{stamp(s.start)} --> {stamp(s.end)}\n{s.text}\n" for n, s in enumerate(plan.sentences, 1)]
    return "\n".join(blocks)


if __name__ == "__main__":
    main()
