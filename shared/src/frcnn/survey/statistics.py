"""Counts images, objects, sizes and anchor coverage of a survey, without sampling."""

import dataclasses
from collections import Counter
from collections.abc import Iterator

import numpy as np

from frcnn.data.conversion.box_checks import MOST_OUTSIDE
from frcnn.survey.anchor_fit import class_weights, fit_enough
from frcnn.survey.anchors import Anchors, Coverage, best_iou
from frcnn.survey.network_input import NetworkInput
from frcnn.survey.tables import Tables

# Edges of histograms: half octaves of sizes in px, and of ratios of width to height.
SIZE_EDGES = 2.0 ** np.arange(1.0, 12.01, 0.5)
RATIO_EDGES = 2.0 ** np.arange(-3.25, 3.26, 0.5)
# Objects to fit anchors to; more do not change them.
MAX_FITTED = 20_000
MAX_SIZES_LISTED = 8
_SEED = 42


@dataclasses.dataclass(frozen=True)
class AnchorSettings:
    """Anchors of a spec and the overlaps that training matches them at."""

    anchors: Anchors | None = None
    min_overlap: float = 0.3
    max_overlap: float = 0.7
    inside_only: bool = False


@dataclasses.dataclass
class ClassCounts:
    """Counts of one class.

    Attributes:
        name: Class name as in records.
        objects: Number of objects in each fold, int64 `[folds]`.
        images: Number of images with the class in each fold, int64 `[folds]`.
        dropped: Objects that are too small for training in the network input.
        side_sum: Sum of the logarithms of the sides (square roots of the areas) in the network input.
        given: Coverage by the anchors of the spec.
        fitted: Coverage by the fitted anchors.
    """

    name: str
    objects: np.ndarray
    images: np.ndarray
    dropped: int = 0
    side_sum: float = 0.0
    given: Coverage = dataclasses.field(default_factory=Coverage)
    fitted: Coverage = dataclasses.field(default_factory=Coverage)

    @property
    def total(self) -> int:
        """Number of objects in all folds."""
        return int(self.objects.sum())

    @property
    def typical_side(self) -> float:
        """Geometric mean of the sides in the network input, px; 0 without objects."""
        return float(np.exp(self.side_sum / self.total)) if self.total else 0.0


@dataclasses.dataclass
class Statistics:
    """Counts of a survey.

    Attributes:
        classes: Counts of each class, most objects first.
        images: Number of usable images in each fold, int64 `[folds]`.
        unusable: Number of unusable images in each fold, int64 `[folds]`.
        without_objects: Number of usable images without objects in each fold, int64 `[folds]`.
        sizes: Sizes of usable images (height, width) with their numbers, most frequent first.
        other_sizes: Number of images of sizes that are not listed.
        channels: Number of usable images by number of channels.
        turned: Number of usable images with an EXIF orientation that is not applied.
        unused_bits: Number of usable images with unused bits.
        per_image: Number of usable images by number of objects, int64 `[most + 1]`.
        crowded: Number of images with more objects than training keeps.
        cut_off: Number of objects beyond that limit.
        sides_image: Histogram of the sides in px of the images, over `SIZE_EDGES`.
        sides_input: Histogram of the sides in px of the network input, over `SIZE_EDGES`.
        ratios: Histogram of width / height in the network input, over `RATIO_EDGES`.
        dropped: Objects that are too small for training in the network input.
        below_stride: Objects with a side (square root of the area) below the stride.
        fitted_anchors: Anchors fitted to the objects; `None` without objects.
        given: Coverage by the anchors of the spec.
        fitted: Coverage by the fitted anchors.
        stretched: Number of images whose aspect ratio changes by more than a quarter.
        outside: Objects with more than `MOST_OUTSIDE` of the box outside of the image.
    """

    classes: list[ClassCounts]
    images: np.ndarray
    unusable: np.ndarray
    without_objects: np.ndarray
    sizes: list[tuple[tuple[int, int], int]]
    other_sizes: int
    channels: dict[int, int]
    turned: int
    unused_bits: int
    per_image: np.ndarray
    crowded: int
    cut_off: int
    stretched: int
    sides_image: np.ndarray
    sides_input: np.ndarray
    ratios: np.ndarray
    dropped: int = 0
    below_stride: int = 0
    outside: int = 0
    fitted_anchors: Anchors | None = None
    given: Coverage = dataclasses.field(default_factory=Coverage)
    fitted: Coverage = dataclasses.field(default_factory=Coverage)

    @property
    def objects(self) -> int:
        """Number of objects in all folds."""
        return sum(each.total for each in self.classes)


def compute(tables: Tables, network: NetworkInput, settings: AnchorSettings) -> Statistics:
    """Computes all counts of a survey.

    Args:
        tables: Survey of the data sets.
        network: Network input.
        settings: Anchors of the spec, if there is one, and overlaps.

    Returns:
        The counts.
    """
    found = _images(tables, network)
    fitted = _fit(tables, network, settings)
    found.fitted_anchors = fitted
    for rows, images in _chunks(tables):
        labels = rows["label"].astype(np.int64)
        _count_classes(found, tables, rows, labels)
        found.outside += _outside(rows["box"].astype(float), images)
        boxes = network.boxes(rows["box"], images)
        whole, kept = network.kept(boxes, images)
        _count_sides(found, rows, boxes, kept, labels, network.stride)
        sizes = network.sizes(images)[kept]
        for anchors, total, part in (
            (settings.anchors, found.given, "given"),
            (fitted, found.fitted, "fitted"),
        ):
            if anchors is not None:
                best = best_iou(whole[kept], sizes, anchors, network.stride, inside_only=settings.inside_only)
                total.add(best, settings.min_overlap, settings.max_overlap)
                for label in np.unique(labels[kept]).tolist():
                    coverage = getattr(found.classes[label], part)
                    own = best[labels[kept] == label]
                    coverage.add(own, settings.min_overlap, settings.max_overlap)
    found.classes.sort(key=lambda each: (-each.total, each.name))
    return found


