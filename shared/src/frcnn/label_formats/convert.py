"""Converts the labels of a data set to another format."""

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from frcnn.class_names import stored_class_name
from frcnn.console.foreign_text import utf8
from frcnn.console.progress import Progress
from frcnn.data.conversion.faults import DataIssue, IssueKind, Reading
from frcnn.data.conversion.kitti.plan import list_images, notes_on_unused
from frcnn.data.image_suffixes import stem_of
from frcnn.data.records.annotations import DONT_CARE
from frcnn.errors import DataError, UsageError
from frcnn.files import atomic_path
from frcnn.label_formats.losses import NOT_READ, loss_of_orientation, losses_of
from frcnn.label_formats.voc import find_voc
from frcnn.label_formats.write import IMAGE_FOLDERS, Item, Writer, place_image, writer
from frcnn.label_formats.yolo import find_yolo
from frcnn.single_writer import only_writer_of
from frcnn.storage.address import is_remote
from frcnn.survey.advice import unused_folders
from frcnn.survey.layouts import has_yolo_labels, other_format, part_folders, yolo_parts
from frcnn.survey.record_files import RecordReader, is_records
from frcnn.survey.sources import Fold, Source, image_lists, listed_folds, open_sources

log = logging.getLogger(__name__)

_SOURCES = (
    "a folder as in KITTI (images/ and labels/), Pascal VOC (JPEGImages/ and Annotations/) or YOLO "
    "(images/, labels/ and data.yaml), a COCO annotation file or its folder, record files, or a "
    "dataset_convert spec"
)


@dataclasses.dataclass(frozen=True)
class Converted:
    """Result of a conversion.

    Attributes:
        images: Number of images written.
        objects: Number of objects written.
        losses: Number of each loss, such as `objects: occlusion`; 0 if the number is not known.
        issues: Number of issues of each kind in the source.
    """

    images: int
    objects: int
    losses: Counter[str]
    issues: Counter[IssueKind]


def convert(
    location: str,
    target: Path,
    target_format: str,
    *,
    source_format: str | None = None,
    classes: Path | None = None,
    images: Path | None = None,
    copy: bool = False,
) -> Converted:
    """Converts labels; each part of the data set (train, val, test) becomes a separate folder.

    Args:
        location: Data set.
        target: Folder to create.
        target_format: Format of the target, `kitti`, `coco`, `voc` or `yolo`.
        source_format: Format of the source; by default it is detected.
        classes: Class names of YOLO labels.
        images: Image folder, if it is not where the format has it; with a folder below it for each part.
        copy: Whether to copy the images instead of linking them.

    Returns:
        Counts, losses and issues.

    Raises:
        UsageError: The target exists, the format of the source is unknown, or the image folder does not fit.
        DataError: The source has no usable image.
        PlaceBusyError: Another run writes to the target.
    """
    target = Path(os.path.realpath(target))  # a link to a folder cannot be replaced by a folder
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} exists and is not empty; choose another folder")
    kind, sources = _open(location, source_format, classes, images)
    run = _Run(target, target_format, copy=copy or is_remote(location))
    with only_writer_of(target), atomic_path(target.absolute()) as temporary:
        temporary.mkdir()
        run.write(sources, temporary)
        if not run.images:
            reasons = ", ".join(f"{count} x {issue}" for issue, count in run.issues.items())
            first = next((f", such as {issue}" for issue in run.first.values()), "")
            raise DataError(f"{location}: no usable image to convert ({reasons}){first}")
        if target.is_dir():
            target.rmdir()
    for issue in run.first.values():
        log.warning("%s", issue)
    run.losses.update({note: 0 for source in sources for note in source.notes})
    if kind in NOT_READ and kind != target_format:
        run.losses[NOT_READ[kind]] = 0
    return Converted(run.images, run.objects, run.losses, run.issues)


