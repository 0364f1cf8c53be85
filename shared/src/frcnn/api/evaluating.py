"""`frcnn.evaluate`: measures the average precision of a model on labeled images."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn.api.backend import use_tensorflow
from frcnn.api.booleans import checked_booleans
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_folder, local_output, model_file, name_of
from frcnn.api.specs import SpecLike, given_spec, own_spec
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.errors import DataError, UsageError
from frcnn.evaluation.report import ClassResult, Report
from frcnn.evaluation.settings import iou_label
from frcnn.files import is_same_file
from frcnn.inference.open_model import PrecisionHint, RunOptions, Runtime, open_for_batches
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.settings.evaluation import EvaluationRun, evaluation_run, evaluation_run_on
from frcnn.single_writer import only_writer_in
from frcnn.storage.address import is_remote

if TYPE_CHECKING:
    from frcnn.data.settings import DataSettings
    from frcnn.evaluation.error_analysis import ErrorAnalysis
    from frcnn.evaluation.html_report import Subject

log = logging.getLogger(__name__)

METRICS, PAGE = "metrics.json", "report.html"


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """Result of an evaluation.

    Attributes:
        report: All metrics.
        files: Files that were written: metrics, report and curves.
    """

    report: Report = dataclasses.field(repr=False)
    files: tuple[Path, ...] = ()

    @property
    def mean_ap(self) -> float | None:
        """Mean over IoU thresholds and classes with objects, 0 to 1; None without objects."""
        return self.report.mean_ap

    @property
    def images(self) -> int:
        """Number of evaluated images."""
        return self.report.images

    @property
    def ious(self) -> tuple[float, ...]:
        """IoU thresholds in ascending order."""
        return tuple(each.iou for each in self.report.results)

    @property
    def classes(self) -> Mapping[str, ClassResult]:
        """Result of each class at the first IoU threshold, by class name."""
        return self.at(self.ious[0])

    def at(self, iou: float) -> Mapping[str, ClassResult]:
        """Returns the result of each class at one IoU threshold.

        Args:
            iou: One of `ious`.

        Returns:
            Mapping from class name to result.

        Raises:
            UsageError: `iou` is not one of `ious`.
        """
        for result in self.report.results:
            if abs(result.iou - iou) < 1e-6:
                return {each.name: each for each in result.classes}
        raise UsageError(
            f"iou {iou:g}: expected one of {', '.join(map(iou_label, self.ious))}", argument="iou"
        )

    def table(self) -> str:
        """Returns the table that the command prints."""
        return self.report.table()

    def to_dict(self) -> dict[str, object]:
        """Returns the content of `metrics.json`; None becomes null."""
        return self.report.to_dict()

    def __repr__(self) -> str:
        """Shows mAP and the number of images."""
        return f"<EvaluationResult: mean_ap {self.mean_ap}, {self.images} images>"


@checked_booleans
@quiet_tensorflow_import()
def evaluate(
    model: Location,
    spec: SpecLike | None = None,
    *,
    results_dir: Location | None = None,
    tfrecords: str | None = None,
    images: Location | None = None,
    compare: Location | None = None,
    key: str | Path | None = None,
    runtime: Runtime = "auto",
    device: str = "auto",
    precision_hint: PrecisionHint | None = None,
    threads: int = 0,
    as_is: bool = False,
    strict: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> EvaluationResult:
    """Measures the average precision of a model.

    Args:
        model: Model as `frcnn.load` takes it.
        spec: `Spec` or the name of its file; by default the spec that a trained model was trained with. Its
            validation set and `evaluation_config` are used.
        results_dir: Folder for report.html, metrics.json and, if the spec asks for them, the precision-recall
            curves; None to write nothing.
        tfrecords: Glob of record files that replace the spec's validation set.
        images: Folder of the images of `tfrecords`. If the records contain their images, it is not used, and
            a warning says so.
        compare: metrics.json of another model on the same images, to compare with in report.html.
        key: Key of a sealed model, as in `frcnn.load`.
        runtime: Runtime, as in `frcnn.load`.
        device: Device, as in `frcnn.load`.
        precision_hint: Precision hint, as in `frcnn.load`.
        threads: Number of threads, as in `frcnn.load`.
        as_is: Whether to run an exported graph unchanged, as in `frcnn.load`.
        strict: Whether an unreadable image raises an error; otherwise it is skipped with a warning.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        The metrics, and the files that were written.

    Raises:
        SpecError: The spec is invalid.
        UsageError: Arguments contradict each other.
        DataError: No record file matches, or `strict` is set and an image is unreadable.
        ModelError: The model cannot be loaded, as in `frcnn.load`.
        RunError: The runtime is not installed.
    """
    options = RunOptions(runtime, device, precision_hint, threads, as_is)
    if images is not None and tfrecords is None:
        raise UsageError("images requires tfrecords: give both or neither", argument="images")
    if compare is not None and results_dir is None:
        raise UsageError("compare requires results_dir, the folder of report.html", argument="compare")
    target = None if results_dir is None else local_output(results_dir, "results_dir")
    known = None if spec is None else given_spec(spec)
    use_tensorflow()
    with reported_to(on_progress), model_file(model) as path, needed_for("evaluation", "evaluate"):
        secret = resolved_key(key, known.enc_key if known is not None else None)
        known = own_spec(path, secret) if known is None else known
        folder = None if images is None else local_folder(images, "images")
        run = evaluation_run(known) if tfrecords is None else evaluation_run_on(known, tfrecords, folder)
        if folder is not None:
            _warn_if_unused(folder, run.data)
        previous = _previous(compare, target)
        from frcnn.evaluation.html_report import Subject, read_metrics
        from frcnn.evaluation.training_curves import FILE_NAME

        earlier = None if previous is None else read_metrics(previous)
        measured = measure(path, run, secret, options, strict=strict, analyze=target is not None)
        if target is None:
            return EvaluationResult(measured.report)
        # The local copy of a remote model has a temporary path.
        shown = name_of(model, "model") if is_remote(name_of(model, "model")) else str(path)
        data = tfrecords or "the validation set"
        arch, curve = known.model_config.arch, path.with_name(FILE_NAME)
        subject = Subject(arch, data, str(previous or ""), shown, curve)
        files = write_results(measured, target, subject, earlier, curves=run.curves)
        return EvaluationResult(measured.report, files)


def _warn_if_unused(images: Path, data: "DataSettings") -> None:
    from frcnn.data.input.embedded_images import validation_images_are_embedded

    if validation_images_are_embedded(data):
        log.warning("The records of --tfrecords contain their images, so --images %s is not used", images)


def _previous(compare: Location | None, results: Path | None) -> Path | None:
    """Returns the metrics file to compare with.

    Raises:
        UsageError: The results would overwrite it.
    """
    if compare is None:
        return None
    path = Path(name_of(compare, "compare"))
    if results is not None and is_same_file(path, results / METRICS):
        raise UsageError(
            f"compare {path}: the results would overwrite this file. Choose another results folder.",
            argument="compare",
        )
    return path


@dataclasses.dataclass(frozen=True)
class Measured:
    """Metrics of a model, and the error analysis of the same images.

    Attributes:
        report: Metrics.
        analysis: Error analysis; None unless it was requested.
    """

    report: Report
    analysis: "ErrorAnalysis | None"


def measure(
    model: Path,
    run: EvaluationRun,
    key: str,
    options: RunOptions | None = None,
    *,
    strict: bool = False,
    analyze: bool = False,
) -> Measured:
    """Evaluates a model file.

    Args:
        model: Model file.
        run: Settings of the evaluation.
        key: Key of a sealed model; empty for a plain one.
        options: Runtime, device and precision; None for the defaults.
        strict: Whether an unreadable image raises an error; otherwise it is skipped with a warning.
        analyze: Whether to analyze the errors, which the page of the report shows.

    Returns:
        The metrics.

    Raises:
        FrcnnError: See `evaluate`.
    """
    from frcnn.data.input.dataset import validation_dataset
    from frcnn.evaluation.evaluator import evaluate as compute_metrics
    from frcnn.evaluation.html_report import error_analysis_for

    # Open the data first: errors in it then appear before the slow loading of the model.
    dataset = validation_dataset(run.data, batch_size=run.batch_size, strict=strict)
    detector = open_for_batches(model, run.expected, key, options or RunOptions())
    analysis = error_analysis_for(run.evaluation, run.data.image) if analyze else None
    report = compute_metrics(detector, dataset, run.evaluation, inspection=analysis)
    if not report.images:
        raise DataError(
            f"none of the {dataset.size} images to evaluate on could be read; check the image files"
        )
    return Measured(report, analysis)


def write_results(
    measured: Measured,
    folder: Path,
    subject: "Subject",
    former: Mapping[str, Any] | None = None,
    *,
    curves: bool = True,
) -> tuple[Path, ...]:
    """Writes metrics.json, report.html and the precision-recall curves.

    Args:
        measured: Metrics with an error analysis.
        folder: Output folder.
        subject: Names of the evaluated model and data.
        former: Content of the metrics.json to compare with; None for none.
        curves: Whether to write the curves.

    Returns:
        The files in the order of writing.

    Raises:
        ValueError: There is no error analysis.
        PlaceBusyError: Another evaluation writes to the folder.
    """
    from frcnn.evaluation.html_report import save_html
    from frcnn.evaluation.plots import save_curves
    from frcnn.files import write_text

    if measured.analysis is None:
        raise ValueError("the page needs an error analysis")
    metrics, page = folder / METRICS, folder / PAGE
    with only_writer_in(folder, "evaluate"):
        write_text(metrics, measured.report.to_json())
        save_html(page, measured.report, measured.analysis, subject, former)
        return metrics, page, *(save_curves(measured.report, folder) if curves else ())
