"""`frcnn.compare`: checks whether two models find the same objects."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_folder, model_file
from frcnn.api.specs import SpecLike, given_spec, own_spec
from frcnn.console.quiet_import import quiet_tensorflow_import
from frcnn.errors import UsageError
from frcnn.inference.open_model import PrecisionHint, RunOptions, Runtime, open_for_batches
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.settings.inference import PredictionSettings, prediction_settings

# Box difference in px, score difference, fraction without a counterpart. fp16 has 11 significant bits, so
# near ties may go either way. In int8, boxes jump between overlapping alternatives; only mAP shows whether
# that costs accuracy.
TOLERANCES = {"fp32": (0.5, 1e-3, 0.0), "fp16": (2.0, 0.02, 0.05), "int8": (8.0, 0.2, 0.25)}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Agreement of two models.

    Attributes:
        ok: Whether the fraction of detections without a counterpart is within the tolerance.
        images: Number of images that both models processed.
        expected: Number of detections of the reference.
        found: Number of detections of the model.
        matched: Number of pairs of the same class whose boxes and scores are within the tolerances.
        unmatched: Fraction of all detections without a counterpart, 0 to 1.
        box_error: Largest difference of a coordinate in a pair, px of the network input.
        score_error: Largest difference of the scores in a pair.
        precision: Precision of the model, which decides the default tolerances: `fp32`, `fp16` or `int8`.
        table: Table that the command prints.
    """

    ok: bool
    images: int
    expected: int
    found: int
    matched: int
    unmatched: float
    box_error: float
    score_error: float
    precision: str
    table: str = dataclasses.field(repr=False, compare=False)


@quiet_tensorflow_import()
def compare(
    model: Location,
    against: Location,
    images: Location,
    *,
    spec: SpecLike | None = None,
    limit: int | None = None,
    box_tolerance: float | None = None,
    score_tolerance: float | None = None,
    unmatched: float | None = None,
    key: str | Path | None = None,
    runtime: Runtime = "auto",
    device: str = "auto",
    precision_hint: PrecisionHint | None = None,
    threads: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
) -> Comparison:
    """Compares the detections of a model with those of the model it was made from.

    Args:
        model: Exported model or engine; its graph runs unchanged.
        against: Model to compare with, as `frcnn.load` takes it.
        images: Folder of images, searched recursively.
        spec: `Spec` or its file; by default the spec that `against` was trained with.
        limit: Maximum number of images, chosen at even intervals; None for all.
        box_tolerance: Largest difference of a coordinate, px; default 0.5, for fp16 2, for int8 8.
        score_tolerance: Largest difference of a score; default 0.001, for fp16 0.02, for int8 0.2.
        unmatched: Fraction of the detections that may lack a counterpart; default 0, for fp16 0.05, for int8
            0.25.
        key: Key of both models, as in `frcnn.load`.
        runtime: Runtime of `model`, as in `frcnn.load`.
        device: Device of both models, as in `frcnn.load`.
        precision_hint: Precision hint for `model`, as in `frcnn.load`.
        threads: Number of threads for `model`, as in `frcnn.load`.
        on_progress: Called with the progress at most four times per second, in this thread.

    Returns:
        The differences.

    Raises:
        UsageError: An argument is invalid.
        DataError: There are no images, or one is unreadable.
        ModelError: A model cannot be loaded, as in `frcnn.load`.
    """
    options = RunOptions(runtime, device, precision_hint, threads, as_is=True)
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: expected 1 or more", argument="limit")
    folder = local_folder(images, "images")
    known = None if spec is None else given_spec(spec)
    use_tensorflow()
    with (
        reported_to(on_progress),
        model_file(model) as path,
        model_file(against, "against") as reference,
        needed_for("comparing models", "inference,onnx"),
    ):
        secret = resolved_key(key, known.enc_key if known is not None else None)
        known = own_spec(reference, secret) if known is None else known
        given_tolerances = (box_tolerance, score_tolerance, unmatched)
        settings, paths = prediction_settings(known), _chosen(folder, limit)
        return _compared(path, reference, paths, settings, secret, options, given_tolerances)


def _chosen(folder: Path, limit: int | None) -> list[Path]:
    from frcnn.data.image_files import find_images

    paths = [folder / path for path in find_images(folder)]
    return paths if limit is None else paths[:: max(1, len(paths) // limit)][:limit]


def _compared(
    model: Path,
    reference: Path,
    paths: list[Path],
    settings: PredictionSettings,
    key: str,
    options: RunOptions,
    tolerances: tuple[float | None, ...],
) -> Comparison:
    from frcnn.inference.compare import Tolerance, compare_detectors

    exported = open_for_batches(model, settings.expected, key, options)
    plain = RunOptions(device=options.device, as_is=True)
    trained = open_for_batches(reference, settings.expected, key, plain)
    record = getattr(exported, "record", None)
    precision = record.precision if record else "fp32"
    own = TOLERANCES[precision]
    tolerance = Tolerance(
        *(default if each is None else each for each, default in zip(tolerances, own, strict=True))
    )
    found = compare_detectors(
        trained, exported, paths, settings.image, batch_size=settings.batch_size, tolerance=tolerance
    )
    return Comparison(
        ok=found.within(tolerance),
        images=found.images,
        expected=found.expected,
        found=found.found,
        matched=found.matched,
        unmatched=found.unmatched,
        box_error=found.box_error,
        score_error=found.score_error,
        precision=precision,
        table=found.table(tolerance),
    )
