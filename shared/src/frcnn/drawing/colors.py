"""One fixed colour a class, the same in curves and on images, tellable apart with any colour vision.

The first colours are those of Okabe and Ito (2008), ordered so that few classes get the strongest contrasts;
later ones repeat them lighter and darker. A class keeps its colour whatever else is in the picture.
"""

Colour = tuple[int, int, int]

_BASE: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (213, 94, 0),  # vermilion
    (0, 114, 178),  # blue
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
)
# How far the second, third, ... round moves towards white (+) or black (-).
_SHADES = (0.0, -0.45, 0.5, -0.65)


def class_colour(index: int) -> Colour:
    """RGB, 0..255, of class `index`; repeats after 28 classes."""
    shade = _SHADES[index // len(_BASE) % len(_SHADES)]
    target = 255 if shade > 0 else 0
    red, green, blue = (round(part + (target - part) * abs(shade)) for part in _BASE[index % len(_BASE)])
    return red, green, blue


def luminance(colour: Colour) -> float:
    """Perceived brightness in 0..1: the relative luminance of WCAG 2."""
    linear = [_linear(part / 255.0) for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever contrasts more with `background`."""
    # At luminance 0.179 both have the same WCAG contrast ratio: (L + .05) / .05 = 1.05 / (L + .05).
    return (0, 0, 0) if luminance(background) > 0.179 else (255, 255, 255)


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
