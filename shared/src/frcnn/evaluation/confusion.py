"""Counts confusions between classes. Only pairs that occur are stored: most never do."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

# Largest number of classes in a table: larger ones are unreadable, and grow with the square.
MAX_SHOWN = 50


@dataclasses.dataclass
class Confusion:
    """Counts of pairs of labeled and detected class.

    Attributes:
        classes: Number of classes; as a class index it means "nothing".
        counts: Counts by (labeled class, detected class).
    """

    classes: int
    counts: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)

    def add(self, labeled: int, found: int) -> None:
        """Counts one object, one false alarm or one miss.

        Args:
            labeled: Class of the object; "nothing" for a false alarm.
            found: Class of the detection; "nothing" for a miss.
        """
        self.counts[int(labeled), int(found)] += 1

    def table(self, names: Sequence[str], most: int = MAX_SHOWN) -> "ConfusionTable":
        """Creates a table of the classes with the most confusions; the others are combined.

        Args:
            names: Class names.
            most: Largest number of classes with a separate row and column.

        Returns:
            Table with one more row and column for "nothing".
        """
        shown = list(range(self.classes))
        others = self.classes > most
        if others:
            mistakes: Counter[int] = Counter()
            for (labeled, found), count in self.counts.items():
                if labeled != found:
                    mistakes.update({labeled: count, found: count})
            mistakes.pop(self.classes, None)
            shown = sorted(sorted(shown, key=lambda index: (-mistakes[index], index))[:most])
        place = {index: at for at, index in enumerate(shown)}
        size = len(shown) + others + 1
        place[self.classes] = size - 1
        matrix = np.zeros((size, size), np.int64)
        for (labeled, found), count in self.counts.items():
            matrix[place.get(labeled, len(shown)), place.get(found, len(shown))] += count
        rest = [f"{self.classes - len(shown)} other classes"] if others else []
        return ConfusionTable([*(names[index] for index in shown), *rest], matrix)


@dataclasses.dataclass(frozen=True, eq=False)
class ConfusionTable:
    """Rows and columns of a confusion matrix.

    Attributes:
        names: Names of all rows and columns except the last, which is "nothing".
        matrix: Counts, int `[len(names) + 1] * 2`. Rows: labeled class; columns: detected class.
    """

    names: list[str]
    matrix: np.ndarray
