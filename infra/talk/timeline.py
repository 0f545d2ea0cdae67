"""When everything happens in the sample talk: words, sentences, shots. Pure but for the voice; no pictures here."""

import random
from dataclasses import dataclass, field

import numpy as np

import script
from speech import DELIVERIES, RATE_HZ, Synthesizer

FPS = 30
LEAD_IN_SECONDS = 1.6
OUTRO = ("A", ":", "Thank you for listening, and keep it working.")
END_CARD_SECONDS = 3.0
TOPIC_PAUSE_SECONDS = 1.1
PAUSE_STRETCH_SECONDS_MAX = 0.7
SHOT_SECONDS_MIN, SHOT_SECONDS_MAX = 2.6, 10.5
# -50 dBFS: a room is never digitally silent.
ROOM_TONE = 0.0022

VOICES = {"A": ("en-us+f3", 52), "B": ("en-gb+f2", 38)}


@dataclass
class Sentence:
    voice: str
    text: str
    start: float
    end: float
    words: list[dict]
    topic: int
    delivery: str
    highlight: str | None

    def facts(self) -> dict:
        return {k: getattr(self, k) for k in ("voice", "text", "start", "end", "topic", "delivery", "highlight")}


@dataclass
class Shot:
    kind: str
    voice: str
    start: int
    frames: int
    topic: int
    variant: int
    # Frames, counted from the shot's start, at which the next bullet appears.
    reveals: list[int] = field(default_factory=list)
    shown: int = 0

    def facts(self) -> dict:
        return {"kind": self.kind, "voice": self.voice, "start_frame": self.start, "end_frame": self.start + self.frames, "topic": self.topic}


@dataclass
class Plan:
    samples: np.ndarray
    frames: int
    topics: list[script.Topic]
    # Which round of the script each topic belongs to; from 1 on a topic is a repeat, mostly with the voices swapped.
    rounds: list[int]
    sentences: list[Sentence]
    shots: list[Shot]
    highlights: list[dict]
    dull: list[dict]


def plan(topics: list[script.Topic], minutes: float, seed: int) -> Plan:
    frames = round(minutes * 60 * FPS)
    told, rounds, sentences, samples = _tell(topics, frames / FPS, seed)
    highlights = _groups(sentences, lambda s: s.highlight)
    dull = _groups(sentences, lambda s: "flat" if s.delivery == "~" else None)
    shots = _shots(sentences, told, frames, random.Random(seed + 1))
    return Plan(samples, frames, told, rounds, sentences, shots, highlights, dull)


def _tell(topics: list[script.Topic], duration: float, seed: int):
    """Speaks topic after topic until the time is used up; a planted highlight is told whole or not at all."""
    synthesizer, draw = Synthesizer(), random.Random(seed)
    outro = _spoken(synthesizer, [script.Line(*OUTRO, None)], draw)
    limit = duration - END_CARD_SECONDS - outro.seconds
    at, told, rounds, blocks = LEAD_IN_SECONDS, [], [], []
    for turn, topic in script.order(topics, seed):
        told.append(topic)
        rounds.append(turn)
        skipped = False
        for lines in _blocks(topic.lines):
            block = _spoken(synthesizer, lines, draw)
            if at + block.seconds > limit:
                skipped = True
                continue
            blocks.append((at, block, len(told) - 1))
            at += block.seconds
        at += TOPIC_PAUSE_SECONDS
        if skipped:
            break
    # What no block fits into becomes longer pauses rather than a long silence at the end.
    stretch = min(PAUSE_STRETCH_SECONDS_MAX, max(0.0, limit - at) / len(blocks))
    blocks.append((at, outro, len(told) - 1))
    track = np.random.default_rng(seed).normal(0, ROOM_TONE, round(duration * RATE_HZ)).astype(np.float32)
    sentences: list[Sentence] = []
    for index, (start, block, topic) in enumerate(blocks):
        for line, samples, words, offset in block.lines:
            begin = start + index * stretch + offset
            first = round(begin * RATE_HZ)
            track[first : first + len(samples)] += samples[: len(track) - first]
            sentences += _sentences(line, words, begin, topic)
    return told, rounds, sentences, np.clip(track * 0.7, -1, 1)


@dataclass(frozen=True)
class Block:
    """Lines that belong together, spoken: (line, samples, words, seconds from the block's start)."""

    lines: list[tuple]
    seconds: float


