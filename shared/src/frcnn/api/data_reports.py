"""`frcnn.data_report`: shows what is in a data set, and what is wrong with it."""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn.api.booleans import checked_booleans
from frcnn.api.locations import Location, local_output, name_of
from frcnn.api.numbers import check_count
from frcnn.errors import UsageError
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment
from frcnn.spec.schema.export import DatasetExportConfig

if TYPE_CHECKING:
    from frcnn.survey.network_input import NetworkInput
    from frcnn.survey.report import JudgedSpec, Survey
    from frcnn.survey.tables import Tables


@dataclasses.dataclass(frozen=True)
class Finding:
    """A property of a data set that is worth knowing before a training.

    Attributes:
        code: Name for programs, such as `leak` or `class_missing_in_fold`.
        weight: `problem`, `warning` or `note`.
        text: One or two sentences.
    """

    code: str
    weight: str
    text: str


@dataclasses.dataclass(frozen=True)
class DataReport:
    """Report of one or several data sets.

    Attributes:
        images: Number of usable images.
        objects: Number of objects by class, most frequent first.
        findings: What is likely to hurt a training, the most serious first.
        page: Page that was written; `None` without an output folder.
        content: Content of report.json.
    """

    images: int
    objects: Mapping[str, int]
    findings: tuple[Finding, ...]
    page: Path | None
    content: Mapping[str, object] = dataclasses.field(repr=False)


@checked_booleans
def data_report(
    data: Location | Sequence[Location],
    output_dir: Location | None = None,
    *,
    spec: Experiment | str | os.PathLike[str] | None = None,
    images: Location | None = None,
    compare: int = 20_000,
    apply_exif: bool = False,
    workers: int | None = 1,
    on_progress: Callable[[Progress], None] | None = None,
) -> DataReport:
    """Reports what is in data sets: counts, sizes, anchor coverage, faults, duplicates and samples.

    Args:
        data: Data set, or several: KITTI folder, COCO annotation file or its folder, record files, or a
            dataset_convert spec; a path or an `s3://` URI.
        output_dir: Folder for report.html and report.json; `None` to write nothing.
        spec: `Spec` or the name of its file: its network input, anchors and classes are judged. By default,
            the input is that of `frcnn.new_spec`.
        images: Image folder of a COCO file or of records; by default it is searched for.
        compare: Maximum number of images to compare for similarity; 0 for none.
        apply_exif: Whether labels refer to the images after rotation by their EXIF orientation. Records state
            it themselves.
        workers: Number of processes; `None` for one per core. A script that uses several needs `if __name__
            == "__main__":`.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        The report.

    Raises:
        UsageError: A location is not a data set, or an argument is invalid.
        SpecError: The spec is invalid.
        DataError: There is no usable image.
        StoreError: S3 is unreachable.
    """
    names = list(data) if isinstance(data, Sequence) and not isinstance(data, str | os.PathLike) else [data]
    locations = [name_of(each, "data") for each in names]
    known = None if spec is None else given(Experiment, spec)
    folder = None if output_dir is None else local_output(output_dir, "output_dir")
    check_count(compare, "compare", 0)
    check_count(workers, "workers")
    if folder is not None:
        _check_output(folder)
    with reported_to(on_progress), needed_for("reporting on a data set", "data"):
        from frcnn.survey.collect import surveyed
        from frcnn.survey.report import survey, write_report
        from frcnn.survey.sources import open_sources

        place = None if images is None else Path(name_of(images, "images"))
        sources = open_sources(locations, place, apply_exif=apply_exif)
        with surveyed(sources, workers=workers) as tables:
            found = survey(tables, _network(tables, known), _judged(known), compare)
        page = write_report(folder, found)[0] if folder is not None else None
    return _result(found, page)


@contextlib.contextmanager
def surveyed_conversion(
    spec: DatasetExportConfig, *, name: str, folder: Path, apply_exif: bool = False, workers: int | None = 1
) -> Iterator["Tables"]:
    """Surveys the folds of a conversion.

    Args:
        spec: Checked spec of the conversion.
        name: Name of the data set in its page.
        folder: Folder of the data set.
        apply_exif: Whether labels refer to images with the EXIF orientation applied.
        workers: Number of processes; `None` for one per core.

    Yields:
        The survey.

    Raises:
        DataError: There is no usable image.
        RunError: A worker process died.
    """
    with needed_for("reporting on a data set", "convert"):
        from frcnn.data.conversion.convert import make_plan
        from frcnn.settings.conversion import conversion_settings
        from frcnn.survey.collect import surveyed
        from frcnn.survey.sources import plan_source

        plan = make_plan(conversion_settings(spec), apply_exif=apply_exif)
        source = plan_source(plan, name, folder)
        with surveyed([source], workers=workers) as tables:
            yield tables


def save_page(tables: "Tables", page: Path, *, compare: int) -> None:
    """Writes the page of a data report, for the network input that the survey suggests.

    Args:
        tables: Survey of the data set.
        page: HTML file to write.
        compare: Maximum number of images to compare for similarity; 0 for none.
    """
    with needed_for("reporting on a data set", "convert"):
        from frcnn.survey.page import save_survey
        from frcnn.survey.report import survey

        save_survey(page, survey(tables, _network(tables, None), compared=compare))


def _check_output(folder: Path) -> None:
    """Checks that no file of another kind would be replaced, such as the report of an evaluation."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"output_dir {folder}: is a file; expected a folder", argument="output_dir")
    if (folder / "report.html").exists() and not (folder / "report.json").exists():
        raise UsageError(
            f"output_dir {folder}: holds a report.html that no data report wrote; choose another folder",
            argument="output_dir",
        )


def _network(tables: "Tables", spec: Experiment | None) -> "NetworkInput":
    """Returns the network input of a spec, or the one that a new spec would have."""
    from frcnn.settings.data import image_settings
    from frcnn.spec_writing.choices import suggested_input
    from frcnn.survey.network_input import NetworkInput

    if spec is None:
        return suggested_input(tables)
    limits = spec.augmentation_config.preprocessing
    return NetworkInput(
        images=image_settings(spec),
        min_height=max(1.0, limits.min_bbox_height),
        min_width=max(1.0, limits.min_bbox_width),
        stride=spec.model_config.rpn_stride,
        max_objects=spec.model_config.input_image_config.max_objects_num_per_image,
    )


def _judged(spec: Experiment | None) -> "JudgedSpec | None":
    from frcnn.class_names import stored_class_name
    from frcnn.survey.anchors import Anchors
    from frcnn.survey.report import JudgedSpec
    from frcnn.survey.statistics import AnchorSettings

    if spec is None:
        return None
    boxes, training = spec.model_config.anchor_box_config, spec.training_config
    anchors = AnchorSettings(
        Anchors(tuple(map(float, boxes.scale)), tuple(map(float, boxes.ratio))),
        training.rpn_min_overlap,
        training.rpn_max_overlap,
        training.rpn_inside_anchors_only,
    )
    classes = frozenset(map(stored_class_name, spec.dataset_config.target_class_mapping))
    return JudgedSpec(spec.source, anchors, classes)


def _result(found: "Survey", page: Path | None) -> DataReport:
    return DataReport(
        images=int(found.statistics.images.sum()),
        objects={each.name: each.total for each in found.statistics.classes},
        findings=tuple(Finding(each.code, each.weight, each.text) for each in found.findings),
        page=page,
        content=found.to_dict(),
    )
