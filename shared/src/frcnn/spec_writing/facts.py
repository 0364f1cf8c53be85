"""Properties of a data set that a spec depends on."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

from frcnn.errors import DataError
from frcnn.survey.images import mean_colors
from frcnn.survey.tables import Tables

# Share of the objects that may be smaller than the size that the network input is chosen for.
SMALL_SHARE = 0.05
# Objects to fit anchors to; more do not change them.
MAX_FITTED = 20_000
_SEED = 42


@dataclasses.dataclass(frozen=True)
class Facts:
    """Properties of the training images and their objects.

    Attributes:
        images: Number of images.
        height: Median height of the images, px.
        width: Median width of the images, px.
        gray: Whether all images are gray.
        classes: Number of objects by class, sorted by name, without empty classes.
        small_side: Side of small objects, px of the median image: 5 % of the objects are smaller.
        most_objects: Largest number of objects in an image.
        many_objects: 90th percentile of the number of objects per image.
        mean: Mean of red, green and blue over a sample of the images, 0..255.
        deviation: Standard deviation of the pixels around the mean.
        boxes: Sample of the boxes, `x1 y1 x2 y2` as a share of width and height, `[N, 4]`.
        labels: Class index of each box, `[N]`.
        names: Class name of each index.
    """

    images: int
    height: int
    width: int
    gray: bool
    classes: dict[str, int]
    small_side: float
    most_objects: int
    many_objects: int
    mean: tuple[float, float, float]
    deviation: float
    boxes: np.ndarray = dataclasses.field(repr=False, compare=False)
    labels: np.ndarray = dataclasses.field(repr=False, compare=False)
    names: tuple[str, ...] = ()


def facts_of(tables: Tables, folds: Sequence[str]) -> Facts:
    """Computes the properties of the training part of a data set.

    Args:
        tables: Survey of the data set.
        folds: Names of the folds to train on.

    Returns:
        The properties.

    Raises:
        DataError: There is no image or no object to train on.
    """
    wanted = [number for number, name in enumerate(tables.folds) if name in folds]
    chosen = tables.images["usable"] & np.isin(tables.images["fold"], wanted)
    images = tables.images[chosen]
    if not len(images):
        raise DataError("no usable image to train on; check the images and labels with frcnn data report")
    boxes, labels, counts = _sample(tables, chosen)
    if not len(boxes):
        raise DataError("The dataset contains no labeled object to train on. Check the labels.")
    height, width = (round(float(np.median(images[side]))) for side in ("height", "width"))
    names = {tables.labels[number]: count for number, count in counts.items()}
    sides = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) * [width, height]).prod(axis=1))
    mean, deviation = mean_colors(tables, np.flatnonzero(chosen))
    return Facts(
        images=len(images),
        height=height,
        width=width,
        gray=bool((images["channels"] == 1).all()),
        classes=dict(sorted(names.items())),
        small_side=float(np.quantile(sides, SMALL_SHARE)),
        most_objects=int(images["objects"].max()),
        many_objects=int(np.quantile(images["objects"], 0.9)),
        mean=mean,
        deviation=deviation,
        boxes=boxes,
        labels=labels,
        names=tuple(tables.labels),
    )


def _sample(tables: Tables, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, Counter[int]]:
    """Returns a sample of relative boxes with their classes, and exact counts of objects by class."""
    random = np.random.default_rng(_SEED)
    share = min(1.0, MAX_FITTED / max(1, len(tables.objects)))
    boxes, labels = [np.zeros((0, 4))], [np.zeros(0, np.int64)]
    counts: Counter[int] = Counter()
    for rows in tables.chunks():
        rows = rows[chosen[rows["image"]]]
        counts.update(dict(enumerate(np.bincount(rows["label"]).tolist())))
        rows = rows[random.random(len(rows)) < share] if share < 1.0 else rows
        images = tables.images[rows["image"]]
        sides = np.stack([images["width"], images["height"]] * 2, axis=1)
        boxes.append(rows["box"] / sides)
        labels.append(rows["label"].astype(np.int64))
    found = Counter({label: count for label, count in counts.items() if count})
    return np.concatenate(boxes), np.concatenate(labels), found
