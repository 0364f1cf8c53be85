"""Result of a conversion, counted while it runs."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from frcnn.data.conversion.faults import IssueKind


@dataclasses.dataclass
class FoldCounts:
    """Records written for a fold, and boxes and images of each class, including copies."""

    images: int = 0
    boxes: Counter[str] = dataclasses.field(default_factory=Counter)
    images_with: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, class_counts: Mapping[str, int], copies: int) -> None:
        """Counts an image.

        Args:
            class_counts: Number of objects of each class in the image.
            copies: Number of times the image was written.
        """
        self.images += copies
        for name, count in class_counts.items():
            self.boxes[name] += count * copies
            self.images_with[name] += copies


@dataclasses.dataclass(frozen=True)
class ConvertReport:
    """Result of one conversion.

    Attributes:
        files: Record files.
        folds: Counts by fold number.
        class_map: Class names in the records, keyed by their spelling in the labels.
        skipped: Number of issues of each kind.
        notes: Remarks for the user, without the final period.
        warning_file: List of all issues; `None` if there are none.
        left_out: Number of images that the sample modifier dropped.
        replaced: Number of record files of a previous run that were replaced.
        seconds: Duration, s.
    """

    files: tuple[Path, ...]
    folds: tuple[FoldCounts, ...]
    class_map: Mapping[str, str]
    skipped: Mapping[IssueKind, int]
    notes: tuple[str, ...]
    warning_file: Path | None
    left_out: int
    replaced: int
    seconds: float

    @property
    def images(self) -> int:
        """Number of records in all folds."""
        return sum(fold.images for fold in self.folds)

    @property
    def boxes(self) -> Counter[str]:
        """Number of boxes of each class in all folds."""
        return sum((fold.boxes for fold in self.folds), Counter())

    @property
    def images_skipped(self) -> int:
        """Number of images skipped because of an issue."""
        return sum(count for kind, count in self.skipped.items() if kind.cost == "image")

    @property
    def boxes_skipped(self) -> int:
        """Number of boxes skipped because of an issue, in images that were converted."""
        return sum(count for kind, count in self.skipped.items() if kind.cost == "box")
