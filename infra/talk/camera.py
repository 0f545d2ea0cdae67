"""Camera shots: people who sway, breathe and move their mouths in front of a room, with a little grain."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from picture import DESK_TOP, HEIGHT, WIDTH, planes
from portraits import Portrait

GRAIN_SIGMA = 1.0
GRAIN_COUNT = 6
MOUTH_LEVELS = 4


class Sprite:
    """A portrait at one size, as premultiplied planes and the inverse of its mask."""

    def __init__(self, portrait: Portrait, face_height: int, mirrored: bool) -> None:
        bgra = portrait.bgra[:, ::-1] if mirrored else portrait.bgra
        x, y, w, h = portrait.face
        x = bgra.shape[1] - x - w if mirrored else x
        k = face_height / h
        width, height = (int(n * k) // 2 * 2 for n in (bgra.shape[1], bgra.shape[0]))
        big = cv2.resize(np.ascontiguousarray(bgra), (width, height), interpolation=cv2.INTER_CUBIC)
        self.face = tuple(n * k for n in (x, y, w, h))
        # No taller than the picture: what lies below is never seen.
        big = big[: min(height, HEIGHT + 200) // 2 * 2]
        rgb, alpha = np.ascontiguousarray(big[..., 2::-1]), np.ascontiguousarray(big[..., 3])
        half = cv2.resize(alpha, (alpha.shape[1] // 2, alpha.shape[0] // 2), interpolation=cv2.INTER_AREA)
        masks = (alpha, half, half)
        self.size = alpha.shape[::-1]
        self.inverse = [255 - m for m in masks]
        self.color = [cv2.multiply(p, m, scale=1 / 255) for p, m in zip(planes(rgb), masks)]
        self.mouth_at, self.mouths = self._mouths(rgb, portrait, mirrored, bgra.shape[1], k)

    def _mouths(self, rgb: np.ndarray, portrait: Portrait, mirrored: bool, source_width: int, k: float):
        """The lower face with the jaw opened by 0, 1, 2 … steps: opaque patches to lay over the face."""
        mx, my, reach_x, reach_y, drop = portrait.mouth
        mx = source_width - mx if mirrored else mx
        left, top = int((mx - reach_x) * k) // 2 * 2, int((my - reach_y) * k) // 2 * 2
        width, height = int(2 * reach_x * k) // 2 * 2, int(2.2 * reach_y * k) // 2 * 2
        patch = rgb[top : top + height, left : left + width]
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        dx, dy = (xs - mx * k + left) / (reach_x * k), (ys - my * k + top) / (reach_y * k)
        across = np.clip(1 - dx * dx, 0, 1) ** 1.5
        # Nothing above the lips moves; below them the whole jaw does, and the chin's edge stays.
        down = np.clip(dy / 0.22, 0, 1) * np.clip((1.05 - dy) / 0.5, 0, 1)
        patches = []
        for level in range(MOUTH_LEVELS):
            shift = across * down * drop * k * level / (MOUTH_LEVELS - 1)
            moved = cv2.remap(patch, xs, ys - shift, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            patches.append(planes(moved))
        return (left, top), patches

    def draw(self, frame: "Frame", x: int, y: int, mouth: int) -> None:
        for index, plane in enumerate(frame.planes):
            half = 1 if index else 0
            _blend(plane, self.color[index], self.inverse[index], x >> half, y >> half)
            if mouth:
                patch = self.mouths[mouth][index]
                px, py = (x >> half) + (self.mouth_at[0] >> half), (y >> half) + (self.mouth_at[1] >> half)
                bottom, right = min(plane.shape[0], py + patch.shape[0]), min(plane.shape[1], px + patch.shape[1])
                if px >= 0 and py >= 0 and bottom > py and right > px:
                    plane[py:bottom, px:right] = patch[: bottom - py, : right - px]


def _blend(plane: np.ndarray, color: np.ndarray, inverse: np.ndarray, x: int, y: int) -> None:
    height, width = plane.shape
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + color.shape[1]), min(height, y + color.shape[0])
    if x1 <= x0 or y1 <= y0:
        return
    inside = np.s_[y0 - y : y1 - y, x0 - x : x1 - x]
    target = plane[y0:y1, x0:x1]
    target[:] = cv2.add(cv2.multiply(target, inverse[inside], scale=1 / 255), color[inside])


class Frame:
    """One picture as the encoder takes it: the planes are views of one block of memory."""

    def __init__(self) -> None:
        self.memory = np.empty(WIDTH * HEIGHT * 3 // 2, np.uint8)
        luma, chroma = WIDTH * HEIGHT, WIDTH * HEIGHT // 4
        self.planes = (
            self.memory[:luma].reshape(HEIGHT, WIDTH),
            self.memory[luma : luma + chroma].reshape(HEIGHT // 2, WIDTH // 2),
            self.memory[luma + chroma :].reshape(HEIGHT // 2, WIDTH // 2),
        )

    def fill(self, image) -> "Frame":
        for plane, source in zip(self.planes, planes(np.asarray(image))):
            plane[:] = source
        return self


@dataclass(frozen=True)
class Sway:
    """Where a person stands over time: two slow sines, so that no two seconds are alike."""

    x: float
    y: float
    reach: float
    hertz: float
    phase: float

    @staticmethod
    def drawn(x: float, y: float, reach: float, numbers: random.Random) -> "Sway":
        return Sway(x, y, reach, numbers.uniform(0.06, 0.12), numbers.uniform(0, 6.28))

    def at(self, t: float) -> tuple[float, float]:
        turn = 2 * math.pi * t
        x = self.x + self.reach * math.sin(self.hertz * turn + self.phase) + 5 * math.sin(0.37 * turn + 2 * self.phase)
        return x, self.y + 5 * math.sin(0.24 * turn + self.phase) + 2.5 * math.sin(0.61 * turn)


@lru_cache(maxsize=1)
def grain() -> list[tuple[np.ndarray, np.ndarray]]:
    """A few luma fields to add and to take away."""
    numbers = np.random.default_rng(3)
    fields = [numbers.normal(0, GRAIN_SIGMA, (HEIGHT, WIDTH)) for _ in range(GRAIN_COUNT)]
    return [(np.clip(f + 0.5, 0, 9).astype(np.uint8), np.clip(0.5 - f, 0, 9).astype(np.uint8)) for f in fields]


@dataclass
class Person:
    name: str
    sprite: Sprite
    sway: Sway
    speaking: bool


def frames(room: Frame, front: Frame | None, people: list[Person], loudness: np.ndarray, start: int, count: int, fps: int, memory: Frame):
    """Yields (bytes of the frame, face boxes); the bytes are one buffer, written over by the next frame."""
    for number in range(count):
        np.copyto(memory.memory, room.memory)
        boxes = []
        for person in people:
            cx, cy = person.sway.at(number / fps)
            fx, fy, fw, fh = person.sprite.face
            x, y = round(cx - fx - fw / 2), round(cy - fy - fh / 2)
            mouth = int(min(MOUTH_LEVELS - 1, loudness[start + number] * MOUTH_LEVELS)) if person.speaking else 0
            person.sprite.draw(memory, x, y, mouth)
            boxes.append({"person": person.name, "x": x + fx, "y": y + fy, "w": fw, "h": fh})
        if front:
            for index, plane in enumerate(memory.planes):
                top = DESK_TOP // (2 if index else 1)
                plane[top:] = front.planes[index][top:]
        brighter, darker = grain()[(start + number * 5) % GRAIN_COUNT]
        luma = memory.planes[0]
        cv2.subtract(cv2.add(luma, brighter, dst=luma), darker, dst=luma)
        yield memory.memory, [{k: round(v, 1) if k != "person" else v for k, v in box.items()} for box in boxes]
