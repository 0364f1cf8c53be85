"""Finds the data sets to survey: KITTI, COCO, records or conversion specs, local or on S3."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from frcnn.data.conversion.coco.annotations import CocoFile, read_coco
from frcnn.data.conversion.coco.fold import CocoFold
from frcnn.data.conversion.coco.reader import CocoReader
from frcnn.data.conversion.convert import make_plan
from frcnn.data.conversion.faults import DataIssue, Reading
from frcnn.data.conversion.kitti.layout import is_kitti, layout
from frcnn.data.conversion.kitti.plan import list_images, notes_on_unused
from frcnn.data.conversion.kitti.reader import KittiReader
from frcnn.data.conversion.plan import Plan
from frcnn.data.image_suffixes import stem_of
from frcnn.data.spellings import as_in
from frcnn.errors import DataError, UsageError
from frcnn.files import is_same_file
from frcnn.regular_file import read_regular, reading_fault
from frcnn.settings.conversion import read_conversion
from frcnn.storage.address import is_remote
from frcnn.survey.advice import convert_first, near, unused_folders
from frcnn.survey.coco_files import MAX_NAMES_CHECKED, annotation_files, image_folder
from frcnn.survey.layouts import SPLITS, format_to_convert, part_folders
from frcnn.survey.record_files import is_records, record_source

_MAX_LIST_BYTES = 256 << 20
# Whether an image has objects of a class, after its name in lists of Pascal VOC.
_VOC_MARKS = ("-1", "0", "1")
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
        notes: Remarks on what was left out, without the final period.
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
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of images, including those that may prove unusable."""
        return sum(len(fold.jobs) for fold in self.folds)


@dataclasses.dataclass(frozen=True)
class _Options:
    """Arguments of `open_sources` that concern all locations."""

    images: Path | None
    apply_exif: bool
    expected: str


def open_sources(
    locations: Sequence[str], images: Path | None = None, *, apply_exif: bool = False, expected: str = LAYOUTS
) -> tuple[Source, ...]:
    """Finds the data sets at several locations.

    Args:
        locations: Paths or `s3://` URIs.
        images: Image folder of a COCO file or of records; by default it is searched for.
        apply_exif: Whether labels refer to images with the EXIF orientation applied. Records state it
            themselves.
        expected: Data sets that the caller takes, for messages.

    Returns:
        The data sets; a folder with a folder for each part gives one for each.

    Raises:
        UsageError: A location is missing or in no known layout, or no data set takes `images`.
        DataError: A data set has no images or is unusable.
        StoreError: S3 is unreachable.
    """
    if not locations:
        raise UsageError(f"no data set given; expected {expected}")
    options = _Options(images, apply_exif, expected)
    found = tuple(source for location in locations for source in _open(location, options))
    if images is not None and all(_ignores(source, images) for source in found):
        raise UsageError(f"--images {images}: data sets in KITTI layout have their images in images/")
    for source in found:
        if not source.size:
            raise DataError(f"{source.name}: no image found; expected {expected}")
    return found


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
            lines = read_regular(path, _MAX_LIST_BYTES).decode("utf-8-sig").splitlines()
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
    return Source(name, kind, root, reader, tuple(folds), plan.faults, names, planned=True, notes=plan.notes)


def _open(location: str, options: _Options) -> tuple[Source, ...]:
    if is_records(location):
        return (record_source(location, options.images),)
    path = _local(location, options.expected)
    if path.suffix.lower() == ".json":
        return (_coco([path], options, location),)
    if path.is_dir():
        return _folder(path, options, location)
    if not path.is_file():  # a pipe would be waited for
        raise UsageError(f"{location}: neither a folder nor a regular file; expected {options.expected}")
    if path.suffix.lower() in (".yaml", ".yml", ".xml"):
        raise UsageError(f"{location}: is a part of a data set; give the folder of the data set")
    settings = read_conversion(path)
    plan = make_plan(settings, apply_exif=options.apply_exif)
    return (plan_source(plan, location, Path(settings.data_set.root)),)


