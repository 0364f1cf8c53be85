"""KITTI data sets: a folder of images and a folder with one text file of labels for each."""

import dataclasses
from pathlib import Path

from frcnn.data.conversion.box_checks import TOO_LARGE, box_fault
from frcnn.data.conversion.faults import Fault, FaultKind, Reading
from frcnn.data.conversion.kitti.calibration import CalibrationError, read_calibration
from frcnn.data.conversion.stored_image import StoredImage, read_image
from frcnn.data.records.annotations import Calibration, ImageRecord, Label

FIELDS = 15
# Far beyond what is ever written there (-1 to 3), and within what int64 holds.
TOO_OCCLUDED = 2**31


@dataclasses.dataclass(frozen=True)
class KittiReader:
    """Reads one image's labels, size and, where asked for, its calibration.

    `image_dir`, `label_dir` and the rest are names below `root`; an empty name switches that off.
    With `embed_images` a record carries the image file's bytes.
    """

    root: Path
    image_dir: str
    label_dir: str
    point_clouds_dir: str = ""
    calibrations_dir: str = ""
    embed_images: bool = False

    def read(self, file_name: str) -> Reading:
        """The image `file_name` of the image folder; never raises for what stands in the files."""
        image, stem = self.root / self.image_dir / file_name, Path(file_name).stem
        labels = self.root / self.label_dir / f"{stem}.txt"
        found = read_image(image, embed=self.embed_images)
        if isinstance(found, Fault):
            return Reading(None, (found,))
        try:
            lines = labels.read_bytes().decode("utf-8-sig").split("\n")
        except FileNotFoundError:
            fault = Fault(FaultKind.NO_LABELS, str(image), f"{labels} does not exist")
            return Reading(None, (fault,))
        except (OSError, UnicodeDecodeError) as error:
            return Reading(None, (Fault(FaultKind.UNREADABLE_LABELS, str(labels), str(error)),))
        try:
            calibration = self._calibration(stem)
        except CalibrationError as error:
            return Reading(None, (Fault(FaultKind.BAD_CALIBRATION, str(image), str(error)),))
        return self._reading(stem, found, labels, lines, calibration)

    def _reading(
        self,
        stem: str,
        image: StoredImage,
        path: Path,
        lines: list[str],
        calibration: Calibration | None,
    ) -> Reading:
        labels, faults, names = [], [], set()
        for number, line in enumerate(lines, 1):
            fields = line.split()
            if not fields:
                continue
            found = parse_label(fields, image.height, image.width)
            if isinstance(found, Label):
                labels.append(found)
                names.add(fields[0])
            else:
                kind, reason = found
                faults.append(Fault(kind, str(path), reason, line=number))
        record = ImageRecord(
            frame_id=f"{self.image_dir}/{stem}",
            height=image.height,
            width=image.width,
            labels=tuple(labels),
            encoded=image.encoded,
            image_format=image.image_format,
            point_cloud_id=f"{self.point_clouds_dir}/{stem}" if self.point_clouds_dir else "",
            calibration=calibration,
        )
        return Reading(record, tuple(faults), frozenset(names))

    def _calibration(self, stem: str) -> Calibration | None:
        if not self.calibrations_dir:
            return None
        return read_calibration(self.root / self.calibrations_dir / f"{stem}.txt")


def parse_label(fields: list[str], height: int, width: int) -> Label | tuple[FaultKind, str]:
    """The label of one line in an image of `height` x `width` pixels, or kind and reason of its fault.

    15 fields: class, truncated, occluded, alpha, x1 y1 x2 y2, h w l, x y z, rotation_y. A 16th, the
    score that a detector adds, is ignored.
    """
    if len(fields) not in (FIELDS, FIELDS + 1):
        return FaultKind.FIELD_COUNT, f"{len(fields)} fields, expected {FIELDS}"
    try:
        numbers = [float(field) for field in fields[1:FIELDS]]
    except ValueError as error:
        return FaultKind.NOT_A_NUMBER, str(error)
    if not all(abs(number) < TOO_LARGE for number in numbers):
        wrong = next(number for number in numbers if not abs(number) < TOO_LARGE)
        return FaultKind.NOT_A_NUMBER, f"{wrong:g} is not finite"
    truncated, occluded, alpha, x1, y1, x2, y2, *world = numbers
    if occluded != int(occluded) or abs(occluded) >= TOO_OCCLUDED:
        return FaultKind.NOT_A_NUMBER, f"occluded is {fields[2]}, expected a whole number"
    fault = box_fault(x1, y1, x2, y2, height, width)
    if fault is not None:
        return fault
    occlusion = int(occluded)
    return Label(fields[0].lower(), x1, y1, x2, y2, truncated, occlusion, alpha, *world)
