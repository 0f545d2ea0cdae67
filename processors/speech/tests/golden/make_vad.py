"""Makes vad.json: speech probabilities of jfk.flac, every 32 ms, by the ONNX model in PyPI silero-vad 6.2.3.

usage: make_vad.py SILERO_VAD.onnx JFK.flac OUT.json      (needs numpy, onnxruntime and the ffmpeg program)
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime

command = ["ffmpeg", "-v", "error", "-i", sys.argv[2], "-ac", "1", "-ar", "16000", "-f", "f32le", "-"]
audio = np.frombuffer(subprocess.run(command, check=True, capture_output=True).stdout, np.float32)
audio = np.pad(audio, (0, -len(audio) % 512))
session = onnxruntime.InferenceSession(sys.argv[1])
state, context, found = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32), []
for frame in audio.reshape(-1, 1, 512):
    frame = np.concatenate([context, frame], 1)
    probability, state = session.run(None, {"input": frame, "state": state, "sr": np.array(16_000, np.int64)})
    context = frame[:, -64:]
    found.append(round(float(probability[0, 0]), 4))
Path(sys.argv[3]).write_text(json.dumps(found) + "\n")
