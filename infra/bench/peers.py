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


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("peer", choices=["whisper", "shots"])
    arguments.add_argument("file")
    arguments.add_argument("--model")
    arguments.add_argument("--batch", type=int, default=0)
    options = arguments.parse_args()
    if options.peer == "whisper":
        result = whisper(options.file, options.model, options.batch)
    else:
        result = shots(options.file)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
