"""Plans the conversion of a COCO dataset: one fold per annotation file."""

from typing import TYPE_CHECKING

from frcnn.data.conversion.coco.annotations import CocoFile, read_coco
from frcnn.data.conversion.coco.reader import CocoReader
from frcnn.data.conversion.plan import Plan, resolve_root
from frcnn.errors import DataError, Problem, SpecError

if TYPE_CHECKING:
    from frcnn.spec.schema.experiment import COCOConfig


def plan_coco(config: "COCOConfig", *, embed_images: bool, apply_exif: bool = False) -> Plan:
    """Reads the annotation files; images keep their order.

    Args:
        config: `coco_config` of a spec.
        embed_images: Whether records contain the image files.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.

    Returns:
        Plan with one fold per annotation file.

    Raises:
        SpecError: Lists in the spec differ in length.
        DataError: A folder or file is missing or unusable, or the categories of the files differ.
    """
    _check(config)
    root = resolve_root(config.root_directory_path)
    for name in config.img_dir_names:
        if not (root / name).is_dir():
            raise DataError(f"{root / name}: no such folder")
    pairs = zip(config.annotation_files, config.img_dir_names, strict=True)
    files = [read_coco(root / path, image_dir) for path, image_dir in pairs]
    _same_categories(files, config.annotation_files)
    shards = config.num_shards or (0,)
    return Plan(
        reader=CocoReader(root, embed_images, apply_exif),
        folds=tuple(file.images for file in files),
        fold_count=config.num_partitions,
        shards=shards if len(shards) == len(files) else shards * len(files),
        faults=tuple(fault for file in files for fault in file.faults),
        source_names=frozenset(files[0].names),
    )


def _check(config: "COCOConfig") -> None:
    count = config.num_partitions
    lengths = {"img_dir_names": len(config.img_dir_names), "annotation_files": len(config.annotation_files)}
    problems = [
        Problem(f"coco_config.{field}", f"{length} given; expected num_partitions = {count}, at least 1")
        for field, length in lengths.items()
        if length != count or count < 1
    ]
    if len(config.num_shards) not in (0, 1, count):
        text = f"{len(config.num_shards)} given; expected 1, or one for each of {count} partitions"
        problems.append(Problem("coco_config.num_shards", text))
    if problems:
        raise SpecError("dataset export spec", problems)


def _same_categories(files: list[CocoFile], paths: tuple[str, ...]) -> None:
    for file, path in zip(files, paths, strict=True):
        differing = sorted(set(file.names) ^ set(files[0].names))
        if differing:
            raise DataError(
                f"{paths[0]} and {path} differ in their categories: {', '.join(differing)}; "
                "expected the same categories in all annotation files"
            )
