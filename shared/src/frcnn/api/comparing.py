"""`frcnn.compare`: whether two models find the same."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

from frcnn.api.backend import use_tensorflow
from frcnn.api.keys import resolved_key
from frcnn.api.locations import Location, local_folder, model_file
from frcnn.errors import UsageError
from frcnn.inference.open_model import PrecisionHint, RunOptions, Runtime, own_spec
from frcnn.packages import needed_for
from frcnn.progress import Progress, reported_to
from frcnn.spec.python_api import given
from frcnn.spec.schema.experiment import Experiment

# Boxes in px, scores, share without a counterpart: fp16 has 11 bits, so near ties fall either way.
# In int8 boxes jump between overlapping alternatives, and only mAP can tell whether that does harm.
TOLERANCES = {"fp32": (0.5, 1e-3, 0.0), "fp16": (2.0, 0.02, 0.05), "int8": (8.0, 0.2, 0.25)}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How far two models agree.

    Attributes:
        ok: Whether few enough detections are without a counterpart.
        images: Images that both looked at.
        expected: Detections of the reference.
        found: Detections of the model.
        matched: Pairs of one class whose boxes and scores are within the tolerances.
        unmatched: Share of all detections without a counterpart, 0 to 1.
        box_error: Largest difference of a coordinate in a pair, px of the network input.
        score_error: Largest difference of the scores in a pair.
        precision: Of the model, which decides the default tolerances: `fp32`, `fp16` or `int8`.
        table: The table that the command prints.
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


def compare(
    model: Location,
    against: Location,
    images: Location,
    *,
    spec: Experiment | str | os.PathLike[str] | None = None,
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
    """Compares what a model and the one it was made from find in the same images.

    Args:
        model: The exported model, or an engine; it runs as it is.
        against: The model to compare with, as `frcnn.load` takes it.
        images: Folder of images; its sub-folders count too.
        spec: A `Spec` or its file; by default the one that `against` was trained by.
        limit: Look at so many images only, evenly chosen.
        box_tolerance: Largest difference of a coordinate, px; by default 0.5, of fp16 2, of int8 8.
        score_tolerance: Largest difference of a score; by default 0.001, of fp16 0.02, of int8 0.2.
        unmatched: Share of the detections that need no counterpart; by default 0, of fp16 0.05, of int8 0.25.
        key: As in `frcnn.load`, for both.
        runtime: As in `frcnn.load`, for `model`.
        device: As in `frcnn.load`, for both.
        precision_hint: As in `frcnn.load`, for `model`.
        threads: As in `frcnn.load`, for `model`.
        on_progress: Called now and then, at most four times a second, in this thread.

    Returns:
        The differences.

    Raises:
        UsageError: An argument cannot be right.
        DataError: There is no image, or one cannot be read.
        ModelError: As `frcnn.load`.
    """
    options = RunOptions(runtime, device, precision_hint, threads, as_is=True)
    if limit is not None and limit < 1:
        raise UsageError(f"limit {limit}: expected 1 or more", argument="limit")
    folder = local_folder(images, "images")
    known = None if spec is None else given(Experiment, spec)
    use_tensorflow()
    with (
        reported_to(on_progress),
        model_file(model) as path,
        model_file(against, "against") as reference,
        needed_for("comparing models"),
    ):
        secret = resolved_key(key, known.enc_key if known is not None else None)
        known = own_spec(reference, secret) if known is None else known
        given_tolerances = (box_tolerance, score_tolerance, unmatched)
        return _compared(path, reference, _chosen(folder, limit), known, secret, options, given_tolerances)


def _chosen(folder: Path, limit: int | None) -> list[Path]:
    from frcnn.data.image_files import find_images

    paths = [folder / path for path in find_images(folder)]
    return paths if limit is None else paths[:: max(1, len(paths) // limit)][:limit]


def _compared(
    model: Path,
    reference: Path,
    paths: list[Path],
    spec: Experiment,
    key: str,
    options: RunOptions,
    tolerances: tuple[float | None, ...],
) -> Comparison:
    from frcnn.data.transforms.image_settings import ImageSettings
    from frcnn.inference.compare import Tolerance, compare_detectors
    from frcnn.inference.load import kind_of, load_detector

    kind = kind_of(model)
    runtime = options.for_kind(kind, model)
    choice = options.choice(runtime) if kind == "onnx" else None
    exported = load_detector(model, spec, key, "inference", choice, as_is=True, device=options.device)
    trained = load_detector(reference, spec, key, "inference", as_is=True, device=options.device)
    record = getattr(exported, "record", None)
    precision = record.precision if record else "fp32"
    own = TOLERANCES[precision]
    tolerance = Tolerance(
        *(default if each is None else each for each, default in zip(tolerances, own, strict=True))
    )
    found = compare_detectors(
        trained,
        exported,
        paths,
        ImageSettings.from_spec(spec),
        batch_size=spec.inference_config.batch_size,
        tolerance=tolerance,
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
