"""Reads script.txt and puts its topics in a seeded order."""

import random
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Line:
    voice: str
    delivery: str
    text: str
    highlight: str | None


@dataclass
class Topic:
    title: str
    bullets: list[str] = field(default_factory=list)
    figure: tuple[str, str] = ("", "")
    lines: list[Line] = field(default_factory=list)


def read(path: Path) -> list[Topic]:
    topics: list[Topic] = []
    highlight = None
    for number, raw in enumerate(path.read_text().splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.startswith("== "):
            topics.append(Topic(line[3:]))
        elif line.startswith("* "):
            topics[-1].bullets.append(line[2:])
        elif line.startswith("= "):
            figure, caption = line[2:].split("|")
            topics[-1].figure = (figure.strip(), caption.strip())
        elif line.startswith("[[ "):
            highlight = line[3:]
        elif line == "]]":
            highlight = None
        elif line[0] in "AB" and line[1] in ":!~":
            topics[-1].lines.append(Line(line[0], line[1], line[2:].strip(), highlight))
        else:
            raise SystemExit(f"{path.name}:{number}: not understood: {line}")
    return topics


def order(topics: list[Topic], seed: int):
    """Yields (round, topic) without end: each round is another order, and every other round swaps the voices."""
    draw = random.Random(seed)
    turn = 0
    while True:
        for topic in draw.sample(topics, len(topics)):
            if turn % 2:
                other = {"A": "B", "B": "A"}
                lines = [Line(other[x.voice], x.delivery, x.text, x.highlight) for x in topic.lines]
                topic = Topic(topic.title, topic.bullets, topic.figure, lines)
            yield turn, topic
        turn += 1
