"""Reads KITTI datasets: a folder of images, and a folder with one label file per image."""

import dataclasses
import functools
import io
import math
from pathlib import Path

from frcnn.class_names import stored_class_name
from frcnn.data.conversion.box_checks import TOO_LARGE, any_outside, box_fault, parse_number
from frcnn.data.conversion.faults import DataIssue, IssueCollector, IssueKind, Reading
from frcnn.data.conversion.kitti.calibration import CalibrationError, read_calibration
from frcnn.data.conversion.plan import LONGEST_CLASS_NAME
from frcnn.data.conversion.stored_image import UPRIGHT, StoredImage, read_image, remarks_on
from frcnn.data.image_suffixes import is_below, stem_of
from frcnn.data.records.annotations import Calibration, ImageRecord, Label
from frcnn.data.spellings import read_spelled

FIELDS = 15
# Enough for 100,000 objects of 100 bytes. Reading short lines takes 25 times the file size in memory.
MAX_LABEL_BYTES = 10 << 20
# Far above valid values (-1 to 3), and within int64.
TOO_OCCLUDED = 2**31
# KITTI's occlusion levels, and its value for an unknown angle.
_OCCLUSIONS = (-1.0, 0.0, 1.0, 2.0, 3.0)
_UNKNOWN_ANGLE = -10.0
# A data set has few classes, and a name has at most LONGEST_CLASS_NAME characters.
_stored_name = functools.lru_cache(1024)(stored_class_name)


@dataclasses.dataclass(frozen=True)
class KittiReader:
    """Reader of images with KITTI labels and, if requested, calibration.

    Attributes:
        root: Dataset root.
        image_dir: Image folder below `root`.
        label_dir: Label folder below `root`.
        point_clouds_dir: Point cloud folder below `root`; empty for none.
        calibrations_dir: Calibration folder below `root`; empty for none.
        embed_images: Whether records contain the image files.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.
    """

    root: Path
    image_dir: str
    label_dir: str
    point_clouds_dir: str = ""
    calibrations_dir: str = ""
    embed_images: bool = False
    apply_exif: bool = False

    def path(self, file_name: str) -> Path:
        """Returns the path of an image file.

        Args:
            file_name: Name of the image file.
        """
        return self._images / file_name

    @functools.cached_property
    def _images(self) -> Path:
        return self.root / self.image_dir

    @functools.cached_property
    def _labels(self) -> Path:
        return self.root / self.label_dir

    def read(self, file_name: str) -> Reading:
        """Reads an image and its labels; issues in the files are returned instead of raised.

        Args:
            file_name: Name of the image file.
        """
        # Joined as text: joining two paths takes longer than reading the label file.
        stem = stem_of(file_name)
        image, labels = f"{self._images}/{file_name}", f"{self._labels}/{stem}.txt"
        if not is_below(file_name):
            return Reading(None, (DataIssue(IssueKind.NO_IMAGE, image, "not below the image folder"),))
        found = read_image(image, embed=self.embed_images)
        if isinstance(found, DataIssue):
            return Reading(None, (found,))
        try:
            text = read_spelled(self._labels, f"{stem}.txt", MAX_LABEL_BYTES).decode("utf-8-sig")
        except FileNotFoundError:
            fault = DataIssue(IssueKind.NO_LABELS, image, f"{labels} does not exist")
            return Reading(None, (fault,))
        except OSError as error:
            reason = error.strerror or str(error)
            return Reading(None, (DataIssue(IssueKind.UNREADABLE_LABELS, labels, reason),))
        except UnicodeDecodeError as error:
            reason = f"not UTF-8 text (at byte {error.start})"
            return Reading(None, (DataIssue(IssueKind.UNREADABLE_LABELS, labels, reason),))
        try:
            calibration = self._calibration(stem)
        except CalibrationError as error:
            return Reading(None, (DataIssue(IssueKind.BAD_CALIBRATION, image, str(error)),))
        return self._reading(file_name, found, labels, text, calibration)

    def _reading(
        self, file_name: str, image: StoredImage, path: str, text: str, calibration: Calibration | None
    ) -> Reading:
        labels, faults, names = [], IssueCollector(path), set()
        stem = stem_of(file_name)
        height, width = image.upright_size if self.apply_exif else (image.height, image.width)
        for number, line in enumerate(io.StringIO(text, newline=None), 1):  # a list takes 25 times the memory
            fields = line.split()
            if not fields:
                continue
            found = parse_label(fields, height, width)
            if isinstance(found, Label):
                labels.append(found)
                names.add(fields[0])
            else:
                kind, reason = found
                faults.add(kind, reason, line=number)
        record = ImageRecord(
            frame_id=f"{self.image_dir}/{stem}",
            height=height,
            width=width,
            labels=tuple(labels),
            encoded=image.encoded,
            image_format=image.embedded_format,
            file=f"{self.image_dir}/{file_name}",
            orientation=image.orientation if self.apply_exif else UPRIGHT,
            point_cloud_id=f"{self.point_clouds_dir}/{stem}" if self.point_clouds_dir else "",
            calibration=calibration,
        )
        remarks = remarks_on(image, outside=any_outside(labels, height, width))
        return Reading(record, faults.all(), frozenset(names), remarks, image)

    def _calibration(self, stem: str) -> Calibration | None:
        if not self.calibrations_dir:
            return None
        return read_calibration(self.root / self.calibrations_dir / f"{stem}.txt")


