"""Checks before a run that a record set has objects of mapped classes and that images exist.

Large sets are sampled evenly, so that the check takes seconds. Beyond the byte limit it continues only
until it finds a mapped object and an image.
"""

import collections
import dataclasses
import logging
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from frcnn.class_names import stored_class_name
from frcnn.console.foreign_text import printable
from frcnn.data.image_suffixes import image_paths
from frcnn.data.records.annotations import DONT_CARE, ImageRecord
from frcnn.data.records.example import decode
from frcnn.data.records.index import RecordIndex
from frcnn.errors import DataError
from frcnn.spec.schema.constraints import nearest

logger = logging.getLogger(__name__)

MAX_RECORDS = 20_000
# Each record on S3 takes one request.
MAX_REMOTE_RECORDS = 256
MAX_BYTES = 1 << 28
NAMES_SHOWN = 5
CLASSES_SHOWN = 50

# Records named by --tfrecords are "given".
Subject = Literal["training", "validation", "given"]
_PREFIXES: Mapping[Subject, str] = {
    "training": "",
    "validation": "validation set: ",
    "given": "--tfrecords: ",
}
_CHECK_IMAGES = "Check image_directory_path and image_extension."
_PASS_IMAGES = (
    "Pass the folder that the names in the records are relative to: --images DIR (in Python: images=DIR)."
)


@dataclasses.dataclass
class PreflightResult:
    """Findings in a sample of records.

    Attributes:
        records: Number of records read.
        mapped: Number of objects by source class, for mapped classes.
        unmapped: Number of objects by source class, for all other classes.
        regions: Number of KITTI's DontCare regions, if the spec does not map them.
        missing: Paths of missing images.
        odd: Numbers of the records whose image is a pipe, device, socket or folder.
        odd_paths: Paths of these.
        broken: Descriptions of unreadable records.
        present: Number of existing images.
        cropped: Number of images that are larger than the area to crop to.
        outside: Number of mapped objects that are completely outside this area.
    """

    records: int = 0
    mapped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    unmapped: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    regions: int = 0
    missing: list[str] = dataclasses.field(default_factory=list)
    odd: list[int] = dataclasses.field(default_factory=list)
    odd_paths: list[Path] = dataclasses.field(default_factory=list)
    broken: list[str] = dataclasses.field(default_factory=list)
    present: int = 0
    cropped: int = 0
    outside: int = 0

    def add(
        self,
        number: int,
        record: ImageRecord,
        mapping: Mapping[str, str],
        folder: Path,
        paths: tuple[Path, ...],
    ) -> None:
        """Counts a record.

        Args:
            number: Number of the record.
            record: The record.
            mapping: Class names by stored source class.
            folder: Image folder of the record.
            paths: Possible paths of its image.
        """
        self.records += 1
        for label in record.labels:
            name = stored_class_name(label.class_name)
            if name in mapping:
                self.mapped[name] += 1
            elif name == DONT_CARE:
                self.regions += 1
            else:
                self.unmapped[name] += 1
        found = None if record.encoded else _first_there(paths)
        if record.encoded or (found is not None and found[1]):
            self.present += 1
        elif found is not None:
            self.odd.append(number)
            self.odd_paths.append(found[0])
        else:
            self.missing.append(str(paths[0]) if paths else f"{record.frame_id}, outside {folder}")

    def add_cropped(self, record: ImageRecord, mapping: Mapping[str, str], crop: tuple[int, int]) -> None:
        """Counts what is lost of an image that is cropped.

        Args:
            record: The record.
            mapping: Class names by stored source class.
            crop: Height and width of the area at the top left that is kept, px.
        """
        height, width = crop
        self.cropped += record.height > height or record.width > width
        mapped = (label for label in record.labels if stored_class_name(label.class_name) in mapping)
        self.outside += sum(label.x1 >= width or label.y1 >= height for label in mapped)