def _spoken(synthesizer: Synthesizer, lines: list[script.Line], draw: random.Random) -> Block:
    result, at = [], 0.0
    for line in lines:
        delivery = DELIVERIES[line.delivery]
        samples, words = synthesizer.say(line.text, *VOICES[line.voice], delivery)
        result.append((line, samples, words, at))
        at += len(samples) / RATE_HZ + delivery.pause_after * draw.uniform(0.8, 1.3)
    return Block(result, at)


def _blocks(lines: list[script.Line]):
    """Lines grouped so that a highlight is one block and any other line is its own."""
    block: list[script.Line] = []
    for line in lines:
        if block and (line.highlight is None or line.highlight != block[-1].highlight):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _sentences(line: script.Line, words, start: float, topic: int) -> list[Sentence]:
    result, current = [], []
    for word in words:
        current.append({"text": word.text, "start": round(start + word.start, 3), "end": round(start + word.end, 3), "voice": line.voice})
        if word.text[-1] in ".?!":
            text = " ".join(w["text"] for w in current)
            result.append(Sentence(line.voice, text, current[0]["start"], current[-1]["end"], current, topic, line.delivery, line.highlight))
            current = []
    return result


def _groups(sentences: list[Sentence], key) -> list[dict]:
    groups: list[dict] = []
    last = None
    for sentence in sentences:
        name = key(sentence)
        if name and last == (name, sentence.topic):
            groups[-1]["end"] = sentence.end
            groups[-1]["text"] += " " + sentence.text
        elif name:
            groups.append({"title": name, "topic": sentence.topic, "start": sentence.start, "end": sentence.end, "text": sentence.text})
        last = (name, sentence.topic)
    return groups


def _shots(sentences: list[Sentence], topics: list[script.Topic], frames: int, draw: random.Random) -> list[Shot]:
    """Cuts between sentences, in the middle of the pause; never two equal pictures in a row."""
    shots = [Shot("cover", "A", 0, 0, 0, 0)]
    shown: dict[int, int] = {}
    figure_told: set[int] = set()
    for index, sentence in enumerate(sentences[:-1]):
        before = sentences[index - 1].end if index else sentence.start - 0.3
        cut = round((before + sentence.start) / 2 * FPS)
        shot = shots[-1]
        length = (sentences[index].end - shot.start / FPS, (cut - shot.start) / FPS)
        new_topic = sentence.topic != shot.topic or shot.kind == "cover"
        other_voice = sentence.voice != shot.voice and shot.kind in ("close", "stage")
        must = new_topic or (other_voice and length[1] > 1.2) or length[0] > SHOT_SECONDS_MAX
        if must or (length[1] >= SHOT_SECONDS_MIN and draw.random() < 0.35):
            kind = "slide" if new_topic else _kind(sentence, shot, sentence.topic in figure_told, draw)
            if kind == "figure":
                figure_told.add(sentence.topic)
            shots.append(Shot(kind, sentence.voice, cut, 0, sentence.topic, draw.randrange(4)))
            shots[-1].shown = shown.setdefault(sentence.topic, 1)
        elif shots[-1].kind == "slide" and shown[sentence.topic] < len(topics[sentence.topic].bullets):
            shots[-1].reveals.append(cut - shots[-1].start)
            shown[sentence.topic] += 1
    last = sentences[-1]
    shots.append(Shot("cover", last.voice, round((sentences[-2].end + last.start) / 2 * FPS), 0, last.topic, 1))
    for shot, following in zip(shots, [*shots[1:], None]):
        shot.frames = (following.start if following else frames) - shot.start
    return shots


def _kind(sentence: Sentence, last: Shot, figure_told: bool, draw: random.Random) -> str:
    if sentence.highlight:
        weights = {"close": 6, "stage": 4, "duo": 2, "figure": 0 if figure_told else 2}
    elif sentence.delivery == "~":
        weights = {"slide": 3, "stage": 4, "duo": 2}
    else:
        weights = {"close": 3, "stage": 4, "duo": 2, "slide": 1}
    if last.kind in weights and (last.kind != "close" or last.voice == sentence.voice):
        weights[last.kind] = 0
    if last.kind == "stage" and last.voice != sentence.voice:
        weights["stage"] = 3
    kinds = list(weights)
    return draw.choices(kinds, [weights[k] for k in kinds])[0]
