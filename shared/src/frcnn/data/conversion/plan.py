"""Plan of a conversion: the images of each fold, listed and checked before anything is written."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from frcnn.data.conversion.faults import DataIssue, Reading

# If set, relative roots in a spec start here, as in TAO.
BASE_PATH_VARIABLE = "DATA_BASE_PATH"
# Maximum characters of a class name.
LONGEST_CLASS_NAME = 200


class Reader(Protocol):
    """Reader of single images. Small and picklable: each chunk sends a copy to a worker process."""

    def read(self, job: Any) -> Reading:
        """Reads the image of a job; issues in the data are returned instead of raised."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Reader and jobs of a conversion.

    Attributes:
        reader: Reader of the jobs.
        folds: Jobs of each fold.
        fold_count: Number of folds in file names; 0 for names without a fold.
        shards: Number of shards of each fold; 0 for names without a shard.
        faults: Issues already found.
        notes: Remarks for the user.
        source_names: Class names known in advance.
    """

    reader: Reader
    folds: tuple[Sequence[Any], ...]
    fold_count: int
    shards: tuple[int, ...]
    faults: tuple[DataIssue, ...] = ()
    notes: tuple[str, ...] = ()
    source_names: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Number of images, including those that may prove unusable."""
        return sum(map(len, self.folds))


def resolve_root(root: str) -> Path:
    """Returns the dataset root.

    Args:
        root: Root from the spec. A relative path is below `$DATA_BASE_PATH`, or below the working directory
            if that is not set.
    """
    return Path(os.environ.get(BASE_PATH_VARIABLE, "")) / root
