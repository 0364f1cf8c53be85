"""Finds the data sets to survey: KITTI, COCO, records or conversion specs, local or on S3."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from frcnn.data.conversion.coco.annotations import CocoFold, read_coco
from frcnn.data.conversion.coco.reader import CocoReader
from frcnn.data.conversion.convert import make_plan
from frcnn.data.conversion.faults import DataIssue, Reading
from frcnn.data.conversion.kitti.layout import IMAGE_DIRS, LABEL_DIRS, layout
from frcnn.data.conversion.kitti.plan import list_images
from frcnn.data.conversion.kitti.reader import FIELDS, KittiReader
from frcnn.data.conversion.plan import Plan
from frcnn.data.image_suffixes import stem_of
from frcnn.errors import DataError, UsageError
from frcnn.regular_file import read_regular, reading_fault
from frcnn.settings.conversion import read_conversion
from frcnn.storage.address import is_remote
from frcnn.survey.coco_files import MOST_LOOKED_AT, annotation_files, image_folder
from frcnn.survey.record_files import is_records, record_source

# Names of the parts of a split data set, as folders or as lists of image names.
SPLITS = ("train", "training", "val", "valid", "validation", "test")
_MOST_LIST_BYTES = 256 << 20
# Label files to look into, to tell YOLO from KITTI.
_LOOKED_AT, _MOST_LOOKED_AT_BYTES = 50, 1 << 20
YOLO_FIELDS = 5
_VOC_LABEL_DIRS = ("Annotations", "annotations", "labels", "")
_CONVERT_FIRST = "convert them first: frcnn data labels {} TARGET --to kitti"
LAYOUTS = (
    "a folder with images/ and labels/ (KITTI), a COCO annotation file or its folder, record files, "
    "or a dataset_convert spec"
)


class Reader(Protocol):
    """Reader of single images."""

    def read(self, job: Any) -> Reading:
        """Reads labels and properties of an image; issues are returned instead of raised."""

    def path(self, job: Any) -> Path:
        """Returns the path of an image for captions and messages."""


@dataclasses.dataclass(frozen=True)
class Fold:
    """Part of a data set.

    Attributes:
        name: Name for people; empty if the set has no parts.
        jobs: Images of the part, as the reader takes them.
    """

    name: str
    jobs: Sequence[Any]


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set to survey.

    Attributes:
        name: Name for people.
        kind: Layout: `kitti`, `coco` or `records`.
        root: Folder of the data set.
        reader: Reader of its images.
        folds: Parts that have images.
        faults: Issues found while listing the images.
        class_names: Class names known in advance.
        parallel: Whether worker processes may read it.
        planned: Whether the parts are the folds of a conversion spec.
    """

    name: str
    kind: str
    root: Path
    reader: Reader
    folds: tuple[Fold, ...]
    faults: tuple[DataIssue, ...] = ()
    class_names: tuple[str, ...] = ()
    parallel: bool = True
    planned: bool = False

    @property
    def size(self) -> int:
        """Number of images, including those that may prove unusable."""
        return sum(len(fold.jobs) for fold in self.folds)


@dataclasses.dataclass(frozen=True)
class _Options:
    """Arguments of `open_sources` that concern all locations."""

    images: Path | None
    apply_exif: bool


def open_sources(
    locations: Sequence[str], images: Path | None = None, *, apply_exif: bool = False
) -> tuple[Source, ...]:
    """Finds the data sets at several locations.

    Args:
        locations: Paths or `s3://` URIs.
        images: Image folder of a COCO file or of records; by default it is searched for.
        apply_exif: Whether labels refer to images with the EXIF orientation applied. Records state it
            themselves.

    Returns:
        The data sets; a folder with a folder for each part gives one for each.

    Raises:
        UsageError: A location does not exist, or is none of the known layouts.
        DataError: A data set has no images or is unusable.
        StoreError: S3 is unreachable.
    """
    if not locations:
        raise UsageError(f"no data set given; expected {LAYOUTS}")
    options = _Options(images, apply_exif)
    found = tuple(source for location in locations for source in _open(location, options))
    for source in found:
        if not source.size:
            raise DataError(f"{source.name}: no image found; expected {LAYOUTS}")
    return found


