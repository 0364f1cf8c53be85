"""Chooses example objects: some of each class at random, and the smallest and largest of all."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from frcnn.drawing.colors import class_indices
from frcnn.drawing.thumbnail import Thumbnail, cut
from frcnn.survey.images import rgb_pixels
from frcnn.survey.tables import OBJECT, Tables

PER_CLASS, EXTREMES = 8, 12
# Classes with a contact sheet: those with the most objects.
MAX_CLASSES = 40
_SEED = 42


@dataclasses.dataclass(frozen=True)
class Sample:
    """An object to show: its thumbnail and a description."""

    picture: Thumbnail
    caption: str


@dataclasses.dataclass(frozen=True)
class Samples:
    """Objects to show: by class name, and the smallest and the largest of all."""

    classes: dict[str, tuple[Sample, ...]]
    smallest: tuple[Sample, ...]
    largest: tuple[Sample, ...]


def choose_samples(tables: Tables, classes: list[str]) -> Samples:
    """Chooses objects and crops their images.

    Args:
        tables: Survey of the data sets.
        classes: Names of the classes with objects; the first `MAX_CLASSES` get a contact sheet.

    Returns:
        The objects. Those whose image cannot be decoded are left out.
    """
    shown = {tables.labels.index(name): name for name in classes[:MAX_CLASSES]}
    random = np.random.default_rng(_SEED)
    kept: dict[object, tuple[np.ndarray, np.ndarray]] = {}
    for rows in tables.chunks():
        priorities = random.random(len(rows))
        areas = np.prod(rows["box"][:, 2:].astype(float) - rows["box"][:, :2], axis=1)
        for label in shown:
            own = rows["label"] == label
            _keep(kept, label, rows[own], priorities[own], PER_CLASS)
        _keep(kept, "smallest", rows, areas, EXTREMES)
        _keep(kept, "largest", rows, -areas, EXTREMES)
    colors = {tables.labels.index(name): number for name, number in class_indices(classes).items()}
    pictures = _cut(tables, [row for rows, _ in kept.values() for row in rows], colors)
    found = {key: _samples(tables, rows, pictures) for key, (rows, _) in kept.items()}
    return Samples(
        {name: found.get(label, ()) for label, name in shown.items()},
        found.get("smallest", ()),
        found.get("largest", ()),
    )


def _keep(
    kept: dict[object, tuple[np.ndarray, np.ndarray]],
    key: object,
    rows: np.ndarray,
    priorities: np.ndarray,
    most: int,
) -> None:
    """Keeps the rows of lowest priority seen so far."""
    former = kept.get(key, (np.zeros(0, OBJECT), np.zeros(0)))
    rows, priorities = np.concatenate([former[0], rows]), np.concatenate([former[1], priorities])
    first = np.argsort(priorities, kind="stable")[:most]
    kept[key] = rows[first], priorities[first]


def _cut(
    tables: Tables, rows: Iterable[np.ndarray], colors: dict[int, int]
) -> dict[tuple[int, bytes], Thumbnail]:
    """Returns the thumbnail of each object, by image and box; each image is decoded once."""
    by_image: defaultdict[int, list[np.ndarray]] = defaultdict(list)
    for row in rows:
        by_image[int(row["image"])].append(row)
    found = {}
    for image, objects in by_image.items():
        pixels = rgb_pixels(tables.place(image))
        if pixels is None:
            continue
        height, width = pixels.shape[:2]
        for row in objects:
            x1, y1, x2, y2 = np.clip(row["box"], 0, [width - 1, height - 1] * 2)
            box = np.array([y1, x1, max(y2, y1), max(x2, x1)])
            color = colors[int(row["label"])]
            found[image, row["box"].tobytes()] = cut(pixels, box, color, "jpeg")
    return found


def _samples(
    tables: Tables, rows: np.ndarray, pictures: dict[tuple[int, bytes], Thumbnail]
) -> tuple[Sample, ...]:
    found = []
    for row in rows:
        picture = pictures.get((int(row["image"]), row["box"].tobytes()))
        if picture is not None:
            place = tables.place(int(row["image"]))
            width, height = row["box"][2:] - row["box"][:2]
            name = place.source.reader.path(place.job).name
            caption = f"{tables.labels[int(row['label'])]}, {width:.0f} x {height:.0f} px, {name}"
            found.append(Sample(picture, caption))
    return tuple(found)