def run_preflight(
    index: RecordIndex,
    folders: tuple[Path, ...],
    extensions: tuple[str, ...],
    mapping: Mapping[str, str],
    subject: Subject = "training",
    crop: tuple[int, int] | None = None,
) -> PreflightResult:
    """Checks a sample of the records, or all if they are few; logs what the run will ignore.

    Args:
        index: Records, at least one.
        folders: Image folder of each file of the index.
        extensions: Spellings of the image extension to try.
        mapping: `target_class_mapping` of the spec.
        subject: Use of the records. A set to evaluate on may have no objects: it measures false positives.
        crop: Height and width that larger images are cropped to, px; None if images are resized.

    Returns:
        The findings.

    Raises:
        DataError: No record is readable, no image exists, or there is no object of a mapped class.
    """
    stored = {stored_class_name(name): value for name, value in mapping.items()}
    found, budget = PreflightResult(), MAX_BYTES
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
        paths = image_paths(folder, record.frame_id, record.file, extensions)
        found.add(number, record, stored, folder, paths)
        if crop is not None:
            found.add_cropped(record, stored, crop)
    looked = (
        f"{found.records} of {len(index)} images" if found.records < len(index) else f"{len(index)} images"
    )
    _judge(found, stored, looked, subject)
    _report(found, stored, looked, subject)
    if found.cropped:
        logger.warning(
            "%d %s images (checked %s) are larger than the network input and lose what is to the right of it "
            "or below it, %d objects completely. To resize them instead, set "
            "augmentation_config.preprocessing.enable_auto_resize: true",
            found.cropped,
            subject,
            looked,
            found.outside,
        )
    return found


def _first_there(paths: Iterable[Path]) -> tuple[Path, bool] | None:
    """Returns the first existing path, and whether it is a regular file."""
    for path in paths:
        try:
            return path, stat.S_ISREG(path.stat().st_mode)
        except OSError:
            continue
    return None


def _judge(found: PreflightResult, mapping: Mapping[str, str], looked: str, subject: Subject) -> None:
    """Raises an error for a set that is unusable."""
    where = _PREFIXES[subject]
    if not found.records:
        raise DataError(
            f"{where}no record can be decoded ({printable(found.broken[0])}). Run dataset_convert again."
        )
    if not found.present:
        missing = [*found.missing, *map(str, found.odd_paths)]
        section, remedy = ("", _PASS_IMAGES) if subject == "given" else ("dataset_config: ", _CHECK_IMAGES)
        raise DataError(
            f"{where}{section}found no image (checked {looked}, such as {printable(missing[0])}). {remedy}"
        )
    if not found.mapped and found.unmapped:
        raise DataError(
            f"{where}dataset_config.target_class_mapping: no object has a mapped class; the records contain "
            f"{_listed(found.unmapped)}, the mapping contains {', '.join(map(printable, sorted(mapping)))}"
        )
    if not found.mapped and subject == "training":
        raise DataError(
            f"dataset_config: the training records contain no objects ({looked}). Check the labels."
        )


def _report(found: PreflightResult, mapping: Mapping[str, str], looked: str, subject: Subject) -> None:
    """Logs what the run will ignore and what may be a mistake."""
    if not found.mapped:
        logger.warning(
            "%s no objects (%s): average precision is undefined, and every detection is a false positive",
            "The records contain" if subject == "given" else "The validation set contains",
            looked,
        )
    else:
        _report_without_objects(found, mapping, looked, subject)
    if found.unmapped:
        logger.info("Ignoring unmapped classes (%s): %s", looked, _listed(found.unmapped))
    if found.regions and subject != "training":
        logger.info("Ignoring detections in %d %s regions", found.regions, DONT_CARE)
    if found.missing:
        names = ", ".join(map(printable, found.missing[:NAMES_SHOWN]))
        logger.warning("Skipping %d missing images: %s", len(found.missing), names)
    if found.odd:
        names = ", ".join(map(printable, found.odd_paths[:NAMES_SHOWN]))
        logger.warning("Skipping %d images that are not regular files: %s", len(found.odd), names)
    if found.broken:
        names = ", ".join(map(printable, found.broken[:NAMES_SHOWN]))
        logger.warning("Skipping %d broken records: %s", len(found.broken), names)


def _report_without_objects(
    found: PreflightResult, mapping: Mapping[str, str], looked: str, subject: Subject
) -> None:
    """Reports mapped classes without objects, which may be misspelled."""
    with_objects = {mapping[name] for name in found.mapped}
    for name in sorted(set(mapping) - set(found.mapped)):
        near = nearest(name, found.unmapped)
        hint = f"; did you mean {printable(near)}, which is not mapped?" if near is not None else ""
        serious = near is not None or mapping[name] not in with_objects
        logger.log(
            logging.WARNING if serious and subject == "training" else logging.INFO,
            "dataset_config.target_class_mapping: no object in the %s records has class %s (%s)%s",
            subject,
            printable(name),
            looked,
            hint or f"; they contain {_listed(found.mapped + found.unmapped)}",
        )


def _listed(counts: collections.Counter[str]) -> str:
    shown = [f"{printable(name)} ({count})" for name, count in counts.most_common(CLASSES_SHOWN)]
    return ", ".join([*shown, "..."] if len(counts) > CLASSES_SHOWN else shown)
