"""`frcnn.convert_labels`: converts labels between KITTI, COCO, Pascal VOC and YOLO."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from frcnn.api.booleans import checked_booleans
from frcnn.api.locations import Location, local_output, name_of
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to

LabelFormat = Literal["kitti", "coco", "voc", "yolo"]
_FORMATS = ("kitti", "coco", "voc", "yolo")


@dataclasses.dataclass(frozen=True)
class LabelsResult:
    """Result of `frcnn.convert_labels`.

    Attributes:
        folder: Folder that was created.
        format: Its format.
        images: Number of images.
        objects: Number of objects.
        losses: Descriptions of what the target format cannot represent, with counts.
        skipped: Faulty labels and images of the source that were skipped, with numbers.
    """

    folder: Path
    format: str
    images: int
    objects: int
    losses: tuple[str, ...]
    skipped: tuple[str, ...]


@checked_booleans
def convert_labels(
    source: Location,
    target_dir: Location,
    target_format: LabelFormat,
    *,
    source_format: LabelFormat | None = None,
    classes: Location | None = None,
    images: Location | None = None,
    copy_images: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> LabelsResult:
    """Converts the labels of a data set to another format.

    Args:
        source: Data set in one of the formats, or records; a path or an `s3://` URI.
        target_dir: Folder to create. Each part of the source (train, val, test) becomes a folder below it.
        target_format: `kitti`, `coco`, `voc` or `yolo`.
        source_format: Format of the source; by default it is detected.
        classes: File with the class names of YOLO labels, one per line; by default data.yaml or classes.txt.
        images: Image folder of all formats but KITTI, by part; by default it is searched for.
        copy_images: Whether to copy the images; otherwise they are linked.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        Counts, losses and skipped items.

    Raises:
        UsageError: An argument is invalid, or the target folder is not empty.
        DataError: The source has no usable image.
        StoreError: S3 is unreachable.
    """
    for argument, value in (("target_format", target_format), ("source_format", source_format)):
        if value not in _FORMATS and not (argument == "source_format" and value is None):
            raise UsageError(
                f"{argument} {value!r}: expected one of {', '.join(_FORMATS)}", argument=argument
            )
    target = local_output(target_dir, "target_dir")
    with reported_to(on_progress), needed_for("converting labels", "convert"):
        from frcnn.label_formats.convert import convert

        done = convert(
            name_of(source, "source"),
            target,
            target_format,
            source_format=source_format,
            classes=None if classes is None else Path(name_of(classes, "classes")),
            images=None if images is None else Path(name_of(images, "images")),
            copy=copy_images,
        )
    return LabelsResult(
        target,
        target_format,
        done.images,
        done.objects,
        tuple(_loss(what, count) for what, count in done.losses.items()),
        tuple(f"{count} x {kind} ({kind.cost})" for kind, count in done.issues.most_common()),
    )


def _loss(what: str, count: int) -> str:
    """Returns a loss with its number, such as `1 object: occlusion`; without one if it is not known."""
    if count == 1:
        what = re.sub("^(objects|images|DontCare regions)", lambda found: found[0][:-1], what)
    return f"{count} {what}" if count else what
