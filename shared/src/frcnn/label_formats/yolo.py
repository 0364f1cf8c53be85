"""Reads and writes labels in the format of YOLO: class number, center and sides as shares of the image."""

import dataclasses
import io
import math
from collections.abc import Iterable
from pathlib import Path

from frcnn.console.foreign_text import printable, utf8
from frcnn.data.conversion.box_checks import box_fault, parse_number, parse_whole
from frcnn.data.conversion.faults import DataIssue, IssueCollector, IssueKind, Reading
from frcnn.data.conversion.stored_image import read_image, remarks_on
from frcnn.data.image_suffixes import image_names, stem_of
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.data.spellings import read_spelled
from frcnn.errors import DataError
from frcnn.label_formats.numbers import share
from frcnn.regular_file import read_regular, reading_fault
from frcnn.survey.layouts import YOLO_FIELDS, is_flat

NAMES = "data.yaml"
SAME_IMAGES = "train and val are the same images, those of this folder; to validate, set val to other images"
_NAME_FILES = (NAMES, "dataset.yaml", "data.yml", "classes.txt", "obj.names", "labels/classes.txt")
# Enough for 100,000 objects of 80 bytes. Reading short lines takes 25 times the file size in memory.
_MAX_BYTES = 8 << 20
_MAX_NAME_BYTES = 4 << 20
# Commas, lines and brackets of a YAML file; each takes up to 700 bytes and 30 us.
_MAX_YAML_VALUES = 200_000
# Rounding of shares may move an edge beyond the image by this much, px.
_SLACK = 1e-3


@dataclasses.dataclass(frozen=True)
class YoloReader:
    """Reader of images with labels of YOLO. An image without a label file has no objects.

    Attributes:
        image_dir: Image folder.
        label_dir: Folder of the label files.
        names: Class names by number.
    """

    image_dir: Path
    label_dir: Path
    names: tuple[str, ...]

    def path(self, file_name: str) -> Path:
        """Returns the path of an image."""
        return self.image_dir / file_name

    def read(self, file_name: str) -> Reading:
        """Reads an image and its labels; issues are returned instead of raised.

        Args:
            file_name: Name of the image file.
        """
        name = f"{stem_of(file_name)}.txt"
        path = self.label_dir / name
        image = read_image(self.path(file_name))
        if isinstance(image, DataIssue):
            return Reading(None, (image,))
        try:
            text = read_spelled(self.label_dir, name, _MAX_BYTES).decode("utf-8-sig")
        except FileNotFoundError:
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            reason = f"cannot be read as text: {reading_fault(error)}"
            return Reading(None, (DataIssue(IssueKind.UNREADABLE_LABELS, str(path), reason),))
        labels, faults = [], IssueCollector(str(path))
        height, width = image.upright_size  # YOLO's tools rotate images by their EXIF orientation
        lines = io.StringIO(text, newline=None)  # a list takes five times the memory
        for number, line in enumerate(lines, 1):
            if not line.split():
                continue
            found = self._label(line.split(), height, width)
            if isinstance(found, Label):
                labels.append(found)
            else:
                kind, reason = found
                faults.add(kind, reason, line=number)
        record = ImageRecord(
            stem_of(file_name),
            height,
            width,
            tuple(labels),
            file=file_name,
            orientation=image.orientation,
        )
        names = frozenset(label.class_name for label in labels)
        return Reading(record, faults.all(), names, remarks_on(image), image)

    def _label(self, fields: list[str], height: int, width: int) -> Label | tuple[IssueKind, str]:
        if len(fields) != YOLO_FIELDS:
            return (
                IssueKind.BAD_BOX,
                f"found {len(fields)} fields; expected {YOLO_FIELDS} (outlines are not read)",
            )
        try:
            number, (x, y, w, h) = parse_whole(fields[0]), map(parse_number, fields[1:])
        except ValueError:
            return IssueKind.NOT_A_NUMBER, f"{' '.join(fields)} are not a class number and four numbers"
        if not 0 <= number < len(self.names):
            return IssueKind.UNKNOWN_CATEGORY, f"class {number}; there are {len(self.names)} class names"
        if not all(abs(value) < 1e6 for value in (x, y, w, h)):
            return IssueKind.NOT_A_NUMBER, "a value is not finite"
        x1, x2 = _edges(x, w, width)
        y1, y2 = _edges(y, h, height)
        fault = box_fault(x1, y1, x2, y2, height, width)
        return fault if fault is not None else Label(self.names[number], x1, y1, x2, y2)


