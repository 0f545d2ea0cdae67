"""Still pictures of the sample talk: slides, backdrops, and the step from RGB to the planes that the encoder takes."""

import subprocess
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 1920, 1080
# The desk hides the lower edge of both portraits.
DESK_TOP = 930

INK, PAPER, MUTED = (23, 28, 44), (250, 247, 242), (118, 122, 138)
ACCENTS = [(214, 69, 65), (28, 110, 164), (39, 125, 91), (138, 79, 158), (201, 124, 28), (46, 92, 110)]


@cache
def font(weight: str, size: int) -> ImageFont.FreeTypeFont:
    """Inter in a weight; any other sans serif would move every line, so its absence is an error."""
    query = ["fc-match", "-f", "%{family[0]}|%{file}", f"Inter:style={weight}"]
    family, path = subprocess.run(query, check=True, capture_output=True, text=True).stdout.split("|")
    if not family.startswith("Inter"):
        raise SystemExit("the font Inter is missing: install the package fonts-inter")
    return ImageFont.truetype(path, size)


def wrap(text: str, face: ImageFont.FreeTypeFont, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if face.getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def slide(title: str, bullets: list[str], shown: int, chapter: int) -> Image.Image:
    """A text slide with the first `shown` bullets visible."""
    accent = ACCENTS[chapter % len(ACCENTS)]
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    _ornament(draw, accent, chapter)
    draw.rectangle((0, 0, 26, HEIGHT), fill=accent)
    draw.text((150, 118), f"{chapter + 1:02d}", font=font("Bold", 40), fill=accent)
    draw.line((222, 142, 420, 142), fill=accent, width=4)
    y = 190
    for line in wrap(title, font("Bold", 108), 1250):
        draw.text((146, y), line, font=font("Bold", 108), fill=INK)
        y += 128
    y += 64
    for bullet in bullets[:shown]:
        draw.rounded_rectangle((152, y + 22, 176, y + 46), 6, fill=accent)
        draw.text((216, y), bullet, font=font("Medium", 58), fill=INK)
        y += 108
    draw.text((150, 990), "Things that keep working", font=font("Medium", 30), fill=MUTED)
    return image


def figure(value: str, caption: str, chapter: int) -> Image.Image:
    """A slide with one large figure on the chapter's colour."""
    accent = ACCENTS[chapter % len(ACCENTS)]
    dark = tuple(int(c * 0.62) for c in accent)
    image = _gradient(accent, dark)
    draw = ImageDraw.Draw(image)
    size = 330
    while font("Bold", size).getlength(value) > WIDTH - 300:
        size -= 20
    draw.text((WIDTH // 2, 470), value, font=font("Bold", size), fill=(255, 255, 255), anchor="mm")
    draw.rectangle((WIDTH // 2 - 70, 690, WIDTH // 2 + 70, 698), fill=(255, 255, 255))
    draw.text((WIDTH // 2, 782), caption, font=font("Medium", 62), fill=(255, 255, 255), anchor="mm")
    return image


def cover(title: str, line: str) -> Image.Image:
    """The first and the last picture of the talk."""
    image = _gradient((30, 39, 70), (12, 15, 30))
    draw = ImageDraw.Draw(image)
    for index, accent in enumerate(ACCENTS):
        draw.rounded_rectangle((152 + index * 92, 300, 216 + index * 92, 312), 6, fill=accent)
    y = 360
    for row in wrap(title, font("Bold", 136), 1600):
        draw.text((146, y), row, font=font("Bold", 136), fill=(255, 255, 255))
        y += 160
    draw.text((152, y + 40), line, font=font("Medium", 52), fill=(176, 186, 214))
    return image


def studio(left: tuple, right: tuple, seed: int) -> Image.Image:
    """A room out of focus: two light fields, soft lamps, a desk is added later in front of the people."""
    draw_number = np.random.default_rng(seed)
    image = _gradient(left, right, sideways=True)
    lamps = Image.new("RGB", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(lamps)
    for _ in range(16):
        x, y, radius = draw_number.uniform(0, WIDTH), draw_number.uniform(0, 620), draw_number.uniform(28, 110)
        glow = draw_number.uniform(0.10, 0.34)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(int(glow * c) for c in (255, 226, 190)))
    lamps = lamps.filter(ImageFilter.GaussianBlur(14))
    mixed = np.clip(np.asarray(image, np.int16) + np.asarray(lamps, np.int16), 0, 255).astype(np.uint8)
    # Panels of a wall give the eye, and a motion search, something to hold.
    for x in range(0, WIDTH, 160):
        mixed[:, x : x + 3] = (mixed[:, x : x + 3] * 0.72).astype(np.uint8)
    return Image.fromarray(mixed).filter(ImageFilter.GaussianBlur(2.2))


def with_card(room: Image.Image, card: Image.Image, x: int) -> Image.Image:
    """A room with a slide on its screen, x from the left."""
    width, height, y = 1080, 608, 150
    image = room.copy()
    shadow = Image.new("L", (WIDTH, HEIGHT))
    ImageDraw.Draw(shadow).rounded_rectangle((x + 6, y + 18, x + width + 6, y + height + 18), 18, fill=150)
    image.paste((6, 8, 14), mask=shadow.filter(ImageFilter.GaussianBlur(24)))
    mask = Image.new("L", (width, height))
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, width - 1, height - 1), 14, fill=255)
    image.paste(card.resize((width, height), Image.LANCZOS), (x, y), mask)
    return image


def desk(tone: tuple) -> Image.Image:
    """The front of the desk, from DESK_TOP to the lower edge."""
    height = HEIGHT - DESK_TOP
    image = _gradient(tone, tuple(int(c * 0.45) for c in tone)).resize((WIDTH, height))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, WIDTH, 9), fill=tuple(min(255, int(c * 1.7)) for c in tone))
    return image


def _ornament(draw: ImageDraw.ImageDraw, accent: tuple, chapter: int) -> None:
    """Rings in the right half: a different set for each chapter."""
    numbers = np.random.default_rng(100 + chapter)
    for _ in range(7):
        x, y, radius = numbers.uniform(1420, 1880), numbers.uniform(120, 960), numbers.uniform(40, 210)
        weight = numbers.uniform(0.08, 0.38)
        tint = tuple(int(p + (a - p) * weight) for p, a in zip(PAPER, accent))
        box = (x - radius, y - radius, x + radius, y + radius)
        if numbers.random() < 0.4:
            draw.ellipse(box, fill=tint)
        else:
            draw.ellipse(box, outline=tint, width=10)


def _gradient(start: tuple, end: tuple, sideways: bool = False) -> Image.Image:
    ramp = np.linspace(0, 1, WIDTH if sideways else HEIGHT)
    ramp = ramp[None, :, None] if sideways else ramp[:, None, None]
    field = np.array(start) + (np.array(end) - np.array(start)) * ramp
    return Image.fromarray(np.broadcast_to(field, (HEIGHT, WIDTH, 3)).astype(np.uint8))


def planes(rgb: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """RGB to Y, U, V of BT.709 in television range, chroma at half size (cv2 knows only BT.601)."""
    matrix = np.array(
        [[0.182586, 0.614231, 0.062007, 16], [-0.100644, -0.338572, 0.439216, 128], [0.439216, -0.398942, -0.040274, 128]],
        np.float32,
    )
    yuv = cv2.transform(rgb.astype(np.float32), matrix)
    y = np.clip(yuv[..., 0] + 0.5, 0, 255).astype(np.uint8)
    half = cv2.resize(yuv[..., 1:], (rgb.shape[1] // 2, rgb.shape[0] // 2), interpolation=cv2.INTER_AREA)
    half = np.clip(half + 0.5, 0, 255).astype(np.uint8)
    return y, np.ascontiguousarray(half[..., 0]), np.ascontiguousarray(half[..., 1])
