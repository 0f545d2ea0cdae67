"""The two people of the sample talk: public-domain portraits, cut out of their backgrounds.

Both pictures are works of the United States government (NASA, US Navy) and travel inside PyPI packages,
so nothing is downloaded here and nothing needs a licence.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np


@dataclass(frozen=True)
class Portrait:
    """A person on transparent ground, measured in the picture's own pixels.

    `face` is x, y, width, height; `mouth` is the middle of the lips, how far the jaw reaches sideways and down,
    and how far it drops.
    """

    name: str
    bgra: np.ndarray
    face: tuple[int, int, int, int]
    mouth: tuple[float, float, float, float, float]


def astronaut() -> Portrait:
    from skimage import data

    picture = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    sure = [(226, 95, 52, 66), (208, 218, 88, 62), (190, 400, 120, 130), (400, 450, 90, 90), (120, 320, 60, 70)]
    maybe = [(226, 95, 76, 84), (208, 215, 104, 76), (190, 420, 180, 190), (395, 450, 118, 116)]
    return Portrait("astronaut", cut_out(picture, sure, maybe), (180, 68, 90, 112), (225, 146, 30, 34, 4.5))


def admiral() -> Portrait:
    # Read straight from the package's data: importing matplotlib would cost a second.
    import importlib.util

    package = Path(importlib.util.find_spec("matplotlib").origin).parent
    picture = cv2.imread(str(package / "mpl-data/sample_data/grace_hopper.jpg"))
    sure = [(263, 190, 88, 150), (258, 82, 96, 54), (265, 480, 190, 110), (265, 400, 110, 80), (90, 480, 40, 60), (440, 480, 40, 60)]
    maybe = [(263, 185, 118, 165), (258, 80, 116, 62), (265, 560, 262, 250)]
    return Portrait("admiral", cut_out(picture, sure, maybe), (172, 140, 190, 192), (268, 277, 52, 52, 8.0))


def cut_out(picture: np.ndarray, sure: list, maybe: list) -> np.ndarray:
    """Separates a person from the background, given ellipses that surely or perhaps belong to the person."""
    mask = np.full(picture.shape[:2], cv2.GC_BGD, np.uint8)
    for label, ellipses in ((cv2.GC_PR_FGD, maybe), (cv2.GC_FGD, sure)):
        for x, y, width, height in ellipses:
            cv2.ellipse(mask, (x, y), (width, height), 0, 0, 360, label, -1)
    cv2.setRNGSeed(1)
    models = np.zeros((2, 1, 65))
    cv2.grabCut(picture, mask, None, models[0], models[1], 5, cv2.GC_INIT_WITH_MASK)
    alpha = np.where((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(alpha)
    largest = 1 + int(np.argmax(stats[1:count, cv2.CC_STAT_AREA]))
    alpha = np.where(labels == largest, 255, 0).astype(np.uint8)
    alpha = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    # One pixel in, then soft: the old background must not shine through the edge.
    alpha = cv2.GaussianBlur(cv2.erode(alpha, np.ones((3, 3), np.uint8)), (0, 0), 1.2)
    return np.dstack([picture, alpha])
