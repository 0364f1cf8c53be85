"""Resolves the settings of predictions, and input and outputs of an inference run."""

import dataclasses
import logging
from pathlib import Path

from frcnn.data.transforms.image_settings import ImageSettings
from frcnn.errors import ModelError, Problem, SpecError, UsageError
from frcnn.model.settings import ExpectedModel
from frcnn.settings.data import image_settings
from frcnn.settings.model import expected_model
from frcnn.spec.load import parse_experiment
from frcnn.spec.schema.experiment import Experiment

log = logging.getLogger(__name__)

# Subfolders of the results folder for outputs whose folder the spec leaves empty.
IMAGE_FOLDER, LABEL_FOLDER = "images_annotated", "labels"


@dataclasses.dataclass(frozen=True)
class InferenceSettings:
    """Input and outputs of an inference run.

    Attributes:
        images_dir: Folder that is searched recursively for images.
        image_output_dir: Folder for the annotated images.
        label_dir: Folder for the KITTI label files.
        class_names: Class names in the order of their ids, without background.
        score_threshold: Lowest score to draw and write (`bbox_visualize_threshold`).
        captions: Whether to write class and score next to a box.
        batch_size: Number of images per batch.
    """

    images_dir: Path
    image_output_dir: Path
    label_dir: Path
    class_names: tuple[str, ...]
    score_threshold: float
    captions: bool
    batch_size: int


@dataclasses.dataclass(frozen=True)
class PredictionSettings:
    """Settings to run a model with.

    Attributes:
        expected: Expected classes and input size, and settings of the detections.
        image: Input format of the network.
        score_threshold: Lowest score of shown detections, 0 to 1.
        batch_size: Number of images per batch.
    """

    expected: ExpectedModel
    image: ImageSettings
    score_threshold: float
    batch_size: int


def prediction_settings(spec: Experiment) -> PredictionSettings:
    """Resolves the settings to run a model with; `inference_config` is used.

    Args:
        spec: Checked spec.

    Returns:
        Settings of the predictions.
    """
    config = spec.inference_config
    return PredictionSettings(
        expected_model(spec, "inference"),
        image_settings(spec),
        config.bbox_visualize_threshold,
        config.batch_size,
    )


def settings_in(text: str, path: Path) -> PredictionSettings:
    """Resolves the settings in the spec that a trained model contains.

    Args:
        text: Text of the spec.
        path: Model file, for messages.

    Returns:
        Settings of the predictions.

    Raises:
        ModelError: There is no spec, or it is not usable.
    """
    return prediction_settings(contained_spec(text, path))


def warn_of_other_input(text: str, wanted: ImageSettings | None, path: Path) -> None:
    """Warns if a model was trained on images that were prepared in another way.

    Args:
        text: Text of the spec that the model contains; empty if there is none.
        wanted: Input format in the spec to use.
        path: Model file, for messages.
    """
    if not text or wanted is None:
        return
    try:
        found = settings_in(text, path).image
    except ModelError:  # of another version
        return
    if differences := wanted.differences(found):
        log.warning("%s: trained with other images than the spec says: %s", path, "; ".join(differences))


def contained_spec(text: str, path: Path) -> Experiment:
    """Parses the spec that a trained model contains.

    Args:
        text: Text of the spec.
        path: Model file, for messages.

    Returns:
        The spec; it contains no keys.

    Raises:
        ModelError: There is no spec, or it is not usable.
    """
    if not text:
        raise ModelError(f"{path}: contains no spec. Pass the one that it was trained with as spec.")
    try:
        return parse_experiment(text, f"the spec in {path}", remarks=False).spec
    except SpecError as error:
        raise ModelError(
            f"{path}: the spec in the file is not usable; pass another one as spec: {error}"
        ) from error


def inference_settings(
    spec: Experiment, *, results_dir: Path | None = None, captions: bool | None = None
) -> InferenceSettings:
    """Resolves input and outputs of an inference run, and checks that they can be used.

    Args:
        spec: Checked spec.
        results_dir: Folder for the outputs whose folder the spec leaves empty; None for none.
        captions: Replacement for `bbox_caption_on`; None to use the spec's.

    Returns:
        Settings of the run.

    Raises:
        SpecError: An output folder is missing, or `images_dir` does not exist.
        UsageError: An annotated image would overwrite its original.
    """
    config = spec.inference_config
    images_dir = Path(config.images_dir)
    image_output_dir = _output_dir(config.detection_image_output_dir, results_dir, IMAGE_FOLDER)
    label_dir = _output_dir(config.labels_dump_dir, results_dir, LABEL_FOLDER)
    problems = _images_problems(config.images_dir)
    if image_output_dir is None:
        problems.append(_missing_output("detection_image_output_dir"))
    if label_dir is None:
        problems.append(_missing_output("labels_dump_dir"))
    if problems or image_output_dir is None or label_dir is None:
        raise SpecError(spec.source, problems)
    if image_output_dir.resolve() == images_dir.resolve():
        raise UsageError(
            f"inference_config.detection_image_output_dir is images_dir itself ({images_dir}): "
            "annotated images would replace their originals. Choose another folder."
        )
    return InferenceSettings(
        images_dir=images_dir,
        image_output_dir=image_output_dir,
        label_dir=label_dir,
        class_names=tuple(spec.class_names),
        score_threshold=config.bbox_visualize_threshold,
        captions=config.bbox_caption_on if captions is None else captions,
        batch_size=config.batch_size,
    )


def _output_dir(named: str, results_dir: Path | None, folder: str) -> Path | None:
    if named:
        return Path(named)
    return results_dir / folder if results_dir is not None else None


def _images_problems(images_dir: str) -> list[Problem]:
    path = "inference_config.images_dir"
    if not images_dir:
        return [Problem(path, "not set; expected the folder of the input images")]
    if not Path(images_dir).is_dir():
        found = "is a file" if Path(images_dir).exists() else "does not exist"
        return [Problem(path, f"{images_dir} {found}; expected the folder of the input images")]
    return []


def _missing_output(field: str) -> Problem:
    problem = "not set; name a folder, or set a results folder for all outputs"
    return Problem(f"inference_config.{field}", problem)
