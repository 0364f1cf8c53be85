"""Plans the conversion of a KITTI dataset: lists images and assigns them to folds."""

import codecs
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from frcnn.console.foreign_text import printable
from frcnn.data.conversion.faults import MAX_NAMED_OF_DATASET, DataIssue, IssueCollector, IssueKind
from frcnn.data.conversion.kitti.layout import in_subfolders
from frcnn.data.conversion.kitti.reader import KittiReader
from frcnn.data.conversion.partition import random_folds, sequence_folds
from frcnn.data.conversion.plan import Plan, resolve_root
from frcnn.data.conversion.settings import KittiSettings
from frcnn.data.image_suffixes import SUFFIXES, image_names, images_below, preferred_first, stem_of
from frcnn.errors import DataError
from frcnn.limits import TooLargeError, parse_json
from frcnn.regular_file import read_regular

LABEL_SUFFIX = ".txt"
# Files that YOLO's tools write next to labels: class names, and lists of images.
NOT_LABELS = ("classes.txt", "train.txt", "val.txt", "test.txt")
# Limits of the sequence file; enough for several million frames.
MAX_SEQUENCE_BYTES, MAX_SEQUENCE_VALUES = 256 << 20, 8_000_000


def plan_kitti(settings: KittiSettings, *, embed_images: bool, apply_exif: bool = False) -> Plan:
    """Lists the images and assigns them to folds.

    Args:
        settings: Data set.
        embed_images: Whether records contain the image files.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.

    Returns:
        Plan of the conversion.

    Raises:
        DataError: A folder or the sequence file is missing or unusable, or there is no image.
    """
    root = resolve_root(settings.root)
    for name in (settings.image_dir, settings.label_dir, settings.calibrations_dir):
        if not (root / name).is_dir():
            raise DataError(f"{root / name}: no such folder")
    files, faults = list_images(root / settings.image_dir, settings.extension)
    if not files:
        raise DataError(
            f"{root / settings.image_dir}: no image found ({', '.join(SUFFIXES)} in upper or lower case; "
            f"hidden files are ignored){in_subfolders(root / settings.image_dir)}"
        )
    notes: tuple[str, ...] = ()
    folds: tuple[list[str], ...]
    fold_count = settings.partitions
    if settings.sequence_file:
        folds, repeated, notes = _folds_of_sequences(root / settings.sequence_file, settings, files)
        faults = [*faults, *repeated]
    elif settings.partitions < 2:
        # File names without fold: otherwise the usual validation_fold 0 would select the whole set.
        folds, fold_count = (random_folds(list(files.values()), 0.0)[1],), 0
    else:
        folds = random_folds(list(files.values()), settings.val_split)
        notes = _notes_on_random_folds(settings, *map(len, folds))
    reader = KittiReader(
        root=root,
        image_dir=settings.image_dir,
        label_dir=settings.label_dir,
        point_clouds_dir=settings.point_clouds_dir,
        calibrations_dir=settings.calibrations_dir,
        embed_images=embed_images,
        apply_exif=apply_exif,
    )
    notes = (*notes, *notes_on_unused(root / settings.image_dir, root / settings.label_dir, files))
    return Plan(reader, folds, fold_count, (settings.shards,) * len(folds), tuple(faults), notes)


def list_images(folder: Path, extension: str) -> tuple[dict[str, str], list[DataIssue]]:
    """Lists the images directly in a folder (`frcnn.data.image_suffixes`).

    Args:
        folder: Existing folder.
        extension: Extension that wins if several files have the same stem.

    Returns:
        File names by stem, sorted, and an issue for each other file with the same stem, since it has no label
        file.
    """
    files: dict[str, str] = {}
    faults = []
    for name in preferred_first(image_names(folder), extension):
        stem = stem_of(name)
        if stem in files:
            reason = f"{files[stem]} has the same name without extension and owns the label file"
            faults.append(DataIssue(IssueKind.DUPLICATE, str(folder / name), reason))
        else:
            files[stem] = name
    return files, faults


def _notes_on_random_folds(settings: KittiSettings, held_out: int, rest: int) -> tuple[str, ...]:
    """Returns notes on a split that was probably meant in another way."""
    notes = []
    split, unused = settings.val_split, settings.unused_sequence_file
    if split > 0.0 and (split < 1.0 or not held_out):
        hint = f"; if a share was meant, write {100.0 * split:g}" if split < 1.0 else ""
        notes.append(
            f"fold 0, the usual validation set, has {held_out} of {held_out + rest} images: val_split "
            f"{split:g} is in percent{hint}"
        )
    if unused:
        notes.append(
            f"{printable(unused)} is not used, and images of a sequence may be in both folds: "
            'kitti_sequence_to_frames_file needs partition_mode "sequence"'
        )
    return tuple(notes)


