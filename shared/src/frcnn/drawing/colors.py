"""One fixed color per class in plots and on images, distinguishable with any color vision.

The first colors are those of Okabe and Ito (2008), ordered so that few classes get the strongest
contrasts. Further classes repeat them in lighter and darker shades.
"""

from collections.abc import Iterable

Color = tuple[int, int, int]

_BASE: tuple[Color, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
)
# Shift of the first, second, ... round towards white (+) or black (-).
_SHADES = (0.0, -0.45, 0.5, -0.65)


def class_indices(names: Iterable[str]) -> dict[str, int]:
    """Returns the index of each class for `class_color`: by sorted names, as in the model of a spec.

    Args:
        names: Class names, in any order.
    """
    return {name: index for index, name in enumerate(sorted(set(names)))}


def class_color(index: int) -> Color:
    """Returns the color of class `index`, RGB in 0..255; repeats after 28 classes."""
    shade = _SHADES[index // len(_BASE) % len(_SHADES)]
    target = 255 if shade > 0 else 0
    red, green, blue = (round(part + (target - part) * abs(shade)) for part in _BASE[index % len(_BASE)])
    return red, green, blue


def luminance(color: Color) -> float:
    """Returns the relative luminance of a color in 0..1, as defined by WCAG 2."""
    linear = [_linear(part / 255.0) for part in color]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def text_color(background: Color) -> Color:
    """Returns black or white, whichever has the higher contrast with `background`."""
    # At luminance 0.179 both have the same WCAG contrast ratio: (L + 0.05) / 0.05 = 1.05 / (L + 0.05).
    return (0, 0, 0) if luminance(background) > 0.179 else (255, 255, 255)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
