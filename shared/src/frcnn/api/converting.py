"""`frcnn.convert`: converts labels and images to TFRecord files."""

from collections.abc import Callable
from pathlib import Path

from frcnn.api.booleans import checked_booleans
from frcnn.api.locations import Location, local_output
from frcnn.api.numbers import check_count
from frcnn.api.specs import ConvertSpecLike, given_convert_spec
from frcnn.data.conversion.report import ConvertReport as ConvertResult
from frcnn.data.conversion.settings import CocoSettings, KittiSettings
from frcnn.errors import UsageError
from frcnn.files import is_same_file
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.settings.conversion import conversion_settings

__all__ = ["ConvertResult", "convert"]


@checked_booleans
def convert(
    spec: ConvertSpecLike,
    output_filename: Location,
    *,
    validation_fold: int | None = None,
    embed_images: bool = False,
    strict: bool = False,
    apply_exif: bool = False,
    workers: int | None = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> ConvertResult:
    """Converts a KITTI or COCO data set to TFRecords.

    Args:
        spec: `ConvertSpec` or the name of its file. It defines the data set and how it is split.
        output_filename: Prefix of the record files; fold and shard numbers are appended.
        validation_fold: Fold to which `sample_modifier_config` does not apply.
        embed_images: Whether to store the image files in the records, so that training needs no image folder.
        strict: Whether invalid labels or images raise an error; then nothing is written.
        apply_exif: Whether labels refer to the images after rotation by their EXIF orientation.
        workers: Number of processes; None for one per core. A script that uses several needs `if __name__ ==
            "__main__":`.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        Report of the written files and of skipped labels and images.

    Raises:
        SpecError: The spec is invalid.
        UsageError: An argument is invalid, the records would go between the images or labels, or the data set
            is in another layout than the spec says.
        DataError: There is nothing usable to convert, or `strict` is set and labels or images are invalid.
        RunError: The disk is full, or a worker process died.
    """
    check_count(validation_fold, "validation_fold", 0)
    settings = conversion_settings(given_convert_spec(spec))
    target = local_output(output_filename, "output_filename")
    with reported_to(on_progress), needed_for("converting a data set", "convert"):
        from frcnn.data.conversion.convert import convert as write_records

        _check_layout(settings.data_set)
        _check_target(settings.data_set, target)
        return write_records(
            settings,
            target,
            validation_fold=validation_fold,
            strict=strict,
            apply_exif=apply_exif,
            embed_images=embed_images,
            workers=workers,
        )


def _check_layout(found: KittiSettings | CocoSettings) -> None:
    from frcnn.data.conversion.plan import resolve_root
    from frcnn.survey.advice import check_kitti

    if isinstance(found, KittiSettings):
        check_kitti(resolve_root(found.root), found.image_dir, found.label_dir)


def _check_target(found: KittiSettings | CocoSettings, target: Path) -> None:
    """Refuses records between the images or labels; the root itself may hold both, as COCO's often does."""
    from frcnn.data.conversion.plan import resolve_root

    root = resolve_root(found.root)
    folders = (found.image_dir, found.label_dir) if isinstance(found, KittiSettings) else found.image_dirs
    for folder in (root / name for name in folders):
        if is_same_file(folder, target.parent) and not is_same_file(folder, root):
            raise UsageError(
                f"{target}: its folder is one that the conversion reads; choose a prefix in another folder",
                argument="output_filename",
            )
