"""Plans the conversion of a COCO dataset: one fold per annotation file."""

from frcnn.data.conversion.coco.annotations import CocoFile, read_coco
from frcnn.data.conversion.coco.reader import CocoReader
from frcnn.data.conversion.plan import Plan, resolve_root
from frcnn.data.conversion.settings import CocoSettings
from frcnn.errors import DataError


def plan_coco(settings: CocoSettings, *, embed_images: bool, apply_exif: bool = False) -> Plan:
    """Reads the annotation files; images keep their order.

    Args:
        settings: Data set.
        embed_images: Whether records contain the image files.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.

    Returns:
        Plan with one fold per annotation file.

    Raises:
        DataError: A folder or file is missing or unusable, or the categories of the files differ.
    """
    root = resolve_root(settings.root)
    for name in settings.image_dirs:
        if not (root / name).is_dir():
            raise DataError(f"{root / name}: no such folder")
    pairs = zip(settings.annotation_files, settings.image_dirs, strict=True)
    files = [read_coco(root / path, image_dir) for path, image_dir in pairs]
    _same_categories(files, settings.annotation_files)
    return Plan(
        reader=CocoReader(root, embed_images, apply_exif),
        folds=tuple(file.images for file in files),
        fold_count=len(files),
        shards=settings.shards,
        faults=tuple(fault for file in files for fault in file.faults),
        source_names=frozenset(files[0].names),
    )


def _same_categories(files: list[CocoFile], paths: tuple[str, ...]) -> None:
    for file, path in zip(files, paths, strict=True):
        differing = sorted(set(file.names) ^ set(files[0].names))
        if differing:
            raise DataError(
                f"{paths[0]} and {path} differ in their categories: {', '.join(differing)}; "
                "expected the same categories in all annotation files"
            )
