"""Part of a conversion that runs in worker processes: reads images and encodes records."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from frcnn.data.conversion.faults import DataIssue, Remark
from frcnn.data.conversion.plan import Reader
from frcnn.data.records.example import encode
from frcnn.data.records.tfrecord import frame


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """Consecutive images of one shard; none for a shard that stays empty."""

    reader: Reader
    fold: int
    shard: int
    jobs: Sequence[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class EncodedImage:
    """One image as a frame of a record file, and its number of boxes by stored class."""

    data: bytes
    class_counts: dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True)
class TaskResult:
    """Result of a task: `read` is the number of images read, `images` are the usable ones."""

    fold: int
    shard: int
    read: int
    images: tuple[EncodedImage, ...]
    faults: tuple[DataIssue, ...]
    source_names: frozenset[str]
    remarks: Mapping[Remark, int] = dataclasses.field(default_factory=dict)


def run_task(task: Task) -> TaskResult:
    """Reads and encodes the images of a task.

    Args:
        task: Images of a shard.

    Returns:
        The encoded images and the issues found.
    """
    images: list[EncodedImage] = []
    faults: list[DataIssue] = []
    names: set[str] = set()
    remarks: Counter[Remark] = Counter()
    for job in task.jobs:
        reading = task.reader.read(job)
        faults.extend(reading.faults)
        names |= reading.source_names
        if reading.remarks:
            remarks.update(reading.remarks)
        if reading.record is not None:
            counts = Counter(label.class_name for label in reading.record.labels)
            images.append(EncodedImage(frame(encode(reading.record)), dict(counts)))
    return TaskResult(
        task.fold, task.shard, len(task.jobs), tuple(images), tuple(faults), frozenset(names), dict(remarks)
    )
