"""Compares two detectors on the same images: unmatched detections and largest differences."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frcnn.console.foreign_text import printable
from frcnn.console.progress import track
from frcnn.data.image_file import UnreadableImageError, load_image
from frcnn.data.transforms.preprocess import ImageSettings, batch_of
from frcnn.errors import DataError
from frcnn.model.batch_detector import DetectionBatch, Detector


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """Largest differences between two detections of one object.

    Attributes:
        box: Largest difference of a corner's coordinate, px of the network input.
        score: Largest difference of the scores.
        unmatched: Fraction of all detections that may lack a counterpart.
    """

    box: float = 0.5
    score: float = 1e-3
    unmatched: float = 0.0


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Agreement of two detectors.

    Attributes:
        images: Number of images.
        expected: Number of detections of the reference.
        found: Number of detections of the exported model.
        matched: Number of pairs within the tolerance.
        box_error: Largest difference of a coordinate in a pair, px of the network input.
        score_error: Largest difference of the scores in a pair.
    """

    images: int = 0
    expected: int = 0
    found: int = 0
    matched: int = 0
    box_error: float = 0.0
    score_error: float = 0.0

    def __add__(self, other: "Comparison") -> "Comparison":
        """Returns the comparison of both sets of images together."""
        return Comparison(
            self.images + other.images,
            self.expected + other.expected,
            self.found + other.found,
            self.matched + other.matched,
            max(self.box_error, other.box_error),
            max(self.score_error, other.score_error),
        )

    @property
    def unmatched(self) -> float:
        """Fraction of all detections without a counterpart, 0 to 1."""
        total = self.expected + self.found
        return (total - 2 * self.matched) / total if total else 0.0

    def within(self, tolerance: Tolerance) -> bool:
        """Checks whether the fraction of unmatched detections is within the tolerance."""
        return self.unmatched <= tolerance.unmatched

    def table(self, tolerance: Tolerance) -> str:
        """Formats the comparison as a table with one figure per line.

        Args:
            tolerance: Tolerance shown next to the measured values.

        Returns:
            The table.
        """
        box, score = f"{tolerance.box:g}", f"{tolerance.score:g}"
        rows = (
            ("images", f"{self.images}", ""),
            ("detections, reference", f"{self.expected}", ""),
            ("detections, exported", f"{self.found}", ""),
            ("equal pairs (class, box, score)", f"{self.matched}", ""),
            ("without a counterpart", f"{100 * self.unmatched:.3f} %", f"{100 * tolerance.unmatched:g} %"),
            ("largest box difference of a pair", f"{self.box_error:.5f} px", f"{box} px"),
            ("largest score difference of a pair", f"{self.score_error:.2e}", score),
        )
        lines = [f"{'':36}{'measured':>14}{'tolerance':>14}", "-" * 64]
        return "\n".join(
            [*lines, *(f"{name:36}{value:>14}{limit:>14}".rstrip() for name, value, limit in rows)]
        )


def compare_batches(expected: DetectionBatch, found: DetectionBatch, tolerance: Tolerance) -> Comparison:
    """Pairs the detections of each image, best score first, with the nearest of the same class.

    Args:
        expected: Detections of the reference.
        found: Detections of the exported model on the same images.
        tolerance: Largest differences within a pair.

    Returns:
        The comparison.
    """
    images = range(len(expected.count))
    return sum((_compare_image(expected, found, index, tolerance) for index in images), Comparison())


def compare_detectors(
    reference: Detector,
    exported: Detector,
    paths: Sequence[Path],
    settings: ImageSettings,
    *,
    batch_size: int,
    tolerance: Tolerance,
) -> Comparison:
    """Runs both detectors on image files and compares their detections.

    Args:
        reference: Detector to compare with.
        exported: Detector to check.
        paths: Image files.
        settings: Preprocessing of the images.
        batch_size: Number of images per batch.
        tolerance: Largest differences within a pair.

    Returns:
        The comparison.

    Raises:
        DataError: A file is not a readable image.
    """
    total = Comparison()
    starts = range(0, len(paths), batch_size)
    for start in track(starts, "comparing", total=len(starts)):
        prepared = [network_image(path, settings) for path in paths[start : start + batch_size]]
        images, sizes = batch_of(prepared, settings)
        total += compare_batches(reference(images, sizes), exported(images, sizes), tolerance)
    return total


def _compare_image(
    expected: DetectionBatch, found: DetectionBatch, index: int, tolerance: Tolerance
) -> Comparison:
    wanted, given = int(expected.count[index]), int(found.count[index])
    boxes = np.abs(expected.boxes[index, :wanted, None] - found.boxes[index, None, :given]).max(axis=-1)
    scores = np.abs(expected.scores[index, :wanted, None] - found.scores[index, None, :given])
    same = expected.classes[index, :wanted, None] == found.classes[index, None, :given]
    possible = same & (boxes <= tolerance.box) & (scores <= tolerance.score)
    pairs = []
    for row in range(wanted):
        if possible[row].any():
            column = int(np.argmin(np.where(possible[row], boxes[row] + scores[row], np.inf)))
            possible[:, column] = False
            pairs.append((row, column))
    return Comparison(
        images=1,
        expected=wanted,
        found=given,
        matched=len(pairs),
        box_error=max((float(boxes[pair]) for pair in pairs), default=0.0),
        score_error=max((float(scores[pair]) for pair in pairs), default=0.0),
    )


def network_image(path: Path, settings: ImageSettings) -> np.ndarray:
    """Reads an image file and preprocesses it for the network, as inference does.

    Args:
        path: Image file.
        settings: Preprocessing of the image.

    Returns:
        Network input, float32 `[H, W, C]`.

    Raises:
        DataError: The file is not a readable image.
    """
    try:
        return load_image(path, settings).pixels
    except UnreadableImageError as error:
        raise DataError(f"{printable(path, None)}: cannot be read as an image ({error})") from error
