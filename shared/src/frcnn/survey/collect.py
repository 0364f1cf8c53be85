"""Reads all images and labels of data sets into the tables of a survey."""

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from frcnn.class_names import stored_class_name
from frcnn.console.progress import Progress
from frcnn.cpu import usable_cores
from frcnn.data.conversion.convert import CHUNK, ENOUGH_FOR_PROCESSES
from frcnn.data.conversion.faults import DataIssue, IssueKind, Reading
from frcnn.data.conversion.parallel import ordered_map
from frcnn.data.conversion.stored_image import UPRIGHT
from frcnn.data.records.annotations import DONT_CARE
from frcnn.errors import DataError
from frcnn.survey.record_files import RecordReader
from frcnn.survey.sources import Reader, Source
from frcnn.survey.tables import IMAGE, OBJECT, SHOWN, ObjectFile, Tables


@dataclasses.dataclass(frozen=True, slots=True)
class _Task:
    reader: Reader
    fold: int
    jobs: Sequence[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """Rows of a task; `image` and `label` of the objects are relative to this part."""

    images: np.ndarray
    objects: np.ndarray
    labels: tuple[str, ...]
    issues: tuple[DataIssue, ...]
    regions: int


@contextlib.contextmanager
def surveyed(sources: Sequence[Source], *, workers: int | None = 1) -> Iterator[Tables]:
    """Reads data sets; the tables exist within the block.

    Args:
        sources: Data sets.
        workers: Number of processes; `None` for one per core.

    Yields:
        The tables.

    Raises:
        DataError: No image is usable.
        RunError: A worker process died.
    """
    with ObjectFile() as file:
        yield _Collector(tuple(sources), file).run(workers)


class _Collector:
    def __init__(self, sources: tuple[Source, ...], file: ObjectFile) -> None:
        self._sources, self._file = sources, file
        self._folds: list[str] = []
        self._labels: dict[str, int] = {}
        self._images: list[np.ndarray] = []
        self._count = 0
        self._issues: Counter[IssueKind] = Counter()
        self._first: list[DataIssue] = []
        self._regions = 0

    def run(self, workers: int | None) -> Tables:
        total = sum(source.size for source in self._sources)
        with Progress("reading labels", total) as progress:
            for source in self._sources:
                self._note(source.faults)
                for name in map(stored_class_name, source.class_names):
                    self._labels.setdefault(name, len(self._labels))
                for part in self._parts(source, workers):
                    self._take(part)
                    progress.update(self._count)
        images = np.concatenate(self._images)
        if not images["usable"].any():
            reasons = "\n  ".join(map(str, self._first))
            raise DataError(f"no usable image in {self._sources[0].name}\n  {reasons}")
        return Tables(
            self._sources,
            tuple(self._folds),
            tuple(self._labels),
            images,
            self._file.rows(),
            self._issues,
            tuple(self._first),
            self._regions,
        )

    def _parts(self, source: Source, workers: int | None) -> Iterator[_Part]:
        count = (workers or usable_cores()) if source.parallel else 1
        if source.size < ENOUGH_FOR_PROCESSES:
            count = 1
        with closing(ordered_map(_read, self._tasks(source), count)) as parts:
            yield from parts

    def _tasks(self, source: Source) -> Iterator[_Task]:
        for fold in source.folds:
            name = self._fold_name(source, fold.name)
            if name not in self._folds:
                self._folds.append(name)
            number = self._folds.index(name)
            for start in range(0, len(fold.jobs), CHUNK):
                yield _Task(source.reader, number, fold.jobs[start : start + CHUNK])

    def _fold_name(self, source: Source, name: str) -> str:
        if len(self._sources) == 1:
            return name or "all"
        own = source.name.rstrip("/").rpartition("/")[2] or source.name
        if sum(other.name.rstrip("/").rpartition("/")[2] == own for other in self._sources) > 1:
            own = source.name
        return f"{own}: {name}" if name else own

    def _note(self, issues: Sequence[DataIssue]) -> None:
        for issue in issues:
            self._issues[issue.kind] += issue.count
            if len(self._first) < SHOWN:
                self._first.append(issue)

    def _take(self, part: _Part) -> None:
        self._note(part.issues)
        self._regions += part.regions
        self._images.append(part.images)
        if len(part.objects):
            known = [self._labels.setdefault(name, len(self._labels)) for name in part.labels]
            part.objects["label"] = np.asarray(known, np.uint32)[part.objects["label"]]
            part.objects["image"] += self._count
            self._file.append(part.objects)
        self._count += len(part.images)


def _read(task: _Task) -> _Part:
    images = np.zeros(len(task.jobs), IMAGE)
    images["fold"] = task.fold
    labels: dict[str, int] = {}
    objects: list[tuple[int, int, tuple[float, float, float, float]]] = []
    issues: list[DataIssue] = []
    regions = 0
    for number, reading in enumerate(_readings(task)):
        issues.extend(reading.faults)
        if reading.record is None:
            continue
        _fill(images[number : number + 1], reading)
        for label in reading.record.labels:
            name = stored_class_name(label.class_name)
            if name == DONT_CARE:
                regions += 1
                continue
            images["objects"][number] += 1
            box = (label.x1, label.y1, label.x2, label.y2)
            objects.append((number, labels.setdefault(name, len(labels)), box))
    return _Part(images, np.array(objects, OBJECT), tuple(labels), tuple(issues), regions)


def _readings(task: _Task) -> Iterator[Reading]:
    if isinstance(task.reader, RecordReader):
        return task.reader.read_each(task.jobs)
    return map(task.reader.read, task.jobs)


def _fill(row: np.ndarray, reading: Reading) -> None:
    """Fills in the row of a usable image."""
    record, image = reading.record, reading.image
    if record is None or image is None:
        return
    row["height"], row["width"], row["usable"] = record.height, record.width, True
    row["channels"] = image.channels
    # Records of `dataset_convert --apply_exif` name the orientation that the loader will apply.
    row["orientation"] = UPRIGHT if record.orientation != UPRIGHT else image.orientation
    row["unused_bits"] = image.unused_bits
    row["file_bytes"] = min(image.file_bytes, 2**32 - 1)
