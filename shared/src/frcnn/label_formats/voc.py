"""Reads and writes labels in the format of Pascal VOC: one XML file per image."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.data.conversion.box_checks import box_fault, parse_number
from frcnn.data.conversion.faults import DataIssue, IssueCollector, IssueKind, Reading
from frcnn.data.conversion.stored_image import StoredImage, read_image, remarks_on
from frcnn.data.image_suffixes import image_names, stem_of
from frcnn.data.records.annotations import ImageRecord, Label
from frcnn.data.spellings import read_spelled
from frcnn.errors import DataError
from frcnn.label_formats.numbers import coordinate
from frcnn.survey.layouts import voc_labels

IMAGE_DIRS = ("JPEGImages", "images", "")
_MAX_BYTES = 16 << 20
# Tags and attributes; 20,000 objects have fewer. Each takes up to 300 bytes.
_MAX_MARKS = 500_000
_DOCTYPE = re.compile(rb"<!(?!--|\[CDATA\[)")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True)
class VocReader:
    """Reader of images with labels of Pascal VOC.

    Attributes:
        image_dir: Image folder.
        label_dir: Folder of the XML files.
    """

    image_dir: Path
    label_dir: Path

    def path(self, file_name: str) -> Path:
        """Returns the path of an image."""
        return self.image_dir / file_name

    def read(self, file_name: str) -> Reading:
        """Reads an image and its labels; issues are returned instead of raised.

        Args:
            file_name: Name of the image file.
        """
        name = f"{stem_of(file_name)}.xml"
        labels = self.label_dir / name
        image = read_image(self.path(file_name))
        if isinstance(image, DataIssue):
            return Reading(None, (image,))
        try:
            root = _parse(read_spelled(self.label_dir, name, _MAX_BYTES))
        except FileNotFoundError:
            reason = f"{labels} does not exist"
            return Reading(None, (DataIssue(IssueKind.NO_LABELS, str(self.path(file_name)), reason),))
        except (OSError, ET.ParseError, ValueError, LookupError) as error:
            reason = f"not an annotation of Pascal VOC: {error}"
            return Reading(None, (DataIssue(IssueKind.UNREADABLE_LABELS, str(labels), reason),))
        found, faults = [], IssueCollector(str(labels))
        for number, entry in enumerate(root.iter("object"), 1):
            label = _label(entry, image.height, image.width)
            if isinstance(label, Label):
                found.append(label)
            else:
                kind, reason = label
                faults.add(kind, reason, annotation=number)
        record = ImageRecord(stem_of(file_name), image.height, image.width, tuple(found), file=file_name)
        names = frozenset(label.class_name for label in found)
        issues = (*_other_size(root, image, self.path(file_name)), *faults.all())
        return Reading(record, issues, names, remarks_on(image), image)


def find_voc(folder: Path, images: Path | None = None) -> tuple[VocReader, tuple[str, ...]] | None:
    """Finds labels of Pascal VOC in a folder.

    Args:
        folder: Data set.
        images: Image folder; by default it is searched for in the data set.

    Returns:
        Reader and image names; `None` if there are no XML files or no images.
    """
    label_dir = voc_labels(folder)
    if label_dir is None:
        return None
    for image_dir in [images] if images else [folder / name for name in IMAGE_DIRS]:
        names = tuple(image_names(image_dir)) if image_dir.is_dir() else ()
        if names:
            return VocReader(image_dir, label_dir), names
    if images:
        raise DataError(f"{images}: no images for the XML labels in {label_dir}")
    raise DataError(
        f"{folder}: has XML labels, but no images in {', '.join(IMAGE_DIRS[:2])} or next to them; give the "
        "folder of the images with --images"
    )


def voc_text(record: ImageRecord, file_name: str, channels: int) -> str:
    """Returns the XML of an image.

    Args:
        record: Image with its labels.
        file_name: Name of the image file.
        channels: Number of channels of the image.
    """
    root = ET.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", file_name)
    size = ET.SubElement(root, "size")
    for name, value in (("width", record.width), ("height", record.height), ("depth", channels or 3)):
        _add(size, name, str(value))
    _add(root, "segmented", "0")
    for label in record.labels:
        entry = ET.SubElement(root, "object")
        _add(entry, "name", label.class_name)
        _add(entry, "pose", "Unspecified")
        _add(entry, "truncated", str(int(label.truncation > 0)))
        _add(entry, "difficult", str(int(label.occlusion >= 1)))
        box = ET.SubElement(entry, "bndbox")
        edges = {"xmin": label.x1, "ymin": label.y1, "xmax": label.x2, "ymax": label.y2}
        for name, edge in edges.items():
            _add(box, name, coordinate(edge + 1))
    ET.indent(root, "  ")
    return ET.tostring(root, encoding="unicode") + "\n"


def xml_text(text: str) -> str:
    r"""Escapes the control characters that XML forbids; they become `\x1b`.

    Args:
        text: Text, such as a class name.
    """
    return _NOT_XML.sub(lambda found: printable(found[0]), text)


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = xml_text(text)


def _parse(content: bytes) -> ET.Element:
    """Parses XML of limited size without document types: entities could expand to gigabytes."""
    if _DOCTYPE.search(content.replace(b"\0", b"")):  # UTF-16 has a zero byte in each of these characters
        raise ValueError("it has a document type; expected plain XML")
    if content.count(b"<") + content.count(b"=") > _MAX_MARKS:
        raise ValueError(f"more than {_MAX_MARKS} tags and attributes")
    root = ET.fromstring(content)
    for element in root.iter():  # a namespace is part of the name
        element.tag = element.tag.rpartition("}")[2]
    if root.tag.lower() != "annotation":
        raise ValueError(f"it contains <{printable(root.tag)}>; expected <annotation>")
    return root


def _label(entry: ET.Element, height: int, width: int) -> Label | tuple[IssueKind, str]:
    name = (entry.findtext("name") or "").strip()
    if not name:
        return IssueKind.CLASS_NAME, "no name"
    texts = [entry.findtext(f"bndbox/{field}") for field in ("xmin", "ymin", "xmax", "ymax")]
    try:
        x1, y1, x2, y2 = (parse_number(text or "") - 1 for text in texts)
    except ValueError:
        return IssueKind.BAD_BOX, f"bndbox {', '.join(map(str, texts))}; expected four numbers"
    fault = box_fault(x1, y1, x2, y2, height, width) if all(map(_is_finite, (x1, y1, x2, y2))) else (
        IssueKind.NOT_A_NUMBER, "bndbox is not finite")  # fmt: skip
    if fault is not None:
        return fault
    return Label(name, x1, y1, x2, y2, float(_is_set(entry, "truncated")), int(_is_set(entry, "difficult")))


def _is_set(entry: ET.Element, name: str) -> bool:
    """Checks whether a mark is set; some tools write true, a level or a share instead of 1."""
    text = (entry.findtext(name) or "").strip().lower()
    try:
        return parse_number(text) > 0
    except ValueError:
        return text in ("true", "yes")


def _other_size(root: ET.Element, image: StoredImage, path: Path) -> tuple[DataIssue, ...]:
    """Returns an issue if the annotation states another size than that of the image file."""
    try:
        width, height = (
            int(parse_number(root.findtext(f"size/{side}") or "0")) for side in ("width", "height")
        )
    except (ValueError, OverflowError):
        return ()
    if width in (0, image.width) and height in (0, image.height):
        return ()
    reason = f"{image.width}x{image.height}, but {width}x{height} in its annotation"
    return (DataIssue(IssueKind.OTHER_SIZE, str(path), reason),)


def _is_finite(value: float) -> bool:
    return abs(value) < 3.0e38