def voc_labels(folder: Path) -> Path | None:
    """Finds the folder of Pascal VOC's label files.

    Args:
        folder: Folder of a data set, or of a part of it.

    Returns:
        The folder; None if there are no XML files.
    """
    return next((folder / name for name in _VOC_LABEL_DIRS if any((folder / name).glob("*.xml"))), None)


def has_yolo_labels(folder: Path) -> bool:
    """Checks whether label files are in the format of YOLO rather than KITTI.

    The first line that has the fields of either decides.

    Args:
        folder: Folder of the label files.
    """
    for path in sorted(folder.glob("*.txt"))[:_LOOKED_AT]:
        try:
            lines = read_regular(path, _MOST_LOOKED_AT_BYTES).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        for words in map(str.split, lines if path.name != "classes.txt" else ()):
            if len(words) == YOLO_FIELDS and words[0].isdigit():
                return True
            if len(words) in (FIELDS, FIELDS + 1):
                return False
    return False


def yolo_parts(folder: Path) -> tuple[str, ...]:
    """Finds the parts of a data set with labels of YOLO below one `images` and one `labels` folder.

    Args:
        folder: Data set.

    Returns:
        Names of the sub-folders of both, such as train and val; one empty name if there are none. Empty for
        labels of another format.
    """
    images, labels = folder / "images", folder / "labels"
    if not images.is_dir() or not labels.is_dir():
        return ()
    if has_yolo_labels(labels):
        return ("",)
    parts = tuple(name for name in SPLITS if (images / name).is_dir())
    return parts if any(has_yolo_labels(labels / name) for name in parts) else ()


def other_format(folder: Path) -> str:
    """Detects labels that must be converted before anything else reads them, in a folder or its parts.

    Args:
        folder: Data set.

    Returns:
        `yolo` or `voc`; empty for other formats.
    """
    for part in (folder, *(folder / name for name in SPLITS)):
        if part.is_dir() and yolo_parts(part):
            return "yolo"
        if part.is_dir() and voc_labels(part) is not None:
            return "voc"
    return ""


def listed_folds(lists: dict[str, Path], files: dict[str, str], extension: str) -> tuple[Fold, ...]:
    """Returns the parts named by lists of images, and a part for the images in no list.

    Images without a file get a name, so that the reader reports them as missing.

    Args:
        lists: Text files that name images, by name of the part.
        files: Image files by their name without extension.
        extension: Extension of an image without a file, with dot.
    """
    folds: list[Fold] = []
    taken: set[str] = set()
    for name, path in lists.items():
        try:
            lines = read_regular(path, _MOST_LIST_BYTES).decode("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not a readable list of image names ({reading_fault(error)})") from error
        stems = [stem for line in lines for stem in _stems_in(line, files)]
        if not any(stem in files for stem in stems):
            continue  # a text of another kind
        taken.update(stems)
        jobs = tuple(files.get(stem, f"{stem}{extension}") for stem in stems)
        if jobs:
            folds.append(Fold(name, jobs))
    rest = tuple(file for stem, file in files.items() if stem not in taken)
    if not folds:
        return (Fold("", rest),)
    return (*folds, Fold("in no list", rest)) if rest else tuple(folds)


def image_lists(folder: Path) -> dict[str, Path]:
    """Returns the lists of images in a folder, such as train.txt, by name of the part.

    Args:
        folder: Folder of the lists.
    """
    return {name: folder / f"{name}.txt" for name in SPLITS if (folder / f"{name}.txt").is_file()}


def plan_source(plan: Plan, name: str, root: Path) -> Source:
    """Returns the data set of a conversion plan, with the folds that the conversion will write.

    Args:
        plan: Plan of the conversion.
        name: Name for people.
        root: Folder of the data set.
    """
    several = len(plan.folds) > 1
    folds = (
        Fold(f"fold {number}" if several else "", jobs) for number, jobs in enumerate(plan.folds) if len(jobs)
    )
    kind = "coco" if isinstance(plan.reader, CocoReader) else "kitti"
    names = tuple(sorted(plan.source_names))
    reader: Any = plan.reader
    return Source(name, kind, root, reader, tuple(folds), plan.faults, names, planned=True)


