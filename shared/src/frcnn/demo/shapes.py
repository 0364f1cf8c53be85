"""Draws synthetic scenes: red circles, blue squares and green triangles on noisy backgrounds.

Boxes are `x1 y1 x2 y2` in whole pixels, including the last column and row.
"""

import colorsys
import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

CLASSES = ("circle", "square", "triangle")
# Lowest and highest hue of each class, degrees. Differing in color as well as in shape, the classes are
# learned within minutes; by shape alone it takes five times as many steps.
HUES = {"circle": (-25, 35), "square": (195, 260), "triangle": (85, 150)}
MAX_OBJECTS = 5
# Size of an object as a fraction of the shorter image side.
SMALLEST, LARGEST = 0.25, 0.55
# Minimum difference of an object's color from the background, summed over R, G and B.
MIN_CONTRAST = 120
# Masks are drawn this many times larger and scaled down, for smooth edges.
OVERSAMPLING = 4
PLACE_ATTEMPTS = 20
COLOR_ATTEMPTS = 8


@dataclasses.dataclass(frozen=True)
class Shape:
    """One drawn object: its class and its box."""

    class_name: str
    box: tuple[int, int, int, int]

    def kitti_line(self) -> str:
        """Returns the KITTI label line; depth and angles are unknown and 0."""
        x1, y1, x2, y2 = self.box
        return f"{self.class_name} 0.00 0 0 {x1:.2f} {y1:.2f} {x2:.2f} {y2:.2f} 0 0 0 0 0 0 0"


def draw_scene(random: np.random.Generator, height: int, width: int) -> tuple[Image.Image, list[Shape]]:
    """Draws a scene of at most `MAX_OBJECTS` objects inside the image; their boxes do not overlap.

    Args:
        random: Random generator.
        height: Height of the image, px.
        width: Width of the image, px.

    Returns:
        RGB image and its objects, in drawing order.
    """
    image = _background(random, height, width)
    shapes: list[Shape] = []
    for _ in range(random.integers(1, MAX_OBJECTS + 1)):
        placed = _place(random, height, width, shapes)
        if placed is None:
            continue
        shape, mask = placed
        x1, y1, x2, y2 = shape.box
        box = (x1, y1, x2 + 1, y2 + 1)
        image.paste(_surface(random, image.crop(box), shape.class_name), box, mask.crop(box))
        shapes.append(shape)
    return image, shapes


def _background(random: np.random.Generator, height: int, width: int) -> Image.Image:
    """Draws soft patches of pale color, thin lines as distractors, and noise."""
    gray = random.integers(60, 200, size=(5, 6, 1))
    coarse = gray + random.integers(-18, 19, size=(5, 6, 3))
    image = Image.fromarray(coarse.astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(random.integers(4, 12)):
        ends = random.integers(0, (width, height), size=(2, 2))
        color = tuple(int(value) for value in random.integers(0, 256, size=3))
        draw.line([tuple(map(int, end)) for end in ends], fill=color, width=int(random.integers(1, 3)))
    return _noisy(random, image.filter(ImageFilter.GaussianBlur(0.7)), random.uniform(6, 14))


def _place(
    random: np.random.Generator, height: int, width: int, others: list[Shape]
) -> tuple[Shape, Image.Image] | None:
    """Returns a shape apart from the others, and its mask; `None` if there is no space."""
    for _ in range(PLACE_ATTEMPTS):
        side = random.uniform(SMALLEST, LARGEST) * min(height, width)
        name = CLASSES[random.integers(len(CLASSES))]
        corners = _corners(name, side, random.uniform(-0.4, 0.4))
        reach = max(max(abs(x), abs(y)) for x, y in corners) + 1
        center = random.uniform(reach, width - reach), random.uniform(reach, height - reach)
        mask = _mask(corners, center, height, width)
        found = mask.point(lambda value: 255 * (value > 127)).getbbox()
        if found is None:
            continue
        box = (found[0], found[1], found[2] - 1, found[3] - 1)
        if not any(_overlap(box, other.box) for other in others):
            return Shape(name, box), mask
    return None


def _corners(name: str, side: float, angle: float) -> list[tuple[float, float]]:
    """Returns the outline's corners around (0, 0), rotated by `angle` (radians)."""
    if name == "circle":
        turns = [2 * math.pi * step / 64 for step in range(64)]
        return [(side / 2 * math.cos(turn), side / 2 * math.sin(turn)) for turn in turns]
    if name == "square":
        plain = [(-0.45, -0.45), (0.45, -0.45), (0.45, 0.45), (-0.45, 0.45)]
    else:
        plain = [(0.0, -0.55), (0.55, 0.42), (-0.55, 0.42)]
    cosine, sine = math.cos(angle) * side, math.sin(angle) * side
    return [(x * cosine - y * sine, x * sine + y * cosine) for x, y in plain]


def _mask(
    corners: list[tuple[float, float]], center: tuple[float, float], height: int, width: int
) -> Image.Image:
    large = Image.new("L", (width * OVERSAMPLING, height * OVERSAMPLING))
    points = [((x + center[0]) * OVERSAMPLING, (y + center[1]) * OVERSAMPLING) for x, y in corners]
    ImageDraw.Draw(large).polygon(points, fill=255)
    return large.reduce(OVERSAMPLING)


def _surface(random: np.random.Generator, background: Image.Image, class_name: str) -> Image.Image:
    """Returns an image of a shaded, noisy color of the class that contrasts with the background."""
    behind = np.asarray(background, np.float32).mean((0, 1))
    colors = [_color(random, class_name) for _ in range(COLOR_ATTEMPTS)]
    contrasts = [float(np.abs(color - behind).sum()) for color in colors]
    enough = (number for number, contrast in enumerate(contrasts) if contrast >= MIN_CONTRAST)
    color = colors[next(enough, int(np.argmax(contrasts)))]
    shade = random.uniform(0.75, 1.0, size=(2, 2))
    light = Image.fromarray((shade * 255).astype(np.uint8)).resize(background.size, Image.Resampling.BILINEAR)
    pixels = np.asarray(light, np.float32)[..., None] / 255 * color
    return _noisy(random, Image.fromarray(pixels.astype(np.uint8)), random.uniform(3, 10))


def _color(random: np.random.Generator, class_name: str) -> np.ndarray:
    """Returns a color of a class, R, G and B in 0..255."""
    hue = random.uniform(*HUES[class_name]) % 360 / 360
    red, green, blue = colorsys.hsv_to_rgb(hue, random.uniform(0.55, 1.0), random.uniform(0.45, 1.0))
    return 255 * np.array([red, green, blue])


def _noisy(random: np.random.Generator, image: Image.Image, strength: float) -> Image.Image:
    """Adds Gaussian noise with standard deviation `strength`, on a scale of 0..255."""
    pixels = np.asarray(image, np.float32)
    noise = random.standard_normal(pixels.shape, dtype=np.float32) * np.float32(strength)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def _overlap(box: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Checks whether two boxes share a pixel."""
    return max(box[0], other[0]) <= min(box[2], other[2]) and max(box[1], other[1]) <= min(box[3], other[3])
