"""A look at a record set before a run starts: is there anything to learn from, and are the images there?

Large sets are sampled evenly, so that the look takes seconds. It reads on only if the sample holds no
mapped object at all.
"""

import collections
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path

from frcnn.data.records.annotations import ImageRecord
from frcnn.data.records.example import decode
from frcnn.data.records.index import RecordIndex
from frcnn.errors import DataError

logger = logging.getLogger(__name__)

MAX_RECORDS = 20_000
# From S3 each record is a request.
MAX_REMOTE_RECORDS = 256
MAX_BYTES = 1 << 28
NAMES_SHOWN = 5


@dataclasses.dataclass
class Survey:
    """What was found. `mapped` and `unmapped` count objects, by source class."""

    records: int = 0
    mapped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unmapped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    missing: list[Path] = dataclasses.field(default_factory=list)
    broken: list[str] = dataclasses.field(default_factory=list)
    present: int = 0

    def add(self, record: ImageRecord, mapping: Mapping[str, str], paths: tuple[Path, ...]) -> None:
        """Counts one record; `paths` are the names its image may have."""
        self.records += 1
        for label in record.labels:
            name = label.class_name.lower()
            (self.mapped if name in mapping else self.unmapped)[name] += 1
        if record.encoded or any(path.is_file() for path in paths):
            self.present += 1
        else:
            self.missing.append(paths[0])


def survey(
    index: RecordIndex, folders: tuple[Path, ...], extensions: tuple[str, ...], mapping: Mapping[str, str]
) -> Survey:
    """Reads a sample of the records, or all if they are few; logs what will be left out of training.

    Args:
        index: The records, at least one.
        folders: Image folder of each file of the index.
        extensions: The spellings of the image extension that will be tried.
        mapping: target_class_mapping of the spec.

    Raises:
        DataError: No record is readable, no image is there, or no object is of a mapped class.
    """
    lowered = {name.lower(): value for name, value in mapping.items()}
    found, budget = Survey(), MAX_BYTES
    most = MAX_REMOTE_RECORDS if any(index.remote) else MAX_RECORDS
    numbers = range(0, len(index), max(1, -(-len(index) // most)))
    for number, payload in zip(numbers, index.read_each(numbers), strict=False):
        budget -= len(payload)
        if budget < 0 and found.mapped and found.present:
            break
        try:
            record = decode(payload)
        except ValueError as error:
            found.broken.append(f"record {number} of {index.files[index.file_of[number]]}: {error}")
            continue
        folder = folders[index.file_of[number]]
        names = tuple(folder / f"{record.frame_id}.{extension}" for extension in extensions)
        found.add(record, lowered, names)
    _judge(found, lowered, of=len(index))
    return found


def _judge(found: Survey, mapping: Mapping[str, str], of: int) -> None:
    if not found.records:
        raise DataError(f"none of the records is one of ours ({found.broken[0]}); convert the data set again")
    looked = f"{found.records} of {of} images" if found.records < of else f"{of} images"
    if not found.present:
        raise DataError(
            f"dataset_config: none of the images is there (looked for {found.missing[0]} and others of "
            f"{looked}); check image_directory_path and image_extension"
        )
    if not found.mapped and found.unmapped:
        raise DataError(
            f"dataset_config.target_class_mapping: no object is of a mapped class; the records hold "
            f"{_listed(found.unmapped)}, the mapping has {', '.join(sorted(mapping))}"
        )
    if not found.mapped:
        raise DataError(f"dataset_config: the records hold no objects at all ({looked}); check the labels")
    if found.unmapped:
        logger.info("classes without a mapping are left out (%s): %s", looked, _listed(found.unmapped))
    if found.missing:
        names = ", ".join(map(str, found.missing[:NAMES_SHOWN]))
        logger.warning("%d images are not there and will be skipped: %s", len(found.missing), names)
    if found.broken:
        names = ", ".join(found.broken[:NAMES_SHOWN])
        logger.warning("%d records are broken and will be skipped: %s", len(found.broken), names)


def _listed(counts: collections.Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())
