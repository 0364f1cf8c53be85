"""Who is confused with whom, counted by pairs that occur: nearly all pairs of a thousand classes never do."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

# More classes than this are not shown side by side; nobody reads a larger table, and its size grows with the
# square.
MOST_SHOWN = 50


@dataclasses.dataclass
class Confusion:
    """Counts of (what was labelled, what was found there); the number of classes stands for "nothing"."""

    classes: int
    counts: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)

    def add(self, labelled: int, found: int) -> None:
        """Counts one object, one false alarm (`labelled` is nothing) or one miss (`found` is nothing)."""
        self.counts[int(labelled), int(found)] += 1

    @property
    def right(self) -> int:
        """Objects that were found as what they are."""
        return sum(count for (labelled, found), count in self.counts.items() if labelled == found)

    @property
    def missed(self) -> int:
        """Objects that nothing was found for."""
        return sum(count for (_, found), count in self.counts.items() if found == self.classes)

    @property
    def wrong(self) -> int:
        """Detections that are not of the object's class, or of nothing."""
        return self.counts.total() - self.right - self.missed

    def table(self, names: Sequence[str], most: int = MOST_SHOWN) -> "ConfusionTable":
        """Makes a table of the classes that are confused most; the others are put together.

        Args:
            names: Class names.
            most: Greatest number of classes that have a row and a column of their own.
        """
        shown = list(range(self.classes))
        others = self.classes > most
        if others:
            mistakes: Counter[int] = Counter()
            for (labelled, found), count in self.counts.items():
                if labelled != found:
                    mistakes.update({labelled: count, found: count})
            mistakes.pop(self.classes, None)
            shown = sorted(sorted(shown, key=lambda index: (-mistakes[index], index))[:most])
        place = {index: at for at, index in enumerate(shown)}
        size = len(shown) + others + 1
        place[self.classes] = size - 1
        matrix = np.zeros((size, size), np.int64)
        for (labelled, found), count in self.counts.items():
            matrix[place.get(labelled, len(shown)), place.get(found, len(shown))] += count
        rest = [f"{self.classes - len(shown)} other classes"] if others else []
        return ConfusionTable([*(names[index] for index in shown), *rest], matrix)


@dataclasses.dataclass(frozen=True, eq=False)
class ConfusionTable:
    """Rows and columns of a confusion matrix.

    Attributes:
        names: Of all rows and columns but the last, which is "nothing".
        matrix: int [len(names) + 1] * 2, rows what was labelled, columns what was found.
    """

    names: list[str]
    matrix: np.ndarray