def _local(location: str, expected: str) -> Path:
    """Returns the local path of a location; a folder on S3 is copied to the cache."""
    if not is_remote(location):
        path = Path(location)
        if not path.exists():
            raise UsageError(f"{location}: no such file or folder; expected {expected}")
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
    if kind := format_to_convert(path):
        raise UsageError(convert_first(location, kind))
    if is_kitti(path):
        return (_kitti(path, options, location),)
    annotations = annotation_files(path)
    if annotations:
        return (_coco(annotations, options, location),)
    parts = part_folders(path)
    files = [annotation_files(part) if not is_kitti(part) else [] for part in parts]
    if parts and all(len(each) == 1 for each in files):
        source = _coco([each[0] for each in files], options, location, [part.name for part in parts])
        return (dataclasses.replace(source, root=path, notes=unused_folders(path, parts)),)
    if parts:
        found = [source for part in parts for source in _folder(part, options, str(part))]
        notes = (*found[0].notes, *unused_folders(path, parts))
        return (dataclasses.replace(found[0], notes=notes), *found[1:])
    raise UsageError(f"{location}: not a data set; expected {options.expected}{near(path)}")


def _kitti(path: Path, options: _Options, location: str) -> Source:
    image_dir, label_dir, extension = layout(path)
    files, faults = list_images(path / image_dir, extension)
    lists = image_lists(path)
    folds = listed_folds(lists, files, extension) if lists else (Fold("", tuple(files.values())),)
    reader = KittiReader(path, image_dir, label_dir, apply_exif=options.apply_exif)
    notes = (*notes_on_unused(path / image_dir, path / label_dir, files), *unused_folders(path))
    return Source(location, "kitti", path, reader, folds, tuple(faults), notes=notes)


def _ignores(source: Source, images: Path) -> bool:
    """Checks whether a data set in KITTI layout has its images in another folder than the given one."""
    jobs = next((fold.jobs for fold in source.folds if len(fold.jobs)), ())
    if source.kind != "kitti" or not jobs:
        return False
    used = (source.root, source.reader.path(jobs[0]).parent)
    return not any(is_same_file(images, folder) for folder in used)


def _stems_in(line: str, files: dict[str, str]) -> list[str]:
    """Returns the images that a line of a list names: one whose name has spaces, or several."""
    whole = as_in(stem_of(Path(line.strip()).name), files)
    if whole in files:
        return [whole]
    words = line.split()
    words[1:] = [word for word in words[1:] if word in files or word not in _VOC_MARKS]
    return [word if word in files else as_in(stem_of(Path(word).name), files) for word in words]


def _coco(paths: list[Path], options: _Options, location: str, names: Sequence[str] = ()) -> Source:
    """Reads annotation files; `names` are those of the parts, by default from the names of the files."""
    read = [(path, read_coco(path, "")) for path in paths]
    names = names or ([path.stem.removeprefix("instances_") for path in paths] if len(paths) > 1 else [""])
    folds = tuple(
        Fold(name, _with_folder(file, path, options.images))
        for name, (path, file) in zip(names, read, strict=True)
    )
    faults = tuple(fault for _, file in read for fault in file.faults)
    classes = tuple(dict.fromkeys(name for _, file in read for name in file.names))
    root = paths[0].parent
    reader = CocoReader(Path("/"), apply_exif=options.apply_exif)
    return Source(location, "coco", root, reader, folds, faults, classes)


def _with_folder(file: CocoFile, path: Path, images: Path | None) -> CocoFold:
    fold = file.images
    if not len(fold):
        raise DataError(f"{path}: no image to use; {file.faults[0].reason}")
    folder = images or image_folder(path, [name for name, _, _ in fold.entries[:MAX_NAMES_CHECKED]])
    return dataclasses.replace(fold, image_dir=str(folder.resolve()))
