"""Splits a data set into training and validation images."""

import dataclasses
import glob
import json
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from frcnn.data.conversion.coco.fold import CocoFold
from frcnn.data.conversion.kitti.layout import layout
from frcnn.data.conversion.partition import random_folds, sequence_folds
from frcnn.data.image_suffixes import stem_of
from frcnn.errors import UsageError
from frcnn.spec_writing.conversion_specs import Conversion, coco_conversion, kitti_conversion, quoted
from frcnn.survey.layouts import role
from frcnn.survey.sources import Source

# Share to hold out of a data set without a validation part, percent.
HELD_OUT = 20
HELD_OUT_AT_RANDOM = "a fifth of the images, drawn at random"
# With fewer images, none is held out.
MIN_TO_SPLIT = 5
SEQUENCES = "sequences.json"
# Part that is not used in training, and the prefix of its records.
TEST = "test"


@dataclasses.dataclass(frozen=True)
class Split:
    """Training and validation images of a data set.

    Attributes:
        training: Names of the surveyed folds to train on.
        conversions: Calls of dataset_convert, in order; none if the data set is records.
        records: Pattern of the training records, absolute or below the record folder.
        images: Folder that image names in the training records are relative to.
        validation: Lines of `dataset_config` that select the validation images.
        why: Description of the validation images for a comment.
        extension: Extension of the images, without the dot.
        files: Content of other files that the specs require, by name.
        drawn: Whether the validation images are `HELD_OUT` percent of the surveyed folds to train on.
    """

    training: tuple[str, ...]
    conversions: tuple[Conversion, ...]
    records: str
    images: Path
    validation: tuple[str, ...]
    why: str
    extension: str
    files: dict[str, str] = dataclasses.field(default_factory=dict)
    drawn: bool = False


def split_of(sources: Sequence[Source], folds: Sequence[str], out: Path) -> Split:
    """Splits a data set by its folders, lists or annotation files, or at random.

    Args:
        sources: The data set: one source, or one for each part.
        folds: Names of the surveyed folds.
        out: Folder of the specs; records go below it.

    Returns:
        The split.

    Raises:
        UsageError: No part is for training.
    """
    kinds = {source.kind for source in sources}
    if len(sources) > 1:
        if kinds != {"kitti"}:
            root = sources[0].root.parent
            raise UsageError(
                f"{root}: its parts are neither all in KITTI layout nor all with one COCO file each; convert "
                f"them first: frcnn data labels {shlex.quote(str(root))} TARGET --to kitti"
            )
        return _folders(sources, folds, out)
    source = sources[0]
    if source.kind == "records":
        return _records(source, folds)
    if source.kind == "coco":
        return _coco(source, folds)
    if len(source.folds) > 1:
        return _lists(source, out)
    return _at_random(source, folds, out)


def listed_parts(source: Source) -> tuple[dict[str, list[str]], str]:
    """Splits a data set by its lists of image names.

    Args:
        source: Data set in KITTI layout with a fold for each list.

    Returns:
        Names without extension by role, `train`, `val` and, if there is such a list, `test`; and a
        description of the validation images.

    Raises:
        UsageError: No list is for training, and each image is in a list.
    """
    parts = _parts_of(source)
    stems = {name: [stem_of(job) for job in source.folds[number].jobs] for name, number in parts.items()}
    if "val" in stems:
        return stems, "the images of the list val"
    stems["val"], stems["train"] = random_folds(stems["train"], HELD_OUT)
    return stems, "a fifth of the list train, drawn at random"


def _by_role(names: Sequence[str], sizes: Sequence[int]) -> dict[str, int]:
    """Returns the index of the training, validation and test part; by default, the largest one trains."""
    found: dict[str, int] = {}
    for number, name in enumerate(names):
        found.setdefault(role(name), number)
    found.pop("", None)
    if "train" not in found:
        others = [number for number in range(len(names)) if number not in found.values()]
        if not others:
            raise UsageError(f"found the parts {', '.join(names)}, but none for training (train)")
        found["train"] = max(others, key=lambda number: sizes[number])
    return found


def _parts_of(source: Source) -> dict[str, int]:
    return _by_role([fold.name for fold in source.folds], [len(fold.jobs) for fold in source.folds])


def _random(percent: int) -> list[str]:
    """Returns the partition that holds images out at random."""
    return ['partition_mode: "random"', "num_partitions: 2", f"val_split: {percent}"]


def _at_random(source: Source, folds: Sequence[str], out: Path) -> Split:
    percent = HELD_OUT if source.size >= MIN_TO_SPLIT else 0
    held = f"{HELD_OUT_AT_RANDOM}: fold 0 of {out / 'convert.txt'}"
    return Split(
        training=tuple(folds),
        conversions=(kitti_conversion("convert.txt", "set", source.root, _random(percent)),),
        records="set-fold-*",
        images=source.root,
        validation=("validation_fold: 0",) if percent else (),
        why=held if percent else f"none: {source.size} images are too few to hold any out",
        extension=_extension(source),
        drawn=bool(percent),
    )