def parse_label(fields: list[str], height: int, width: int) -> Label | tuple[IssueKind, str]:
    """Parses one line of a label file.

    Args:
        fields: 15 fields: class, truncated, occluded, alpha, x1 y1 x2 y2, h w l, x y z, rotation_y. A 16th
            field, the score of a detector, is ignored.
        height: Height of the image, px.
        width: Width of the image, px.

    Returns:
        The label, or kind and reason of an issue.
    """
    # A line of 15 fields has no room for a second word, and is the usual one.
    words = 1 if len(fields) == FIELDS else _words_of_name(fields)
    if words > 1:
        name = " ".join(fields[:words])
        return (
            IssueKind.CLASS_NAME,
            f'"{name}" contains a space, which separates fields; write "{"".join(fields[:words])}"',
        )
    if len(fields) not in (FIELDS, FIELDS + 1):
        return IssueKind.FIELD_COUNT, f"found {len(fields)} fields; expected {FIELDS}"
    if len(fields[0]) > LONGEST_CLASS_NAME:
        return IssueKind.CLASS_NAME, f"{len(fields[0])} characters; expected at most {LONGEST_CLASS_NAME}"
    try:
        numbers = [float(field) for field in fields[1:FIELDS]]
        if "_" in "".join(fields[1:FIELDS]):
            raise ValueError("underscore")
    except ValueError:
        wrong = next(field for field in fields[1:FIELDS] if _number(field) is None)
        return IssueKind.NOT_A_NUMBER, f"{wrong} is not a number"
    return _label(fields[0], numbers, height, width)


def _label(name: str, numbers: list[float], height: int, width: int) -> Label | tuple[IssueKind, str]:
    if not sum(map(abs, numbers)) < TOO_LARGE and not all(abs(number) < TOO_LARGE for number in numbers):
        wrong = next(number for number in numbers if not abs(number) < TOO_LARGE)
        return IssueKind.NOT_A_NUMBER, f"{wrong:g} is not finite"
    truncated, occluded, alpha, x1, y1, x2, y2, *world = numbers
    if occluded != int(occluded) or abs(occluded) >= TOO_OCCLUDED:
        return IssueKind.NOT_A_NUMBER, f"occluded is {occluded:g}; expected a whole number"
    fault = box_fault(x1, y1, x2, y2, height, width)
    if fault is not None:
        return fault
    return Label(_stored_name(name), x1, y1, x2, y2, truncated, int(occluded), alpha, *world)


def _words_of_name(fields: list[str]) -> int:
    """Counts the fields of a class name; more than 1 if it was written with spaces.

    Non-numeric words are part of the name. In a line of 16 fields, a number after the first word ("type 2",
    "usb 3.0") is too, if the fields after it also form a label, or if it is whole and cannot be a truncation.
    A line that ends with a score fails the first test: y1 would be x2 of the real box, and y2 its height in
    meters.
    """
    letters = next((at for at, field in enumerate(fields[1:FIELDS], 1) if _number(field) is not None), 1)
    if letters > 1 and len(fields) > FIELDS:
        return letters
    second = _number(fields[1]) if len(fields) == FIELDS + 1 else None
    if second is None:
        return 1
    whole = fields[1].lstrip("+-").isdigit()
    return 2 if (whole and not _is_truncation(second)) or _is_shifted_label(fields[2:]) else 1


def _is_shifted_label(fields: list[str]) -> bool:
    """Checks whether 14 fields form a usable label without its class name."""
    numbers = [_number(field) for field in fields]
    if None in numbers or len(numbers) != FIELDS - 1:
        return False
    truncated, occluded, alpha, x1, y1, x2, y2, *_ = (number for number in numbers if number is not None)
    return (
        _is_truncation(truncated)
        and occluded in _OCCLUSIONS
        and (abs(alpha) <= math.tau or alpha == _UNKNOWN_ANGLE)
        and x1 < x2
        and y1 < y2
    )


def _is_truncation(value: float) -> bool:
    """Checks whether a value is a truncation: 0..1, or -1 for unknown."""
    return 0.0 <= value <= 1.0 or value == -1.0


def _number(field: str) -> float | None:
    try:
        return parse_number(field)
    except ValueError:
        return None
