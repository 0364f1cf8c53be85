"""`frcnn.convert`: labels and images to record files."""

import os
from collections.abc import Callable

from frcnn.api.locations import Location, local_output
from frcnn.data.conversion.report import ConvertReport as ConvertResult
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.spec.python_api import given
from frcnn.spec.schema.export import DatasetExportConfig

__all__ = ["ConvertResult", "convert"]


def convert(
    spec: DatasetExportConfig | str | os.PathLike[str],
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
        spec: A `ConvertSpec` or the name of its file: what to convert, and how to split it.
        output_filename: Prefix of the record files; fold and shard numbers are appended.
        validation_fold: The fold that `sample_modifier_config` leaves as it is.
        embed_images: Put the image files into the records, so that these need no image folder.
        strict: A fault in labels or images is an error, and nothing is written.
        apply_exif: Whether labels refer to the images as EXIF orientation turns them.
        workers: Processes; None for one for each core. A script with several needs
            `if __name__ == "__main__":`.
        on_progress: Called now and then, at most four times a second, in this thread.

    Returns:
        What was written and what was left out.

    Raises:
        SpecError: The spec has faults.
        UsageError: An argument cannot be right.
        DataError: Nothing usable was found, or `strict` and a fault.
        RunError: The disk is full, or a worker process died.
    """
    known = given(DatasetExportConfig, spec)
    target = local_output(output_filename, "output_filename")
    with reported_to(on_progress), needed_for("converting a data set"):
        from frcnn.data.conversion.convert import convert as write_records

        return write_records(
            known,
            target,
            validation_fold=validation_fold,
            strict=strict,
            apply_exif=apply_exif,
            embed_images=embed_images,
            workers=workers,
        )