def _lists(source: Source, out: Path) -> Split:
    """Splits by lists of image names: each list becomes a sequence, and a sequence stays in one fold."""
    stems, why = listed_parts(source)
    learned = {name: stems[name] for name in ("train", "val")}
    validation = sequence_folds(learned, 2)
    fold = 0 if set(validation[0]) == set(learned["val"]) else 1
    files = {SEQUENCES: _json(learned)}
    conversions = [kitti_conversion("convert.txt", "set", source.root, _sequences(out / SEQUENCES, 2))]
    if TEST in stems:
        name = f"test_{SEQUENCES}"
        files[name] = _json({TEST: stems[TEST]})
        partition = _sequences(out / name, 1)
        conversions.append(kitti_conversion("convert_test.txt", TEST, source.root, partition))
    return Split(
        training=(source.folds[_parts_of(source)["train"]].name,),
        conversions=tuple(conversions),
        files=files,
        records="set-fold-*",
        images=source.root,
        validation=(f"validation_fold: {fold}",),
        why=why,
        extension=_extension(source),
        drawn="val" not in _parts_of(source),
    )


def _sequences(path: Path, partitions: int) -> list[str]:
    """Returns the partition by the sequences in a file."""
    return [
        'partition_mode: "sequence"',
        f"num_partitions: {partitions}",
        f"kitti_sequence_to_frames_file: {quoted(path)}",
    ]


def _json(stems: dict[str, list[str]]) -> str:
    return json.dumps(stems, ensure_ascii=False, indent=0) + "\n"


def _folders(sources: Sequence[Source], folds: Sequence[str], out: Path) -> Split:
    """Splits by folders, each of which becomes one record set."""
    parts = _by_role([source.root.name for source in sources], [source.size for source in sources])
    train = sources[parts["train"]]
    partition = () if "val" in parts else _random(HELD_OUT)
    conversions = [kitti_conversion("convert_train.txt", "train", train.root, partition)]
    for name in ("val", TEST):
        if name in parts:
            conversions.append(kitti_conversion(f"convert_{name}.txt", name, sources[parts[name]].root))
    validation = "validation_fold: 0"
    why = f"a fifth of the images of {train.root}, drawn at random"
    if "val" in parts:
        root = sources[parts["val"]].root.absolute()
        pattern = quoted(f"{glob.escape(str(out / 'records'))}/val-*")
        validation = (
            f"validation_data_source {{ tfrecords_path: {pattern} image_directory_path: {quoted(root)} }}"
        )
        why = f"the images of {root}"
    return Split(
        training=(folds[parts["train"]],),
        conversions=tuple(conversions),
        records="train-*",
        images=train.root,
        validation=(validation,),
        why=why,
        extension=_extension(train),
        drawn="val" not in parts,
    )


def _coco(source: Source, folds: Sequence[str]) -> Split:
    """Splits by annotation files, each of which becomes a fold."""
    parts = _parts_of(source)
    files = [fold.jobs for fold in source.folds if isinstance(fold.jobs, CocoFold)]
    chosen = [files[parts[name]] for name in ("val", "train") if name in parts]
    conversions = [coco_conversion("convert.txt", "set", chosen)]
    if TEST in parts:
        conversions.append(coco_conversion("convert_test.txt", TEST, [files[parts[TEST]]]))
    held = "val" in parts
    return Split(
        training=(folds[parts["train"]],),
        conversions=tuple(conversions),
        records="set-fold-*",
        images=conversions[0].images,
        validation=("validation_fold: 0",) if held else (),
        why=f"the images of {source.folds[parts['val']].name}" if held else _no_validation(source),
        extension=_extension(source),
    )


def _no_validation(source: Source) -> str:
    """Returns how to get validation images for one COCO file, which a conversion cannot split."""
    command = f"frcnn data labels {shlex.quote(source.name)} TARGET --to kitti"
    return (
        "none: the only annotation file is for training; add one with val in its name, or convert the labels "
        f"to hold out a fifth: {command}"
    )


def _records(source: Source, folds: Sequence[str]) -> Split:
    """Uses the folds that the records have."""
    held = any(name.endswith("fold 0") for name in folds)
    location = Path(source.name)
    pattern = f"{glob.escape(str(location.resolve()))}/*" if location.is_dir() else source.name
    return Split(
        training=tuple(name for name in folds if not (held and name.endswith("fold 0"))),
        conversions=(),
        records=pattern,
        images=source.root.resolve(),
        validation=("validation_fold: 0",) if held else (),
        why="fold 0 of the records" if held else "none: the records have no fold 0",
        extension="jpg",
    )


def _extension(source: Source) -> str:
    if source.kind == "kitti":
        return layout(source.root)[2].lstrip(".").lower()
    names = (
        name for fold in source.folds if isinstance(fold.jobs, CocoFold) for name, _, _ in fold.jobs.entries
    )
    suffixes = Counter(PurePosixPath(name).suffix.lstrip(".").lower() for name in names)
    known = [suffix for suffix, _ in suffixes.most_common() if suffix in ("jpg", "jpeg", "png")]
    return known[0] if known else "jpg"
