"""What a conversion did, counted while it runs."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from frcnn.data.conversion.faults import FaultKind


@dataclasses.dataclass
class FoldCounts:
    """Records written for a fold, and boxes and images for each class, as stored."""

    images: int = 0
    boxes: Counter[str] = dataclasses.field(default_factory=Counter)
    images_with: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, class_counts: Mapping[str, int], copies: int) -> None:
        """Counts an image with so many objects of each class, written `copies` times."""
        self.images += copies
        for name, count in class_counts.items():
            self.boxes[name] += count * copies
            self.images_with[name] += copies


@dataclasses.dataclass(frozen=True)
class ConvertReport:
    """The outcome of one conversion.

    `folds` are in order of their numbers; `class_map` takes a class as the labels spell it to the
    name in the records. `skipped` counts faults by kind;
    `left_out` images were dropped by the sample modifier. `replaced` files of a former run are gone.
    """

    files: tuple[Path, ...]
    folds: tuple[FoldCounts, ...]
    class_map: Mapping[str, str]
    skipped: Mapping[FaultKind, int]
    notes: tuple[str, ...]
    warning_file: Path | None
    left_out: int
    replaced: int
    seconds: float

    @property
    def images(self) -> int:
        """Records written, over all folds."""
        return sum(fold.images for fold in self.folds)

    @property
    def boxes(self) -> Counter[str]:
        """Boxes written of each class, over all folds."""
        return sum((fold.boxes for fold in self.folds), Counter())

    @property
    def images_skipped(self) -> int:
        """Images left out for a fault."""
        return sum(count for kind, count in self.skipped.items() if kind.cost == "image")

    @property
    def boxes_skipped(self) -> int:
        """Boxes left out for a fault, in images that are kept."""
        return sum(count for kind, count in self.skipped.items() if kind.cost == "box")