class _Run:
    """Counts of a conversion while it runs."""

    def __init__(self, target: Path, target_format: str, *, copy: bool) -> None:
        self._target, self._format, self._copy = target, target_format, copy
        self.images = self.objects = 0
        self.losses: Counter[str] = Counter()
        self.issues: Counter[IssueKind] = Counter()
        self.first: dict[IssueKind, DataIssue] = {}

    def write(self, sources: tuple[Source, ...], folder: Path) -> None:
        """Writes all parts below a folder."""
        parts = [(source, fold) for source in sources for fold in source.folds]
        names = _part_names(parts)
        total = sum(len(fold.jobs) for _, fold in parts)
        for source in sources:
            self._count(source.faults)
        classes = tuple(sorted({name for source, fold in parts for name in _class_names(source, fold)}))
        with Progress("converting labels", total) as progress:
            done = 0
            for (source, fold), name in zip(parts, names, strict=True):
                with writer(self._format, folder / name, classes) as out:
                    for item in self._items(source, fold):
                        self._add(out, item, folder / name, self._target / name)
                        progress.update(done + self.images)

    def _items(self, source: Source, fold: Fold) -> Iterator[Item]:
        spelling = {stored_class_name(name): name for name in source.class_names}
        taken: set[str] = set()
        for job in fold.jobs:
            reading = source.reader.read(job)
            self._count(reading.faults)
            if reading.record is not None:
                self.losses.update(loss_of_orientation(reading, self._format))
                yield _item(source, job, reading, spelling, taken)

    def _count(self, issues: tuple[DataIssue, ...]) -> None:
        for issue in issues:
            self.issues[issue.kind] += issue.count
            self.first.setdefault(issue.kind, issue)

    def _add(self, out: Writer, item: Item, folder: Path, final: Path) -> None:
        record = item.record
        if self._format != "kitti":
            kept = tuple(label for label in record.labels if label.class_name.lower() != DONT_CARE)
            self.losses["DontCare regions"] += len(record.labels) - len(kept)
            record = dataclasses.replace(record, labels=kept)
        for label in record.labels:
            self.losses.update(losses_of(label, self._format))
        place = f"{IMAGE_FOLDERS[self._format]}/{item.name}"
        place_image(item, folder / place, final / place, copy=self._copy)
        self.losses.update(out.add(dataclasses.replace(item, record=record)))
        self.losses = +self.losses
        self.images += 1
        self.objects += len(record.labels)


def _open(
    location: str, given: str | None, classes: Path | None, images: Path | None
) -> tuple[str, tuple[Source, ...]]:
    """Returns format and data sets of a source."""
    path = Path(location)
    if not is_remote(location) and path.is_dir() and not is_records(location):
        kind = given or other_format(path) or ("yolo" if images and _has_yolo_labels(path, images) else "")
        if kind in ("voc", "yolo"):
            return kind, _parts(path, kind, classes, images)
    sources = open_sources([location], images, expected=_SOURCES)
    if given not in (None, sources[0].kind):
        raise UsageError(f"{location}: found {sources[0].kind} labels, not {given}")
    return sources[0].kind, sources


def _parts(path: Path, kind: str, classes: Path | None, images: Path | None) -> tuple[Source, ...]:
    if images is not None and not images.is_dir():
        raise UsageError(f"--images {images}: no such folder")
    folders = part_folders(path) or [path]
    found = _parts_in(path, folders, kind, classes, images)
    notes = (*found[0].notes, *(unused_folders(path, folders) if folders != [path] else ()))
    return (dataclasses.replace(found[0], notes=notes), *found[1:])


def _parts_in(
    path: Path, folders: list[Path], kind: str, classes: Path | None, images: Path | None
) -> tuple[Source, ...]:
    if kind == "voc":
        return tuple(
            _voc(folder, _images_of(images, folder.name if folder != path else "")) for folder in folders
        )
    parts = [(folder, part) for folder in folders for part in yolo_parts(folder, images) or ("",)]
    return tuple(
        _yolo(folder, classes, part, _images_of(images, part or (folder.name if folder != path else "")))
        for folder, part in parts
    )


def _has_yolo_labels(path: Path, images: Path) -> bool:
    """Checks whether a data set without its images has labels of YOLO."""
    return any(yolo_parts(each, images) or has_yolo_labels(each) for each in (path, *part_folders(path)))


