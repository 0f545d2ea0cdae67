"""Which picture belongs to which shot of the sample talk."""

import random
import threading
from functools import lru_cache

import numpy as np

import picture
from camera import Frame, Person, Sprite, Sway, frames

from portraits import admiral, astronaut
from speech import RATE_HZ
from timeline import FPS, Plan, Shot

TITLE, SUBTITLE, GOODBYE = "Things that keep working", "A talk in short stories", "Thank you"
ROOMS = {"A": ((44, 76, 108), (14, 20, 40)), "B": ((112, 70, 48), (34, 20, 26)), "both": ((30, 52, 60), (62, 42, 58))}
DESKS = {"A": (58, 46, 42), "B": (44, 34, 40), "both": (50, 42, 44)}
FACE_HEIGHT = {"close": 400, "stage": 236, "duo": 262}
# A face's middle, from the top.
FACE_Y = {("close", "A"): 400, ("close", "B"): 470, ("stage", "A"): 440, ("stage", "B"): 560, ("duo", "A"): 470, ("duo", "B"): 560}


class Scenes:
    """Draws the shots of a plan; safe to use from several threads."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan, self._seed = plan, seed
        self._portraits = {"A": astronaut(), "B": admiral()}
        self._loudness = loudness(plan.samples, plan.frames)
        self._local = threading.local()
        self._lock = threading.Lock()
        self._sprites: dict = {}

    def frames(self, shot: Shot):
        """Yields (bytes, face boxes) for every frame of the shot."""
        if shot.kind in ("close", "stage", "duo"):
            yield from self._camera(shot)
            return
        changes = [0, *shot.reveals, shot.frames]
        for step, (start, end) in enumerate(zip(changes, changes[1:])):
            still = Frame().fill(self._still(shot, shot.shown + step))
            for _ in range(start, end):
                yield still.memory, []

    def _still(self, shot: Shot, shown: int):
        topic = self._plan.topics[shot.topic]
        if shot.kind == "cover":
            return picture.cover(TITLE if shot.start == 0 else GOODBYE, SUBTITLE if shot.start == 0 else TITLE)
        if shot.kind == "figure":
            return picture.figure(*topic.figure, shot.topic)
        return picture.slide(topic.title, topic.bullets, shown, shot.topic)

    def _camera(self, shot: Shot):
        draw = random.Random(self._seed * 100003 + shot.start)
        if not hasattr(self._local, "memory"):
            self._local.memory = Frame()
        place = "both" if shot.kind == "duo" else shot.voice
        # The close camera looks over the desk.
        room, front = self._room(shot, place), None if shot.kind == "close" else desk(place)
        people = []
        if shot.kind == "duo":
            for voice, x, mirrored in (("A", 560, False), ("B", 1370, False)):
                people.append(self._person(voice, "duo", x, mirrored, draw.uniform(10, 26), shot.voice == voice, draw))
        elif shot.kind == "stage":
            x = 1560 if self._card_left(shot) else 390
            people.append(self._person(shot.voice, "stage", x, x < 960, draw.uniform(20, 90), True, draw))
        else:
            x = draw.choice([700, 820, 1090, 1220])
            people.append(self._person(shot.voice, "close", x, shot.variant % 2 == 1, draw.uniform(24, 70), True, draw))
        yield from frames(room, front, people, self._loudness, shot.start, shot.frames, FPS, self._local.memory)

    def _person(self, voice: str, kind: str, x: float, mirrored: bool, reach: float, speaking: bool, draw: random.Random) -> Person:
        # The admiral wears her name and her ribbons: she is never mirrored.
        mirrored = mirrored and voice == "A"
        key = (voice, kind, mirrored)
        with self._lock:
            if key not in self._sprites:
                self._sprites[key] = Sprite(self._portraits[voice], FACE_HEIGHT[kind], mirrored)
        return Person(voice, self._sprites[key], Sway.drawn(x, FACE_Y[kind, voice], reach, draw), speaking)

    def _room(self, shot: Shot, place: str) -> Frame:
        if shot.kind != "stage":
            return empty_room(place, shot.variant % 2)
        topic = self._plan.topics[shot.topic]
        card = picture.slide(topic.title, topic.bullets, shot.shown, shot.topic)
        return Frame().fill(picture.with_card(studio(place, shot.variant % 2), card, 110 if self._card_left(shot) else 730))

    @staticmethod
    def _card_left(shot: Shot) -> bool:
        return shot.variant < 2


@lru_cache(maxsize=8)
def studio(place: str, variant: int):
    return picture.studio(*ROOMS[place], seed=11 * variant + len(place) + ord(place[0]))


@lru_cache(maxsize=6)
def empty_room(place: str, variant: int) -> Frame:
    return Frame().fill(studio(place, variant))


@lru_cache(maxsize=4)
def desk(place: str) -> Frame:
    image = picture.studio(*ROOMS[place], seed=0)
    image.paste(picture.desk(DESKS[place]), (0, picture.DESK_TOP))
    return Frame().fill(image)


def loudness(samples: np.ndarray, count: int) -> np.ndarray:
    """How open a speaking mouth is in each frame, 0 to 1."""
    size = RATE_HZ // FPS
    padded = np.zeros(count * size, np.float32)
    padded[: min(len(samples), len(padded))] = samples[: len(padded)]
    level = np.sqrt((padded.reshape(count, size) ** 2).mean(axis=1))
    level = np.convolve(level, [0.25, 0.5, 0.25], "same")
    return np.clip(level / (np.quantile(level, 0.93) + 1e-6), 0, 1)
