"""Writes a survey as one self-contained HTML page."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from frcnn.drawing.colors import class_color
from frcnn.drawing.page import save_page
from frcnn.survey.samples import Sample
from frcnn.survey.statistics import RATIO_EDGES, SIZE_EDGES
from frcnn.survey.wording import counted, percent

if TYPE_CHECKING:
    from frcnn.survey.report import Survey

TEMPLATE = "survey.html.jinja"
# Width and height of a chart's plane in units of its view box.
PLANE_WIDTH, PLANE_HEIGHT = 240, 120
# Classes with a row in the tables; the JSON file has all.
MAX_CLASSES = 300
# Bars of the chart of objects per image; more images are put together.
_MAX_BARS = 24
_CHANNELS = {0: "unknown", 1: "gray", 2: "gray and alpha", 3: "color", 4: "color and alpha"}


def save_survey(path: Path, found: "Survey") -> None:
    """Writes the page of a survey.

    Args:
        path: File to write.
        found: Content.
    """
    statistics = found.statistics
    colors = {name: "rgb({},{},{})".format(*class_color(number)) for name, number in found.colors.items()}
    content = {
        "survey": found,
        "found": statistics,
        "classes": statistics.classes[:MAX_CLASSES],
        "plane": (PLANE_WIDTH, PLANE_HEIGHT),
        "colors": colors,
        "charts": _charts(found),
        "channels": ", ".join(
            f"{count} {_CHANNELS.get(number, str(number))}" for number, count in statistics.channels.items()
        ),
        "total_images": int(statistics.images.sum()),
        "total_unusable": int(statistics.unusable.sum()),
        "sheets": [(name, _gallery(samples)) for name, samples in found.samples.classes.items()],
        "smallest": _gallery(found.samples.smallest),
        "largest": _gallery(found.samples.largest),
    }
    save_page(path, "frcnn.survey", TEMPLATE, content, {"percent": percent, "counted": counted})


def _gallery(samples: Sequence[Sample]) -> list[dict[str, object]]:
    return [
        {
            "data_uri": each.picture.data_uri,
            "width": each.picture.width,
            "height": each.picture.height,
            "caption": each.caption,
        }
        for each in samples
    ]


def _charts(found: "Survey") -> list[dict[str, object]]:
    statistics = found.statistics
    counts = statistics.per_image
    width = max(1, -(-len(counts) // _MAX_BARS))
    starts = list(range(0, len(counts), width))
    crowds = [int(counts[start : start + width].sum()) for start in starts]
    names = [str(at) if width == 1 else f"{at} to {at + width - 1}" for at in starts]
    sizes = [f"{low:.0f} to {high:.0f}" for low, high in itertools.pairwise(SIZE_EDGES)]
    ratios = [f"{low:.2f} to {high:.2f}" for low, high in itertools.pairwise(RATIO_EDGES)]
    return [
        _chart("Objects per image", "objects", "images", names, crowds),
        _chart(
            "Side in the image",
            "square root of the area, px",
            "objects",
            sizes,
            statistics.sides_image.tolist(),
        ),
        _chart(
            "Side in the network input",
            "square root of the area, px",
            "objects",
            sizes,
            statistics.sides_input.tolist(),
        ),
        _chart("Aspect ratio", "width / height", "objects", ratios, statistics.ratios.tolist()),
    ]


def _chart(title: str, x_name: str, y_name: str, names: list[str], counts: list[int]) -> dict[str, Any]:
    """Returns bars and rows of a histogram, without empty bins at the ends."""
    filled = np.flatnonzero(counts)
    first, last = (int(filled[0]), int(filled[-1]) + 1) if len(filled) else (0, 1)
    names, counts = names[first:last], counts[first:last]
    highest, width = max(1, *counts), PLANE_WIDTH / len(counts)
    return {
        "title": title,
        "x_name": x_name,
        "y_name": y_name,
        "first": names[0].partition(" to ")[0],
        "last": names[-1].rpartition(" to ")[2],
        "highest": max(counts),
        "rows": [(name, count) for name, count in zip(names, counts, strict=True) if count],
        "bars": [
            {
                "x": at * width,
                "width": max(1.0, width - 1.0),
                "top": PLANE_HEIGHT - count * PLANE_HEIGHT / highest,
                "height": count * PLANE_HEIGHT / highest,
            }
            for at, count in enumerate(counts)
            if count
        ],
    }