def _images_of(images: Path | None, part: str) -> Path | None:
    """Returns the image folder of a part below the given one, or the given one if the set has no parts."""
    if images is None or not part:
        return images
    if not (images / part).is_dir():
        raise UsageError(
            f"--images {images}: no folder {part}/ for that part of the set; convert the parts one by one"
        )
    return images / part


def _yolo(folder: Path, classes: Path | None, part: str, images: Path | None) -> Source:
    reader, names = find_yolo(folder, classes, part, images)
    suffix = Path(names[0]).suffix if names else ""
    files, faults = list_images(reader.image_dir, suffix)
    lists = {} if part else image_lists(folder)
    folds = listed_folds(lists, files, suffix) if lists else (Fold(part, tuple(files.values())),)
    known = reader.label_dir.is_dir()
    notes: tuple[str, ...] = (f"there is no folder {reader.label_dir}: its images have no objects",)
    if known:
        notes = notes_on_unused(reader.image_dir, reader.label_dir, files)
    return Source(str(folder / part), "yolo", folder, reader, folds, tuple(faults), notes=notes)


def _voc(folder: Path, images: Path | None) -> Source:
    found = find_voc(folder, images)
    if found is None:
        raise DataError(f"{folder}: no XML labels; expected the layout of Pascal VOC")
    reader, names = found
    suffix = Path(names[0]).suffix
    files, faults = list_images(reader.image_dir, suffix)
    lists = image_lists(folder / "ImageSets" / "Main")
    folds = listed_folds(lists, files, suffix) if lists else (Fold("", tuple(files.values())),)
    notes = notes_on_unused(reader.image_dir, reader.label_dir, files, ".xml")
    return Source(str(folder), "voc", folder, reader, folds, tuple(faults), notes=notes)


def _part_names(parts: list[tuple[Source, Fold]]) -> list[str]:
    """Returns the folder of each part below the target; the target itself for a single part."""
    if len(parts) == 1:
        return ["."]
    names = [(fold.name or source.root.name).replace("/", "_").replace(" ", "_") for source, fold in parts]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    return [f"{name}_{number}" if name in repeated else name for number, name in enumerate(names)]


def _class_names(source: Source, fold: Fold) -> Iterator[str]:
    """Yields the class names of a part as its labels spell them."""
    known = getattr(source.reader, "names", None) or source.class_names
    if known:
        yield from known
        return
    for job in fold.jobs:
        for name in source.reader.read(job).source_names:
            if name.lower() != DONT_CARE:
                yield name


def _item(source: Source, job: Any, reading: Reading, spelling: dict[str, str], taken: set[str]) -> Item:
    record = reading.record
    if record is None:
        raise ValueError("no record")
    spelled = {**spelling, **{stored_class_name(name): name for name in reading.source_names}}
    labels = tuple(
        dataclasses.replace(label, class_name=_spelling(label.class_name, reading.source_names, spelled))
        for label in record.labels
    )
    path, content = source.reader.path(job), None
    name = Path(record.file or path.name).name
    if isinstance(source.reader, RecordReader):
        content, path = source.reader.content(job), None  # type: ignore[assignment]
        name = name if record.file else f"{stem_of(Path(record.frame_id).name)}.jpg"
    name = _unique(utf8(name), Path(utf8(record.file or record.frame_id)), taken)
    channels = reading.image.channels if reading.image is not None else 0
    return Item(name, dataclasses.replace(record, labels=labels), channels, path, content)


def _spelling(name: str, known: Collection[str], spelled: dict[str, str]) -> str:
    """Returns a class name as the labels spell it; readers of KITTI and COCO return the stored form."""
    return name if name in known else spelled.get(stored_class_name(name), name)


def _unique(name: str, file: Path, taken: set[str]) -> str:
    """Returns a file name whose stem no other image of the part has, since label files are named by it."""
    stem = stem_of(name)
    if stem in taken:
        stem = stem_of("_".join(file.parts))
        while stem in taken:
            stem += "_"
        name = f"{stem}{Path(name).suffix}"
    taken.add(stem)
    return name