def _chunks(tables: Tables) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields object rows together with the rows of their images."""
    for rows in tables.chunks():
        yield rows, tables.images[rows["image"]]


def _images(tables: Tables, network: NetworkInput) -> Statistics:
    folds, images, usable = len(tables.folds), tables.images, tables.usable
    sizes = Counter(map(tuple, np.stack([usable["height"], usable["width"]], axis=1).tolist()))
    listed = [((size[0], size[1]), count) for size, count in sizes.most_common(MAX_SIZES_LISTED)]
    beyond = np.maximum(usable["objects"].astype(np.int64) - network.max_objects, 0)
    channels, counts = np.unique(usable["channels"], return_counts=True)
    return Statistics(
        classes=[
            ClassCounts(name, np.zeros(folds, np.int64), np.zeros(folds, np.int64)) for name in tables.labels
        ],
        images=np.bincount(usable["fold"], minlength=folds),
        unusable=np.bincount(images["fold"][~images["usable"]], minlength=folds),
        without_objects=np.bincount(usable["fold"][usable["objects"] == 0], minlength=folds),
        sizes=listed,
        other_sizes=len(usable) - sum(count for _, count in listed),
        channels=dict(zip(channels.tolist(), counts.tolist(), strict=True)),
        turned=int(np.sum(usable["orientation"] > 1)),
        unused_bits=int(np.sum(usable["unused_bits"] > 0)),
        per_image=np.bincount(usable["objects"], minlength=1),
        crowded=int(np.sum(beyond > 0)),
        cut_off=int(beyond.sum()),
        stretched=_stretched(usable, network),
        sides_image=np.zeros(len(SIZE_EDGES) - 1, np.int64),
        sides_input=np.zeros(len(SIZE_EDGES) - 1, np.int64),
        ratios=np.zeros(len(RATIO_EDGES) - 1, np.int64),
    )


def _stretched(usable: np.ndarray, network: NetworkInput) -> int:
    if network.images.dynamic or not network.images.auto_resize:
        return 0
    own = usable["width"] / usable["height"]
    change = own / (network.images.width / network.images.height)
    return int(np.sum((change > 1.25) | (change < 0.8)))


def _count_classes(found: Statistics, tables: Tables, rows: np.ndarray, labels: np.ndarray) -> None:
    folds = tables.images["fold"][rows["image"]].astype(np.int64)
    shape = (len(tables.labels), len(tables.folds))
    objects = np.bincount(labels * shape[1] + folds, minlength=shape[0] * shape[1]).reshape(shape)
    pairs = np.unique(rows["image"].astype(np.int64) * shape[0] + labels)
    owners = tables.images["fold"][pairs // shape[0]].astype(np.int64)
    images = np.bincount(pairs % shape[0] * shape[1] + owners, minlength=shape[0] * shape[1]).reshape(shape)
    for number, each in enumerate(found.classes):
        each.objects += objects[number]
        each.images += images[number]


def _outside(boxes: np.ndarray, images: np.ndarray) -> int:
    """Counts boxes as `any_outside`."""
    limits = np.stack([images["width"], images["height"]], axis=1)
    inside = np.minimum(boxes[:, 2:], limits) - np.maximum(boxes[:, :2], 0)
    whole = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return int(np.sum(inside.prod(axis=1) < (1.0 - MOST_OUTSIDE) * whole))


def _count_sides(
    found: Statistics, rows: np.ndarray, boxes: np.ndarray, kept: np.ndarray, labels: np.ndarray, stride: int
) -> None:
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1e-6)
    # In float64: labels may hold numbers whose product float32 cannot.
    own = np.maximum(rows["box"][:, 2:].astype(float) - rows["box"][:, :2], 1e-6)
    side = np.sqrt(sides.prod(axis=1))
    found.sides_input += _histogram(side, SIZE_EDGES)
    found.sides_image += _histogram(np.sqrt(own.prod(axis=1)), SIZE_EDGES)
    found.ratios += _histogram(sides[:, 0] / sides[:, 1], RATIO_EDGES)
    found.dropped += int(np.sum(~kept))
    found.below_stride += int(np.sum(side < stride))
    dropped = np.bincount(labels[~kept], minlength=len(found.classes))
    sums = np.bincount(labels, np.log(side), minlength=len(found.classes))
    for number, each in enumerate(found.classes):
        each.dropped += int(dropped[number])
        each.side_sum += float(sums[number])


def _histogram(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts values between edges; those beyond the ends go into the first and last bin."""
    inside = np.clip(values, edges[0], np.nextafter(edges[-1], 0.0))
    return np.histogram(inside, edges)[0]


def _fit(tables: Tables, network: NetworkInput, settings: AnchorSettings) -> Anchors | None:
    """Fits anchors to a sample of the objects that training keeps."""
    random = np.random.default_rng(_SEED)
    share = min(1.0, MAX_FITTED / max(1, len(tables.objects)))
    boxes, sizes, labels = [], [], []
    for rows, images in _chunks(tables):
        chosen = random.random(len(rows)) < share
        rows, images = rows[chosen], images[chosen]
        whole, kept = network.kept(network.boxes(rows["box"], images), images)
        boxes.append(whole[kept])
        sizes.append(network.sizes(images)[kept])
        labels.append(rows["label"][kept].astype(np.int64))
    if not any(map(len, boxes)):
        return None
    weights = class_weights(np.concatenate(labels))
    return fit_enough(
        np.concatenate(boxes), np.concatenate(sizes), weights, network.stride, settings.inside_only
    )
