"""`frcnn.new_spec`: writes specs for a training on a data set."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from frcnn.api.booleans import checked_booleans
from frcnn.api.locations import Location, local_output, name_of
from frcnn.api.numbers import check_count
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.spec.archs import ARCHS
from frcnn.spec.schema.constraints import did_you_mean

Goal = Literal["accuracy", "speed", "edge"]


@dataclasses.dataclass(frozen=True)
class NewSpecResult:
    """Specs that `frcnn.new_spec` wrote.

    Attributes:
        experiment: Experiment spec.
        conversions: Conversion specs, each with the prefix of the record files that the experiment spec
            expects; none for a data set of records.
        commands: Commands that convert, train and evaluate with them.
        summary: Properties of the data set and chosen settings, in a few lines.
    """

    experiment: Path
    conversions: tuple[tuple[Path, Path], ...]
    commands: tuple[str, ...]
    summary: str


@checked_booleans
def new_spec(
    data: Location,
    output_dir: Location,
    *,
    arch: str | None = None,
    pretrained: Location | None = None,
    goal: Goal = "accuracy",
    size: tuple[int, int] | None = None,
    num_epochs: int | None = None,
    images: Location | None = None,
    force: bool = False,
    apply_exif: bool = False,
    workers: int | None = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> NewSpecResult:
    """Writes conversion and experiment specs that fit a data set; comments give the reasons.

    Args:
        data: Data set: KITTI folder, COCO annotation file or its folder, or record files; a path or an
            `s3://` URI. Folders, lists or annotation files called train, val and test are used as such.
        output_dir: Folder of the specs. Their paths for records and results lie below it.
        arch: Backbone; by default the one that the name of `pretrained` mentions, or that of the goal.
        pretrained: File of pretrained weights.
        goal: `accuracy`, `speed` (smaller input) or `edge` (smaller input and backbone).
        size: Height and width of the network input, px; by default, images are reduced as far as their small
            objects allow.
        num_epochs: Number of epochs; by default it follows from the number of images.
        images: Image folder of a COCO file or of records; by default it is searched for.
        force: Whether to replace specs that exist.
        apply_exif: Whether labels refer to the images after rotation by their EXIF orientation. Records state
            it themselves.
        workers: Number of processes that read the data set; `None` for one per core. A script that uses
            several needs `if __name__ == "__main__":`.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        Paths of the specs.

    Raises:
        UsageError: An argument is invalid, or a spec exists and `force` is not set.
        DataError: The data set has no usable image or no object.
        StoreError: S3 is unreachable.
    """
    out = local_output(output_dir, "output_dir")
    if goal not in ("accuracy", "speed", "edge"):
        raise UsageError(f"goal {goal!r}: expected accuracy, speed or edge", argument="goal")
    if arch is not None and arch not in ARCHS:
        hint = did_you_mean(arch, ARCHS) or f"; expected one of {', '.join(ARCHS)}"
        raise UsageError(f"arch {arch!r}: unknown backbone{hint}", argument="arch")
    check_count(num_epochs, "num_epochs")
    check_count(workers, "workers")
    with reported_to(on_progress), needed_for("writing specs for a data set", "convert"):
        from frcnn.spec_writing.choices import MIN_SIDE
        from frcnn.spec_writing.write import write_specs

        _check_size(size, MIN_SIDE)
        found = write_specs(
            name_of(data, "data"),
            out,
            images=None if images is None else Path(name_of(images, "images")),
            arch=arch,
            pretrained=None if pretrained is None else Path(name_of(pretrained, "pretrained")),
            goal=goal,
            size=size,
            epochs=num_epochs,
            force=force,
            apply_exif=apply_exif,
            workers=workers,
        )
    return NewSpecResult(found.experiment, found.conversions, found.commands, found.summary())


def _check_size(size: object, least: int) -> None:
    """Raises UsageError unless `size` is `None` or two numbers of at least `least`."""
    sides = size if isinstance(size, tuple | list) else ()
    if size is not None and (len(sides) != 2 or not all(type(side) is int for side in sides)):
        raise UsageError(f"size {size!r}: expected height and width, such as (288, 384)", argument="size")
    if any(side < least for side in sides):
        message = f"size {sides[0]} x {sides[1]}: expected at least {least} px per side"
        raise UsageError(message, argument="size")
