"""The open tools that a user would take instead, each run as its own process: peers.py whisper|shots FILE …, prints JSON."""

import argparse
import json
import time


def whisper(file: str, model: str, batch: int) -> dict:
    from faster_whisper import BatchedInferencePipeline, WhisperModel
    from faster_whisper.audio import decode_audio

    loaded = WhisperModel(model, device="cpu", compute_type="int8", cpu_threads=2)
    started = time.monotonic()
    sound = decode_audio(file)
    if batch:
        segments, _ = BatchedInferencePipeline(loaded).transcribe(sound, word_timestamps=True, beam_size=1, batch_size=batch)
    else:
        segments, _ = loaded.transcribe(sound, word_timestamps=True, beam_size=1, vad_filter=True)
    words = [{"text": w.word.strip(), "start": w.start, "end": w.end} for s in segments for w in s.words]
    return {"seconds": time.monotonic() - started, "words": words}


def shots(file: str) -> dict:
    from scenedetect import ContentDetector, detect

    started = time.monotonic()
    found = detect(file, ContentDetector())
    return {"seconds": time.monotonic() - started, "cuts": [first.frame_num for first, _ in found][1:]}


def sqlite(folder: str, seconds: float) -> dict:
    """Bare SQLite as the log uses it: WAL, synchronous=FULL, one conditional insert per transaction, one writer."""
    import os
    import sqlite3

    base = sqlite3.connect(os.path.join(folder, "bare.db"), isolation_level=None)
    base.execute("PRAGMA journal_mode=WAL")
    base.execute("PRAGMA synchronous=FULL")
    base.execute("CREATE TABLE events(position INTEGER PRIMARY KEY, stream TEXT, version INTEGER, payload BLOB, UNIQUE(stream, version))")
    payload, times, number = b"x" * 300, [], 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.monotonic()
        base.execute("BEGIN IMMEDIATE")
        base.execute("SELECT max(version) FROM events WHERE stream = ?", (f"s{number % 100}",)).fetchone()
        base.execute("INSERT INTO events(stream, version, payload) VALUES(?, ?, ?)", (f"s{number % 100}", number // 100, payload))
        base.execute("COMMIT")
        times.append(time.monotonic() - started)
        number += 1
    started = time.monotonic()
    read = sum(1 for _ in base.execute("SELECT position, stream, version, payload FROM events ORDER BY position"))
    return {"appends_per_second": number / seconds, "p99_ms": sorted(times)[int(number * 0.99)] * 1e3, "replay_per_second": read / (time.monotonic() - started)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("peer", choices=["whisper", "shots", "sqlite"])
    arguments.add_argument("file")
    arguments.add_argument("--model")
    arguments.add_argument("--batch", type=int, default=0)
    arguments.add_argument("--seconds", type=float, default=5.0)
    options = arguments.parse_args()
    if options.peer == "whisper":
        result = whisper(options.file, options.model, options.batch)
    elif options.peer == "shots":
        result = shots(options.file)
    else:
        result = sqlite(options.file, options.seconds)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