def find_yolo(
    folder: Path, classes: Path | None, part: str = "", images: Path | None = None
) -> tuple[YoloReader, tuple[str, ...]]:
    """Finds labels of YOLO in a folder with `images` and `labels`, or without `images` if they are given.

    Args:
        folder: Data set.
        classes: File with class names, one per line; by default data.yaml, classes.txt or obj.names.
        part: Sub-folder of both that has the images and labels, such as train.
        images: Image folder of this part; the labels may then be in the data set's own folder, too.

    Returns:
        Reader and image names.

    Raises:
        DataError: A folder or the class names are missing, or no image of the given folder has labels.
    """
    flat = is_flat(folder) or (images is not None and not (folder / "labels").is_dir())
    labels = folder if flat else folder / "labels"
    image_dir, label_dir = images or (folder if flat else folder / "images" / part), labels / part
    found = tuple(image_names(image_dir)) if image_dir.is_dir() else ()
    if not image_dir.is_dir() or not labels.is_dir() or (image_dir == folder and not found):
        raise DataError(
            f"{folder}: no folders images/ and labels/; expected the layout of YOLO, or "
            "give the folder of the images with --images"
        )
    candidates = [base / name for base in (folder, folder.parent) for name in _NAME_FILES]
    path = classes or next((each for each in candidates if each.is_file()), None)
    if path is None:
        raise DataError(
            f"{folder}: no class names; expected {', '.join(_NAME_FILES[:4])}, or give a file with --classes"
        )
    # An image without a label file has no objects: of a wrong folder, all images would have none.
    if images and not any((label_dir / f"{stem_of(name)}.txt").is_file() for name in found):
        raise DataError(f"{images}: none of its {len(found)} images has a label file in {label_dir}")
    return YoloReader(image_dir, label_dir, _read_names(path)), found


def names_text(classes: Iterable[str]) -> str:
    """Returns the content of data.yaml.

    Args:
        classes: Class names, by number.
    """
    import yaml

    lines = (yaml.safe_dump(name, default_style='"', allow_unicode=True, width=math.inf) for name in classes)
    names = "".join(f"  {number}: {line}" for number, line in enumerate(lines))
    return f"# {SAME_IMAGES}.\npath: .\ntrain: images\nval: images\nnames:\n{names}"


def yolo_lines(record: ImageRecord, numbers: dict[str, int]) -> tuple[str, int]:
    """Returns the label lines of an image, and the number of boxes that were clipped to it.

    Args:
        record: Image with its labels.
        numbers: Class number by class name.
    """
    lines, clipped = [], 0
    for label in record.labels:
        x1, x2 = (min(max(value, 0.0), float(record.width)) for value in (label.x1, label.x2))
        y1, y2 = (min(max(value, 0.0), float(record.height)) for value in (label.y1, label.y2))
        moved = max(abs(x1 - label.x1), abs(x2 - label.x2), abs(y1 - label.y1), abs(y2 - label.y2))
        clipped += moved > _SLACK
        values = (
            (x1 + x2) / 2 / record.width,
            (y1 + y2) / 2 / record.height,
            (x2 - x1) / record.width,
            (y2 - y1) / record.height,
        )
        lines.append(f"{numbers[label.class_name]} {' '.join(map(share, values))}\n")
    return "".join(lines), clipped


def _edges(center: float, side: float, limit: int) -> tuple[float, float]:
    """Returns both edges of a side in px, without rounding noise."""
    return round((center - side / 2) * limit, 4), round((center + side / 2) * limit, 4)


def _read_names(path: Path) -> tuple[str, ...]:
    try:
        text = read_regular(path, _MAX_NAME_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as class names ({reading_fault(error)})") from error
    names = _yaml_names(path, text) if path.suffix in (".yaml", ".yml") else text.rstrip().splitlines()
    found = tuple(utf8(name.strip()) for name in names)
    if not found:
        raise DataError(f"{path}: no class names; expected one per line, or names in a YAML file")
    if "" in found:  # omitting it would shift the numbers of the following classes
        raise DataError(f"{path}: class {found.index('')} has no name; expected a name for each number")
    return found


def _yaml_names(path: Path, text: str) -> list[str]:
    import yaml

    if sum(map(text.count, ",\n[{")) > _MAX_YAML_VALUES:
        raise DataError(f"{path}: not a data file of YOLO (more than {_MAX_YAML_VALUES} values)")
    try:
        # Only texts, lists and mappings: a class called `no` or `1.0` keeps its name.
        content = yaml.load(text, yaml.BaseLoader)
    except RecursionError as error:
        raise DataError(f"{path}: not a data file of YOLO (nested too deeply)") from error
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f"line {place.line + 1}: " if place is not None else ""
        reason = printable(getattr(error, "problem", None) or error)
        raise DataError(f"{path}: not a data file of YOLO ({where}{reason})") from error
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if set(names) != {str(number) for number in range(len(names))}:
            numbers = printable(", ".join(map(str, names)))
            raise DataError(f"{path}: names has the numbers {numbers}; expected 0, 1, 2, ...")
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: no list of class names; expected names: [car, van] or names: {{0: car}}")
    return names
