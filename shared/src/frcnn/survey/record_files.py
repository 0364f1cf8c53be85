"""Reads record sets for a survey: folders and patterns of record files, local or on S3."""

import dataclasses
import glob
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from frcnn.data.conversion.faults import DataIssue, IssueKind, Reading
from frcnn.data.conversion.stored_image import StoredImage, header_of, read_image
from frcnn.data.image_suffixes import SUFFIXES, extension_spellings, image_paths
from frcnn.data.records.annotations import ImageRecord
from frcnn.data.records.example import decode
from frcnn.data.records.files import RecordFile, matching
from frcnn.data.records.index import RecordIndex
from frcnn.data.records.offsets import list_name
from frcnn.errors import DataError
from frcnn.storage.address import is_remote

if TYPE_CHECKING:
    from frcnn.survey.sources import Source

_NAME = re.compile(r"(?P<prefix>.*?)(-fold-(?P<fold>\d{3,})-of-\d{3,})?(-shard-\d{5,}-of-\d{5,})?")
_WILDCARDS = frozenset("*?[")
_NOT_RECORDS = (".json", ".txt", ".md")


@dataclasses.dataclass(frozen=True)
class RecordReader:
    """Reader of records by number.

    Attributes:
        index: All records.
        images: Image folder of records without image files; `None` if there is none.
    """

    index: RecordIndex
    images: Path | None

    def path(self, number: int) -> Path:
        """Returns the name of a record for captions and messages: file and number.

        Args:
            number: Number of the record.
        """
        return Path(f"{self.index.files[self.index.file_of[number]]}#{number}")

    def read(self, number: int) -> Reading:
        """Reads a record; issues are returned instead of raised.

        Args:
            number: Number of the record.
        """
        return self._reading(number, self.index.read(number))

    def read_each(self, numbers: Sequence[int]) -> Iterator[Reading]:
        """Reads records in order, in parallel from S3.

        Args:
            numbers: Numbers of the records.

        Yields:
            Reading of each record.
        """
        for number, payload in zip(numbers, self.index.read_each(numbers), strict=True):
            yield self._reading(number, payload)

    def content(self, number: int) -> bytes | None:
        """Returns the content of a record's image file.

        Args:
            number: Number of the record.

        Returns:
            Content; `None` if the record has no image file.
        """
        record = decode(self.index.read(number))
        if record.encoded is not None:
            return record.encoded
        path = self._file(record)
        return path.read_bytes() if path is not None and path.is_file() else None

    def orientation(self, number: int) -> int:
        """Returns the EXIF orientation that a record's labels assume to be applied, 1 (none) to 8.

        Args:
            number: Number of the record.
        """
        return decode(self.index.read(number)).orientation

    def _reading(self, number: int, payload: bytes) -> Reading:
        try:
            record = decode(payload)
            image = self._image(record)
        except (ValueError, OSError) as error:
            fault = DataIssue(IssueKind.BAD_ENTRY, str(self.path(number)), f"cannot be read: {error}")
            return Reading(None, (fault,))
        if isinstance(image, DataIssue):
            return Reading(None, (image,))
        names = frozenset(label.class_name for label in record.labels)
        return Reading(dataclasses.replace(record, encoded=None), (), names, image=image)

    def _image(self, record: ImageRecord) -> StoredImage | DataIssue:
        if record.encoded is not None:
            return self._embedded(record.encoded)
        path = self._file(record)
        return StoredImage(record.height, record.width) if path is None else read_image(path)

    def _embedded(self, encoded: bytes) -> StoredImage:
        found = header_of(io.BytesIO(encoded))
        if isinstance(found, str):
            raise ValueError(found)
        return found

    def _file(self, record: ImageRecord) -> Path | None:
        if self.images is None:
            return None
        spellings = extension_spellings(SUFFIXES[0])
        paths = image_paths(self.images, record.frame_id, record.file, spellings)
        return next((path for path in paths if path.is_file()), paths[0] if paths else None)


def is_records(location: str) -> bool:
    """Checks whether a location is a pattern, a file or a folder of record files.

    Args:
        location: Path, pattern or `s3://` URI.
    """
    if is_remote(location):
        return bool(_WILDCARDS & set(location)) or bool(_named_like_records(matching(f"{location}/*")))
    path = Path(location)
    if path.is_dir():
        return bool(_local_records(path))
    if path.exists():
        return _is_local_records(path)
    return bool(_WILDCARDS & set(location))


def record_source(location: str, images: Path | None) -> "Source":
    """Returns the record set at a location.

    Args:
        location: Path, pattern or `s3://` URI.
        images: Image folder of records without image files.

    Returns:
        The record set, with a part for each prefix and fold that has records.

    Raises:
        DataError: No file matches, or a file is damaged.
        StoreError: S3 is unreachable.
    """
    from frcnn.survey.sources import Fold, Source

    files = _files(location)
    if not files:
        raise DataError(f"{location}: matches no record file; check the path, or run dataset_convert first")
    index = RecordIndex.scan(files)
    names = _fold_names(files, index.counts)
    folds: dict[str, list[np.ndarray]] = {}
    for number, name in enumerate(names):
        found = np.flatnonzero(index.file_of == number)
        if len(found):
            folds.setdefault(name, []).append(found)
    parts = tuple(Fold(name, np.concatenate(numbers).tolist()) for name, numbers in folds.items())
    first = files[0]
    root = first.parent if isinstance(first, Path) else Path()
    return Source(location, "records", root, RecordReader(index, images), parts, parallel=False)


def _files(location: str) -> list[RecordFile]:
    if is_remote(location):
        pattern = location if _WILDCARDS & set(location) else f"{location}/*"
        return [each for each in matching(pattern) if not each.name.endswith(_NOT_RECORDS)]
    path = Path(location)
    if path.is_dir():
        return list(_local_records(path))
    found = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(location))]
    return [each for each in found if each.is_file() and each.suffix.lower() not in _NOT_RECORDS]


def _named_like_records(files: Sequence[RecordFile]) -> list[RecordFile]:
    return [each for each in files if _is_named_like_records(each.name)]


def _local_records(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if _is_local_records(path)]


def _is_local_records(path: Path) -> bool:
    """Checks whether a file has records; one without fold and shard in its name is known by its index."""
    return _is_named_like_records(path.name) or path.with_name(list_name(path.name)).is_file()


def _is_named_like_records(name: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and match["prefix"] != name and not name.startswith(".")


def _fold_names(files: Sequence[RecordFile], counts: Sequence[int]) -> list[str]:
    """Returns the name of each file's part: prefix and fold, without the prefix common to all parts."""
    keys = []
    for file in files:
        match = _NAME.fullmatch(file.name)
        keys.append((match["prefix"], match["fold"]) if match is not None else (file.name, None))
    used = {key for key, count in zip(keys, counts, strict=True) if count}
    prefixes = {prefix for prefix, _ in used}
    names = []
    for prefix, fold in keys:
        several = len({other for name, other in used if name == prefix}) > 1
        words = [prefix] if len(prefixes) > 1 else []
        words += [f"fold {int(fold)}"] if several and fold is not None else []
        names.append(" ".join(words))
    return names