def _open(location: str, options: _Options) -> tuple[Source, ...]:
    if is_records(location):
        return (record_source(location, options.images),)
    path = _local(location)
    if path.suffix.lower() == ".json":
        return (_coco([path], options, location),)
    if path.is_dir():
        return _folder(path, options, location)
    if not path.is_file():  # a pipe would be waited for
        raise UsageError(f"{location}: neither a folder nor a regular file; expected {LAYOUTS}")
    settings = read_conversion(path)
    plan = make_plan(settings, apply_exif=options.apply_exif)
    return (plan_source(plan, location, Path(settings.data_set.root)),)


def _local(location: str) -> Path:
    """Returns the local path of a location; a folder on S3 is copied to the cache."""
    if not is_remote(location):
        path = Path(location)
        if not path.exists():
            raise UsageError(f"{location}: no such file or folder; expected {LAYOUTS}")
        return path
    from frcnn.storage.local_copy import local_copy

    if not location.lower().endswith(".json"):
        return local_copy(location, "SOURCE")
    folder, _, name = location.rpartition("/")
    parent, _, last = folder.rpartition("/")
    if last == "annotations":  # the images are in folders next to it
        return local_copy(parent, "SOURCE") / last / name
    return local_copy(folder, "SOURCE") / name


def _folder(path: Path, options: _Options, location: str) -> tuple[Source, ...]:
    if yolo_parts(path):
        raise UsageError(f"{location}: has labels of YOLO; {_CONVERT_FIRST.format(location)}")
    if _has(path, IMAGE_DIRS) and _has(path, LABEL_DIRS):
        return (_kitti(path, options, location),)
    annotations = annotation_files(path)
    if annotations:
        return (_coco(annotations, options, location),)
    parts = [path / name for name in SPLITS if (path / name).is_dir()]
    if not parts:
        if voc_labels(path) is not None:
            raise UsageError(f"{location}: has labels of Pascal VOC; {_CONVERT_FIRST.format(location)}")
        raise UsageError(f"{location}: not a data set; expected {LAYOUTS}")
    return tuple(source for part in parts for source in _folder(part, options, str(part)))


def _has(path: Path, names: Sequence[str]) -> bool:
    return any((path / name).is_dir() for name in names)


def _kitti(path: Path, options: _Options, location: str) -> Source:
    image_dir, label_dir, extension = layout(path)
    files, faults = list_images(path / image_dir, extension)
    lists = image_lists(path)
    folds = listed_folds(lists, files, extension) if lists else (Fold("", tuple(files.values())),)
    reader = KittiReader(path, image_dir, label_dir, apply_exif=options.apply_exif)
    return Source(location, "kitti", path, reader, folds, tuple(faults))


def _stems_in(line: str, files: dict[str, str]) -> list[str]:
    """Returns the images that a line of a list names: one whose name has spaces, or several."""
    whole = stem_of(Path(line.strip()).name)
    if whole in files:
        return [whole]
    return [word if word in files else stem_of(Path(word).name) for word in line.split()]


def _coco(paths: list[Path], options: _Options, location: str) -> Source:
    read = [(path, read_coco(path, "")) for path in paths]
    several = len(read) > 1
    folds = tuple(
        Fold(_part_name(path) if several else "", _with_folder(file.images, path, options.images))
        for path, file in read
    )
    faults = tuple(fault for _, file in read for fault in file.faults)
    names = tuple(dict.fromkeys(name for _, file in read for name in file.names))
    root = paths[0].parent
    reader = CocoReader(Path("/"), apply_exif=options.apply_exif)
    return Source(location, "coco", root, reader, folds, faults, names)


def _with_folder(fold: CocoFold, path: Path, images: Path | None) -> CocoFold:
    folder = images or image_folder(path, [name for name, _, _ in fold.entries[:MOST_LOOKED_AT]])
    return dataclasses.replace(fold, image_dir=str(folder.resolve()))


def _part_name(path: Path) -> str:
    return path.stem.removeprefix("instances_")
