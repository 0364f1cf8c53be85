"""What a conversion will do: the images of each fold, found and checked before anything is written."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from frcnn.console.foreign_text import utf8
from frcnn.data.conversion.faults import Fault, Reading

# Relative roots in a spec start here where it is set, as with the reference.
BASE_PATH_VARIABLE = "DATA_BASE_PATH"


class Reader(Protocol):
    """Reads one image. Small and picklable: each worker process gets a copy with each chunk."""

    def read(self, job: Any) -> Reading:
        """The image that `job` stands for; faults in the data are returned, not raised."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Reader, and its jobs by fold.

    `fold_count` is what the file names say, 0 for names without a fold; `shards` holds the number
    for each fold, 0 likewise. `faults` are those already met, `notes` what people should know,
    `source_names` the classes known beforehand.
    """

    reader: Reader
    folds: tuple[Sequence[Any], ...]
    fold_count: int
    shards: tuple[int, ...]
    faults: tuple[Fault, ...] = ()
    notes: tuple[str, ...] = ()
    source_names: frozenset[str] = frozenset()

    @property
    def size(self) -> int:
        """Number of images, those included that will turn out to be unusable."""
        return sum(map(len, self.folds))


def resolve_root(root: str) -> Path:
    """The data set's root: as given if absolute, else below `$DATA_BASE_PATH` or the working folder."""
    return Path(os.environ.get(BASE_PATH_VARIABLE, "")) / root


def stored_class_name(name: str) -> str:
    """A class as it stands in records: lower case, without spaces."""
    return utf8("".join(name.split()).lower())
