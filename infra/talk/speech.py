"""Speech of the sample talk: espeak-ng through its library, because only the library reports when each word starts."""

import ctypes
from dataclasses import dataclass

import numpy as np

RATE_HZ = 22050

# espeak-ng's speak_lib.h
AUDIO_OUTPUT_SYNCHRONOUS = 2
INITIALIZE_PHONEME_EVENTS = 1
CHARS_UTF8, END_PAUSE = 1, 0x1000
EVENT_LIST_TERMINATED, EVENT_WORD, EVENT_PHONEME = 0, 1, 7
PARAMETER_RATE, PARAMETER_VOLUME, PARAMETER_PITCH, PARAMETER_RANGE = 1, 2, 3, 4

SILENCE = ("_", "_:", "_::", "_!", "_|", "")


@dataclass(frozen=True)
class Word:
    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Delivery:
    """How a sentence is told; the differences are what prosody features should find."""

    words_per_minute: int
    pitch_range: int
    gain: float
    pause_after: float


DELIVERIES = {
    "!": Delivery(172, 78, 1.0, 0.34),
    ":": Delivery(160, 52, 0.78, 0.42),
    "~": Delivery(138, 14, 0.52, 0.80),
}


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    ]


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class Synthesizer:
    """One espeak-ng instance; the library is global, so there is never a second one."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        rate = self._library.espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, None, INITIALIZE_PHONEME_EVENTS)
        if rate != RATE_HZ:
            raise SystemExit(f"espeak-ng gives {rate} Hz where {RATE_HZ} Hz was expected: reinstall the package espeak-ng")
        # Kept on self: ctypes does not keep a callback alive.
        self._callback = _CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)
        self._samples: list[np.ndarray] = []
        self._events: list[tuple[int, int, int, str]] = []

    def say(self, text: str, voice: str, pitch: int, delivery: Delivery) -> tuple[np.ndarray, list[Word]]:
        """Returns the samples (float, full scale 1.0) and the words with their times."""
        self._samples, self._events = [], []
        self._library.espeak_SetVoiceByName(voice.encode())
        for parameter, value in (
            (PARAMETER_RATE, delivery.words_per_minute),
            (PARAMETER_VOLUME, 100),
            (PARAMETER_PITCH, pitch),
            (PARAMETER_RANGE, delivery.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(ctypes.c_char_p(data), len(data) + 1, 0, 1, 0, CHARS_UTF8 | END_PAUSE, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._samples).astype(np.float32) / 32768.0
        return samples * delivery.gain, _words(text, self._events, len(samples) / RATE_HZ)

    def _collect(self, wave, count: int, events) -> int:
        if count > 0:
            self._samples.append(np.ctypeslib.as_array(wave, (count,)).copy())
        index = 0
        while events[index].type != EVENT_LIST_TERMINATED:
            event = events[index]
            if event.type in (EVENT_WORD, EVENT_PHONEME):
                self._events.append((event.type, event.text_position, event.sample, event.name.decode(errors="replace")))
            index += 1
        return 0


def _words(text: str, events: list, duration: float) -> list[Word]:
    """Pairs the words of a text with espeak-ng's events.

    A word lasts from its first sounding phoneme to the next silence or word. Pairs such as "of the" are one event:
    they share its time by their letters.
    """
    spans, position = [], 0
    for token in text.split():
        position = text.index(token, position)
        spans.append((token, position))
        position += len(token)
    starts = sorted({p - 1 for kind, p, _, _ in events if kind == EVENT_WORD} & {at for _, at in spans})
    sounding: dict[int, list[float]] = {}
    phonemes = [(p - 1, sample / RATE_HZ, name) for kind, p, sample, name in events if kind == EVENT_PHONEME]
    for index, (at, start, name) in enumerate(phonemes):
        end = phonemes[index + 1][1] if index + 1 < len(phonemes) else duration
        if name.strip() in SILENCE or at not in starts:
            continue
        span = sounding.setdefault(at, [start, end])
        span[1] = max(span[1], end)
    words: list[Word] = []
    for index, at in enumerate(starts):
        until = starts[index + 1] if index + 1 < len(starts) else len(text)
        group = [token for token, position in spans if at <= position < until]
        start, end = sounding.get(at, [0.0, 0.0])
        letters, told = sum(map(len, group)), 0
        for token in group:
            first = start + (end - start) * told / letters
            told += len(token)
            words.append(Word(token, round(first, 3), round(start + (end - start) * told / letters, 3)))
    return words