def notes_on_unused(
    images: Path, labels: Path, files: Iterable[str], suffix: str = LABEL_SUFFIX
) -> tuple[str, ...]:
    """Returns notes on images and labels that are not used, whose objects are lost.

    Args:
        images: Existing folder of the images.
        labels: Existing folder of the label files.
        files: Stems of the image files.
        suffix: Extension of the label files, in lower case.
    """
    count, first = images_below(images)
    lead = f"{count} image{'s' if count > 1 else ''} in subfolders of {printable(images, None)}"
    verb = "are" if count > 1 else "is"
    note = f"{lead} {verb} not used, such as {printable(first)}. Each subfolder is a set of its own"
    return (*((note,) if count else ()), *_notes_on_labels(labels, files, suffix))


def _notes_on_labels(folder: Path, files: Iterable[str], suffix: str) -> tuple[str, ...]:
    """Returns a note on label files without an image: images in other formats, often."""
    known = {unicodedata.normalize("NFC", stem) for stem in files}
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.name.lower().endswith(suffix)]
    lost = [
        name
        for name in names
        if not name.startswith(".")
        and name not in NOT_LABELS
        and unicodedata.normalize("NFC", stem_of(name)) not in known
    ]
    if not lost:
        return ()
    count = "1 label file has" if len(lost) == 1 else f"{len(lost)} label files have"
    return (
        f"{count} no image of the same name and {'is' if len(lost) == 1 else 'are'} not used, such as "
        f"{printable(min(lost))} in {printable(folder, None)}. Images must be {', '.join(SUFFIXES)}",
    )


def _folds_of_sequences(
    path: Path, settings: KittiSettings, files: dict[str, str]
) -> tuple[tuple[list[str], ...], tuple[DataIssue, ...], tuple[str, ...]]:
    """Returns file names by fold, issues for repeated frames, and a note on images in no sequence.

    Frames without a file get a name, so that the reader reports them as missing.
    """
    sequences, faults = read_sequences(path)
    extension = f".{settings.extension.lstrip('.')}"
    # Frames and files may differ in how letters with accents are composed.
    composed = {unicodedata.normalize("NFC", stem): name for stem, name in files.items()}
    folds = tuple(
        [composed.get(unicodedata.normalize("NFC", frame), f"{frame}{extension}") for frame in fold]
        for fold in sequence_folds(sequences, settings.partitions)
    )
    listed = {unicodedata.normalize("NFC", frame) for frames in sequences.values() for frame in frames}
    left_out = sum(stem not in listed for stem in composed)
    notes = (f"{left_out} images are skipped: they are in no sequence of {path}",) if left_out else ()
    return folds, faults, notes


def read_sequences(path: Path) -> tuple[dict[str, list[str]], tuple[DataIssue, ...]]:
    """Reads `kitti_sequence_to_frames_file`: `{"sequence": ["frame id", ...], ...}`.

    Folds must not share images, so repeated frames are dropped and returned as issues.

    Args:
        path: JSON file.

    Returns:
        Frame ids by sequence, and issues for repeated frames.

    Raises:
        DataError: The file is unreadable, has another structure, or lists no frames.
    """
    try:
        text = read_regular(path, MAX_SEQUENCE_BYTES).removeprefix(codecs.BOM_UTF8)
        found = parse_json(text, MAX_SEQUENCE_BYTES, MAX_SEQUENCE_VALUES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except TooLargeError as error:
        raise DataError(f"{path}: {error}, which no list of sequences needs") from error
    except ValueError as error:
        raise DataError(f"{path}: not JSON: {error}") from error
    if not isinstance(found, dict) or not all(
        isinstance(frames, list) and all(isinstance(frame, str) for frame in frames)
        for frames in found.values()
    ):
        raise DataError(f'{path}: expected {{"sequence": ["frame id", ...], ...}}')
    if not any(found.values()):
        raise DataError(f"{path}: no frames")
    return _each_frame_once(path, found)


def _each_frame_once(
    path: Path, sequences: dict[str, list[str]]
) -> tuple[dict[str, list[str]], tuple[DataIssue, ...]]:
    home: dict[str, str] = {}
    faults = IssueCollector(str(path), MAX_NAMED_OF_DATASET)
    once: dict[str, list[str]] = {name: [] for name in sequences}
    for name, frames in sequences.items():
        for frame in frames:
            if frame in home:
                reason = f"frame {frame} of sequence {name} is already in sequence {home[frame]}"
                faults.add(IssueKind.DUPLICATE, reason)
            else:
                home[frame] = name
                once[name].append(frame)
    return once, faults.all()
