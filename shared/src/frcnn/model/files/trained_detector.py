"""Loads trained models as detectors, and checks that they match the spec."""

import logging
from collections.abc import Callable
from pathlib import Path

from frcnn.model.faster_rcnn import FasterRCNN
from frcnn.model.files.checkpoint import check_finite, load_model
from frcnn.model.files.training_record import TrainingRecord
from frcnn.model.keras_detector import KerasDetector
from frcnn.model.settings import ExpectedModel, Geometry, check_geometry

log = logging.getLogger(__name__)


def load_detector(
    path: Path,
    expected: ExpectedModel,
    key: str = "",
    on_record: Callable[[TrainingRecord], None] | None = None,
) -> KerasDetector:
    """Loads the detector in a trained model file.

    Args:
        path: Model file.
        expected: Expected classes and input size, and settings of the detections.
        key: Key of a sealed file.
        on_record: Called with the training record in the file.

    Returns:
        The detector.

    Raises:
        ModelError: The model cannot be loaded, or has other classes or another input size.
        NotFiniteError: A weight is NaN or infinite.
    """
    model, record = load_fitting(path, expected.geometry, key)
    if on_record is not None:
        on_record(record)
    return KerasDetector(model, expected.detection)


def load_fitting(path: Path, wanted: Geometry, key: str = "") -> tuple[FasterRCNN, TrainingRecord]:
    """Loads a trained model and checks that it can be used with a spec.

    Args:
        path: Model file.
        wanted: Classes and input size in the spec.
        key: Key of a sealed file.

    Returns:
        Model and training record.

    Raises:
        ModelError: The model cannot be loaded, or has other classes or another input size.
        NotFiniteError: A weight is NaN or infinite.
    """
    model, record = load_model(path, key)
    check_finite(model, path)
    check_fits(model, wanted, path)
    return model, record


def check_fits(model: FasterRCNN, wanted: Geometry, path: Path) -> None:
    """Checks whether a model matches the spec.

    Args:
        model: Model.
        wanted: Classes and input size in the spec.
        path: Model file, for messages.

    Raises:
        ModelError: The spec has other classes or another input size; the message shows both.
    """
    have = model.geometry
    check_geometry(have, wanted, f"{path}: trained")
    if have.size_text != wanted.size_text:
        log.warning("%s: trained on input %s; the spec says %s", path, have.size_text, wanted.size_text)
